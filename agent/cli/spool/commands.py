"""The parser of `spool`, and its commands `status` and `flush`."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...base import own_folders
from ...base.errors import AgentError, ConfigError
from ...base.health import Health
from ...deliver.courier import run as courier
from ...deliver.courier import settings as courier_settings
from ...deliver.history import forgetting, shelves
from ...deliver.send.flush import flush
from ...deliver.send.lock import DeliveryLock
from ...deliver.send.rate_limits import ALL, BACKOFF, RateLimits
from ...deliver.send.resources import to_sentry
from ...deliver.spool.names import SpoolEntry
from ...deliver.spool.spool import Spool
from ...language.dsn import parse_dsn
from ...language.units import format_duration
from .. import options
from ..state.delivery import courier_of
from ..state.processes import LOSSES, all_lost, read
from ..terminal import Progress, console, counted, json_text, moment, out, size_text, styled
from . import move
from . import show as spool_show
from .places import ASIDE, HELD, WAITING, Place, check_usable, places

HELP = "show, deliver, move or remove the envelopes that wait for Sentry"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands. Exit status 0: done; 1: something still waits, was set aside, lost or refused."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="action", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = options.add_command(commands, name, run, text)
        options.add_config(sub)
        return sub

    status = add("status", _status, "show what waits, since when and why, what was set aside and what was lost")
    options.add_format(status)
    flush = add("flush", _flush, "deliver now what waits, of all processes")
    flush.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up after this many seconds (default: 60)",
    )
    flush.add_argument(
        "--watch", action="store_true", help="go on until this command is ended, as a service that delivers"
    )
    show = add("show", spool_show.run, "list all envelopes, or print one completely")
    show.add_argument("id", nargs="?", metavar="ID", help="ID of one envelope, or its first characters")
    release = add("release", move.release, "let envelopes be sent that were captured without a DSN and held back")
    release.add_argument("id", nargs="*", metavar="ID", help="envelopes to release (default: all that are held back)")
    replay = add("replay", move.replay, "let envelopes be sent again that were set aside")
    replay.add_argument(
        "id", nargs="*", metavar="ID", help="envelopes to send again (default: all that were set aside)"
    )
    export = add("export", move.export, "write all envelopes to a file, for a machine that reaches Sentry")
    export.add_argument("file", metavar="FILE", help="tar file to write; it must not exist yet")
    export.add_argument("--remove", action="store_true", help="remove the envelopes from the spool afterwards")
    import_ = add("import", move.import_, "add the envelopes of an exported file to the spool")
    import_.add_argument("file", metavar="FILE", help="tar file that `spool export` wrote")
    purge = add("purge", move.purge, "remove envelopes without sending them")
    purge.add_argument("--only", choices=(*move.PARTS, move.HISTORY), help="which envelopes (default: all)")
    purge.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of seconds; example: 60")
    return seconds


# --------------------------------------------------------------------------------------------------------------- status


def _status(arguments: argparse.Namespace) -> int:
    where = options.configured(arguments)
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
        **{name.replace(" ", "_"): _part(place, name, entries) for name, entries in parts.items()},
        "history": _history(spool),
        "why": _why(place) if parts[WAITING] else [],
        "courier": courier_of(spool.directory),
        "reasons": dict(reasons.most_common()),
        "trouble": spool.degraded,
    }


def _history(spool: Spool) -> dict[str, Any]:
    """What was delivered and stays here."""
    number, size, handed = shelves.totals(spool.directory)
    max_age, max_size = spool.history
    return {"number": number, "bytes": size, "handed_over": handed, "max_age": max_age, "max_bytes": max_size}


def _part(place: Place, name: str, entries: list[SpoolEntry]) -> dict[str, Any]:
    return {
        "number": len(entries),
        "bytes": place.bytes_of(name, entries),
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
        line("problem", facts["trouble"], "bold red")
    notes = {WAITING: facts["why"], HELD: _HOW_TO_RELEASE, ASIDE: _reasons(facts["reasons"])}
    for name, lines in notes.items():
        part = facts[name.replace(" ", "_")]
        if name == HELD and "client_of" in facts:
            continue  # nothing is ever held back for a client
        line(name, _summary(part) if part["number"] else "nothing")
        for note in lines if part["number"] else ():
            line("", note)
    if "client_of" not in facts:
        line("history", _history_line(facts["history"]))
    if facts["courier"] is not None:
        line("courier", _courier_line(facts["courier"]))
    if lost is not None:
        words = ", ".join(f"{number} {reason}" for reason, number in lost.items())
        line("lost", words or "nothing", "red" * bool(lost))


_HOW_TO_RELEASE = ["captured without a DSN; to send: python -m agent spool release"]


def _history_line(facts: dict[str, Any]) -> str:
    if not facts["max_bytes"]:
        return "switched off"
    bounds = f"kept for {format_duration(facts['max_age'])}, {size_text(facts['max_bytes'])} at most"
    if not facts["number"]:
        return f"nothing; {bounds}"
    handed = f", {facts['handed_over']} of them handed over to the ERP's own Sentry client" * bool(facts["handed_over"])
    return f"{counted(facts['number'], 'delivered event')}{handed}, {size_text(facts['bytes'])}; {bounds}"


def _courier_line(facts: dict[str, Any]) -> str:
    minutes = max((time.time() - facts["since"]) / 60, 1.0)
    text = f"process {facts['pid']} since {moment(facts['since'])}, {facts['delivered']} delivered"
    text += f" ({facts['delivered'] / minutes:.0f} a minute)"
    return text + (f"; next attempt at {moment(facts['next'])}: {facts['trouble']}" if facts["next"] else "")


def _reasons(reasons: dict[str, int]) -> list[str]:
    lines = [f"{number} × {reason}" for reason, number in list(reasons.items())[:5]]
    return [*lines, "to send again: python -m agent spool replay"]


def _summary(part: dict[str, Any]) -> str:
    kinds = ", ".join(f"{number} {category}" for category, number in part["categories"].items())
    since = moment(part["since"])
    return f"{kinds}; {size_text(part['bytes'])}, the oldest since {since}"


def _why(place: Place) -> list[str]:
    """Why the envelopes wait, as far as the spool's files show it."""
    if place.route is None:
        return ["no DSN is set in this shell or file, so this command cannot send"]
    directory = place.spool.directory
    lock = DeliveryLock(directory)
    free = lock.take()
    lock.release()
    if free is False:
        return ["a process is delivering now"]
    limits = RateLimits(directory, time.time)
    limits.load()
    lines = [f"last attempt: {limits.reason}"] if limits.reason else []
    for key, left in sorted(limits.active().items()):
        what = {BACKOFF: "backing off; next attempt", ALL: "Sentry limits everything; next attempt"}.get(key)
        lines.append(f"{what or f'Sentry limits {key}; next attempt'} in {left:.0f} s")
    return lines or ["no process is delivering now; the next event starts delivery, or: python -m agent spool flush"]


