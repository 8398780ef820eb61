"""What has been folded so far: one file, replaced as a whole, so that nothing is counted twice or not at all.

`history/totals` has the sums of all that was folded, the rows of each process as they were folded last, and the record
that was made of the difference. A fold is done once this file is written. The record is then added to the minutes; if
that fails, or the process dies before, the next fold does it.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

from ..base import own_folders, places
from ..base.interrupts import ours
from . import packed
from .counts import Counts, DamagedError, Key, add_up
from .due import path_in
from .history import Record

_MAGIC = b"erp-agent totals 1\n"
_LARGEST = 1 << 30  # bytes
_QUICK = 1  # of zlib's levels: rows are mostly zeros

#: A release that has not been seen for so long has no sums of its own any more, but those of all EARLIER ones.
KEEP_RELEASES = 90 * 24 * 3600.0
MOST_KEYS = 20_000
EARLIER = "(earlier)"


class Ledger:
    def __init__(self, number: int = 0, at: float = 0.0) -> None:
        self.number = number  # of the last fold
        self.at = at  # when that was
        self.began = 0.0  # when counting began
        self.totals: dict[Key, Counts] = {}
        self.active: dict[Key, float] = {}  # when something was counted last
        self.pending: Record | None = None  # that of the last fold
        self.condensed: dict[str, int] = {}  # file of minutes → its size when its hour was made of them
        self.shortened = False  # were hours removed because the history was too large?
        self._baselines: dict[str, bytes] = {}  # file of a process → its rows, compressed

    def rows(self, name: str) -> bytes:
        """The rows of a process's file that are in the totals."""
        data = self._baselines.get(name)
        return zlib.decompress(data) if data is not None else b""

    def set_rows(self, name: str, rows: bytes) -> None:
        self._baselines[name] = zlib.compress(rows, _QUICK)

    def forget(self, names: set[str]) -> None:
        """Files that are gone."""
        for name in names & set(self._baselines):
            del self._baselines[name]

    @property
    def names(self) -> set[str]:
        """Of files whose rows are in the totals."""
        return set(self._baselines)

    def has_condensed(self, path: str) -> bool:
        """Whether the hour of a file of minutes has all that is in it: more is added if the clock is set back."""
        try:
            return self.condensed.get(os.path.basename(path)) == os.stat(path).st_size
        except ours(OSError):
            return False

    def add(self, counts: dict[Key, Counts], now: float) -> None:
        add_up(counts.items(), self.totals)
        self.active.update(dict.fromkeys(counts, now))
        self._merge(now)

    def _merge(self, now: float) -> None:
        oldest = sorted(self.active, key=self.active.__getitem__)
        for number, key in enumerate(oldest, 1 - len(oldest)):
            if self.active[key] > now - KEEP_RELEASES and number > -MOST_KEYS:
                break
            earlier = key._replace(release=EARLIER)
            if key != earlier:
                self.totals[earlier] = self.totals.pop(key) + self.totals.get(earlier, Counts())
                self.active[earlier] = max(self.active.pop(key), self.active.get(earlier, 0.0))

    def save(self, state: str) -> None:
        """Raises OSError; what was there is then still there."""
        keys = list(self.totals)
        record = self.pending
        about: dict[str, Any] = {
            "number": self.number,
            "at": self.at,
            "began": self.began,
            "keys": keys,
            "active": [round(self.active[key]) for key in keys],
            "condensed": self.condensed,
            "shortened": self.shortened,
            "baselines": list(self._baselines),
            "pending": None,
        }
        blobs = [packed.pack([self.totals[key] for key in keys], exact=True)]
        if record is not None:
            about["pending"] = [record.number, record.since, record.until, [list(key) for key in record.counts]]
            blobs.append(packed.pack(list(record.counts.values()), exact=True))
        blobs += self._baselines.values()
        about["sizes"] = [len(blob) for blob in blobs]
        head = zlib.compress(json.dumps(about).encode("ascii"))
        body = b"".join([len(head).to_bytes(4, "little"), head, *blobs])
        own_folders.replace(path_in(state), _MAGIC + zlib.crc32(body).to_bytes(4, "little") + body)


def stamp(state: str) -> tuple[int, int] | None:
    """What distinguishes the file from an earlier one."""
    try:
        status = os.stat(path_in(state))
    except ours(OSError):
        return None
    return status.st_ino, status.st_mtime_ns


def load(state: str) -> Ledger | None:
    """Return None where there is none yet. Raises OSError, and DamagedError."""
    try:
        descriptor, status = places.open_own(path_in(state))
    except ours(FileNotFoundError):
        return None
    try:
        data = places.read(descriptor, min(status.st_size, _LARGEST))
    finally:
        os.close(descriptor)
    begin = len(_MAGIC) + 4
    body = data[begin:]
    if not data.startswith(_MAGIC) or zlib.crc32(body) != int.from_bytes(data[begin - 4 : begin], "little"):
        raise DamagedError("the file of totals is damaged")
    at = 4 + int.from_bytes(body[:4], "little")
    about = json.loads(zlib.decompress(body[4:at]))
    blobs = []
    for size in about["sizes"]:
        blobs.append(body[at : at + size])
        at += size
    ledger = Ledger(about["number"], about["at"])
    ledger.began = about["began"]
    keys = [Key(*each) for each in about["keys"]]
    ledger.totals = dict(zip(keys, packed.unpack(blobs.pop(0), exact=True)))
    ledger.active = dict(zip(keys, about["active"]))
    ledger.condensed, ledger.shortened = about["condensed"], about.get("shortened", False)
    if about["pending"] is not None:
        number, since, until, names = about["pending"]
        counts = dict(zip([Key(*each) for each in names], packed.unpack(blobs.pop(0), exact=True)))
        ledger.pending = Record(number, since, until, counts)
    ledger._baselines = dict(zip(about["baselines"], blobs))
    return ledger
