"""Reads, writes and removes files that only their owner may access, without following links."""

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

    from ..quick.calls import FileCalls

_LOG_FILE = OLD_FILE | os.O_APPEND | os.O_CREAT
LARGEST = 16 << 20  # bytes of a file that is read, unless the caller has a limit


class UnreadableError(AgentError):
    """A file of the spool is torn or not ours; the text is the reason for its quarantine."""


def write_new(path: str, data: bytes, *, durable: bool = False, calls: FileCalls = os) -> None:
    """Write all of it or, if an exception is raised, nothing."""
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
                calls.close(descriptor)  # a full network disk may report it only here
    except BaseException:  # a time limit of the host may interrupt it
        if descriptor >= 0:
            unlink(path)
        raise


def append(path: str, data: bytes) -> int:
    """Append to a file, which is made if necessary. Return its length. Raises OSError."""
    descriptor = -1
    try:
        descriptor = os.open(path, _LOG_FILE, 0o600)
        os.write(descriptor, data)
        return os.fstat(descriptor).st_size
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def read_own(path: str, largest: int = LARGEST) -> bytes | None:
    """Return None if there is no such file. Raises OSError, and UnreadableError for what is not our regular file."""
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
    """Yield one name at a time, so that a large folder takes no memory. A folder that cannot be listed is empty."""
    try:
        with os.scandir(folder) as found:
            for each in found:
                yield each.name
    except ours(OSError):
        return


def scan(folder: str) -> Iterator[tuple[str, int, float]]:
    """Yield name, size and time of modification, one file at a time. A folder that cannot be listed is empty."""
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
    """Return whether it existed and is removed now."""
    try:
        os.unlink(path)
    except ours(OSError):
        return False
    return True


def reason(error: OSError) -> str:
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return (error.strerror or type(error).__name__) + where
