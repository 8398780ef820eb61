"""The events on this machine, delivered or not: what `events`, `top` and `report` show.

    for event in local_events([spool.directory], since=clocks.time() - 3600, module="sales"):
        print(event.at, event.facts.title, event.fate.state)

What is in the history is selected by its index: only `text` and `data()` open an event of it.
"""

from __future__ import annotations

import os
from heapq import merge
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base import clocks
from ...base.interrupts import ours
from ..spool import files
from ..spool.files import UnreadableError
from ..spool.names import parse_name
from . import fates, shelves
from .facts import SEVERITIES, facts_of, payload_in, section
from .fates import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..spool.names import SpoolEntry
    from .facts import Facts
    from .shelves import Shelved

_LATE = 86400 * 10**9  # ns that an event may have waited before it is delivered, for one that follows

_TRANSACTION = "transaction"


class LocalEvent:
    """One event. `at` is when it was captured, in seconds since the epoch; `facts` are what a list shows."""

    __slots__ = ("_read", "entry", "facts", "fate")

    def __init__(self, entry: SpoolEntry, facts: Facts, fate: Fate, read: Callable[[], bytes | None]) -> None:
        self.entry = entry
        self.facts = facts
        self.fate = fate
        self._read = read

    @property
    def id(self) -> str:
        return self.entry.event_id

    @property
    def at(self) -> float:
        return self.entry.stamp / 1e9

    def payload(self) -> bytes | None:
        """The event's JSON, byte for byte as it is sent; None if it was removed meanwhile."""
        found = payload_in(self._read() or b"")
        return found.data if found is not None else None

    def data(self) -> dict[str, Any] | None:
        """The event; None if it was removed meanwhile."""
        found = payload_in(self._read() or b"")
        return found.event if found is not None else None


class Wanted(NamedTuple):
    """Which events are selected. Times in seconds since the epoch; "" and None select all.

    Transactions are selected by `kind`, `id` or `user` only: there are many, and they are no problem of the ERP's.
    """

    since: float | None = None
    until: float | None = None
    severity: str = ""  # this one and those above
    module: str = ""
    operation: str = ""
    monitor: str = ""
    kind: str = ""
    user: str = ""
    text: str = ""  # all of these words, in any place of the event, in any case
    states: tuple[str, ...] = ()
    id: str = ""  # or its beginning

    def by_name(self, entry: SpoolEntry) -> bool:
        """What can be decided without opening a file."""
        at = entry.stamp / 1e9
        return (
            entry.category in self._categories
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and entry.event_id.startswith(self.id)
        )

    @property
    def _categories(self) -> tuple[str, ...]:
        """Of envelopes."""
        if self.kind:
            return (_TRANSACTION if self.kind == _TRANSACTION else "error",)
        return ("error", _TRANSACTION) if self.id or self.user else ("error",)

    def by_facts(self, facts: Facts) -> bool:
        return (
            (not self.severity or _weight(facts.severity) <= _weight(self.severity))
            and self.module in ("", facts.module)
            and self.operation in ("", facts.operation)
            and self.monitor in ("", facts.monitor)
            and self.kind in ("", facts.kind)
            and (not self.user or self.user in facts.users)
        )

    def by_text(self, event: LocalEvent) -> bool:
        """Opens the event unless its title decides."""
        words = self.text.casefold().split()
        if all(word in event.facts.title.casefold() for word in words):
            return True
        text = "\n".join(_texts(event.data() or {})).casefold()
        return all(word in text for word in words)


