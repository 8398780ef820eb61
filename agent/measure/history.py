"""What was counted, minute by minute for a day and hour by hour for 90 days: files that are appended to.

    history/minutes-YYYYMMDDHH     a record each time that counts were folded, kept for 25 hours
    history/hours-YYYYMMDD         a record for each hour in which something was counted

Times are UTC. Each part of a file has its length and its checksum before it: keys that are new in this file, or a
record of the numbers of keys. What is torn or damaged is skipped. Of two hours with the same beginning, the later one
is in force.
"""

from __future__ import annotations

import json
import os
import zlib
from array import array
from calendar import timegm
from itertools import accumulate
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import TYPE_CHECKING, NamedTuple

from ..base import clocks, own_folders, places
from ..base.interrupts import ours
from . import packed
from .counts import Counts, DamagedError, Key
from .due import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOUR = 3600
KEEP_MINUTES = 25 * HOUR
KEEP_HOURS = 90 * 24 * HOUR
LARGEST = 48 << 20  # bytes of all files together

_MINUTES, _HOURS = "minutes-", "hours-"
_LARGEST_FILE = 64 << 20
_PART = Struct("<1sII")  # what it is, bytes, checksum
_KEYS, _RECORD = b"k", b"r"
_HEAD = Struct("<QddI")  # number, since, until, bytes of the keys' numbers


class Record(NamedTuple):
    """What was counted after `since` and until `until`, in seconds since the epoch."""

    number: int
    since: float
    until: float
    counts: dict[Key, Counts]


def minutes_file(state: str, until: float) -> str:
    return os.path.join(state, FOLDER, _MINUTES + clocks.strftime("%Y%m%d%H", clocks.gmtime(until)))


def hours_file(state: str, since: float) -> str:
    return os.path.join(state, FOLDER, _HOURS + clocks.strftime("%Y%m%d", clocks.gmtime(since)))


def minutes_files(state: str) -> dict[float, str]:
    """The beginning of each hour of which there are minutes → the path of the file."""
    return _files(state, _MINUTES, "%Y%m%d%H")


def hours_files(state: str) -> dict[float, str]:
    """The beginning of each day of which there are hours → the path of the file."""
    return _files(state, _HOURS, "%Y%m%d")


def _files(state: str, prefix: str, form: str) -> dict[float, str]:
    folder = os.path.join(state, FOLDER)
    try:
        names = sorted(os.listdir(folder))
    except ours(OSError):
        return {}
    found = {}
    for name in names:
        if name.startswith(prefix):
            try:
                found[float(timegm(clocks.strptime(name[len(prefix) :], form)))] = os.path.join(folder, name)
            except ours(ValueError):
                continue
    return found


def read(path: str, wanted: Callable[[float, float], bool] = lambda since, until: True) -> Iterator[Record]:  # noqa: ARG005
    """Yield the records of a file that are whole and `wanted`, by their times. One that cannot be read has none."""
    try:
        data = _bytes_of(path)
    except ours(OSError):
        return
    keys: dict[int, Key] = {}
    for kind, body, _ in _parts(data):
        try:
            if kind == _KEYS:
                keys.update(_keys(body))
            elif kind == _RECORD and wanted(*_HEAD.unpack_from(body)[1:3]):
                yield _record(body, keys)
        except ours(DamagedError, ValueError, TypeError, StructError):
            continue


def contains(path: str, number: int) -> bool:
    """Whether a file has the record of this number. Raises OSError."""
    try:
        data = _bytes_of(path)
    except ours(FileNotFoundError):
        return False
    return any(kind == _RECORD and _HEAD.unpack_from(body)[0] == number for kind, body, _ in _parts(data))


def append(path: str, record: Record) -> None:
    """Raises OSError; the file may then have a torn end, which the next call removes."""
    try:
        data = _bytes_of(path)
    except ours(FileNotFoundError):
        data = b""
    ids: dict[Key, int] = {}
    whole = 0
    for kind, body, whole in _parts(data):  # noqa: B007  (the last end)
        if kind == _KEYS:
            ids.update((key, number) for number, key in _keys(body).items())
    added = b""
    new = [key for key in record.counts if key not in ids]
    if new:
        first = max(ids.values(), default=-1) + 1
        ids.update((key, number) for number, key in enumerate(new, first))
        added = _part(_KEYS, zlib.compress(json.dumps([first, new]).encode("ascii")))
    added += _part(_RECORD, _packed(record, ids))
    descriptor = os.open(path, own_folders.OLD_FILE | os.O_CREAT, 0o600)
    try:
        if len(data) != whole:
            os.ftruncate(descriptor, whole)
        os.lseek(descriptor, whole, os.SEEK_SET)
        while added:
            added = added[os.write(descriptor, added) :]
    finally:
        os.close(descriptor)


def prune(state: str, now: float) -> bool:
    """Remove what is too old; and the oldest files, hours first, where all together are too large: return whether so.

    Raises OSError.
    """
    hours, minutes = hours_files(state), minutes_files(state)
    for files, length, keep in ((hours, 24 * HOUR, KEEP_HOURS), (minutes, HOUR, KEEP_MINUTES)):
        for begin in [begin for begin in files if begin + length < now - keep]:
            os.unlink(files.pop(begin))
    sizes = {path: os.lstat(path).st_size for path in (*hours.values(), *minutes.values())}
    excess = sum(sizes.values()) - LARGEST
    shortened = excess > 0
    for path, size in sizes.items():
        if excess <= 0:
            break
        os.unlink(path)
        excess -= size
    return shortened


def _packed(record: Record, ids: dict[Key, int]) -> bytes:
    ordered = sorted(record.counts, key=ids.__getitem__)
    numbers = [ids[key] for key in ordered]
    steps = zlib.compress(array("I", [number - before for number, before in zip(numbers, [0, *numbers])]).tobytes())
    head = _HEAD.pack(record.number, record.since, record.until, len(steps))
    return head + steps + packed.pack([record.counts[key] for key in ordered], exact=False)


def _record(body: bytes, keys: dict[int, Key]) -> Record:
    number, since, until, size = _HEAD.unpack_from(body)
    end = _HEAD.size + size
    steps = array("I")
    try:
        steps.frombytes(zlib.decompress(body[_HEAD.size : end]))
    except ours(zlib.error):
        raise DamagedError from None
    found = zip(accumulate(steps), packed.unpack(body[end:], exact=False))
    return Record(number, since, until, {keys[each]: counts for each, counts in found if each in keys})


def _keys(body: bytes) -> dict[int, Key]:
    """Raises ValueError and TypeError."""
    try:
        first, found = json.loads(zlib.decompress(body))
    except ours(zlib.error):
        raise DamagedError from None
    return {number: Key(*each) for number, each in enumerate(found, first)}


def _part(kind: bytes, body: bytes) -> bytes:
    return _PART.pack(kind, len(body), zlib.crc32(body)) + body


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield (kind, body, where it ends) of each part, up to a torn end. Those of another checksum are left out."""
    at = 0
    while at + _PART.size <= len(data):
        kind, size, checksum = _PART.unpack_from(data, at)
        begin, at = at + _PART.size, at + _PART.size + size
        if kind not in (_KEYS, _RECORD) or at > len(data):
            return
        body = data[begin:at]
        yield (kind if zlib.crc32(body) == checksum else b"", body, at)


def _bytes_of(path: str) -> bytes:
    descriptor, status = places.open_own(path)
    try:
        return places.read(descriptor, min(status.st_size, _LARGEST_FILE))
    finally:
        os.close(descriptor)
