"""`explain`: one monitor's effective settings, where each comes from, and what it reports, when and how."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..base import places
from ..base.model import EXPECTED, IGNORED, MonitorData, PlanData
from ..base.wildcards import matches
from ..codebase.check import Sighting, check
from ..config.build.merge import WrittenMonitor
from ..config.compile import Examined
from ..config.learn import ENOUGH, Past, beyond
from ..config.load import examine
from ..config.requirements import unmet_requirements
from ..language.learned import spelled
from ..language.nearest import did_you_mean
from ..language.units import format_duration, format_rate
from ..measure.figures import Figures
from ..observe.call.limits import HANDFUL
from ..observe.failure import severity
from .environment import add_environment, lookup_of
from .options import ProblemsError, add_config, add_format, config_path, unusable
from .origin import Setting, settings_of
from .terminal import console, counted, json_text, out, show_table, styled, table
from .validate import target_line

HELP = "show what one monitor reports, and where each of its settings comes from"


class Explained(NamedTuple):
    monitor: MonitorData
    off: str  # why it is not in force, or ""
    settings: list[Setting]
    reports: list[tuple[str, str]]  # what → when and how
    fields: list[tuple[str, str]]  # of the Sentry event
    targets: list[Sighting]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="TARGET|NAME", help="name of a monitor, or dotted path of a function")
    add_config(parser)
    add_environment(parser)
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """0: explained, 1: there is no such monitor, or the file is wrong as a whole, 2: could not run."""
    path = config_path(args.config)
    examined = examine(path, os.environ)
    if not examined.documents:
        raise unusable(path, examined.problems)
    chosen = [pair for pair in examined.built if _is_meant(pair, args.what)]
    if not chosen:
        raise _unknown(examined, args.what)
    sightings, _ = check(examined._replace(built=chosen, wrong=[]), lookup_of(args))
    past = Past(Figures(places.state_folder(os.environ, path)), time.time())
    explained = [_explain(entry, monitor, examined, sightings, past) for entry, monitor in chosen]
    if args.format == "json":
        out(json_text([_as_json(one) for one in explained], indent=2))
    else:
        for one in explained:
            _show(one)
    return 0


def _is_meant(pair: tuple[WrittenMonitor, MonitorData], what: str) -> bool:
    _, monitor = pair
    dotted = what.replace(":", ".")
    if what == monitor["name"] or any(dotted == target["path"] for target in monitor["targets"]):
        return True
    excluded = any(matches(pattern, dotted) for pattern in monitor["exclude"])
    swept = any(target["pattern"] and matches(target["path"], dotted) for target in monitor["targets"])
    return "." in what and swept and not excluded


def _unknown(examined: Examined, what: str) -> ProblemsError:
    for line in examined.plan["disabled"] if examined.plan is not None else ():
        if what in line.partition(": ")[0].split(" "):
            return ProblemsError(f"{what} is disabled by an error: {line}")
    known = [monitor["name"] for _, monitor in examined.built]
    known += [target["path"] for _, monitor in examined.built for target in monitor["targets"]]
    hint = did_you_mean(what, known, "see: python -m agent list")
    return ProblemsError(f"no monitor has the name or the target `{what}`; {hint}")


def _explain(
    entry: WrittenMonitor, monitor: MonitorData, examined: Examined, sightings: list[Sighting], past: Past
) -> Explained:
    assert examined.settings is not None
    return Explained(
        monitor,
        _why_off(entry, monitor, examined.plan),
        settings_of(entry, monitor, examined.settings),
        _reports(monitor, examined.plan, past),
        _fields(monitor, examined.plan),
        [one for one in sightings if one.monitor is monitor],
    )


def _why_off(entry: WrittenMonitor, monitor: MonitorData, plan: PlanData | None) -> str:
    if plan is None:
        return "the file cannot be used; see: python -m agent validate"
    if any(one["name"] == monitor["name"] for one in plan["monitors"]):
        return ""
    if entry.value.get("enabled") is False:
        placed = entry.at("enabled")
        if "except" in placed.path:
            return f"`except` in {placed.where}"
        return "`enabled: false`"
    reason = unmet_requirements(entry.value.get("requires"))
    if reason:
        return f"it requires {reason}"
    environment = plan["sentry"]["environment"]
    meant = ", ".join(entry.value.get("environments") or ())
    return f"it is for the environment {meant}, and this one is `{environment}`"


def _learned(monitor: MonitorData, past: Past) -> Iterator[tuple[str, str]]:
    """What each operation has learned, from how many calls, and what would have been reported of these."""
    assert monitor["learn"] is not None
    how = spelled(monitor["learn"])
    known = past.of(monitor)
    if not known:
        yield "slow", f"when the call takes longer than {how}: nothing is learned before {ENOUGH} calls were counted"
    for operation, learned in sorted(known.items()):
        if learned.threshold is None:
            left = f"{learned.calls} of {ENOUGH} calls that it takes to learn"
            yield "slow", f"{operation}: when the call takes longer than {how}: {left}"
            continue
        many = beyond(learned.counts, learned.threshold)
        since = "in this hour of the last four weeks" if learned.by_hour else "in the last seven days"
        words = f"{learned.calls} calls {since}, of which it would have reported {many}"
        yield (
            "slow",
            f"{operation}: when the call takes longer than {format_duration(learned.threshold)} ({how}: {words})",
        )


#: The values of `erp.report`.
_REPORTS = ("error", "slow", "rule", "audit", "stuck", "repeats", "budget")


def _reports(monitor: MonitorData, plan: PlanData | None, past: Past) -> list[tuple[str, str]]:
    found = list(_exceptions(monitor, plan))
    if monitor["escalate"]:
        often = format_rate(monitor["escalate"])
        found.append((monitor["severity"], f"when one kind of expected error is more frequent than {often}: one event"))
    if monitor["unless"]:
        found.append(("never", f"when {monitor['unless']['text']}"))
    found += [("never", f"inside a call of the monitor {name}") for name in monitor["quiet_inside"]]
    text = "" if monitor["exception_text"] else ", without its message"
    found.append((monitor["severity"], f"when any other exception leaves the call{text}"))
    if monitor["kind"] == "api":
        found.append((monitor["severity"], "when the response's status is 500 or more and nothing was raised"))
    found += [
        (severity, f"when the call takes longer than {format_duration(seconds)}")
        for seconds, severity in monitor["thresholds"]
    ]
    if monitor["learn"] is not None:
        found += _learned(monitor, past)
    for rule in monitor["rules"]:
        often = f", more often than {format_rate(rule['escalate'])}" if rule["escalate"] else ""
        often += f" for one value of {rule['each']['text']}" if rule["each"] else ""
        found.append((rule["severity"], f'when {rule["when"]["text"]}{often}: "{rule["message"]}"'))
    if monitor["stuck"]:
        late = f"when the call has not returned after {format_duration(monitor['stuck'])}, and again when it returns"
        found.append((monitor["severity"], late))
    if monitor["repeats"]:
        mild = monitor["severity"] if monitor["severity"] in ("debug", "info") else "warning"
        found.append((mild, f"when it runs more than {counted(monitor['repeats'], 'time')} in one piece of work, once"))
    if monitor["audit"]:
        found.append((monitor["audit"], "every call that succeeds (audit)"))
    found.append(("limit", _limit(monitor)))
    if monitor["repeat_interval"]:
        found.append(("limit", _repetition(monitor)))
    return found


def _exceptions(monitor: MonitorData, plan: PlanData | None) -> Iterator[tuple[str, str]]:
    """What is made of single exceptions: by the monitor's own lists, and by those that it inherits."""
    stances = plan["sentry"]["stances"] if plan is not None else severity.NOWHERE
    module, everywhere = monitor["module"] or "", stances["everywhere"]
    layers = [
        ("", severity.own(monitor)),
        *((f" (module {module})", layer) for layer in stances["modules"].get(module, ())),
    ]
    layers += zip((" (defaults)", " (a pack)", " (sentry.ignore_errors)"), everywhere)
    seen: set[str] = set()
    for by, layer in layers:
        for name, made in layer.items():
            if name not in seen:
                seen.add(name)
                if made == EXPECTED:
                    within = _within(name, monitor) if not any(layer is each for each in everywhere) else ""
                    yield "never", f"{name}: expected and only counted{within}{by}"
                elif made == IGNORED:
                    yield "never", f"{name}: no failure, only counted{by}"
                else:
                    yield made, f"when {name} leaves the call{by}"


