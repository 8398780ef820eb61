"""The page below its first screen: issues, slow operations, users, security, releases, days, and what was dropped."""

from __future__ import annotations

from collections.abc import Sequence

from ...deliver.history.events import LocalEvent
from ...deliver.history.facts import SEVERITIES
from ...deliver.history.fates import SENT, Fate
from ...measure.figures import Counts
from .. import story
from ..terminal import counted
from . import words
from .charts import QUANTILES, Durations, stack
from .gather import Report
from .issues import SLOW_CALLS, Inside, Issue
from .markup import Markup, breakable, joined, tag
from .measures import Operation, total
from .state import MANY_FAILURES
from .tables import Row, ago, duration, moment, nothing, number, percent, table, term
from .verdict import MARKS, badge

#: The most that is shown of each; what is left out is counted on the page.
_ISSUES, _SLOWEST, _INSIDE, _OPERATIONS, _USERS = 50, 12, 8, 300, 20
_PARTS = 5
_STORY = 5000  # characters

_CALLS, _FAILED, _FAILED_SHARE = term("calls", "calls"), term("failed", "failed"), term("failed", "failed %")
_P95 = term("quantile", "p95")
_COUNTED = (
    _CALLS, _FAILED, _FAILED_SHARE, term("slow", "slow"), term("quantile", "p50"), _P95, term("quantile", "p99"),
    term("users", "users"),
)  # fmt: skip


def _numbers(counts: Counts) -> Row:
    return [
        number(counts.calls), number(counts.failures), percent(counts.failures, counts.calls, MANY_FAILURES),
        percent(counts.slow, counts.calls), *(duration(counts.quantile(share)) for _, share in QUANTILES),
        number(counts.users),
    ]  # fmt: skip


def _left_out(shown: int, all_: int, noun: str) -> str:
    return f"the first {shown} of {counted(all_, noun)}" if all_ > shown else ""


# ---------------------------------------------------------------------------------------------------------- over time


def slots(report: Report) -> Markup:
    """The numbers of the charts over time; with a script, those of the module that is chosen."""
    measures = report.measures
    form = "%H:%M" if measures.step < 86400 and measures.seconds <= 86400 else "%m-%d %H:%M"
    rows: list[Row] = [
        [
            tag("time", words.local(start, form), datetime=words.machine(start)), number(slot.calls),
            number(slot.failures), percent(slot.failures, slot.calls, MANY_FAILURES), duration(slot.quantile(0.95)),
        ]
        for start, slot in zip(measures.times, measures.whole.slots)
    ]  # fmt: skip
    columns = (
        "from",
        term("calls", "calls"),
        term("failed", "failed"),
        term("failed", "failed %"),
        term("quantile", "p95"),
    )
    made = table(f"All modules, {words.period(measures.step)} a row", columns, rows)
    return tag("details", tag("summary", "The numbers over time"), made, id="slots")


# ------------------------------------------------------------------------------------------------------------- issues


def issues(report: Report) -> Markup:
    groups = report.issues.groups
    if not groups:
        return nothing("No event of this period is on this host: nothing was reported, or it was delivered and left.")
    shown = [_issue(issue, report) for issue in groups[:_ISSUES]]
    note = f"{counted(report.issues.events, 'event')} on this host in {counted(len(groups), 'issue')}, the worst first"
    left = _left_out(_ISSUES, len(groups), "issue")
    return joined(
        tag("p", term("issue", note), f"; {left}" if left else "", ". Open one for its last example.", class_="note"),
        _in_sentry(report),
        tag("div", shown, class_="issues"),
    )


def _in_sentry(report: Report) -> Markup | None:
    """Links to the dashboards, and to the saved query of each module that has an issue."""
    pages = report.pages
    if pages is None:
        return None
    modules = sorted({issue.example.facts.module for issue in report.issues.groups} - {""})
    found = [("dashboards", pages.dashboards()), *((f"errors of {each}", pages.saved_query(each)) for each in modules)]
    return tag("p", "In Sentry: ", [[", " if at else "", _link(*each)] for at, each in enumerate(found)], class_="note")


def _link(words: str, address: str) -> Markup:
    return tag("a", words, href=address, rel="noreferrer")


