"""The files of the history: `<spool>/history/DAY/`, a folder for each day (UTC) of capture.

NAME.sent            an event as it lay in the spool as NAME.envelope, moved here once Sentry had accepted it
NAME.handed          the same, moved here once a Sentry client of the ERP's own had taken it
index                a JSON line for each of them: when and where it was delivered, and its Facts
HOUR-FIRST-LAST.pack events of one hour, compressed together: their lines of the index, and then their bytes

A reader needs no lock. An event is in a pack before its own file is removed, and its file is there before its line is.
"""

import os
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ...base import clocks, own_folders
from ...base.interrupts import ours
from ..spool import files
from ..spool.files import UnreadableError
from ..spool.names import SUFFIX, SpoolEntry, parse_name
from .facts import Facts, as_facts, facts_of, payload_in

if TYPE_CHECKING:
    from collections.abc import Iterable

INDEX = "index"
_ACCEPTED = "accepted"
PACK = ".pack"
_SENT, _HANDED = ".sent", ".handed"  # not the suffix of the spool: what is called so there is not sent yet
HANDED = -1  # stands for the status of HTTP where a Sentry client of the ERP's own has taken the event
_LARGEST_INDEX = 256 << 20  # bytes
_LAST_SECOND = 253402300799  # of the year 9999


class Accepted(NamedTuple):
    """Where and when an event was accepted."""

    at: float  # seconds since the epoch
    status: int  # of HTTP, or HANDED; 0: not known
    host: str  # of Sentry; the address without its key if it is HANDED


class Shelved(NamedTuple):
    """One event of the history. `file` holds it: its own, or a pack."""

    entry: SpoolEntry
    accepted: Optional[Accepted]
    facts: Optional[Facts]
    file: str

    @property
    def pack(self) -> str:
        """Empty for a file of its own."""
        return self.file if self.file.endswith(PACK) else ""

    @property
    def was_handed_over(self) -> bool:
        return self.file.endswith(_HANDED) or (self.accepted is not None and self.accepted.status == HANDED)


def folder_of(directory: str) -> str:
    """Of the history in a spool."""
    return os.path.join(directory, "history")


