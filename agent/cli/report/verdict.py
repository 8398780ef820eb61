"""The first screen: is the ERP well, and if not, where."""

from __future__ import annotations

from ...deliver.history.facts import SEVERITIES
from ...measure.figures import Counts
from ..state.problems import BROKEN, WRONG, Problem
from ..terminal import counted
from . import words
from .charts import sparkline
from .gather import Report
from .markup import Markup, breakable, joined, tag
from .measures import Module
from .state import grave
from .tables import term

#: State, and severity → the shape that goes with its colour.
SHAPES = {"errors": "■", "slow": "▲", "well": "●", "quiet": "○"}
MARKS = {"fatal": "◆", "error": "■", "warning": "▲", "info": "○", "debug": "·"}

#: The most that is named: operations in the first sentence, and problems.
_LEADING, _PROBLEMS = 3, 6


def badge(word: str, shape: str) -> Markup:
    return tag("span", tag("span", shape, aria_hidden="true"), " ", word, class_=f"badge {word}")


def verdict(report: Report) -> Markup:
    word, sentence = _verdict(report)
    return joined(
        tag(
            "h1",
            tag("span", SHAPES[word], class_=f"badge {word}", aria_hidden="true"),
            " ",
            sentence,
            id="verdict-title",
        ),
        _lead(report),
        _key_figures(report),
        _problems(report),
    )


def _problems(report: Report) -> Markup | None:
    if not report.problems:
        return None
    wrong = [each for each in report.problems if each.weight >= WRONG]
    notes = [each for each in report.problems if each.weight < WRONG]
    more = (
        f"{counted(len(wrong) - _PROBLEMS, 'more problem')}: python -m agent status" if len(wrong) > _PROBLEMS else ""
    )
    return joined(
        tag("h2", "Problems of the monitoring itself", class_="minor") if wrong else None,
        tag("ul", [_problem(each) for each in wrong[:_PROBLEMS]], class_="problems") if wrong else None,
        tag("p", more, class_="note") if more else None,
        tag(
            "details", tag("summary", f"{counted(len(notes), 'note')} about the monitoring"),
            tag("ul", [_problem(each) for each in notes], class_="problems"), id="notes",
        ) if notes else None,
    )  # fmt: skip


def _problem(problem: Problem) -> Markup:
    mark = {"error": badge("error", MARKS["error"]), "warning": badge("warning", MARKS["warning"])}
    where = f" ({problem.where})" if problem.where else ""
    hint = tag("span", f" {problem.hint}", class_="to-do") if problem.hint else None
    return tag("li", mark.get(problem.severity, badge("note", MARKS["info"])), " ", problem.text, where, hint)


def _verdict(report: Report) -> tuple[str, str]:
    measures = report.measures
    of = {state: [each for each in measures.modules if each.state.word == state] for state in SHAPES}
    if of["errors"]:
        return "errors", f"Errors in {_names(of['errors'])}"
    if of["slow"]:
        return "slow", f"Slow calls in {_names(of['slow'])}"
    broken = [each for each in report.problems if each.weight >= BROKEN]
    if broken:
        return "errors", "The monitoring itself does not work"
    if not measures.whole.counts:
        return "quiet", f"No call was counted in the last {words.period(measures.seconds)}"
    return "well", "All modules are well"


def _lead(report: Report) -> Markup | None:
    """Where to look first: the operations with the most failures, and when a call failed last."""
    whole = report.measures.whole.counts
    failing = [each for each in report.measures.operations if each.counts.failures]
    failing.sort(key=lambda each: -each.counts.failures)
    if not failing or whole.last_failure is None:
        return tag("p", "No call failed.", class_="lead") if whole else None
    named = [
        f"{''.join(words.place(each.module, each.name))} ({each.counts.failures:,} of {each.counts.calls:,} calls)"
        for each in failing[:_LEADING]
    ]
    more = f" and {counted(len(failing) - _LEADING, 'more operation')}" if len(failing) > _LEADING else ""
    when = words.ago(report.made - whole.last_failure)
    states = [each.state.word for each in report.measures.modules]
    slow = [each for each in report.measures.modules if each.state.word == "slow"]
    also = f" Slow calls in {_names(slow)}." if slow and "errors" in states else ""
    return tag("p", f"Most failures: {', '.join(named)}{more}. The last one was {when}.{also}", class_="lead")