def _issue(issue: Issue, report: Report) -> Markup:
    users = counted(len(issue.users), "user") if issue.users else "no user"
    between = f"first {words.local(issue.first)}, last {words.local(issue.last)}"
    example = issue.example
    summary = tag(
        "summary",
        badge(issue.severity, MARKS[issue.severity]),
        tag(
            "span",
            _place(issue.example.facts.module, issue.example.facts.operation),
            " ",
            tag("span", issue.example.facts.title, class_="what"),
            class_="headline",
        ),
        tag("span", f"{issue.count:,} ×", class_="n times"),
        tag("span", users, class_="n"),
        ago(issue.last, report.made, "n"),
    )
    there: list[tuple[str, str]] = []
    if report.pages is not None and example.fate.state == SENT:
        there = list(story.pages_of(example.data() or {"event_id": example.id}, report.pages))
    body = tag(
        "p",
        f"{counted(issue.count, 'occurrence')}, {between}, {users}. ",
        [[_link(*each), ". "] for each in there],
        "The last one:",
        class_="note",
    )
    shown = tag("pre", _story(example), tabindex="0", role="group", aria_label="The last example")
    return tag("details", summary, body, shown, id=issue.slug)


def _story(event: LocalEvent) -> str:
    data = event.data()
    if data is None:
        return "It was removed in the meantime."
    shown = ""
    for line in story.lines(data, _fate(event.fate)):
        if len(shown) > _STORY:
            return f"{shown}… and more: python -m agent events {event.id[:8]}"
        shown += line.plain[:_STORY] + "\n"
    return shown


def _fate(fate: Fate) -> str:
    when = f" at {words.local(fate.at, '%Y-%m-%d %H:%M:%S')}" if fate.at else ""
    return f"{fate.state}{when}{f': {fate.reason}' if fate.reason else ''}"


# ---------------------------------------------------------------------------------------------------- slow operations


def slowest(report: Report) -> Markup:
    """Histograms on one scale, so that they can be compared; the operations with the highest p95 come first."""
    timed = [each for each in report.measures.operations if each.counts.longest is not None]
    timed.sort(key=lambda each: -(each.counts.quantile(0.95) or 0.0))
    chosen = timed[:_SLOWEST]
    if not chosen:
        return nothing("No call with a duration was counted in this period.")
    scale = Durations([each.counts for each in chosen])
    rows: list[Row] = [_slow_row(report, scale, each) for each in chosen]
    columns = (
        "operation", joined(tag("span", "calls by duration", class_="unseen"), scale.axis()), term("quantile", "p50"),
        _P95, term("quantile", "p99"), term("max", "max"), term("slow", "slow"), _CALLS,
    )  # fmt: skip
    note = "Logarithmic; lines mark p50, p95 and p99; bars beyond the threshold have the colour of slow calls."
    return table("The operations with the highest p95", columns, rows, name="slowest", note=note)


def _slow_row(report: Report, scale: Durations, operation: Operation) -> Row:
    counts = operation.counts
    values = [counts.quantile(share) for _, share in QUANTILES]
    threshold = report.thresholds.get(operation.monitor)
    label = ", ".join(f"p{name} {words.duration(value)}" for (name, _), value in zip(QUANTILES, values))
    return [
        _place(operation.module, operation.name), scale.histogram(counts, threshold, label), *map(duration, values),
        duration(counts.longest), percent(counts.slow, counts.calls), number(counts.calls),
    ]  # fmt: skip


def _place(module: str, operation: str) -> Markup:
    before, name = words.place(module, operation)
    return joined(tag("span", breakable(before), class_="module"), breakable(name))


def inside(report: Report) -> Markup:
    found = sorted(report.issues.inside.items(), key=lambda item: -item[1].seconds)
    if not found:
        return nothing("No slow call of this period is among the events on this host.")
    note = _left_out(_INSIDE, len(found), "operation") or f"the last {SLOW_CALLS} of each operation"
    rows: list[Row] = [_inside_row(place, each) for place, each in found[:_INSIDE]]
    columns = ("operation", "share of its time", "went into", "slow calls", "together")
    return table("Slow calls by what they spent their time in", columns, rows, note=note)