def _lost(where: options.Configured) -> dict[str, int]:
    """Lost events by reason, as counted by the processes whose state files still exist."""
    return all_lost(read(os.path.join(where.state, "run")))


# ---------------------------------------------------------------------------------------------------------------- flush


def _flush(arguments: argparse.Namespace) -> int:
    where = options.configured(arguments)
    health = where.health("spool flush")
    own, *clients = places(where, health)
    if own.route is None and not clients:
        raise ConfigError("no DSN: set SENTRY_DSN, or sentry.dsn in monitors.yaml. Until then everything stays here")
    if own.route is not None:
        parse_dsn(own.route.dsn)
    if arguments.watch:
        return _watch(where, own, health)
    full = [place for place in (own, *clients) if place.route is not None and place.spool.number_waiting()]
    target = console()
    forgetting.expire(own.spool)
    if not full:
        target.print(" ".join(filter(None, ("Nothing waits.", _held_note(own.spool)))))
        check_usable(own.spool)
        return 0
    began = time.monotonic()
    status = 0
    for place in full:
        left = max(arguments.timeout - (time.monotonic() - began), 1.0)
        status |= _flush_one(place, left, health)
    if any(reason in LOSSES for reason, _ in health.counts):
        health.flush(final=True)
    note = _held_note(own.spool)
    if note:
        target.print(note)
    return status


def _watch(where: options.Configured, own: Place, health: Health) -> int:
    """Deliver the agent's own spool in this process, in place of couriers."""
    if own.route is None:
        raise ConfigError("no DSN: set SENTRY_DSN, or sentry.dsn in monitors.yaml, for `--watch`")
    directory = own.spool.directory
    held = courier_settings.here(own.route.dsn, health.directory, health.config, where.spool_settings)
    try:
        own_folders.make(directory)
        held.write(directory)
    except OSError as error:
        raise AgentError(f"the spool cannot be written to: {error}") from None
    lock = DeliveryLock(directory, "courier")
    if not lock.take():
        _end(courier.noted(directory).get("pid"))
        until = time.monotonic() + 10
        while not lock.take():
            if time.monotonic() > until:
                raise AgentError(f"another process delivers {directory}; see: python -m agent spool status")
            time.sleep(0.05)
    target = console()
    target.print(f"Delivering {directory} until this command is ended.")
    shown: dict[str, Any] = {"delivered": 0, "trouble": ""}

    def show(facts: dict[str, Any]) -> None:
        more = facts["delivered"] - shown["delivered"]
        trouble = facts["trouble"] if facts["trouble"] != shown["trouble"] else ""
        shown.update(facts)
        if more or trouble:
            words = [f"{more} delivered, {facts['delivered']} in all"] * bool(more) + [trouble] * bool(trouble)
            target.print(f"{moment(time.time())}  {'; '.join(words)}")

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # of a service manager
    try:
        courier.watch(directory, lock.number, show)
    except KeyboardInterrupt:
        target.print(f"Ended; {own.spool.number_waiting()} waiting.")
    return 0


def _end(pid: object) -> None:
    """End the courier that lives: this command takes its place, and nothing is lost with it."""
    if isinstance(pid, int) and pid > 1:
        with suppress(OSError):
            os.kill(pid, signal.SIGTERM)


def _flush_one(place: Place, timeout: float, health: Health) -> int:
    assert place.route is not None
    to = f" to {place.where} for the host's own client" if place.name else ""
    with Progress("delivering") as progress:
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
    return f"{held} held back; to send: python -m agent spool release" if held else ""
