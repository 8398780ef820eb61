"""The page of `report`: what it shows of figures and events, and that nothing of the ERP's becomes markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from agent.cli.report import charts, gather, issues, markup, measures, page, traces, words
from agent.cli.state.problems import Problem
from agent.deliver import wire
from agent.deliver.history import facts, fates
from agent.deliver.history.events import LocalEvent
from agent.deliver.spool.names import SpoolEntry
from agent.measure import layout
from agent.measure.figures import Counts, Key, Window

NOW = 1_800_000_000.0
HOSTILE = "</script><img src=x onerror=alert(1)>\"'`&<!--\u202e\x00\ud800"


def counts(*durations: float, failures: int = 0, severity: str = "error", slow: int = 0, **others: int) -> Counts:
    integers = [0] * layout.INTEGERS
    for each in durations:
        integers[min(int(each * each * layout.SCALE).bit_length(), layout.BUCKETS - 1)] += 1
        integers[layout.TOTAL] += round(each * 1e9)
        integers[layout.LONGEST] = max(integers[layout.LONGEST], round(each * 1e9))
    integers[layout.FAILURES + layout.SEVERITIES.index(severity)] = failures
    integers[layout.SLOW] = slow
    if failures:
        integers[layout.LAST_FAILURE] = round((NOW - 60) * 1e3)
    for name, number in others.items():
        integers[getattr(layout, name)] = number
    return Counts(integers)


def key(module="sales", operation="create_order", release="1.2", kind="function") -> Key:
    return Key(module, operation, f"{module}.{operation}", kind, release)


class Figures:
    """The same counts in the last slot of any period; nothing before."""

    def __init__(self, found):
        self.found = found

    def measured(self, seconds, until=None):
        return Window(seconds, self.found if until is None else {})

    def series(self, seconds, step):
        number = round(seconds / step)
        starts = [(NOW // step - number + 1 + at) * step for at in range(number)]
        return [(start, self.found if start == starts[-1] else {}) for start in starts]


def event(number: int = 1, **changed):
    return {
        "event_id": f"{number:032x}", "timestamp": NOW - 60 * number, "level": "error", "transaction": "create_order",
        "tags": {"erp.module": "sales", "erp.operation": "create_order", "erp.kind": "function", "erp.report": "error"},
        "contexts": {"erp": {"monitor": "create"}},
        "exception": {"values": [{"type": "ValueError", "value": "no such customer"}]},
        "fingerprint": ["create", "ValueError"],
        **changed,
    }  # fmt: skip


def report(figures=None, events=(), **changed):
    found = {key(): counts(0.01, 0.02)} if figures is None else figures
    fields = {
        "config": "/erp/acme/monitors.yaml", "environment": "production", "host": "erp1", "made": NOW, "module": None,
        "measures": measures.measure(Figures(found), 86400, changed.get("module"), NOW),
        "issues": issues.Issues([local(each) for each in events], {"accounts.login_failed"}),
        "traces": traces.Traces([]), "problems": [], "lost": {}, "aside": 0, "owners": {}, "thresholds": {}, **changed,
    }  # fmt: skip
    return gather.Report(**fields)


def local(found, at=None, fate=fates.Fate(fates.WAITING, "the next delivery sends it")) -> LocalEvent:
    entry = SpoolEntry("", round((found["timestamp"] if at is None else at) * 1e9), "error", False, 1, f"{1:032x}")
    envelope = wire.encode(entry.event_id, "event", json.dumps(found).encode())
    return LocalEvent(entry, facts.facts_of(found), fate, lambda: envelope)


class Outline(HTMLParser):
    """Elements, attributes and texts of a page, and whether its elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.stack, self.texts, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.stack, self.stack

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.attributes += attributes
        if tag not in ("meta", "path", "line", "rect", "wbr"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if self.stack and tag not in ("path", "line", "rect"):
            assert self.stack.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.texts.append(data)


def shown(made: gather.Report, live=None) -> str:
    """The text of a page without its styles and scripts."""
    text = page.page(made, live)
    body = re.sub(r"<(style|script)\b.*?</\1>|<wbr>", "", text, flags=re.S)
    return " ".join(" ".join(Outline(body).texts).split())


# ------------------------------------------------------------------------------------------------------------- markup


def test_text_becomes_markup_only_by_being_escaped():
    made = markup.tag(
        "b", "<i>&", markup.tag("i", "x"), 7, None, ["a", "<"], class_='a"b', data_v=1, hidden=True, id=None
    )
    assert made == '<b class="a&quot;b" data-v="1" hidden>&lt;i&gt;&amp;<i>x</i>7a&lt;</b>'
    assert markup.escaped("\u202e\x00\ud800") == r"\u202e\x00\ud800"


def test_a_data_block_cannot_be_left():
    value = {"name": HOSTILE}
    text = markup.data_block(value)
    assert not re.search("[<>&]", text)
    assert json.loads(text) == value


HOSTILE_EVENT = event(
    level=HOSTILE, transaction=HOSTILE, release=HOSTILE, fingerprint=[HOSTILE],
    tags={"erp.module": HOSTILE, "erp.operation": HOSTILE, "erp.monitor": HOSTILE, "erp.report": "slow"},
    contexts={"erp": {"monitor": HOSTILE, "duration_ms": 9, "inside": [{"operation": HOSTILE, "times": 2, "duration_ms": 4}]}},
    user={"id": HOSTILE}, exception={"values": [{"type": HOSTILE, "value": HOSTILE}]},
)  # fmt: skip


def test_no_value_of_the_erp_becomes_an_element_or_an_attribute():
    figures = {
        Key(HOSTILE, HOSTILE, HOSTILE, kind, HOSTILE): counts(0.1, failures=1, HELD_RATE=1, EXPECTED=1) for kind in ("security", HOSTILE)
    }  # fmt: skip
    names = {
        "owners": {HOSTILE: HOSTILE},
        "lost": {HOSTILE: 1},
        "problems": [Problem("slug", weight, HOSTILE, HOSTILE, HOSTILE) for weight in (90, 50, 5)],
    }
    made = report(
        figures, [HOSTILE_EVENT], config=f"/{HOSTILE}/monitors.yaml", host=HOSTILE, environment=HOSTILE, **names
    )
    text = page.page(made)
    outline = Outline(text)
    assert "img" not in outline.elements
    assert outline.elements.count("script") == 3
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    assert text.count("onerror=alert(1)") > 20  # it is all there, as text
    text.encode()


def test_whatever_an_event_contains_is_shown_or_left_out():
    """Files of the spool may be damaged, or made by another version."""
    for wrong in (None, 7, "x", [], {}, [7], {"values": 7}, {"values": [None, {}]}, float("inf"), -1):
        events = [event(fingerprint=[field], **{field: wrong}) for field in event() if field != "fingerprint"]
        made = issues.Issues([local(each, NOW) for each in [*events, event(fingerprint=wrong)]])
        assert len(made.groups) == len(event()), wrong
        page.page(report(issues=made))


# ----------------------------------------------------------------------------------------------------------- the whole


def test_the_page_asks_nobody_for_anything():
    text = page.page(report(events=[event()]))
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1].replace("&#x27;", "'")
    assert policy == page.policy(live=False)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    outline = Outline(text)
    links = {value for name, value in outline.attributes if name in ("src", "href", "action", "style", "srcset")}
    assert all(link.startswith("#") for link in links)
    assert "connect-src 'self'" in page.policy(live=True)


