"""Folds what processes count into the history: done once a minute, by one process at a time.

Each step leaves files from which the next fold goes on, whatever ends this one: see `ledger`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ..base import clocks, health, own_folders
from ..base.interrupts import ours
from . import due, history, layout, ledger, processes
from .counts import DamagedError, add_up
from .history import HOUR, Record

if TYPE_CHECKING:
    from collections.abc import Callable

_UNBEGUN = 24 * 3600.0  # seconds after which a file is removed whose process ended before it wrote anything
_FOREIGN = 90 * 24 * 3600.0  # seconds after which a file is removed that could never be read


class Folded(NamedTuple):
    """`changed`: was anything counted since the last fold? `alive`: the process numbers of those that run."""

    changed: bool
    alive: list[int]


def fold(state: str, clock: Callable[[], float] = clocks.time) -> Folded:
    """Fold the counts of a state folder. The caller keeps others from doing so. Raises OSError: a later call does it.

    A file of a process that has ended is removed once that is done.
    """
    names = processes.names_in(state)
    books = _books(state, clock) if names or ledger.stamp(state) is not None else None
    if books is None:
        return Folded(False, [])
    gone = books.names - set(names)  # not of those that are read below: files have come since
    now = clock()
    _settle(state, books)
    changed = _condense(state, books, now)
    since = books.at if 0.0 < now - books.at <= HOUR else now - due.MINUTE
    changes: list[tuple[processes.ProcessFile, bytes]] = []
    ended: list[str] = []
    alive: list[int] = []
    problems: dict[str, str] = {}
    for file in processes.read_all(state, problems):
        pid = health.pid_in(file.name.partition("-")[0])
        if not file.alive:
            ended.append(file.name)
        elif health.alive(pid):  # and in this container
            alive.append(pid)
        books.began = min(books.began, processes.started(file, books.began))
        before = books.rows(file.name)
        if file.rows != before and len(file.rows) >= len(before):  # fewer: its names are damaged
            changes.append((file, before))
            books.set_rows(file.name, file.rows)
    found = processes.sums(changes)
    books.forget(gone)
    books.at = now
    if found or gone or changed:
        books.number += 1
        books.add(found, now)
        books.pending = Record(books.number, since, now, found) if found else None
        books.save(state)
        _settle(state, books)
    else:
        os.utime(due.path_in(state))
    for name in ended:
        _remove(state, name)
    _tidy(state, problems, now)
    return Folded(bool(found), alive)


def _books(state: str, clock: Callable[[], float]) -> ledger.Ledger:
    """What was folded so far. Numbers begin with the time, so that no other beginning has them."""
    own_folders.make(os.path.join(state, due.FOLDER))
    try:
        books = ledger.load(state)
    except ours(DamagedError):
        # What processes have counted may be in the history or not: better once too few than twice.
        books = ledger.Ledger(int(clock() * 1e3), clock())
        books.began = books.at
        for file in processes.read_all(state, {}):
            books.began = min(books.began, processes.started(file, books.began))
            books.add(file.counts(), clock())
            books.set_rows(file.name, file.rows)
        books.save(state)
    if books is None:
        books = ledger.Ledger(int(clock() * 1e3), 0.0)
        books.began = clock()
        books.save(state)
    return books


def _settle(state: str, books: ledger.Ledger) -> None:
    """Add the record of the last fold to the minutes, unless it is there. Raises OSError."""
    record = books.pending
    if record is not None:
        path = history.minutes_file(state, record.until)
        if not history.contains(path, record.number):
            history.append(path, record)


def _condense(state: str, books: ledger.Ledger, now: float) -> bool:
    """Make hours of the minutes of hours that are over. Return whether there were any. Raises OSError."""
    files = history.minutes_files(state)
    done = {}
    for begin, path in files.items():
        if begin + HOUR > now:
            continue
        if not books.has_condensed(path):
            counts = add_up(pair for record in history.read(path) for pair in record.counts.items())
            history.append(history.hours_file(state, begin), Record(0, begin, begin + HOUR, counts))
        done[os.path.basename(path)] = os.stat(path).st_size
    changed = done != books.condensed
    books.condensed = done
    if changed:
        books.shortened |= history.prune(state, now)
    return changed


def _remove(state: str, name: str) -> None:
    for suffix in (layout.COUNTS, layout.NAMES):  # in this order: without its names, no row could be read
        try:
            os.unlink(os.path.join(state, layout.FOLDER, name + suffix))
        except ours(FileNotFoundError):
            pass


def _is_empty(path: str) -> bool:
    with open(path, "rb") as file:
        return not file.read(layout.PAGE).strip(b"\0")


def _tidy(state: str, problems: dict[str, str], now: float) -> None:
    """Remove what was left by who ended at an unlucky moment; and after a long time what nobody can read."""
    for name in _listed(state, due.FOLDER):
        if name.startswith(os.path.basename(due.path_in(state)) + "."):  # half written
            os.unlink(os.path.join(state, due.FOLDER, name))
    names = set(_listed(state, layout.FOLDER))
    for name in sorted(names):  # a file of counts comes before that of its names
        stem, suffix = os.path.splitext(name)
        path = os.path.join(state, layout.FOLDER, name)
        if suffix == layout.NAMES:
            left = stem + layout.COUNTS not in names
        else:
            age = now - os.lstat(path).st_mtime
            left = age > _FOREIGN if stem in problems else age > _UNBEGUN and _is_empty(path)
        if left and not health.alive(health.pid_in(stem.partition("-")[0])):
            os.unlink(path)
            names.discard(name)


def _listed(state: str, folder: str) -> list[str]:
    try:
        return os.listdir(os.path.join(state, folder))
    except ours(FileNotFoundError):
        return []
