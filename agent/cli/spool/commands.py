"""`spool`: what waits to be delivered and why, and all that a person may do with it."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ...base.dsn import parse_dsn
from ...base.errors import AgentError, ConfigError
from ...base.health import Health
from ...deliver.send.flush import flush
from ...deliver.send.lock import DeliveryLock
from ...deliver.send.rate_limits import ALL, BACKOFF, RateLimits
from ...deliver.send.resources import to_sentry
from .. import options
from ..state.processes import LOSSES, read
from ..terminal import console, json_text, moment, out, styled
from . import move
from . import show as spool_show
from .places import ASIDE, HELD, WAITING, Place, places
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...deliver.spool.spool import Spool, SpoolEntry

HELP = "show, deliver, carry away or clear what waits for Sentry"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="action", required=True)

    def add(name: str, run_: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        options.add_config(sub)
        sub.set_defaults(spool_run=run_)
        return sub

    status = add("status", _status, "what waits, since when and why, what was set aside, what was lost")
    status.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    flush = add("flush", _flush, "deliver now what waits, whichever process left it")
    flush.add_argument("--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="default: 60")
    show = add("show", spool_show.run, "list every envelope, or show one whole")
    show.add_argument("id", nargs="?", metavar="ID", help="of one envelope, or the beginning of it")
    release = add("release", move.release, "let what was captured without a DSN be sent")
    release.add_argument("id", nargs="*", metavar="ID", help="default: all that is held back")
    replay = add("replay", move.replay, "try again what was set aside")
    replay.add_argument("id", nargs="*", metavar="ID", help="default: all that was set aside")
    export = add("export", move.export, "write envelopes to a file, to carry over an air gap")
    export.add_argument("file", metavar="FILE", help="a tar file; it must not exist yet")
    export.add_argument("--remove", action="store_true", help="then remove from the spool what the file holds")
    import_ = add("import", move.take_in, "take in the envelopes of an exported file")
    import_.add_argument("file", metavar="FILE")
    purge = add("purge", move.purge, "remove envelopes for good, undelivered")
    purge.add_argument("--only", choices=tuple(move.PARTS), help="default: everything")
    purge.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """0: done, and nothing is left to worry about; 1: something still waits, was set aside, lost or refused."""
    status: int = arguments.spool_run(arguments)
    return status


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of seconds such as 60")
    return seconds


# --------------------------------------------------------------------------------------------------------------- status


def _status(arguments: argparse.Namespace) -> int:
    where = options.look(arguments)
    own, *clients = map(_facts, places(where))
    lost = _lost(where)
    if arguments.format == "json":
        out(json_text({**own, "lost": lost, "clients": clients}, indent=2))
    else:
        _print(own, lost)
        for facts in clients:
            console().print()
            _print(facts)
    worrying = any(facts["set_aside"]["number"] or facts["trouble"] for facts in (own, *clients))
    return int(bool(worrying or lost))


def _facts(place: Place) -> dict[str, Any]:
    spool = place.spool
    parts = place.parts()
    reasons = Counter(reason or "no reason was kept" for _, reason in spool.quarantined())
    return {
        "spool": spool.directory,
        **({"client_of": place.where} if place.name else {}),
        **{name.replace(" ", "_"): _part(spool, entries) for name, entries in parts.items()},
        "why": _why(place) if parts[WAITING] else [],
        "reasons": dict(reasons.most_common()),
        "trouble": spool.degraded,
    }


def _part(spool: Spool, entries: list[SpoolEntry]) -> dict[str, Any]:
    return {
        "number": len(entries),
        "bytes": sum(map(spool.size, entries)),
        "since": entries[0].stamp / 1e9 if entries else None,
        "categories": dict(Counter(entry.category for entry in entries).most_common()),
    }


def _print(facts: dict[str, Any], lost: dict[str, int] | None = None) -> None:
    target = console()

    def line(name: str, text: str, style: str = "") -> None:
        target.print(styled(("%-12s" % name, "dim"), (text, style)))

    if "client_of" in facts:
        line("client", f"the host's own, which sends to {facts['client_of']}")
    line("spool", facts["spool"])
    if facts["trouble"]:
        line("trouble", facts["trouble"], "bold red")
    notes = {WAITING: facts["why"], HELD: _HOW_TO_RELEASE, ASIDE: _reasons(facts["reasons"])}
    for name, said in notes.items():
        part = facts[name.replace(" ", "_")]
        if name == HELD and "client_of" in facts:
            continue  # nothing is ever held back there
        line(name, _summary(part) if part["number"] else "nothing")
        for note in said if part["number"] else ():
            line("", note)
    if lost is not None:
        line(
            "lost", ", ".join(f"{number} {reason}" for reason, number in lost.items()) or "nothing", "red" * bool(lost)
        )


_HOW_TO_RELEASE = ["captured without a DSN; to let them be sent: python -m agent spool release"]


def _reasons(reasons: dict[str, int]) -> list[str]:
    lines = [f"{number} × {reason}" for reason, number in list(reasons.items())[:5]]
    return [*lines, "to try them again: python -m agent spool replay"]


def _summary(part: dict[str, Any]) -> str:
    kinds = ", ".join(f"{number} {category}" for category, number in part["categories"].items())
    since = moment(part["since"])
    return f"{kinds}; {_bytes(part['bytes'])}, the oldest since {since}"


def _bytes(number: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} bytes"


def _why(place: Place) -> list[str]:
    """Why what waits is not on its way, as far as files tell."""
    if place.route is None:
        return ["no DSN is set here, so nothing can be sent from here"]
    directory = place.spool.directory
    lock = DeliveryLock(directory)
    free = lock.take()
    lock.release()
    if free is False:
        return ["a process is delivering at this moment"]
    limits = RateLimits(directory, time.time)
    limits.load()
    lines = [f"the last try: {limits.reason}"] if limits.reason else []
    for key, left in sorted(limits.active().items()):
        what = {ALL: "Sentry asks us to wait with everything", BACKOFF: "the next try is due"}.get(key)
        lines.append(f"{what or 'Sentry asks us to wait with ' + key}: {left:.0f} s more")
    return lines or ["no process delivers at present: the next event does, or: python -m agent spool flush"]


def _lost(where: options.Here) -> dict[str, int]:
    """By reason, as counted by the processes whose state files are there still."""
    lost: Counter[str] = Counter()
    for process in read(os.path.join(where.state, "run")):
        for (reason, _), number in process.counts.items():
            if reason in LOSSES or reason == "too-many":
                lost[reason] += number
    return dict(sorted(lost.items()))


# ---------------------------------------------------------------------------------------------------------------- flush


def _flush(arguments: argparse.Namespace) -> int:
    where = options.look(arguments)
    health = where.health("spool flush")
    own, *clients = places(where, health)
    if own.route is None and not clients:
        raise ConfigError("no DSN: set SENTRY_DSN, or sentry.dsn in monitors.yaml; until then everything stays here")
    if own.route is not None:
        parse_dsn(own.route.dsn)
    full = [place for place in (own, *clients) if place.route is not None and place.spool.number_waiting()]
    target = console()
    if not full:
        target.print("Nothing waits." + _held_note(own.spool))
        return _trouble(own.spool)
    began = time.monotonic()
    status = 0
    for place in full:
        left = max(arguments.timeout - (time.monotonic() - began), 1.0)
        status |= _flush_one(place, left, health)
    if any(reason in LOSSES for reason, _ in health.counts):
        health.flush(final=True)
    note = _held_note(own.spool).strip()
    if note:
        target.print(note)
    return status


def _flush_one(place: Place, timeout: float, health: Health) -> int:
    assert place.route is not None
    to = f" to {place.where} for the host's own client" if place.name else ""
    with closing(Progress()) as progress:
        resources = to_sentry(place.spool, place.route.dsn, health.count, place.route)
        summary = flush(resources, timeout, progress.show)
    target = console()
    target.print(f"{summary.delivered} delivered{to}.")
    if summary.quarantined:
        target.print(f"{summary.quarantined} set aside; see: python -m agent spool status")
    if summary.waiting:
        target.print(f"{summary.waiting} still waiting{to}: {summary.reason}.")
    return int(bool(summary.waiting or summary.quarantined))


def _held_note(spool: Spool) -> str:
    held = sum(entry.held for entry in spool.entries())
    return f" {held} held back; to let them be sent: python -m agent spool release" if held else ""


def _trouble(spool: Spool) -> int:
    if spool.degraded:
        raise AgentError(f"the spool cannot be used: {spool.degraded}")
    return 0