def local_events(
    directories: Iterable[str], wanted: Wanted | None = None, *, newest_first: bool = False, **selected: Any
) -> Iterator[LocalEvent]:
    """Yield the events in these spools, oldest first, each once, also while they are being delivered.

    `selected` are the fields of Wanted. What cannot be read, or is removed meanwhile, is left out.
    """
    chosen = Wanted(**selected) if wanted is None else wanted
    sources: list[Iterator[LocalEvent]] = []
    for directory in directories:
        undelivered = _Undelivered(directory)  # listed first: what is delivered from now on is in the history then
        sources += [_delivered(directory, chosen, newest_first), undelivered.events(chosen, newest_first)]
    last = ""
    for event in merge(*sources, key=lambda each: each.entry.name, reverse=newest_first):
        if event.entry.name != last and (not chosen.states or event.fate.state in chosen.states):
            last = event.entry.name
            if not chosen.text or chosen.by_text(event):
                yield event


class Follower:
    """Finds the events that appear in some spools, each once, wherever delivery has moved them meanwhile."""

    def __init__(self, directories: Iterable[str], wanted: Wanted) -> None:
        """What is there already is not new, except what `wanted.since` includes."""
        self._directories = list(directories)
        self._wanted = wanted
        self._packs: dict[str, list[str]] = {}  # file → names
        self._first_day = shelves.day_of(int(clocks.time() * 1e9) - _LATE)
        self._before: set[str] = set()
        self._seen: set[str] = set()
        if wanted.since is None:
            self.look()
        else:
            self._first_day = min(self._first_day, shelves.day_of(int(wanted.since * 1e9)))

    def look(self) -> list[LocalEvent]:
        """Return the events that are new since the last look, in order of capture."""
        found: list[LocalEvent] = []
        now: set[str] = set()
        for directory in self._directories:
            undelivered = _Undelivered(directory)
            kept = self._kept(directory)
            names = undelivered.listed.keys() | kept.keys()
            now |= names
            fresh = names - self._seen
            found += self._events(undelivered, kept, sorted(fresh))
        # A name may be missing for one look, while its file is moved from a folder to one that was listed before.
        self._seen, self._before = now | self._before, now
        return [each for each in sorted(found, key=lambda each: each.entry.name) if self._fits(each)]

    def _fits(self, event: LocalEvent) -> bool:
        wanted = self._wanted
        return (
            wanted.by_facts(event.facts)
            and (not wanted.states or event.fate.state in wanted.states)
            and (not wanted.text or wanted.by_text(event))
        )

    def _kept(self, directory: str) -> dict[str, str]:
        """The names in the history, each with the folder of its day."""
        found: dict[str, str] = {}
        for day in shelves.days(directory):
            if os.path.basename(day) < self._first_day:
                continue
            for name in [*files.names_in(day), *files.names_in(day)]:  # twice: see `shelves.listing`
                path = os.path.join(day, name)
                if name.endswith(shelves.PACK):
                    if path not in self._packs:
                        self._packs[path] = [each.entry.name for each in shelves.listing(day) if each.pack == name]
                    found.update(dict.fromkeys(self._packs[path], day))
                else:
                    entry = shelves.entry_of(name)
                    if entry is not None:
                        found[entry.name] = day
        return found

    def _events(self, undelivered: _Undelivered, kept: dict[str, str], names: list[str]) -> Iterator[LocalEvent]:
        shelf: dict[str, Shelved] = {}
        for day in {kept[name] for name in names if name in kept}:
            shelf.update((each.entry.name, each) for each in shelves.listing(day))
        for name in names:
            entry = parse_name(name)
            if entry is None or not self._wanted.by_name(entry):
                continue
            event = _of_shelf(kept[name], shelf[name]) if name in kept and name in shelf else undelivered.event(entry)
            if event is not None:
                yield event


def _delivered(directory: str, wanted: Wanted, newest_first: bool) -> Iterator[LocalEvent]:
    unpacked: dict[str, dict[str, bytes]] = {}
    days = shelves.days(directory)
    for day in days[::-1] if newest_first else days:
        name = os.path.basename(day)
        if wanted.since is not None and name < shelves.day_of(int(wanted.since * 1e9)):
            continue
        if wanted.until is not None and name > shelves.day_of(int(wanted.until * 1e9)):
            continue
        listed = shelves.listing(day)
        for shelved in listed[::-1] if newest_first else listed:
            if wanted.by_name(shelved.entry):
                event = _of_shelf(day, shelved, unpacked)
                if event is not None and wanted.by_facts(event.facts):
                    yield event