def day_of(stamp: int) -> str:
    """The name of the folder for an event captured then, in nanoseconds."""
    return clocks.strftime("%Y-%m-%d", clocks.gmtime(min(stamp // 10**9, _LAST_SECOND)))


def days(directory: str) -> list[str]:
    """The folders of a spool's history, oldest first."""
    above = folder_of(directory)
    names = (name for name in files.names_in(above) if len(name) == 10 and name.replace("-", "").isdigit())
    return [os.path.join(above, name) for name in sorted(names)]


def put(directory: str, path: str, entry: SpoolEntry, accepted: Accepted, facts: "Facts | None") -> bool:
    """Move the file of an event here. Return whether it was moved; if not, it is where it was."""
    day = os.path.join(folder_of(directory), day_of(entry.stamp))
    moved = os.path.join(day, entry.name[: -len(SUFFIX)] + (_HANDED if accepted.status == HANDED else _SENT))
    try:
        try:
            os.rename(path, moved)
        except ours(FileNotFoundError):
            own_folders.make(day)
            os.rename(path, moved)
    except ours(OSError):
        return False
    if facts is not None:
        try:
            files.append(os.path.join(day, INDEX), line(entry.name, accepted, facts))
        except ours(OSError):
            pass  # the event is there; a reader looks into its file
    return True


def entry_of(file: str) -> "SpoolEntry | None":
    """Return None for another file."""
    name, dot, suffix = file.rpartition(".")
    return parse_name(name + SUFFIX) if dot + suffix in (_SENT, _HANDED) else None


def line(name: str, delivered: Accepted, facts: Facts) -> bytes:
    import json

    return json.dumps([name, *delivered, *facts], separators=(",", ":")).encode("ascii") + b"\n"


class Totals(NamedTuple):
    number: int
    size: int  # bytes of the files
    handed_over: int  # of the number


def totals(directory: str) -> Totals:
    """What is in a spool's history."""
    folders = days(directory)
    found = [each.was_handed_over for day in folders for each in listing(day)]
    return Totals(len(found), sum(size for day in folders for _, size, _ in files.scan(day)), sum(found))


def listing(day: str) -> list[Shelved]:
    """All events of one day, oldest first. One without a line has None in its place. Opens the index and the packs."""
    names = list(files.names_in(day))
    rows = _rows(_read(os.path.join(day, INDEX)) or b"")
    found: dict[str, Shelved] = {}
    for name in names:
        entry = entry_of(name)
        if entry is not None:
            accepted, facts = rows.get(entry.name, (None, None))
            found[entry.name] = Shelved(entry, accepted, facts, name)
    for name in files.names_in(day):  # again: what was packed meanwhile is in one of the two listings
        if name.endswith(PACK):
            for packed, (delivered, facts) in _rows(_head(os.path.join(day, name))).items():
                entry = parse_name(packed)
                if entry is not None and packed not in found:
                    found[packed] = Shelved(entry, delivered, facts, name)
    return [found[name] for name in sorted(found)]


def note_accepted(directory: str, accepted: Accepted) -> None:
    """Of an event of which the history of this spool keeps nothing. Never raises."""
    try:
        files.replace(
            os.path.join(directory, _ACCEPTED),
            f"{accepted.at!r} {accepted.status} {accepted.host or '-'}".encode("ascii"),
        )
    except ours(OSError, ValueError):
        pass  # it is for `status` alone


def last_accepted(directory: str) -> "Accepted | None":
    """Where and when the last event of this spool was accepted, as far as is known. Opens two or three files."""
    try:
        at, status, host = (_read(os.path.join(directory, _ACCEPTED)) or b"").decode("ascii").split()
        noted = [Accepted(float(at), int(status), host)]
    except ours(ValueError):
        noted = []
    return max([*noted, *_last_in_history(directory)], default=None)


def _last_in_history(directory: str) -> "list[Accepted]":
    for day in reversed(days(directory)):
        rows = _rows(_read(os.path.join(day, INDEX)) or b"")
        packs = [name for name in files.names_in(day) if name.endswith(PACK)]
        if not rows and packs:
            rows = _rows(_head(os.path.join(day, max(packs, key=lambda name: name.rpartition("-")[2]))))
        if rows:
            return [max(accepted for accepted, _ in rows.values())]
    return []


def read(day: str, shelved: Shelved, unpacked: "dict[str, dict[str, bytes]] | None" = None) -> "bytes | None":
    """Return the envelope; None if it is gone or damaged.

    `unpacked` keeps the last pack, for a reader that opens one event after the other.
    """
    if not shelved.pack:
        data = _read(os.path.join(day, shelved.file))
        if data is not None:
            return data
        for again in listing(day):  # packed since
            if again.entry.name == shelved.entry.name and again.pack:
                return read(day, again)
        return None
    path = os.path.join(day, shelved.pack)
    if unpacked is None:
        return unpack(path).get(shelved.entry.name)
    if path not in unpacked:
        unpacked.clear()
        unpacked[path] = unpack(path)
    return unpacked[path].get(shelved.entry.name)


def pack(contents: "Iterable[tuple[bytes, bytes]]") -> bytes:
    """The bytes of a pack. `contents` are lines of an index, each with its envelope."""
    import json
    import zlib

    lines, bodies = zip(*contents)
    sizes = json.dumps([len(body) for body in bodies], separators=(",", ":")).encode("ascii")
    head = zlib.compress(b"".join(lines))
    return b"%d %s\n%s%s" % (len(head), sizes, head, zlib.compress(b"".join(bodies), 6))


def unpack(path: str) -> dict[str, bytes]:
    """Name → envelope; empty for a file that is gone or damaged."""
    import zlib

    data = _read(path) or b""
    try:
        sizes, head, body = _parts(data)
        whole = zlib.decompress(body)
        names = list(_rows(zlib.decompress(head)))
    except ours(ValueError, zlib.error):
        return {}
    found, at = {}, 0
    for name, size in zip(names, sizes):
        found[name] = whole[at : at + size]
        at += size
    return found


def _head(path: str) -> bytes:
    import zlib

    try:
        _, head, _ = _parts(_read(path) or b"")
        return zlib.decompress(head)
    except ours(ValueError, zlib.error):
        return b""


def _parts(data: bytes) -> tuple[list[int], bytes, bytes]:
    import json

    first, _, rest = data.partition(b"\n")
    length, _, sizes = first.partition(b" ")
    at = int(length)
    return json.loads(sizes), rest[:at], rest[at:]


def _rows(index: bytes) -> dict[str, tuple[Accepted, Facts]]:
    """By name, in the order of the file. A line that a full disk has cut short is left out."""
    import json

    found = {}
    for each in index.splitlines():
        try:
            row: Any = json.loads(each)
            name, at, status, host, *rest = row
            facts = as_facts(rest)
            if facts is not None:
                found[str(name)] = (Accepted(float(at), int(status), str(host)), facts)
        except ours(ValueError, TypeError, RecursionError):
            continue
    return found


def with_facts(day: str, shelved: Shelved) -> Shelved:
    """The same with what its file shows, if it has no line: whoever delivered it died in between."""
    if shelved.facts is not None:
        return shelved
    payload = payload_in(read(day, shelved) or b"")
    if payload is None:
        return shelved
    try:
        at = os.stat(os.path.join(day, shelved.file)).st_ctime  # when it was moved here
    except ours(OSError):
        at = shelved.entry.stamp / 1e9
    known = shelved.accepted or Accepted(at, HANDED if shelved.was_handed_over else 0, "")
    return shelved._replace(accepted=known, facts=facts_of(payload.event))


def _read(path: str) -> "bytes | None":
    try:
        return files.read_own(path, _LARGEST_INDEX)
    except ours(OSError, UnreadableError):
        return None
