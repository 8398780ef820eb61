"""Envelopes in a tar file, to be carried to a machine that Sentry can be reached from."""

from __future__ import annotations

import os
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from ..errors import AgentError
from .files import UnreadableError

if TYPE_CHECKING:
    from .names import Entry
    from .spool import Spool


_LARGEST = 256 << 20  # bytes


class Imported(NamedTuple):
    taken: int
    known: int  # lay here already
    refused: list[str]  # member and reason


def pack(spool: Spool, path: str) -> list[Entry]:
    """Write all that lies in the spool to a new file, for its owner alone; answers what is in it. Raises AgentError."""
    beside = f"{path}.{os.getpid()}"
    packed: list[Entry] = []
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w|") as archive:
                packed += [entry for entry in spool.entries() if _add(archive, spool, entry)]
            os.fsync(file.fileno())
        os.link(beside, path)  # unlike a rename it overwrites nothing
    except FileExistsError:
        raise AgentError(f"{path} exists already; nothing was written") from None
    except OSError as error:
        raise AgentError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
    return packed


def _add(archive: tarfile.TarFile, spool: Spool, entry: Entry) -> bool:
    try:
        envelope = spool.read(entry)
    except (OSError, UnreadableError):
        return False  # a sender will set it aside and say why
    if envelope is None:
        return False
    member = tarfile.TarInfo(entry.name)
    member.size, member.mode, member.mtime = len(envelope.data), 0o600, entry.stamp // 10**9
    archive.addfile(member, BytesIO(envelope.data))
    return True


def unpack(spool: Spool, path: str) -> Imported:
    """Take in what `pack` wrote. Nothing is extracted by the archive's own names or rights. Raises AgentError."""
    taken = known = 0
    refused = []
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                try:
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is None:
                        raise UnreadableError("it is not a regular file")
                    if member.size > _LARGEST:
                        raise UnreadableError("it is larger than any envelope")
                    new = spool.adopt(member.name, content.read())
                except UnreadableError as error:
                    refused.append(f"{member.name}: {error}")
                    continue
                taken += new
                known += not new
    except tarfile.TarError as error:
        raise AgentError(f"{path} is not an export of a spool, or is damaged ({error}); {taken} taken in") from None
    except OSError as error:
        raise AgentError(f"{path} could not be taken in whole: {error}; {taken} taken in") from None
    return Imported(taken, known, refused)
