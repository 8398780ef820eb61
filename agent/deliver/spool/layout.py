"""The folders of a spool, and how an envelope moves between them.

new/         envelopes that wait to be delivered
held/        envelopes captured without a DSN: they wait until somebody says that they may be sent
tmp/         envelopes being written, and empty files for the next ones; a rename out of it makes them whole
quarantine/  what cannot be delivered, each with its reason in a .txt beside it
swept        when the bounds were last held, and what is known of the clock
unswept      how full the spool is, as far as processes without a DSN know: in thousandths, by its length
lock         held by the process that delivers
rate-limits  rate limits and back-off deadlines
delivered    names of envelopes that were delivered and could not be removed
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...base import own_folders
from ...base.interrupts import ours
from . import files

if TYPE_CHECKING:
    from .files import Calls


class Folders:
    def __init__(self, directory: str, *, durable: bool) -> None:
        self.directory = os.path.abspath(directory)
        self.new = os.path.join(self.directory, "new")
        self.held = os.path.join(self.directory, "held")
        self.tmp = os.path.join(self.directory, "tmp")
        self.quarantine = os.path.join(self.directory, "quarantine")
        self._durable = durable
        self._ready = False

    def put(self, folder: str, name: str, data: bytes, *, spare: str | None = None, calls: Calls = os) -> None:
        """In that folder, whole, when this returns. Raises OSError, and leaves nothing then.

        `spare` is an empty file in tmp/ that nobody else uses.
        """
        if not self._ready:
            self._prepare()
        try:
            if spare is None or not self._fill(spare, folder, name, data, calls):
                self._put(folder, name, data, calls)
        except ours(FileNotFoundError):
            self._prepare()  # somebody cleared the state folder
            self._put(folder, name, data, calls)

    def _fill(self, spare: str, folder: str, name: str, data: bytes, calls: Calls) -> bool:
        filled = files.fill(spare, os.path.join(folder, name), data, durable=self._durable, calls=calls)
        if filled and self._durable:
            files.sync_folder(folder)
        return filled

    def _put(self, folder: str, name: str, data: bytes, calls: Calls) -> None:
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
        """Whether the spool is there. Raises OSError where it is not our own."""
        if not self._ready:
            try:
                own_folders.check_own(self.directory)
                own_folders.check_own(self.new)
            except ours(FileNotFoundError):
                return False
        return True

    def set_aside(self, folder: str, name: str, reason: str) -> bool:
        """Move it to quarantine; whether it was there. Raises OSError where it has to stay."""
        aside = name
        while os.path.lexists(os.path.join(self.quarantine, aside)):
            aside += "+"
        self.explain(aside, reason)  # first: whoever finds the one finds the other
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
            pass  # the envelope itself is safe; only its explanation is not

    def explanation(self, name: str) -> str:
        try:
            text = files.read_own(os.path.join(self.quarantine, name + ".txt"))
        except ours(OSError, files.UnreadableError):
            text = None
        return (text or b"").decode("utf-8", "replace").strip()

    def forget(self, folder: str, name: str) -> bool:
        """Remove it, with its explanation; whether this was the one that removed it."""
        if folder == self.quarantine:
            files.unlink(os.path.join(folder, name + ".txt"))
        return files.unlink(os.path.join(folder, name))
