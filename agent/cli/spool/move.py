"""`spool release`, `replay`, `export`, `import` and `purge`: commands that move envelopes without sending them."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

from ...base.errors import AgentError
from ...deliver.history import history, shelves
from .. import options
from ..terminal import console, counted, err, one_line
from .confirmed import confirmed
from .places import ASIDE, HELD, WAITING, Stored, check_usable, places, stored

#: What `purge --only` takes.
PARTS = {"waiting": WAITING, "held": HELD, "quarantine": ASIDE}
HISTORY = "history"


def release(arguments: argparse.Namespace) -> int:
    moved, status = _move(arguments, HELD, lambda each: each.place.spool.release(each.entry))
    if moved:
        console().print(f"{moved} released. The next delivery sends them; to send now: python -m agent spool flush")
    handed = shelves.totals(options.configured(arguments).spool().directory).handed_over
    if handed and not arguments.id:
        them = f"{counted(handed, 'event')} that the ERP's own Sentry client has taken"
        console().print(f"Not sent again: {them}; to see them: python -m agent events --state 'handed over'")
    return status


def replay(arguments: argparse.Namespace) -> int:
    moved, status = _move(arguments, ASIDE, lambda each: each.place.spool.replay(each.entry))
    if moved:
        console().print(
            f"{moved} waiting again. The next delivery sends them; to send now: python -m agent spool flush"
        )
    return status


def _move(arguments: argparse.Namespace, state: str, move: Callable[[Stored], bool]) -> tuple[int, int]:
    """Move the envelopes with the IDs that were given, else all; return how many, and the exit status."""
    found = stored(places(options.configured(arguments)), state)
    ids = arguments.id or [""]
    chosen = [each for each in found if each.entry.event_id.startswith(tuple(ids))]
    try:
        moved = sum(map(move, chosen))
    except OSError as error:
        raise AgentError(f"cannot be moved: {error}") from None
    missing = [each for each in arguments.id if not any(one.entry.event_id.startswith(each) for one in chosen)]
    if not arguments.id and not moved:
        console().print(f"Nothing is {state}.")
    for each in missing:
        err(f"no envelope that is {state} has an ID starting with {each!r}")
    return moved, int(bool(missing))


def export(arguments: argparse.Namespace) -> int:
    from ...deliver.spool import archive

    found = places(options.configured(arguments))
    packed = archive.pack([(place.name, place.spool) for place in found], arguments.file)
    removed = sum(spool.remove(entry) for spool, entry in packed) if arguments.remove else 0
    console().print(f"{len(packed)} envelopes in {arguments.file}" + (f", {removed} removed here." * bool(removed)))
    check_usable(found[0].spool)
    return 0


def import_(arguments: argparse.Namespace) -> int:
    from ...deliver import clients
    from ...deliver.sink import open_spool
    from ...deliver.spool import archive

    where = options.configured(arguments)
    health = where.health("spool import")
    own = open_spool(where.spool_settings, where.state, health, held=not where.sentry["dsn"])
    done = archive.unpack(
        own, lambda route: clients.spool_for(route, where.spool_settings, where.state, health.count), arguments.file
    )
    state = "waiting" if where.sentry["dsn"] else "held back (no DSN is set here)"
    note = f" {done.for_clients} of them are for the host's own Sentry clients." if done.for_clients else ""
    console().print(f"{done.taken} imported, {state}; {done.known} were here already.{note}")
    for line in done.refused:
        err("refused " + one_line(line))
    return int(bool(done.refused))


def purge(arguments: argparse.Namespace) -> int:
    states = [PARTS[arguments.only]] if arguments.only in PARTS else [] if arguments.only else list(PARTS.values())
    found = places(options.configured(arguments))
    chosen = stored(found, *states) if states else []
    directory = found[0].spool.directory
    kept = shelves.totals(directory).number if arguments.only in (None, HISTORY) else 0
    if not chosen and not kept:
        console().print("Nothing to remove.")
        return 0
    numbers = Counter(each.state for each in chosen)
    what = [f"{numbers[state]} {state}" for state in PARTS.values() if numbers[state]]
    what += [f"{kept} delivered and kept in the history"] * bool(kept)
    unsent = (" What waits will not be sent." if kept else " They will not be sent.") * bool(chosen)
    if not arguments.yes and not confirmed(f"Remove {', '.join(what)}?{unsent}"):
        console().print("Nothing was removed.")
        return 1
    removed = sum(each.remove() for each in chosen) + (history.clear(directory) if kept else 0)
    console().print(f"{removed} removed.")
    return int(removed < len(chosen) + kept)