def test_every_link_leads_to_something_on_the_page():
    outline = Outline(page.page(report(events=[event()])))
    ids = [value for name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in outline.attributes if name == "href"} <= set(ids)
    references = [value for name, value in outline.attributes if name in ("aria-labelledby", "for")]
    assert set(references) <= set(ids)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({key(): counts(*[0.01] * 99)}, "All modules are well No call failed."),
        ({key(): counts(*[0.01] * 100, failures=1)}, "Errors in sales Most failures: sales create_order (1 of 100 calls). The last one was 1 min ago."),
        ({key(): counts(*[0.01] * 101, failures=1)}, "All modules are well Most failures"),
        ({key(): counts(*[0.01] * 101, failures=1, severity="fatal")}, "Errors in sales"),
        ({key(): counts(*[0.01] * 100, failures=50, severity="warning")}, "All modules are well"),
        ({key(): counts(*[0.01] * 100, slow=5)}, "Slow calls in sales"),
        ({key(): counts(*[0.01] * 100, slow=6), key("hr"): counts(0.1, failures=1)}, "Errors in hr Most failures: hr create_order (1 of 1 calls). The last one was 1 min ago. Slow calls in sales."),
        ({key(): counts(*[0.01] * 100, slow=6)}, "Slow calls in sales No call failed."),
        ({key(name): counts(0.1, failures=1) for name in ("a", "b")}, "Errors in a and b"),
        ({key(name): counts(0.1, failures=1) for name in "abcde"}, "Errors in a, b, c and 2 more modules"),
        ({}, "No call was counted in the last 24 hours"),
    ],
)  # fmt: skip
def test_the_first_sentence_states_where_it_is_not_well(found, sentence):
    text = shown(report(found))
    assert sentence in re.sub(r"[■▲●○] ", "", text)


