"""No pattern takes time that grows faster than the text: counted in steps, on texts made from the pattern itself."""

import importlib
import re
from pathlib import Path

import pytest
from backtracking import Counter, TooManyError

from agent.privacy import national
from agent.privacy.patterns import Patterns

FOLDER = Path(__file__).resolve().parents[2] / "agent/observe"


def every_pattern():
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "Patterns(" in source and path.stem != "patterns":
            for table in vars(importlib.import_module(f"agent.observe.{path.stem}")).values():
                if isinstance(table, Patterns):
                    for name, pattern in table.sources.items():
                        uses = re.findall(rf"_patterns\.{name}\b(.*)", source)
                        begins = bool(uses) and all(re.match(r"\.(?:full)?match\(", each) for each in uses)
                        yield pytest.param(pattern, not begins, id=f"{path.stem}.{name}")
    for country, (pattern, _) in national.COUNTRIES.items():
        yield pytest.param(national.bounded(pattern), True, id=country)


def growth(pattern, searched, start, body):
    """How many times the steps become when the text becomes twice as long."""
    counter = Counter(pattern)
    worst = 0
    number = max(3, 36 // len(body))
    for end in ("", "\0"):
        few, many = (counter.steps(start + body * each + end, searched) for each in (number, 2 * number))
        worst = max(worst, many / (few + 40))
    return worst


@pytest.mark.parametrize(("pattern", "searched"), list(every_pattern()))
def test_the_steps_grow_as_the_text_does(pattern, searched):
    for start, body in Counter(pattern).pumps():
        try:
            assert growth(pattern, searched, start, body) < 3, (start, body)
        except TooManyError:
            pytest.fail(f"does not end: {start!r} and many {body!r}")


@pytest.mark.parametrize("pattern", ["(a+)+b", "(?:a|a)*b", "a*a*b", r"\w+x", "[0-9]+(?:-[0-9]+)*:", ".*?,.*?;"])
def test_a_pattern_that_goes_back_and_forth_is_found(pattern):
    def grows(start, body):
        try:
            return growth(pattern, True, start, body) > 3
        except TooManyError:
            return True

    assert any(grows(*each) for each in Counter(pattern).pumps())


@pytest.mark.parametrize("pattern", [r"(a+)b|\bx{2,3}?y", r"(['\"])(.*?)\1(?=,)(?<!x)", "(?i:ab)[^c]*?d$"])
@pytest.mark.parametrize("text", ["aab xxy xxxy", "'a', \"b',\" 'x',", "ABzzd\nabcd"])
def test_the_counter_matches_as_re_does(pattern, text):
    counter = Counter(pattern)
    counter.steps("")
    counter.text = text
    for at in range(len(text)):
        counter.groups = {}
        end = next(counter.sequence(list(counter.tree), at, counter.flags), None)
        found = re.compile(pattern).match(text, at)
        assert end == (found.end() if found is not None else None), (pattern, text, at)
