"""The folders and files of a spool, and how an envelope moves between them.

new/         envelopes that wait for delivery
held/        envelopes that are held back until `release`: captured without a DSN, or in an attempt that has not ended
tmp/         envelopes that are being written; a rename completes them
quarantine/  envelopes that cannot be delivered, each with its reason in a .txt beside it
swept        time of the last sweep, and the clock's eras
unswept      fill level for processes without a DSN: its length in bytes, in thousandths of the bounds
lock         held by the process that delivers
rate-limits  rate limits and back-off deadlines
history/     events that were delivered and stay for a while: see `history/shelves`
accepted     when and where the last event was accepted of which the history keeps nothing
delivered    names of envelopes that were delivered and could not be removed
"""

import os
from typing import TYPE_CHECKING, Callable

from ...base import own_folders
from ...base.interrupts import ours
from ...base.records import Record
from . import files

if TYPE_CHECKING:
    from ..quick.calls import FileCalls


#: Counts what was lost or is worth knowing: reason, category, number.
Count = Callable[[str, str, int], None]


class Room(Record):
    """What is left of the bounds of a spool; negative if the sweep was ended early."""

    files: int
    size: int  # bytes


class Maximum:
    """The bounds of a spool: `size` in bytes, `age` in seconds."""

    __slots__ = ("age", "files", "size")

    def __init__(self, size: int, age: float, files: int) -> None:
        self.size, self.age, self.files = size, age, files


class Folders:
    def __init__(self, directory: str, *, durable: bool) -> None:
        self.directory = os.path.abspath(directory)
        self.new = os.path.join(self.directory, "new")
        self.held = os.path.join(self.directory, "held")
        self.tmp = os.path.join(self.directory, "tmp")
        self.quarantine = os.path.join(self.directory, "quarantine")
        self._durable = durable
        self._ready = False

    def put(self, folder: str, name: str, data: bytes, *, calls: "FileCalls" = os) -> None:
        """Write a whole file into that folder, or nothing: then OSError is raised."""
        if not self._ready:
            self._prepare()
        try:
            self._put(folder, name, data, calls)
        except ours(FileNotFoundError):
            self._prepare()  # somebody cleared the state folder
            self._put(folder, name, data, calls)

    def _put(self, folder: str, name: str, data: bytes, calls: "FileCalls") -> None:
        beside = os.path.join(self.tmp, name)
        try:
            files.write_new(beside, data, durable=self._durable, calls=calls)
            calls.rename(beside, os.path.join(folder, name))
        except BaseException:
            files.unlink(beside)
            raise
        if self._durable:
            files.sync_folder(folder)

    def _prepare(self) -> None:
        self._ready = False
        own_folders.make(self.directory)
        for folder in (self.new, self.held, self.tmp, self.quarantine):
            own_folders.make(folder)
        self._ready = True

    def exist(self) -> bool:
        """Return whether the spool exists. Raises OSError if it is not our own."""
        if not self._ready:
            try:
                own_folders.check_own(self.directory)
                own_folders.check_own(self.new)
            except ours(FileNotFoundError):
                return False
        return True

    def set_aside(self, folder: str, name: str, reason: str) -> bool:
        """Move it to quarantine. Return whether it existed. Raises OSError if it cannot be moved."""
        aside = name
        while os.path.lexists(os.path.join(self.quarantine, aside)):
            aside += "+"
        self.explain(aside, reason)  # first: an envelope in quarantine always has its reason
        try:
            os.rename(os.path.join(folder, name), os.path.join(self.quarantine, aside))
        except ours(OSError) as error:
            files.unlink(os.path.join(self.quarantine, aside + ".txt"))
            if isinstance(error, FileNotFoundError):
                return False
            raise
        return True

    def explain(self, name: str, reason: str) -> None:
        path = os.path.join(self.quarantine, name + ".txt")
        try:
            files.unlink(path)
            files.write_new(path, reason.encode("utf-8", "replace") + b"\n")
        except ours(OSError):
            pass  # the envelope itself is safe, only its explanation is lost

    def explanation(self, name: str) -> str:
        try:
            text = files.read_own(os.path.join(self.quarantine, name + ".txt"))
        except ours(OSError, files.UnreadableError):
            text = None
        return (text or b"").decode("utf-8", "replace").strip()

    def forget(self, folder: str, name: str) -> bool:
        """Remove it with its explanation. Return whether this call has removed it."""
        if folder == self.quarantine:
            files.unlink(os.path.join(folder, name + ".txt"))
        return files.unlink(os.path.join(folder, name))
