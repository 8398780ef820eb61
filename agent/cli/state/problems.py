"""What is wrong with the monitoring of an ERP on this machine, in the order of its weight, and what to do."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...base import places
from ..terminal import counted, moment, one_line, shown_path
from . import copies, other_folders, other_processes
from .delivery import Delivery
from .processes import Process, by_program
from .whole import Whole

#: From this weight on it is wrong, and `status` ends with 1; what weighs less is worth knowing.
WRONG = 20
#: From this weight on the monitoring does not do what it is for.
BROKEN = 80

_WARNING = "WARNING: "
_MOST_ELSEWHERE = 3  # lines about other agents
_ANOTHER = "another process is delivering"  # which is no failure
_PATIENCE = 120.0  # seconds that an event may wait before that is worth a line


class Problem(NamedTuple):
    """`slug` has a paragraph in docs/problems.md; `where` and `hint` may be ""."""

    slug: str
    weight: int  # 0 to 100: see WRONG and BROKEN
    text: str  # what happened
    where: str = ""
    hint: str = ""  # what to do

    @property
    def severity(self) -> str:
        """error: the monitoring does not work; warning: a part of it; note: worth knowing."""
        return "error" if self.weight >= BROKEN else "warning" if self.weight >= WRONG else "note"


def problems(whole: Whole) -> list[Problem]:
    """Everything that is known to be wrong, and what is worth knowing, the heaviest first.

    Reads files only: nothing is sent, no process is disturbed. Equal problems of several processes are one.
    """
    found = [
        *_configuration(whole),
        *_state_folder(whole),
        *_deliveries(whole),
        *_targets(whole),
        *_processes(whole),
        *_older_plans(whole),
        *_expressions(whole),
        *_counts(whole),
        *_notes(whole),
        *_elsewhere(whole),
    ]
    return sorted(dict.fromkeys(found), key=lambda problem: -problem.weight)


def _configuration(whole: Whole) -> Iterator[Problem]:
    file = shown_path(whole.path)
    validate = f"python -m agent validate {file}"
    if not os.path.exists(whole.path):
        yield Problem("configuration-missing", 98, f"{whole.path}: there is no such file", "",
                      "name yours in AGENT_CONFIG or with --config")  # fmt: skip
    rejected, until = whole.rejected, whole.last_good_until
    if rejected is not None and until is not None:
        reason = one_line(rejected.problems[0] if rejected.problems else "the configuration cannot be used")
        lacking = "install what is missing" if rejected.lacking else f"correct the file: {validate}"
        end = moment(until, "%Y-%m-%d %H:%M")
        if whole.index is None or whole.at > until:
            over = f" (the last good plan was in force until {end}: AGENT_LAST_GOOD)" if whole.index is not None else ""
            slug = "library-missing" if rejected.lacking else "nothing-monitored"
            yield Problem(slug, 100, f"nothing is monitored: {reason}{over}", file, lacking)
        else:
            since = moment(rejected.since, "%Y-%m-%d %H:%M")
            text = f"the last good plan is in force since {since}, until {end} (AGENT_LAST_GOOD): {reason}"
            yield Problem("last-good-plan", 95, text, file, lacking)
    for problem in whole.index.problems if whole.index is not None else ():
        if problem.endswith(" [unsupported-release]"):
            yield Problem("unsupported-release", 58, one_line(problem).rpartition(" [")[0], "", validate)
        else:
            yield Problem("not-in-force", 78, one_line(problem), "", f"correct the file: {validate}")


def _state_folder(whole: Whole) -> Iterator[Problem]:
    if whole.unreadable:
        yield Problem("state-folder", 97, one_line(whole.unreadable), "", "run this as the user of the ERP")
    elif os.path.isdir(whole.state) and not os.access(whole.state, os.W_OK):
        yield Problem("state-folder", 88, "the state folder cannot be written", whole.state,
                      "give it to the user that the ERP runs as, or set AGENT_STATE_DIR")  # fmt: skip


def _deliveries(whole: Whole) -> Iterator[Problem]:
    for each in whole.deliveries:
        yield from _delivery(each, whole.at)
    if not whole.deliveries and whole.unusable and whole.rejected is None and os.path.exists(whole.path):
        yield Problem("spool-unknown", 90, one_line(whole.unusable), "", "python -m agent validate")
    lost = Counter[str]()
    those = []
    for process in whole.counting:
        if process.lost():
            those.append(process)
            lost.update(process.lost())
    full = lost.pop("spool-full", 0) + lost.pop("too-many", 0)
    if full:
        hint = "find out why events wait (python -m agent spool status), or raise delivery.spool.max_size"
        yield Problem("spool-full", 86, f"{counted(full, 'event')} lost: the spool was full", named(those), hint)
    if lost:
        words = ", ".join(f"{number} {reason}" for reason, number in sorted(lost.items()))
        yield Problem("events-lost", 84, f"{counted(sum(lost.values()), 'event')} lost: {words}", named(those),
                      "see docs/delivery.md for each reason")  # fmt: skip


def _delivery(each: Delivery, now: float) -> Iterator[Problem]:
    if each.unusable:
        yield Problem("spool-unusable", 92, f"the spool cannot be used: {one_line(each.unusable)}", each.spool,
                      "give the folder to the user of the ERP; until then events are kept in memory only")  # fmt: skip
    where = each.sentry or each.spool
    trouble = (each.courier or {}).get("trouble") or ""
    failure = each.failure or (trouble if trouble != _ANOTHER else "")
    waits = f"{counted(each.waiting, 'event')} waiting since {moment(each.oldest)}"
    if each.waiting and failure:
        again = f"; next attempt at {moment(each.next_attempt, '%H:%M:%S')}" if each.next_attempt else ""
        yield Problem("delivery-fails", 85, f"{waits}: {one_line(failure)}{again}", where, "python -m agent test")
    elif each.waiting and each.oldest is not None and now - each.oldest > _PATIENCE:
        doing = "a courier delivers them" if each.courier is not None else "no process delivers now"
        hint = "" if each.courier is not None else "python -m agent spool flush"
        yield Problem("delivery-late", 60, f"{waits}: {doing}", where, hint)
    if each.aside:
        last = one_line(each.aside_reason)
        text = f"{counted(each.aside, 'event')} set aside, refused for good or torn; the last: {last}"
        yield Problem("set-aside", 70, text, where, "python -m agent spool replay sends them again")
    if each.held and each.sentry:
        yield Problem("held-back", 12, f"{counted(each.held, 'event')} held back: captured without a DSN", each.spool,
                      "python -m agent spool release sends them")  # fmt: skip


def _targets(whole: Whole) -> Iterator[Problem]:
    failed: dict[tuple[str, str, str], list[Process]] = {}
    for process in whole.shown:
        for (monitor, target), why in process.failed.items():
            failed.setdefault((monitor, target, why), []).append(process)
    by_reason: dict[tuple[str, str], list[tuple[str, list[Process]]]] = {}
    for (monitor, target, why), those in failed.items():
        by_reason.setdefault((monitor, why), []).append((target, those))
    for (monitor, why), targets in by_reason.items():
        first, those = targets[0]
        more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
        yield Problem("not-monitored", 65, f"{one_line(monitor)}: {one_line(first)}{more}: {one_line(why)}",
                      named(those), f"python -m agent explain {one_line(monitor)}")  # fmt: skip
    yield from _waiting(whole)


def _waiting(whole: Whole) -> Iterator[Problem]:
    """Modules that were imported and do not have what a monitor names, in any process."""
    waiting: dict[tuple[str, str, str], list[Process]] = {}
    for process in whole.shown:
        for (monitor, target), why in process.waiting.items():
            waiting.setdefault((monitor, target, why), []).append(process)
    patched = {key for process in whole.shown for key in process.patched}
    for (monitor, target, why), those in waiting.items():
        if (monitor, target) not in patched:
            yield Problem("target-missing", 40, f"{one_line(monitor)}: {one_line(target)}: {one_line(why)}",
                          named(those), "if it never comes, the name is wrong: python -m agent validate")  # fmt: skip


def _processes(whole: Whole) -> Iterator[Problem]:
    known = set(whole.index.problems) if whole.index is not None else set()
    found: dict[str, list[Process]] = {}
    doubled: dict[str, list[Process]] = {}
    for process in whole.shown:
        for text in dict.fromkeys(process.problems):
            if text in known or (whole.rejected is not None and _repeats(text, whole.rejected.problems)):
                continue
            found.setdefault(text, []).append(process)
        for text in dict.fromkeys((process.sdk, *process.clients)):
            if _WARNING in text:
                doubled.setdefault(text.partition(_WARNING)[2], []).append(process)
    for text, those in found.items():
        hint = next((hint for words, hint in _HINTS.items() if words in text), "see docs/operations.md")
        yield Problem("process-problem", 75, one_line(text), named(those), hint)
    for text, those in doubled.items():
        yield Problem("two-clients", 45, one_line(text), named(those),
                      "use another project for sentry.dsn to keep them apart")  # fmt: skip


#: What a problem of a process contains → what to do.
_HINTS = {
    "a change is not taken up": "restart these processes",
    "of this process's time (budget": "it comes back by itself; if it is reduced again and again, raise its `budget`, "
    "or give it fewer targets",
}


def _repeats(text: str, reasons: list[str]) -> bool:
    return text.startswith("the last good plan is") or text in reasons


def _older_plans(whole: Whole) -> Iterator[Problem]:
    restart = whole.restarts_needed()
    if restart:
        number = counted(len(restart), "process runs", "processes run")
        text = f"{number} an older plan, and none of them changes it (`reload: off`)"
        yield Problem("older-plan", 62, text, named(restart), "restart them")
    others = [process for process in whole.older if process.alive and process not in restart]
    if others:
        number = counted(len(others), "process runs", "processes run")
        hint = "nothing: they follow with their next call, request, task or import (to wait: python -m agent reload)"
        text = f"{number} an older plan: the configuration has changed since"
        yield Problem("older-plan", 30, text, named(others), hint)


def _expressions(whole: Whole) -> Iterator[Problem]:
    found: dict[tuple[str, str], tuple[int, str, list[Process]]] = {}
    for process in whole.counting:
        for key, (number, why) in process.expressions.items():
            before, _, those = found.get(key, (0, "", []))
            found[key] = (before + number, why, [*those, process])
    for (monitor, which), (number, why, those) in sorted(found.items(), key=lambda item: -item[1][0]):
        context = which.startswith("context ") or monitor.startswith("context ")
        text = f"{one_line(monitor)}, {one_line(which)}: failed {counted(number, 'time')}, last: {one_line(why)}"
        hint = f"correct it in monitors.yaml: python -m agent explain {one_line(monitor)}"
        if context:
            hint = "correct the provider, or its entry under `context` in monitors.yaml"
        yield Problem("context-failed" if context else "expression-failed", 55, text, named(those), hint)


def _counts(whole: Whole) -> Iterator[Problem]:
    for text in whole.figures.problems():
        yield Problem("counts", 50, one_line(text))
    slow = [process for process in whole.counting if process.count("slow-disk")]
    if slow:
        number = sum(process.count("slow-disk") for process in slow)
        text = f"writing an event held up other threads {counted(number, 'time')}: the disk is slow"
        yield Problem("slow-disk", 15, text, named(slow), "see delivery.spool.keep_interpreter in docs/delivery.md")


def _notes(whole: Whole) -> Iterator[Problem]:
    for off in whole.changed.off:
        until = f"until {moment(off.until, '%Y-%m-%d %H:%M')}" if off.until is not None else "until `enable`"
        yield Problem("switched-off", 18, f"{one_line(off.pattern)} is switched off {until}",
                      f"by {one_line(off.by)}, since {moment(off.since, '%Y-%m-%d %H:%M')}",
                      f"python -m agent enable {one_line(off.pattern)}")  # fmt: skip
    for put in whole.changed.put:
        text = f"{one_line(put.name)} watches {one_line(put.target)} until {moment(put.until, '%H:%M:%S')}"
        yield Problem("live-monitor", 10, text, f"by {one_line(put.by)}", f"python -m agent watch --stop {put.name}")
    if not whole.shown and not whole.unreadable:
        yield Problem("no-process", 19, "no process has reported in yet", whole.state,
                      "start the ERP with the agent: a process appears once it imports a monitored module")  # fmt: skip
        if places.is_on("AGENT_DISABLED"):
            yield Problem("disabled", 18, "AGENT_DISABLED is set in this shell", "", "unset it for the ERP's processes")
        for line in other_processes.reasons_by_process(whole.path):
            yield Problem("no-process", 11, one_line(line))


def _elsewhere(whole: Whole) -> Iterator[Problem]:
    for other in whole.elsewhere:
        found, _, command = other.line("status").partition("; to look: ")
        yield Problem("elsewhere", 17, f"this configuration has another state folder, with {one_line(found)}", "",
                      one_line(command))  # fmt: skip
    two = copies.beside()
    if two:
        yield Problem("two-agents", 12, f"there are two copies of the agent: {two}", "", copies.HINT)
    for other in other_folders.unreadable(whole.path, whole.state):
        yield Problem("elsewhere", 16, one_line(other.hint()))
    if whole.shown:
        lines = list(other_processes.reasons_by_process(whole.path, elsewhere=True))
        for line in lines[:_MOST_ELSEWHERE]:
            yield Problem("another-agent", 9, one_line(line))
        if len(lines) > _MOST_ELSEWHERE:
            yield Problem("another-agent", 8, f"and {len(lines) - _MOST_ELSEWHERE} more kinds of them")


def named(those: Iterable[Process]) -> str:
    return by_program((process.program, process.pid) for process in those)