def _names(modules: list[Module]) -> str:
    names = [each.name or "what has no module" for each in modules]
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more modules"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _key_figures(report: Report) -> Markup:
    whole, issues = report.measures.whole, report.issues.groups
    shown = [
        _figure(name, now, joined(term("before", "before"), " ", was) if whole.before else None)
        for name, now, was in (
            (term("calls", "calls"), words.number(whole.counts.calls), words.number(whole.before.calls)),
            *_compared(whole),
            (term("users", "users affected"), words.number(whole.counts.users), words.number(whole.before.users)),
        )
    ]
    fatal, error = (sum(issue.severity == severity for issue in issues) for severity in SEVERITIES[:2])
    shown.append(_figure(term("issue", "issues"), words.number(len(issues)), f"{fatal} fatal, {error} error"))
    return tag("dl", shown, class_="figures")


def _figure(name: Markup, now: str, beside: str | None) -> Markup:
    return tag("div", tag("dt", name), tag("dd", now, tag("span", beside, class_="before") if beside else None))


def _compared(module: Module) -> list[tuple[Markup, str, str]]:
    """Name, value now, value before."""
    now, before = module.counts, module.before
    return [
        (term("failed", "failed"), _failed(now), _failed(before)),
        (term("quantile", "p95"), words.duration(now.quantile(0.95)), words.duration(before.quantile(0.95))),
        (term("slow", "slow"), words.percent(now.slow, now.calls), words.percent(before.slow, before.calls)),
    ]


def _failed(counts: Counts) -> str:
    return words.percent(counts.failures, counts.calls)


def modules(report: Report) -> Markup:
    """One tile for each module, the worst first."""
    if not report.measures.modules:
        return tag("p", "No monitored operation was called in this period.", class_="nothing")
    return tag("ul", [_tile(report, each) for each in report.measures.modules], class_="tiles")


def _where(module: Module) -> Markup | None:
    """The operation because of which a module is not well."""
    worst = module.state.where
    if worst is None:
        return None
    number, word = (worst.counts.slow, "slow") if module.state.word == "slow" else (grave(worst.counts), "failed")
    name = breakable(words.place(worst.module, worst.name)[1])
    return tag("p", name, f" {words.percent(number, worst.counts.calls)} {word}", class_="where")


def _tile(report: Report, module: Module) -> Markup:
    seconds, now, before = report.measures.counted, module.counts, module.before
    name = module.name or "no module"
    failing = sum(bool(slot.failures) for slot in module.slots)
    label = f"Calls over time; calls failed in {failing} of {len(module.slots)} slots"
    owner = report.owners.get(module.name)
    rows = [
        tag("tr", tag("th", what, scope="row"), tag("td", value, class_="n"), tag("td", was, class_="n muted"))
        for what, value, was in (
            (
                term("rate", "calls/min"),
                words.rate(now.calls, seconds),
                words.rate(before.calls, report.measures.seconds),
            ),
            *_compared(module),
            (term("users", "users"), words.number(now.users), words.number(before.users)),
        )
    ]
    head = tag(
        "tr",
        tag("th", tag("span", "figure", class_="unseen"), scope="col"),
        tag("th", "now", scope="col", class_="n"),
        tag("th", term("before", "before"), scope="col", class_="n"),
    )
    return tag(
        "li",
        tag("h3", name, " ", badge(module.state.word, SHAPES[module.state.word])),
        tag("p", f"owner {owner}" if owner else "no owner", class_="owner"),
        _where(module),
        sparkline(module.slots, label),
        tag("table", tag("caption", f"{name} in figures", class_="unseen"), tag("thead", head), tag("tbody", rows)),
        class_=f"tile {module.state.word}",
    )