def test_a_monitoring_that_does_not_work_is_no_well_erp():
    problems = [
        Problem("a", 90, "nothing is delivered", "spool", "set a DSN"),
        Problem("b", 50, "2 targets failed"),
        Problem("c", 5, "a DSN is not set"),
    ]
    text = shown(report(problems=problems))
    assert "● The monitoring itself does not work" not in text
    assert "■ The monitoring itself does not work" in text
    assert (
        "■ error nothing is delivered (spool) set a DSN ▲ warning 2 targets failed 1 note about the monitoring ○ note a DSN"
        in text
    )
    assert "All modules are well" in shown(report(problems=problems[1:]))
    assert "2 more problems: python -m agent status" in shown(report(problems=problems[1:2] * 8))
    assert "Errors in sales" in shown(report({key(): counts(0.1, failures=1)}, problems=problems))


@pytest.mark.parametrize(
    ("failures", "slow", "state"),
    [(9, 0, "well"), (10, 0, "errors"), (10, 50, "errors"), (0, 49, "well"), (0, 50, "slow")],
)
def test_a_busy_neighbour_does_not_hide_an_operation(failures, slow, state):
    found = {
        key(operation="busy"): counts(*[0.001] * 5000),
        key(operation="rare"): counts(*[0.1] * 1000, failures=failures, slow=slow),
    }
    (module,) = report(found).measures.modules
    assert module.state.word == state
    assert module.state.where is None if state == "well" else module.state.where.name == "rare"
    if state != "well":
        assert f"rare {'1.00 % failed' if state == 'errors' else '5.00 % slow'}" in shown(report(found))


def test_the_same_operation_of_two_releases_is_one_row_and_two_releases():
    made = report({key(release="1"): counts(0.1), key(release="2"): counts(0.1, 0.2)})
    (operation,) = made.measures.operations
    assert operation.counts.calls == 3
    assert [(name, each.calls) for name, each in made.measures.releases] == [("2", 2), ("1", 1)]
    text = shown(made)
    assert "releases 2, 1" in text


def test_one_module_is_shown_alone():
    made = report({key("sales"): counts(0.1), key("hr", "hire"): counts(0.1)}, module="hr")
    assert [each.name for each in made.measures.modules] == ["hr"]
    assert made.measures.whole.counts.calls == 1
    assert [each.calls for _, each in made.measures.days] == [1]


def test_the_worst_module_comes_first():
    found = {key("well"): counts(0.1), key("slow"): counts(0.1, slow=1), key("bad"): counts(0.1, 0.1, failures=1), key("worse"): counts(0.1, failures=1)}  # fmt: skip
    assert [(each.name, each.state.word) for each in report(found).measures.modules] == [
        ("worse", "errors"), ("bad", "errors"), ("slow", "slow"), ("well", "well"),
    ]  # fmt: skip


def test_charts_have_the_numbers_of_each_slot():
    made = report({key(): counts(0.1, 0.1, 0.1, failures=1)})
    data = json.loads(re.search('<script type="application/json" id="data">(.*?)</script>', page.page(made))[1])
    assert data["step"] == 900
    assert len(data["times"]) == 96
    (series,) = data["series"]
    assert (series["name"], series["calls"][-1], series["failures"][-1]) == ("sales", 3, 1)
    assert series["p95"][:-1] == [None] * 95
    assert series["p95"][-1] == pytest.approx(0.1, rel=0.2)
    assert data["whole"]["calls"] == series["calls"]


