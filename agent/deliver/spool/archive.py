"""Exports envelopes to a tar file, and imports them on a machine that can reach Sentry."""

from __future__ import annotations

import os
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from ...base.errors import AgentError
from ...base.interrupts import ours
from ...language.dsn import DsnError, parse_dsn
from ..http.route import decode, found
from .files import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..http.route import Route
    from .names import SpoolEntry
    from .spool import Spool

_LARGEST = 256 << 20  # bytes

#: Envelopes of a client of the host's own are in `clients/NAME/`, after the `route` that they are sent by.
_CLIENTS = "clients"
_ROUTE = "route"


class Imported(NamedTuple):
    taken: int
    known: int  # were in the spool already
    for_clients: int  # of those taken
    refused: list[str]  # member and reason


def pack(spools: list[tuple[str, Spool]], path: str) -> list[tuple[Spool, SpoolEntry]]:
    """Write all envelopes of the spools to a new file, readable by its owner only. Return them. Raises AgentError.

    Each spool is given with the name of its client, "" for the agent's own.
    """
    beside = f"{path}.{os.getpid()}"
    packed: list[tuple[Spool, SpoolEntry]] = []
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w|") as archive:
                for client, spool in spools:
                    packed += [(spool, entry) for entry in _pack_one(archive, client, spool)]
            os.fsync(file.fileno())
        os.link(beside, path)  # unlike a rename it overwrites nothing
    except ours(FileExistsError):
        raise AgentError(f"{path} exists already; nothing was written") from None
    except ours(OSError) as error:
        raise AgentError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
    return packed


def _pack_one(archive: tarfile.TarFile, client: str, spool: Spool) -> list[SpoolEntry]:
    route = found(spool.directory) if client else None
    if client and route is None:
        return []
    prefix = f"{_CLIENTS}/{client}/" if client else ""
    packed: list[SpoolEntry] = []
    for entry in spool.entries():
        try:
            envelope = spool.read(entry)
        except ours(OSError, UnreadableError):
            continue  # a delivery will quarantine it with the reason
        if envelope is None:
            continue
        if route is not None and not packed:
            _add(archive, prefix + _ROUTE, route.abroad().encode(), 0)
        _add(archive, prefix + entry.name, envelope.data, entry.stamp // 10**9)
        packed.append(entry)
    return packed


def _add(archive: tarfile.TarFile, name: str, data: bytes, time: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o600, time
    archive.addfile(member, BytesIO(data))


def unpack(own: Spool, spool_for: Callable[[Route], Spool], path: str) -> Imported:
    """Add what `pack` wrote. Names and modes of the archive are not used for files. Raises AgentError."""
    taken = known = for_clients = 0
    refused = []
    clients: dict[str, Spool] = {}
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                try:
                    data = _content(archive, member)
                    folder, _, name = member.name.rpartition("/")
                    if folder.startswith(_CLIENTS + "/") and name == _ROUTE:
                        clients[folder] = spool_for(_route(data))
                        continue
                    # Any other folder remains in the name, which is then refused.
                    spool, name = (clients[folder], name) if folder in clients else (own, member.name)
                    new = spool.adopt(name, data)
                except ours(UnreadableError) as error:
                    refused.append(f"{member.name}: {error}")
                    continue
                taken += new
                known += not new
                for_clients += new and spool is not own
    except ours(tarfile.TarError) as error:
        raise AgentError(f"{path} is not an export of a spool, or is damaged ({error}); {taken} taken in") from None
    except ours(OSError) as error:
        raise AgentError(f"{path} could not be taken in whole: {error}; {taken} taken in") from None
    return Imported(taken, known, for_clients, refused)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise UnreadableError("it is not a regular file")
    if member.size > _LARGEST:
        raise UnreadableError("it is larger than any envelope")
    return content.read()


def _route(data: bytes) -> Route:
    try:
        route = decode(data)
        parse_dsn(route.dsn)
    except ours(ValueError, DsnError) as error:
        raise UnreadableError(str(error)) from None
    return route.abroad()
