"""The files in which processes count, read by others: see `layout`."""

from __future__ import annotations

import json
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base import clocks, health, places, programs
from ..base.interrupts import ours
from . import layout
from .counts import Counts, DamagedError, Key, Parts, added, parts_of, since
from .layout import COUNTS, FOLDER, NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LARGEST = 64 << 20  # bytes of a file of names
_DAY = 24 * 3600.0
_EMPTY = bytes(layout.ROW)


class UnreadableError(Exception):
    """A file is not one of counts, or not ours; the text is why."""


class ProcessFile(NamedTuple):
    """What one file had when it was read. `rows` are those that have a key, as they are in the file."""

    name: str  # without suffix
    facts: dict[str, Any]
    alive: bool
    keys: list[Key]
    rows: bytes
    written: float  # when it was changed last, in seconds since the epoch; mapped files are changed later

    def counts(self) -> dict[Key, Counts]:
        """What was counted since the process started."""
        return sums([(self, b"")])


def sums(files: Iterable[tuple[ProcessFile, bytes]]) -> dict[Key, Counts]:
    """What was counted by all processes, of each since its file had those rows. Damaged rows are left out."""
    found: dict[Key, Parts] = {}
    for file, since_rows in files:
        rows = file.rows
        for key, at in zip(file.keys, range(0, len(rows), layout.ROW)):
            row, before = rows[at : at + layout.ROW], since_rows[at : at + layout.ROW]
            if row in (before, _EMPTY):
                continue
            try:
                parts = parts_of(row)
                if before and before != _EMPTY:
                    parts = since(parts, parts_of(before))
            except ours(DamagedError):
                continue
            known = found.get(key)
            if known is not None:
                found[key] = added(known, parts)
            elif any(parts):
                found[key] = parts
    return {key: Counts.of(parts) for key, parts in found.items()}


def names_in(state: str) -> list[str]:
    """The names of all files, without suffix, oldest first."""
    try:
        with os.scandir(os.path.join(state, FOLDER)) as entries:
            found = [each.name[: -len(COUNTS)] for each in entries if each.name.endswith(COUNTS)]
    except ours(OSError):
        return []
    return sorted(found, key=lambda name: (name.rpartition("-")[2].zfill(20), name))


def read_all(state: str, problems: dict[str, str]) -> Iterator[ProcessFile]:
    """Yield what can be read. `problems` takes the name of each file that cannot, and why."""
    for name in names_in(state):
        try:
            file = read(state, name)
        except ours(UnreadableError) as error:
            problems[name] = str(error)
            continue
        if file is not None:
            yield file


def read(state: str, name: str) -> ProcessFile | None:
    """Return None where it has nothing yet, or is gone. Raises UnreadableError."""
    path = os.path.join(state, FOLDER, name)
    try:
        descriptor, status = places.open_own(path + COUNTS)
        try:
            header = places.read(descriptor, layout.PAGE)
            if not header.strip(b"\0"):
                return None  # its process writes the header just now
            facts = _parse(header)
            # Before anything that changes is read: whose process has ended is complete, and may be removed.
            alive = is_alive(name, facts, status.st_mtime)
            used = int.from_bytes(os.pread(descriptor, 8, layout.USED_AT), sys.byteorder)
            keys = _keys(path + NAMES, facts, used)
            rows = places.read(descriptor, len(keys) * layout.ROW)
        finally:
            os.close(descriptor)
    except ours(FileNotFoundError):
        return None
    except ours(OSError) as error:
        raise UnreadableError(error.strerror or str(error)) from None
    return ProcessFile(name, facts, alive, keys[: len(rows) // layout.ROW], rows, status.st_mtime)


def started(file: ProcessFile, default: float) -> float:
    """When its process began to count, in seconds since the epoch."""
    found = file.facts.get("started")
    return float(found) if isinstance(found, (int, float)) else default


def is_alive(name: str, facts: dict[str, Any], written: float) -> bool:
    """Whether the process runs that a file of this name belongs to. Of another container's: was it `written` lately?"""
    if facts.get("container") not in (None, programs.container()):
        return clocks.time() - written < _DAY
    pid = health.pid_in(name.partition("-")[0])
    born = facts.get("born")
    return health.alive(pid) and (not born or programs.born(pid) in ("", born))


def _parse(header: bytes) -> dict[str, Any]:
    """The facts of the process. Raises UnreadableError."""
    if not header.startswith(layout.MAGIC) or len(header) < layout.PAGE:
        raise UnreadableError("is no file of counts, or its beginning is torn")
    version = int.from_bytes(header[layout.VERSION_AT : layout.USED_AT], sys.byteorder)
    if version != layout.VERSION:
        raise UnreadableError(f"has version {version} of its layout; this agent reads version {layout.VERSION}")
    try:
        facts = json.loads(header[layout.FACTS_AT :].partition(b"\0")[0])
    except ours(ValueError):
        facts = None
    if not isinstance(facts, dict):
        raise UnreadableError("the facts of its process are damaged")
    return facts


def _keys(path: str, facts: dict[str, Any], used: int) -> list[Key]:
    """The keys of the first rows. A line that is not complete yet ends them: its row waits."""
    descriptor, status = places.open_own(path)
    try:
        data = places.read(descriptor, min(status.st_size, _LARGEST))
    finally:
        os.close(descriptor)
    release = str(facts.get("release") or "")
    keys = []
    for line in data.split(b"\n")[: min(used, data.count(b"\n"))]:
        try:
            keys.append(_key(line, release))
        except ours(ValueError, TypeError):
            break
    return keys


@lru_cache(20_000)  # the processes of a server have the same ones
def _key(line: bytes, release: str) -> Key:
    monitor, operation, module, kind = json.loads(line)
    return Key(str(module or ""), str(operation), str(monitor), str(kind), release)