def _within(name: str, monitor: MonitorData) -> str:
    """Do the monitored calls inside this one expect the exception, too?"""
    own_alone = name in ("Exception", "BaseException") or monitor["where"].startswith("packs/")
    return "" if own_alone else ", also inside this call"


def _repetition(monitor: MonitorData) -> str:
    each = [f"{report} after {format_duration(seconds)}" for report, seconds in monitor["repeat_interval"].items()]
    return f"equal events of all processes: {', '.join(each)}, then after twice as long, and so on; with their number"


def _limit(monitor: MonitorData) -> str:
    share = f"{monitor['sample']:.0%} of equal reports are kept; " if monitor["sample"] != 1 else ""
    if not monitor["rate_limit"]:
        return share + "no limit"
    events, seconds = monitor["rate_limit"]
    at_once = int(max(1, min(HANDFUL, events)))
    every = format_duration(round(seconds / events, 3) or 0.001)
    return (
        f"{share}equal reports: {at_once} at once, then one every {every}; all reports: "
        f"{format_rate(monitor['rate_limit'])}, and the first of each kind; others are only counted"
    )


def _fields(monitor: MonitorData, plan: PlanData | None) -> list[tuple[str, str]]:
    sentry = plan["sentry"] if plan is not None else None
    operation = monitor["operation"]
    found = [
        ("level", "the severity above"),
        ("transaction", f"the current one, else {operation}"),
        ("fingerprint", ", ".join(monitor["fingerprint"] or [monitor["name"], "|".join(_REPORTS), "the cause"])),
    ]
    tags = {
        **(sentry["tags"] if sentry else {}), **monitor["tags"], "erp.module": monitor["module"] or "",
        "erp.operation": operation, "erp.kind": monitor["kind"], "erp.monitor": monitor["name"],
        "erp.report": " | ".join(_REPORTS), "erp.owner": monitor["owner"] or "",
    }  # fmt: skip
    if monitor["kind"] == "database":
        tags.update({"db.model": monitor["detail"].get("model", ""), "db.operation": operation})
    found += [(f"tags.{name}", value) for name, value in tags.items() if value]
    found += [(f"contexts.erp.{name}", value) for name, value in monitor["detail"].items()]
    found += [(f"captured {name}", expression["text"]) for name, expression in monitor["capture"].items()]
    span = monitor["span_data"]
    if span is not None and monitor["span"] != "never":
        found.append(("span", span["op"].replace("{operation}", operation)))
        shown = {"description": span["description"], **span["data"]}
        found += [(f"span.{name}", expression["text"]) for name, expression in shown.items() if expression is not None]
    if sentry:
        for provider in sentry["context"]:
            end = f" (result of {provider['target']['path']}())"
            by = {"tags": provider["tags"], "user": provider["user"], f"contexts.{provider['name']}": provider["read"]}
            found += [(f"{where}.{name}", e["text"] + end) for where, made in by.items() for name, e in made.items()]
        found.append(("environment", sentry["environment"]))
        found.append(("user", ", ".join(sentry["user"]) or "nothing"))
    return found


