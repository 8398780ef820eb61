"""`spool release`, `replay`, `export`, `import` and `purge`: what moves envelopes without sending them."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from ...base.errors import AgentError
from .. import options
from ..terminal import console, err, one_line, out
from .places import ASIDE, HELD, WAITING, Lying, lying, places

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

#: What `purge --only` takes.
PARTS = {"waiting": WAITING, "held": HELD, "quarantine": ASIDE}


def release(arguments: argparse.Namespace) -> int:
    chosen, missing = _choose(lying(places(options.look(arguments)), HELD), arguments.id)
    moved = _move(chosen, lambda each: each.place.spool.release(each.entry))
    console().print(f"{moved} released: the next delivery takes them (at once: python -m agent spool flush).")
    return _say_missing(missing, HELD)


def replay(arguments: argparse.Namespace) -> int:
    chosen, missing = _choose(lying(places(options.look(arguments)), ASIDE), arguments.id)
    moved = _move(chosen, lambda each: each.place.spool.replay(each.entry))
    console().print(f"{moved} back among those that wait (deliver them now: python -m agent spool flush).")
    return _say_missing(missing, ASIDE)


def _move(chosen: Iterable[Lying], move: Callable[[Lying], bool]) -> int:
    try:
        return sum(map(move, chosen))
    except OSError as error:
        raise AgentError(f"cannot be moved: {error}") from None


def _choose(found: list[Lying], ids: list[str]) -> tuple[list[Lying], list[str]]:
    if not ids:
        return found, []
    chosen = [each for each in found if each.entry.event_id.startswith(tuple(ids))]
    return chosen, [each for each in ids if not any(one.entry.event_id.startswith(each) for one in chosen)]


def _say_missing(missing: list[str], what: str) -> int:
    for each in missing:
        err(f"nothing that is {what} has an id that begins with {each!r}")
    return int(bool(missing))


def export(arguments: argparse.Namespace) -> int:
    from ...deliver.spool import archive

    found = places(options.look(arguments))
    packed = archive.pack([(place.name, place.spool) for place in found], arguments.file)
    removed = sum(spool.remove(entry) for spool, entry in packed) if arguments.remove else 0
    console().print(f"{len(packed)} envelopes in {arguments.file}" + (f", {removed} removed here." * bool(removed)))
    own = found[0].spool
    if own.degraded:
        raise AgentError(f"the spool cannot be used: {own.degraded}")
    return 0


def take_in(arguments: argparse.Namespace) -> int:
    from ...deliver import clients
    from ...deliver.sink import open_spool
    from ...deliver.spool import archive

    where = options.look(arguments)
    health = where.health("spool import")
    own = open_spool(where.spool_settings, where.state, health, held=not where.sentry["dsn"])
    done = archive.unpack(
        own, lambda route: clients.spool_for(route, where.spool_settings, where.state, health.count), arguments.file
    )
    state = "waiting" if where.sentry["dsn"] else "held back (no DSN is set here)"
    note = f" {done.for_clients} of them for the Sentries of the host's own clients." if done.for_clients else ""
    console().print(f"{done.taken} taken in, {state}; {done.known} lay here already.{note}")
    for line in done.refused:
        err("refused " + one_line(line))
    return int(bool(done.refused))


def purge(arguments: argparse.Namespace) -> int:
    doomed = lying(places(options.look(arguments)), *([PARTS[arguments.only]] if arguments.only else []))
    if not doomed:
        console().print("Nothing to remove.")
        return 0
    numbers = Counter(each.state for each in doomed)
    counted = ", ".join(f"{numbers[state]} {state}" for state in PARTS.values() if numbers[state])
    if not arguments.yes and not _agreed(f"Remove {counted} for good?"):
        console().print("Nothing was removed.")
        return 1
    removed = sum(each.remove() for each in doomed)
    console().print(f"{removed} removed.")
    return int(removed < len(doomed))


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise AgentError(f"{question} There is nobody to ask here: add --yes")
    out(question + " [y/N] ", end="")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
