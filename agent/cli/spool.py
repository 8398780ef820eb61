"""`spool`: what waits to be delivered and why, and all that a person may do with it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ..deliver import transport, wire
from ..deliver.lock import FolderLock
from ..deliver.pace import ALL, BACKOFF, Pace
from ..deliver.sender import Sender
from ..deliver.sink import open_spool
from ..deliver.spool import UnreadableError
from ..errors import AgentError, ConfigError
from ..health import Health
from . import here
from .spool_progress import Progress
from .status import LOSSES, read_processes
from .terminal import console, show_table, styled, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from ..deliver.spool import Entry, Spool
    from ..model import Envelope

HELP = "show, deliver, carry away or clear what waits for Sentry"

WAITING, HELD, ASIDE = "waiting", "held back", "set aside"
_PARTS = {"waiting": WAITING, "held": HELD, "quarantine": ASIDE}


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="action", required=True)

    def add(name: str, run_: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        here.add_config(sub)
        sub.set_defaults(spool_run=run_)
        return sub

    status = add("status", _status, "what waits, since when and why, what was set aside, what was lost")
    status.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    flush = add("flush", _flush, "deliver now what waits, whichever process left it")
    flush.add_argument("--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="default: 60")
    show = add("show", _show, "list every envelope, or show one whole")
    show.add_argument("id", nargs="?", metavar="ID", help="of one envelope, or the beginning of it")
    release = add("release", _release, "let what was captured without a DSN be sent")
    release.add_argument("id", nargs="*", metavar="ID", help="default: all that is held back")
    replay = add("replay", _replay, "try again what was set aside")
    replay.add_argument("id", nargs="*", metavar="ID", help="default: all that was set aside")
    export = add("export", _export, "write envelopes to a file, to carry over an air gap")
    export.add_argument("file", metavar="FILE", help="a tar file; it must not exist yet")
    export.add_argument("--remove", action="store_true", help="then remove from the spool what the file holds")
    import_ = add("import", _import, "take in the envelopes of an exported file")
    import_.add_argument("file", metavar="FILE")
    purge = add("purge", _purge, "remove envelopes for good, undelivered")
    purge.add_argument("--only", choices=tuple(_PARTS), help="default: everything")
    purge.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """0: done, and nothing is left to worry about; 1: something still waits, was set aside, lost or refused."""
    status: int = arguments.spool_run(arguments)
    return status


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise ValueError(text)
    return seconds


# --------------------------------------------------------------------------------------------------------------- status


def _status(arguments: argparse.Namespace) -> int:
    where = here.look(arguments)
    spool = where.spool()
    parts = _parts(spool)
    why = _why(where, spool) if parts[WAITING] else []
    reasons = Counter(reason or "no reason was kept" for _, reason in spool.quarantined())
    lost = _lost(where)
    if arguments.format == "json":
        facts = {name.replace(" ", "_"): _facts(spool, entries) for name, entries in parts.items()}
        print(json.dumps({"spool": spool.directory, **facts, "why": why, "reasons": reasons, "lost": lost}, indent=2))
    else:
        _print_status(spool, parts, why, reasons, lost)
    return int(bool(parts[ASIDE] or lost or spool.degraded))


def _facts(spool: Spool, entries: list[Entry]) -> dict[str, Any]:
    return {
        "number": len(entries),
        "bytes": sum(map(spool.size, entries)),
        "since": entries[0].stamp / 1e9 if entries else None,
        "categories": dict(Counter(entry.category for entry in entries)),
    }


def _print_status(
    spool: Spool, parts: dict[str, list[Entry]], why: list[str], reasons: Counter[str], lost: dict[str, int]
) -> None:
    target = console()

    def line(name: str, text: str, style: str = "") -> None:
        target.print(styled(("%-12s" % name, "dim"), (text, style)))

    line("spool", spool.directory)
    if spool.degraded:
        line("trouble", spool.degraded, "bold red")
    for name, entries in parts.items():
        line(name, _summary(spool, entries) if entries else "nothing")
        notes = {WAITING: why, HELD: _HOW_TO_RELEASE if entries else [], ASIDE: _reasons(reasons)}[name]
        for note in notes:
            line("", note)
    line("lost", ", ".join(f"{number} {reason}" for reason, number in lost.items()) or "nothing", "red" * bool(lost))


_HOW_TO_RELEASE = ["captured without a DSN; to let them be sent: python -m agent spool release"]


def _reasons(reasons: Counter[str]) -> list[str]:
    lines = [f"{number} × {reason}" for reason, number in reasons.most_common(5)]
    return [*lines, "to try them again: python -m agent spool replay"] if lines else []


def _summary(spool: Spool, entries: list[Entry]) -> str:
    categories = Counter(entry.category for entry in entries).most_common()
    kinds = ", ".join(f"{number} {category}" for category, number in categories)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entries[0].stamp / 1e9))
    return f"{kinds}; {_bytes(sum(map(spool.size, entries)))}, the oldest since {since}"


def _bytes(number: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} bytes"


def _why(where: here.Here, spool: Spool) -> list[str]:
    """Why what waits is not on its way, as far as files tell."""
    if not where.sentry["dsn"]:
        return ["no DSN is set here, so nothing can be sent from here"]
    lock = FolderLock(os.path.join(spool.directory, "lock"))
    free = lock.take()
    lock.release()
    if free is False:
        return ["a process is delivering at this moment"]
    pace = Pace(os.path.join(spool.directory, "pace"), time.time)
    pace.load()
    lines = [f"the last try: {pace.note}"] if pace.note else []
    for key, left in sorted(pace.holds().items()):
        what = {ALL: "Sentry asks us to wait with everything", BACKOFF: "the next try is due"}.get(key)
        lines.append(f"{what or 'Sentry asks us to wait with ' + key}: {left:.0f} s more")
    return lines or ["no process delivers at present: the next event does, or: python -m agent spool flush"]


def _lost(where: here.Here) -> dict[str, int]:
    """By reason, as counted by the processes whose state files are there still."""
    lost: Counter[str] = Counter()
    for process in read_processes(os.path.join(where.state, "run")):
        for (reason, _), number in process.counts.items():
            if reason in LOSSES or reason == "too-many":
                lost[reason] += number
    return dict(sorted(lost.items()))


# ---------------------------------------------------------------------------------------------------------------- flush


def _flush(arguments: argparse.Namespace) -> int:
    where = here.look(arguments)
    if not where.sentry["dsn"]:
        raise ConfigError("no DSN: set SENTRY_DSN, or sentry.dsn in monitors.yaml; until then everything stays here")
    transport.parse_dsn(where.sentry["dsn"])
    health = Health(os.path.join(where.state, "run"), where.config, "spool flush")
    spool = open_spool(where.spool_settings, where.state, health)
    if spool.number_waiting() == 0:
        console().print("Nothing waits." + _held_note(spool))
        return _trouble(spool)
    with closing(Progress()) as progress:
        summary = Sender(spool, where.sentry["dsn"], count=health.count).flush(arguments.timeout, progress.show)
    if any(reason in LOSSES for reason, _ in health.counts):
        health.flush(final=True)
    target = console()
    target.print(f"{summary.delivered} delivered.")
    if summary.quarantined:
        target.print(f"{summary.quarantined} set aside; see: python -m agent spool status")
    if summary.waiting:
        target.print(f"{summary.waiting} still waiting: {summary.reason}.")
    note = _held_note(spool).strip()
    if note:
        target.print(note)
    return int(bool(summary.waiting or summary.quarantined))


def _held_note(spool: Spool) -> str:
    held = sum(entry.held for entry in spool.entries())
    return f" {held} held back; to let them be sent: python -m agent spool release" if held else ""


def _trouble(spool: Spool) -> int:
    if spool.degraded:
        raise AgentError(f"the spool cannot be used: {spool.degraded}")
    return 0


# ----------------------------------------------------------------------------------------------------------------- show


def _show(arguments: argparse.Namespace) -> int:
    spool = here.look(arguments).spool()
    if arguments.id:
        return _show_one(spool, arguments.id)
    parts = _parts(spool)
    reasons = {entry.name: reason for entry, reason in spool.quarantined()}
    rows = table("CAPTURED", "CATEGORY", "STATE", "ID", "REASON")
    for name, entry in sorted(((name, entry) for name, some in parts.items() for entry in some), key=_by_time):
        captured = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.stamp / 1e9))
        rows.add_row(*map(styled, (captured, entry.category, name, entry.event_id, reasons.get(entry.name, ""))))
    if any(parts.values()):
        show_table(rows)
    else:
        console().print(f"Nothing lies in {spool.directory}.")
    return _trouble(spool)


def _by_time(pair: tuple[str, Entry]) -> str:
    return pair[1].name


def _show_one(spool: Spool, wanted: str) -> int:
    for name, entries in _parts(spool).items():
        for entry in entries:
            if not entry.event_id.startswith(wanted):
                continue
            try:
                envelope = _read(spool, name, entry)
            except (OSError, UnreadableError) as error:
                raise AgentError(f"{entry.name} cannot be read: {error}") from None
            if envelope is not None:
                _print_envelope(name, entry, envelope)
                return 0
    raise AgentError(f"no envelope has an id that begins with {wanted!r}; see: python -m agent spool show")


def _read(spool: Spool, name: str, entry: Entry) -> Envelope | None:
    return spool.read_quarantined(entry) if name == ASIDE else spool.read(entry)


def _print_envelope(name: str, entry: Entry, envelope: Envelope) -> None:
    target = console()
    parsed = wire.decode(envelope.data)
    target.print(styled((entry.event_id, "bold"), f"  {name}, {entry.category}, {len(envelope.data)} bytes"))
    target.print(json.dumps(parsed.headers, ensure_ascii=False))
    for item in parsed.items:
        target.print(json.dumps(item.headers, ensure_ascii=False))
        target.print(_readable(item.payload))


def _readable(payload: bytes) -> str:
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:
        text = payload[:2000].decode("utf-8", "backslashreplace")
        return text + (f" … {len(payload)} bytes" if len(payload) > 2000 else "")


# ------------------------------------------------------------------------------------------------------ moving and more


def _release(arguments: argparse.Namespace) -> int:
    spool = here.look(arguments).spool()
    chosen, missing = _choose(_parts(spool)[HELD], arguments.id)
    moved = _move(chosen, spool.release)
    console().print(f"{moved} released: the next delivery takes them (at once: python -m agent spool flush).")
    return _say_missing(missing, HELD)


def _replay(arguments: argparse.Namespace) -> int:
    spool = here.look(arguments).spool()
    chosen, missing = _choose(_parts(spool)[ASIDE], arguments.id)
    moved = _move(chosen, spool.replay)
    console().print(f"{moved} back among those that wait (deliver them now: python -m agent spool flush).")
    return _say_missing(missing, ASIDE)


def _move(entries: Iterable[Entry], move: Callable[[Entry], bool]) -> int:
    try:
        return sum(map(move, entries))
    except OSError as error:
        raise AgentError(f"cannot be moved: {error}") from None


def _choose(entries: list[Entry], ids: list[str]) -> tuple[list[Entry], list[str]]:
    if not ids:
        return entries, []
    chosen = [entry for entry in entries if entry.event_id.startswith(tuple(ids))]
    return chosen, [each for each in ids if not any(entry.event_id.startswith(each) for entry in chosen)]


def _say_missing(missing: list[str], what: str) -> int:
    for each in missing:
        sys.stderr.write(f"nothing that is {what} has an id that begins with {each!r}\n")
    return int(bool(missing))


def _export(arguments: argparse.Namespace) -> int:
    from ..deliver import archive

    spool = here.look(arguments).spool()
    packed = archive.pack(spool, arguments.file)
    removed = sum(map(spool.remove, packed)) if arguments.remove else 0
    console().print(f"{len(packed)} envelopes in {arguments.file}" + (f", {removed} removed here." * bool(removed)))
    return _trouble(spool)


def _import(arguments: argparse.Namespace) -> int:
    from ..deliver import archive

    where = here.look(arguments)
    health = Health(os.path.join(where.state, "run"), where.config)
    spool = open_spool(where.spool_settings, where.state, health, held=not where.sentry["dsn"])
    done = archive.unpack(spool, arguments.file)
    state = "waiting" if where.sentry["dsn"] else "held back (no DSN is set here)"
    console().print(f"{done.taken} taken in, {state}; {done.known} lay here already.")
    for line in done.refused:
        sys.stderr.write(f"refused {line}\n")
    return int(bool(done.refused))


def _purge(arguments: argparse.Namespace) -> int:
    spool = here.look(arguments).spool()
    parts = _parts(spool)
    if arguments.only:
        parts = {name: entries for name, entries in parts.items() if name == _PARTS[arguments.only]}
    number = sum(map(len, parts.values()))
    if not number:
        console().print("Nothing to remove.")
        return 0
    counted = ", ".join(f"{len(entries)} {name}" for name, entries in parts.items() if entries)
    if not arguments.yes and not _agreed(f"Remove {counted} for good?"):
        console().print("Nothing was removed.")
        return 1
    removed = 0
    for name, entries in parts.items():
        removed += sum(map(spool.discard if name == ASIDE else spool.remove, entries))
    console().print(f"{removed} removed.")
    return int(removed < number)


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise AgentError(f"{question} There is nobody to ask here: add --yes")
    sys.stdout.write(question + " [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _parts(spool: Spool) -> dict[str, list[Entry]]:
    lying = spool.entries()
    return {
        WAITING: [entry for entry in lying if not entry.held],
        HELD: [entry for entry in lying if entry.held],
        ASIDE: [entry for entry, _ in spool.quarantined()],
    }