def _of_shelf(day: str, shelved: Shelved, unpacked: dict[str, dict[str, bytes]] | None = None) -> LocalEvent | None:
    whole = shelves.with_facts(day, shelved)
    if whole.facts is None:
        return None
    fate = fates.of_delivered(whole.accepted)
    return LocalEvent(whole.entry, whole.facts, fate, lambda: shelves.read(day, whole, unpacked))


class _Undelivered:
    """What waits in a spool, is held back there or was set aside, as listed once."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._waiting = fates.Waiting(directory)
        self.listed: dict[str, tuple[SpoolEntry, str]] = {}  # name → (entry, folder)
        # In the order in which envelopes move, so that none is missed: `replay` is the one way back.
        for folder in ("quarantine", "held", "new", "quarantine"):
            for name in files.names_in(os.path.join(directory, folder)):
                entry = parse_name(name)
                if entry is not None:
                    self.listed[name] = (entry, folder)

    def events(self, wanted: Wanted, newest_first: bool) -> Iterator[LocalEvent]:
        for name in sorted(self.listed, reverse=newest_first):
            entry, _ = self.listed[name]
            if wanted.by_name(entry):
                event = self.event(entry)
                if event is not None and wanted.by_facts(event.facts):
                    yield event

    def event(self, entry: SpoolEntry) -> LocalEvent | None:
        """The event of an entry, also if it was moved since it was listed."""
        _, folder = self.listed.get(entry.name, (entry, "new"))
        return self._event(entry, folder) or self._moved(entry)

    def _event(self, entry: SpoolEntry, folder: str) -> LocalEvent | None:
        path = os.path.join(self._directory, folder, entry.name)
        found = payload_in(_read(path) or b"")
        if found is None:
            return None
        return LocalEvent(entry, facts_of(found.event), self._fate(entry, folder), lambda: self._find(entry, folder))

    def _fate(self, entry: SpoolEntry, folder: str) -> Fate:
        if folder == "new":
            return self._waiting.fate(entry.category)
        if folder == "held":
            return fates.of_held(entry)
        reason = _read(os.path.join(self._directory, folder, entry.name + ".txt")) or b"no reason was kept"
        return Fate(fates.ASIDE, reason.decode("utf-8", "replace").strip())

    def _moved(self, entry: SpoolEntry) -> LocalEvent | None:
        """The same event where it is now, if it was not removed."""
        for folder in ("held", "new", "quarantine"):
            event = self._event(entry, folder)
            if event is not None:
                return event
        day = os.path.join(shelves.folder_of(self._directory), shelves.day_of(entry.stamp))
        found = (each for each in shelves.listing(day) if each.entry.name == entry.name)
        return next(filter(None, (_of_shelf(day, each) for each in found)), None)

    def _find(self, entry: SpoolEntry, folder: str) -> bytes | None:
        data = _read(os.path.join(self._directory, folder, entry.name))
        if data is not None:
            return data
        moved = self._moved(entry)
        return moved._read() if moved is not None else None


def _read(path: str) -> bytes | None:
    try:
        return files.read_own(path)
    except ours(OSError, UnreadableError):
        return None


def _weight(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _texts(event: Mapping[str, Any]) -> Iterator[str]:
    """What `text` is searched in: messages, exceptions, captured values and breadcrumbs."""
    parts = [
        event.get("logentry"), event.get("message"), section(event, "contexts", "erp").get("captured"),
        section(event, "breadcrumbs").get("values"), section(event, "tags"),
    ]  # fmt: skip
    for exception in section(event, "exception").get("values") or ():
        if isinstance(exception, dict):
            parts += [exception.get("type"), exception.get("value")]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += part.values()
        elif isinstance(part, list):
            parts += part
        elif part is not None:
            yield str(part)