def test_the_live_page_reads_slots_that_get_no_more_once():
    asked = []

    class Asked(Figures):
        def series(self, seconds, step):
            asked.append((seconds, step))
            return super().series(seconds, step)

    past = {}
    first, again = [measures.measure(Asked({key(): counts(0.1)}), 86400, None, NOW, past) for _ in range(2)]
    assert [each.calls for each in again.whole.slots] == [each.calls for each in first.whole.slots]
    assert (again.days, again.whole.slots[-1].calls) == (first.days, 1)
    assert asked[:2] == [(86400, 900), (7 * 86400, 3600)]
    assert all(seconds <= 2 * step for seconds, step in asked[2:]), asked
    later = measures.measure(Figures({}), 86400, None, NOW + 86400, past)
    assert not any(each.calls for each in later.whole.slots[:-1]), "what was not settled is read again"
    assert len(past) <= 96 + 7 * 24


def test_what_was_dropped_has_its_reason():
    made = report(
        {key(): counts(0.1, HELD_RATE=3, HELD_SAMPLE=4, HELD_OTHER=5, EXPECTED=6, REPORTED=7)},
        lost={"too-old": 8},
        aside=9,
    )
    text = shown(made)
    assert "sales create_order 7 3 4 5 6" in text
    assert "too-old 8" in text
    assert "refused by Sentry, set aside 9" in text


def a_trace(number: int, lasted: float, kept: str, name="/orders/", **changed):
    span = {
        "span_id": "b" * 16, "parent_span_id": "a" * 16, "op": "db", "description": "SELECT 1",
        "start_timestamp": NOW, "timestamp": NOW + lasted / 2, "status": "ok", "data": {},
    }  # fmt: skip
    return {
        "event_id": f"{number:032x}", "type": "transaction", "transaction": name, "spans": [span, HOSTILE],
        "start_timestamp": NOW, "timestamp": NOW + lasted,
        "contexts": {"trace": {"span_id": "a" * 16, "data": {"erp.kept": kept}}}, **changed,
    }  # fmt: skip


def test_the_longest_trace_of_each_name_is_shown_with_what_ran_inside():
    found = [
        a_trace(1, 0.1, "sample"), a_trace(2, 3.0, "slow"), a_trace(3, 2.0, "failed"),
        a_trace(4, 0.5, "failed", name=HOSTILE), a_trace(5, 9.0, "sample", spans=7, contexts=[]),
    ]  # fmt: skip
    made = report(traces=traces.Traces([local(each, NOW - 60) for each in found[:4]]))
    text = shown(made)
    assert "4 traces on this host" in text
    assert (
        "3 s /orders/ slow 1 span 1 min ago 1 span in 3 s, kept as it was slow python -m agent events 00000000" in text
    )
    assert "1.5 s db SELECT 1" in text
    assert text.count("kept as it was slow") == 1 and "sampled" not in text, "one of each name"
    assert "0.5 s" not in text and "500 ms " in text
    assert "img" not in Outline(page.page(made)).elements
    page.page(report(traces=traces.Traces([local(found[4], NOW)])))


def test_an_empty_installation_has_a_page():
    text = shown(report({}))
    for sentence in (
        "No trace of this period is on this host",
        "No monitored operation was called",
        "No event of this period is on this host",
        "No event was lost",
        "No security event",
    ):
        assert sentence in text


def test_what_does_not_fit_is_counted():
    figures = {key(operation=f"o{number}"): counts(0.1, failures=1) for number in range(301)}
    events = [event(number + 1, fingerprint=[str(number)]) for number in range(51)]
    text = shown(report(figures, events))
    assert "the first 300 of 301 operations" in text
    assert "the first 50 of 51 issues" in text


# -------------------------------------------------------------------------------------------------------------- issues


def test_events_of_one_fingerprint_are_an_issue():
    found = [
        event(3, user={"id": "7"}),
        event(1, user={"id": "8"}, level="fatal"),
        event(2, contexts={"erp": {"suppressed": 9}}),
    ]
    (issue,) = report(events=found).issues.groups
    assert (issue.count, issue.severity, issue.users) == (12, "fatal", {"7", "8"})
    assert (issue.first, issue.last) == (NOW - 180, NOW - 60)
    assert issue.example.data() == found[1]