def _inside_row(place: tuple[str, str], found: Inside) -> Row:
    whole = found.seconds or 1.0
    parts = sorted(found.parts.items(), key=lambda part: -part[1])[:_PARTS]
    own = max(0.0, 1 - sum(found.parts.values()) / whole)
    named = [
        tag("li", tag("span", "■", class_=f"key part{at % 5}", aria_hidden="true"), f" {name} ",
            tag("b", words.percent(seconds, whole)), f" ({found.times[name]:,} ×)")
        for at, (name, seconds) in enumerate(parts)
    ]  # fmt: skip
    named.append(tag("li", tag("span", "□", class_="key", aria_hidden="true"), " ", term("own", "own code"), " ",
                     tag("b", words.percent(own, 1.0))))  # fmt: skip
    label = ", ".join(f"{name} {words.percent(seconds, whole)}" for name, seconds in parts) or "own code alone"
    return [
        _place(*place),
        stack([seconds / whole for _, seconds in parts], label), tag("ul", named, class_="parts"),
        number(found.calls), duration(found.seconds),
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------------- operations


def operations(report: Report) -> Markup:
    found = sorted(report.measures.operations, key=lambda each: (-each.counts.failures, -each.counts.calls))
    if not found:
        return nothing("No monitored operation was called in this period.")
    rows: list[Row] = [
        [
            _place(each.module, each.name),
            each.kind,
            *_numbers(each.counts),
            duration(each.counts.longest),
            number(each.counts.rules),
            moment(each.counts.last_failure, report.made),
        ]
        for each in found[:_OPERATIONS]
    ]
    columns = ("operation", "kind", *_COUNTED, term("max", "max"), term("rules", "rules"), "last failure")
    note = _left_out(_OPERATIONS, len(found), "operation")
    return table("Operations, those with the most failures first", columns, rows, name="operations", note=note)


# --------------------------------------------------------------------------------------------------- users and security


def users(report: Report) -> Markup:
    found = sorted(report.issues.users.items(), key=lambda item: (-item[1].events, -item[1].last))
    if not found:
        return nothing("No event on this host names a user.")
    rows: list[Row] = [
        [name, number(each.events), number(len(each.issues)), moment(each.last, report.made)]
        for name, each in found[:_USERS]
    ]
    note = _left_out(_USERS, len(found), "user")
    return table(
        "Users in the events on this host", ("user", "events", term("issue", "issues"), "last"), rows, note=note
    )


def security(report: Report) -> Markup:
    kinds = [each for each in report.measures.operations if each.kind == "security"]
    known: dict[str, list[Issue]] = {}
    for issue in report.issues.security:
        known.setdefault(issue.example.facts.operation, []).append(issue)
    names = dict.fromkeys([*(each.name for each in kinds), *known])
    if not names:
        return nothing("No security event in this period.")
    rows: list[Row] = []
    for name in names:
        counts = total(each.counts for each in kinds if each.name == name)
        issues_ = known.get(name, [])
        severity = min((issue.severity for issue in issues_), key=SEVERITIES.index, default="")
        rows.append([
            name, number(counts.calls), number(sum(issue.count for issue in issues_)),
            number(len(set().union(*(issue.users for issue in issues_)))),
            badge(severity, MARKS[severity]) if severity else "–",
            moment(max((issue.last for issue in issues_), default=0.0), report.made),
        ])  # fmt: skip
    columns = (
        "event",
        term("calls", "calls"),
        term("times", "reported"),
        "users",
        term("severity", "severity"),
        "last",
    )
    return table("Security events", columns, rows)


# -------------------------------------------------------------------------------------------------- releases and days


def releases(report: Report) -> Markup:
    return _compared("Releases in this period", "release", report.measures.releases)


def days(report: Report) -> Markup:
    return _compared("The last days", "day", report.measures.days)


def _compared(caption: str, name: str, found: Sequence[tuple[str, Counts]]) -> Markup:
    if not found:
        return nothing(f"{caption}: nothing was counted.")
    return table(caption, (name, *_COUNTED), [[label or "no release", *_numbers(counts)] for label, counts in found])


# ------------------------------------------------------------------------------------------------------------ dropped


def dropped(report: Report) -> Markup:
    found = sorted(report.measures.operations, key=lambda each: -sum(each.counts.held.values()))
    rows: list[Row] = []
    for each in found:
        counts = each.counts
        if counts.held or counts.expected or counts.uncounted:
            held = [number(counts.held.get(reason, 0)) for reason in ("rate", "sample", "other")]
            missed = duration(counts.uncounted) if counts.uncounted else "–"
            row = [_place(each.module, each.name), number(counts.reported), *held, number(counts.expected), missed]
            rows.append(row)
    lost = [*report.lost.items(), *([("refused by Sentry, set aside", report.aside)] if report.aside else [])]
    columns = (
        "operation", "reported", term("held", "over the rate"), term("held", "not in the sample"),
        term("held", "other"), term("expected", "expected"), term("uncounted", "not counted for"),
    )  # fmt: skip
    note = _left_out(_OPERATIONS, len(rows), "operation")
    held_back = nothing("No limit held anything back, and no expected error occurred.")
    if rows:
        held_back = table("Held back by limits", columns, rows[:_OPERATIONS], note=note)
    if not lost:
        return joined(held_back, nothing("No event was lost."))
    heads = ("reason", term("lost", "events"))
    return joined(held_back, table("Events that were lost", heads, [[why, number(times)] for why, times in lost]))
