"""Values with a syntax of their own, which the schema cannot check: each is parsed, or reported as a Problem."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Callable

from ...base.model import ExpressionData, TargetData
from ...language import expressions, hints, learned, units
from ...language.targets import TargetError, parse_dotted, parse_target
from ..findings import Findings
from ..read.document import Placed

#: Seconds; few calls that somebody monitors take so long.
_LONG = 60


def check_unit(
    placed: Placed, parse: Callable[[Any], object], slug: str, findings: Findings, *, off: bool = False
) -> None:
    """Report what the pattern in the schema accepts and the parser does not: `0s`, or 400 days."""
    absent = placed.value is None and placed.node is None
    if absent or findings.has(placed) or (off and units.is_off(placed.value)):
        return
    try:
        parse(placed.value)
    except units.UnitError as error:
        findings.add(placed, slug, str(error), error.hint)


def check_bare_number(placed: Placed, findings: Findings) -> None:
    """Report a number of seconds that was probably meant as milliseconds: a threshold that no call ever exceeds."""
    value = placed.value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= _LONG and not findings.has(placed):
        message = f"a number without a unit counts seconds: this is {value:g} seconds"
        hint = f"write `{value}s` if that is meant, else `{value}ms`"
        findings.add(placed, "bare-number", message, hint, severity="warning")


def check_duration_or_ladder(placed: Placed, findings: Findings) -> None:
    if isinstance(placed.value, dict):
        check_ladder(placed, findings)
    else:
        check_unit(placed, units.duration, "bad-duration", findings, off=True)


def check_ladder(ladder: Placed, findings: Findings) -> None:
    """A milder severity needs the shorter duration, or it is never reported."""
    for _, step in ladder.fields():
        check_unit(step, units.duration, "bad-duration", findings)
        check_bare_number(step, findings)
    if findings.is_wrong(ladder):
        return
    steps: list[tuple[int, float, str]] = []
    try:
        for key, step in ladder.fields():
            steps.append((units.rank(units.severity(key)), units.duration(step.value), key))
    except units.UnitError:
        return  # the schema has reported it
    steps.sort(key=lambda step: step[0])
    for (mild, short, milder), (severe, long, key) in zip(steps, steps[1:]):
        message = hint = ""
        if severe == mild:
            message, hint = f"`{milder}` and `{key}` are the same severity", "keep one of them"
        elif long <= short:
            message = (
                f"`{key}` is more severe than `{milder}`, so it needs a duration longer than "
                f"{units.format_duration(short)}, not {units.format_duration(long)}"
            )
            hint = "did you swap the two?" if long < short else ""
        if message:
            findings.add(ladder.at(key), "bad-ladder", message, hint, of_key=severe == mild)


#: Key that a monitor and `defaults` share → what parses it, and the slug.
_SHARED: dict[str, tuple[Callable[[Any], object], str]] = {
    "threshold": (learned.check, "bad-duration"),
    "stuck": (units.duration, "bad-duration"),
    "budget": (units.share, "bad-share"),
    "rate_limit": (units.rate, "bad-rate"),
    "escalate": (units.escalation_rate, "bad-rate"),
}


def check_inheritable(mapping: Placed, findings: Findings) -> None:
    """The keys that a monitor and `defaults` share."""
    given = mapping.value if isinstance(mapping.value, dict) else {}
    for key, (parse, slug) in _SHARED.items():
        if key in given:
            check_unit(mapping.at(key), parse, slug, findings, off=True)
    if "threshold" in given:
        check_bare_number(mapping.at("threshold"), findings)
    if "repeat_interval" in given:
        interval = mapping.at("repeat_interval")
        for each in [placed for _, placed in interval.fields()] if isinstance(interval.value, dict) else [interval]:
            check_unit(each, units.duration, "bad-duration", findings, off=True)
    if "thresholds" in given:
        check_ladder(mapping.at("thresholds"), findings)


# Several steps parse each target, and many monitors have the same expressions. Nothing changes what these return.

parsed_target = cache(parse_target)


@cache
def _parsed_expression(text: str) -> tuple[ExpressionData, list[expressions.ExpressionError]]:
    doubts: list[expressions.ExpressionError] = []
    return expressions.parse(text, doubts.append), doubts


def target(placed: Placed, findings: Findings, *, of_one_function: bool = False) -> TargetData | None:
    if not isinstance(placed.value, str) or findings.has(placed):
        return None
    try:
        parsed = parsed_target(placed.value)
        if of_one_function and parsed["pattern"]:
            raise TargetError("one function is called, so `*` is not allowed here", "spell it out")
    except TargetError as error:
        bad_target(placed, error, findings)
        return None
    return parsed


def bad_target(placed: Placed, error: TargetError, findings: Findings) -> None:
    """A hint repeats nothing that came from the environment."""
    meant = hints.for_target(placed.value) if placed.text == placed.value else ""
    findings.add(placed, "bad-target", f"{placed.quoted}: {error}", meant or error.hint)


def is_exception_name(placed: Placed, name: str, findings: Findings, *, of_key: bool = False) -> bool:
    """Whether `name`, which is the value or its key, can be the dotted name of a class."""
    try:
        parse_dotted(name)
    except TargetError as error:
        if not findings.has(placed):
            findings.add(placed, "bad-exception", f"`{name[:100]}`: {error}", error.hint, of_key=of_key)
        return False
    return True


def expression(placed: Placed, findings: Findings, *, known: str = "") -> ExpressionData | None:
    """`known` is the only name that the expression may use; the names of parameters are checked elsewhere."""
    if not isinstance(placed.value, str) or findings.has(placed):
        return None

    def add(slug: str, error: expressions.ExpressionError, severity: str) -> None:
        message = f"column {error.column}: {error}"
        findings.add(placed, slug, message, error.hint, severity=severity, mark=placed.within(error.column))

    try:
        parsed, doubts = _parsed_expression(placed.value)
        for doubt in doubts:
            add("identity-comparison", doubt, "warning")
        strange = next((name for name in parsed["names"] if known and name != known), None)
        if strange is not None:
            column = re.search(rf"(?<![\w.]){strange}\b", placed.value)
            raise expressions.ExpressionError(
                f"`{strange}` is not known here: only `{known}` is, what the function gave",
                column.start() + 1 if column else 1,
                f"did you mean `{known}.{strange}`?" if strange not in expressions.SPECIAL else "",
            )
    except expressions.ExpressionError as error:
        add("bad-expression", error, "error")
        return None
    return parsed