def test_an_issue_has_the_story_of_its_last_event():
    text = shown(report(events=[event(1), event(2)]))
    assert "sales create_order ValueError: no such customer 2 × no user 1 min ago" in text
    assert f"event {1:032x}" in text
    assert "now waiting: the next delivery sends it" in text


def test_a_long_story_is_cut_and_names_the_command_for_the_rest():
    long = {"values": [{"type": "ValueError", "value": "\n".join("x" * 900 for _ in range(19))}]}
    text = shown(report(events=[event(1, exception=long)]))
    assert text.count("x" * 900) < 8
    assert "… and more: python -m agent events 00000000" in text


def test_where_slow_calls_spent_their_time():
    inside = [{"operation": "plan", "times": 3, "duration_ms": 600.0, "share": 0.6}]
    slow = {"erp.module": "sales", "erp.operation": "create_order", "erp.report": "slow"}
    events = [
        event(1, tags=slow, contexts={"erp": {"duration_ms": 1000.0, "inside": inside}}),
        event(2, tags=slow, contexts={"erp": {"duration_ms": 1000.0}}),
        event(3, contexts={"erp": {"duration_ms": 1000.0}}),
    ]
    text = shown(report(events=events))
    assert "plan 30.0 % (3 ×)" in text
    assert "own code 70.0 % 2 2 s" in text


def test_users_of_events_are_counted():
    text = shown(report(events=[event(1, user={"id": "7"}), event(2, user={"id": "7"}, fingerprint=["x"]), event(3)]))
    assert "user events issues last 7 2 2 1 min ago" in text


def test_security_events_are_listed_with_their_calls():
    tags = {"erp.module": "accounts", "erp.operation": "login_failed", "erp.monitor": "accounts.login_failed"}
    figures = {key("accounts", "login_failed", kind="security"): counts(0.1, 0.1), key(): counts(0.1)}
    text = shown(report(figures, [event(1, tags=tags, level="warning", user={"id": "7"})]))
    assert "login_failed 2 1 1 ▲ warning 1 min ago" in text


# -------------------------------------------------------------------------------------------------------------- charts


def test_a_histogram_has_a_bar_where_the_calls_are():
    found = counts(*[0.0011] * 4, 1.1, 1.1)
    scale = charts.Durations([found])
    assert scale.at(1e-9) == 0
    assert scale.at(1e9) == scale.width
    assert scale.at(0.8) - scale.at(0.4) == pytest.approx(scale.at(0.02) - scale.at(0.01))
    svg = scale.histogram(found, 0.5, "label")
    bars, slow = re.findall(r'd="([^"]+)" class="bars[ slow]*"', svg)
    heights = [abs(float(each)) for each in re.findall(r"v(-[\d.]+)", bars + slow)]
    assert heights[1] == pytest.approx(heights[0] / 2)
    assert float(re.match(r"M([\d.]+)", slow)[1]) <= scale.at(1.1) <= scale.width
    assert float(re.match(r"M([\d.]+)", bars)[1]) < scale.at(0.0011)
    assert svg.count("<line") == 3


def test_a_stack_is_never_longer_than_the_whole():
    ends = [
        float(x) + float(width)
        for x, width in re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)"', charts.stack([0.7, 0.7, 0.2], ""))
    ]
    assert max(ends) <= 100


# --------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0000312, "31 µs"),
        (0.00999, "10 ms"),
        (0.5, "500 ms"),
        (1.26, "1.3 s"),
        (17, "17 s"),
        (207, "210 s"),
    ],
)
def test_durations_have_two_digits(value, text):
    assert words.duration(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "–"),
        (0, 5, "0 %"),
        (1, 100_000, "< 0.01 %"),
        (1, 300, "0.33 %"),
        (1, 3, "33.3 %"),
        (9999, 10_000, "99.9 %"),
        (5, 5, "100 %"),
    ],
)
def test_a_share_is_none_or_all_only_if_it_is(part, whole, text):
    assert words.percent(part, whole) == text


def test_periods_and_rates():
    assert [words.period(each) for each in (86400, 3600, 5400, 604800, 61)] == [
        "24 hours",
        "60 minutes",
        "90 minutes",
        "7 days",
        "61 seconds",
    ]
    assert [words.rate(calls, 60) for calls in (0, 0.01, 2.34, 1234)] == ["0", "< 0.1", "2.3", "1,234"]
