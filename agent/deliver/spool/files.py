"""Files and folders that are their owner's alone: made, written, read and removed without following a link."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ...base.errors import AgentError
from ...base.interrupts import ours
from ...base.own_folders import NEW_FILE, OLD_FILE, replace
from ...base.places import open_own, read

__all__ = ["replace"]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Calls(Protocol):
        """What it takes to write a file: the module `os`, or what stands in for it."""

        def open(self, path: str, flags: int, mode: int = ...) -> int: ...
        def write(self, descriptor: int, data: bytes, /) -> int: ...
        def pwrite(self, descriptor: int, data: bytes, offset: int, /) -> int: ...
        def lseek(self, descriptor: int, offset: int, whence: int, /) -> int: ...
        def close(self, descriptor: int) -> None: ...
        def rename(self, old: str, new: str, /) -> None: ...


_LOG_FILE = OLD_FILE | os.O_APPEND | os.O_CREAT
LARGEST = 16 << 20  # bytes of a file that is read, where nothing else is known of it


class UnreadableError(AgentError):
    """A file of the spool is torn or not one of ours; the text is the reason for its quarantine."""


def write_new(path: str, data: bytes, *, durable: bool = False, calls: Calls = os) -> None:
    """All of it or, after an exception, nothing."""
    descriptor = -1
    try:
        try:
            descriptor = calls.open(path, NEW_FILE, 0o600)
            rest = data
            while rest:
                rest = rest[calls.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
        finally:
            if descriptor >= 0:
                calls.close(descriptor)  # a full network disk may say so only here
    except BaseException:  # a time limit of the host's may strike in the middle
        if descriptor >= 0:
            unlink(path)
        raise


def append(path: str, data: bytes) -> int:
    """Make a file longer, which is made if need be; its length then. Raises OSError."""
    descriptor = -1
    try:
        descriptor = os.open(path, _LOG_FILE, 0o600)
        os.write(descriptor, data)
        return os.fstat(descriptor).st_size
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def fill(spare: str, path: str, data: bytes, *, durable: bool = False, calls: Calls = os) -> bool:
    """Put the data into an empty file that is there already, and rename that to `path`. Whether that was done.

    A child forked in the middle of this, by a signal handler, goes on with the same file: both write the same to the
    same place, and one of the two renames it.
    """
    descriptor = -1
    try:
        try:
            descriptor = calls.open(spare, OLD_FILE)
            if calls.lseek(descriptor, 0, os.SEEK_END):
                return False  # somebody else's, by now
            written = 0
            while written < len(data):
                written += calls.pwrite(descriptor, data[written:], written)
            if durable:
                os.fsync(descriptor)
        finally:
            if descriptor >= 0:
                calls.close(descriptor)
        calls.rename(spare, path)
    except ours(OSError):
        unlink(spare)
        return False
    except BaseException:
        unlink(spare)
        raise
    return True


def read_own(path: str, largest: int = LARGEST) -> bytes | None:
    """None where there is no such file. Raises UnreadableError for what is not a regular file of ours, and OSError."""
    try:
        descriptor, status = open_own(path)
    except ours(FileNotFoundError):
        return None
    except ours(OSError) as error:
        if error.errno == errno.EPERM:  # ours is the only reason
            raise UnreadableError(error.strerror or "not a file of ours") from None
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link; a socket
            raise UnreadableError("is not a regular file") from None
        raise
    try:
        if status.st_size > largest:
            raise UnreadableError(f"has {status.st_size} bytes, which no file of the agent has here")
        return read(descriptor, status.st_size)
    finally:
        os.close(descriptor)


def names_in(folder: str) -> Iterator[str]:
    """One at a time, so that a folder of many files takes no memory. What cannot be listed is empty."""
    try:
        with os.scandir(folder) as found:
            for each in found:
                yield each.name
    except ours(OSError):
        return


def scan(folder: str) -> Iterator[tuple[str, int, float]]:
    """Name, size and time of each, one at a time. What cannot be listed is empty."""
    try:
        found = os.scandir(folder)
    except ours(OSError):
        return
    with found:
        for each in found:
            try:
                facts = each.stat(follow_symlinks=False)
            except ours(OSError):
                continue  # delivered meanwhile
            yield each.name, facts.st_size, facts.st_mtime


def sync_folder(path: str) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unlink(path: str) -> bool:
    """Whether it was there and is gone now."""
    try:
        os.unlink(path)
    except ours(OSError):
        return False
    return True


def reason(error: OSError) -> str:
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return (error.strerror or type(error).__name__) + where