def _show(one: Explained) -> None:
    target = console()
    monitor = one.monitor
    target.print(styled((monitor["name"], "bold"), (f"  {monitor['where']}", "dim")))
    if one.off:
        target.print(styled(("not in force: ", "yellow"), one.off))
    for seen in one.targets:
        target.print(target_line(seen))
    target.print()
    settings = table("SETTING", "VALUE", "FROM", folding="VALUE")
    for setting in one.settings:
        settings.add_row(*map(styled, setting))
    show_table(settings)
    target.print()
    for title, rows in (("REPORTED AS", one.reports), ("IN SENTRY", one.fields)):
        made = table(title, "WHEN" if rows is one.reports else "VALUE", folding="WHEN")
        for row in rows:
            made.add_row(*map(styled, row))
        show_table(made)
        target.print()


def _as_json(one: Explained) -> dict[str, Any]:
    return {
        "monitor": one.monitor,
        "in_force": not one.off,
        "why_not": one.off or None,
        "settings": [setting._asdict() for setting in one.settings],
        "reports": [{"as": severity, "when": when} for severity, when in one.reports],
        "sentry": dict(one.fields),
        "targets": [
            {"target": seen.text, "outcome": seen.outcome.status, "file": seen.outcome.file, "line": seen.outcome.line}
            for seen in one.targets
        ],
    }
