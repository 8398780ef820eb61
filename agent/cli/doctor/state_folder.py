"""The state folder: whose it is, what room is left, what waits in it, and which other users' folders there are."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...base import places
from ...deliver.spool import files
from ...measure import mounts
from ..state import other_folders
from ..state.other_folders import user_name
from ..terminal import counted, size_text
from .finding import FAIL, OK, SKIPPED, WARN, Finding
from .installation import Installation
from .permissions import existing, may

_LEAST_ROOM = 16 << 20  # bytes
_LEAST_INODES = 1000
_FULL = 0.8  # of a spool's bounds
_NETWORK = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "lustre", "afs", "virtiofs")


def check(installation: Installation) -> Iterator[Finding]:
    state = installation.state
    yield from _own(state)
    try:
        yield from _room(installation)
    except OSError as error:
        yield Finding("state-room-unknown", SKIPPED, "the room of the state folder cannot be found out",
                      files.reason(error))  # fmt: skip
    yield from _users(installation)
    if os.path.isdir(state):
        yield _spool(installation)
    for other in other_folders.readable(installation.config, state):
        yield Finding("state-elsewhere", WARN, "another state folder of this configuration holds something",
                      f"{other.folder}: {counted(other.events, 'event')} and "
                      f"{counted(other.processes, 'process', 'processes')} of user {user_name(other.user)}",
                      other.line("status").partition("to look: ")[2])  # fmt: skip
    for other in other_folders.unreadable(installation.config, state):
        yield Finding(
            "state-of-others",
            SKIPPED,
            "another user has a state folder of this configuration",
            f"{other.folder} of {user_name(other.user)}",
            f"run doctor as {user_name(other.user)}",
        )


def _own(state: str) -> Iterator[Finding]:
    there = existing(state)
    me = places.user
    if there == state:
        try:
            places.check_own(os.lstat(state), places.FOLDER, state)
        except OSError as error:
            yield Finding(
                "state-not-own",
                FAIL,
                "the agent does not use the state folder",
                f"{state} {error.strerror}",
                "remove it, or set AGENT_STATE_DIR to a folder of this user",
            )
            return
    if not os.access(there, os.W_OK | os.X_OK):
        what = "it is mounted read-only" if _is_read_only(there) else f"user {user_name(me)} may not write to {there}"
        yield Finding("state-unwritable", FAIL, "the state folder cannot be written", f"{state}: {what}",
                      "set AGENT_STATE_DIR to a folder that this user may write; without one, events are kept in "
                      "memory only")  # fmt: skip
    elif there != state:
        yield Finding("state-new", OK, "the state folder does not exist yet", f"{state}: the first process makes it")
    else:
        yield Finding("state-folder", OK, "the state folder is this user's own and can be written",
                      f"{state}, user {user_name(me)}")  # fmt: skip


def _is_read_only(folder: str) -> bool:
    return hasattr(os, "ST_RDONLY") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _room(installation: Installation) -> Iterator[Finding]:
    if not hasattr(os, "statvfs"):
        return
    there = existing(installation.state)
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize
    wanted = installation.configured.spool_settings["max_size"] if installation.configured else 0
    if free < _LEAST_ROOM:
        yield Finding(
            "disk-full",
            FAIL,
            f"{size_text(free)} are free where the state folder is",
            there,
            "free some space, or set AGENT_STATE_DIR to another file system: events are lost when it is full",
        )
    elif room.f_files and room.f_favail < _LEAST_INODES:
        yield Finding("disk-full", FAIL, f"{counted(room.f_favail, 'inode is', 'inodes are')} free where the state "
                      "folder is", there, "remove small files there: each event is a file")  # fmt: skip
    elif free < wanted:
        words = f"{size_text(free)} are free, and the spool may take {size_text(wanted)}"
        yield Finding("disk-small", WARN, words, there,
                      "free some space, or lower delivery.spool.max_size")  # fmt: skip
    else:
        yield Finding("disk-room", OK, f"{size_text(free)} are free where the state folder is")
    kind = mounts.type_of(there)
    if kind.startswith(_NETWORK):
        yield Finding("state-on-network", WARN, f"the state folder is on a network file system ({kind})", there,
                      "set AGENT_STATE_DIR to a local disk: each event waits for the network")  # fmt: skip


def _users(installation: Installation) -> Iterator[Finding]:
    """Can the ERP's other users write to the folder that AGENT_STATE_DIR names for them?"""
    bases: dict[tuple[int, str], None] = {}
    for process in installation.erp:
        base = (process.environ or {}).get("AGENT_STATE_DIR")
        if process.owner != places.user and base:
            bases[process.owner, os.path.normpath(os.path.join(process.folder, os.path.expanduser(base)))] = None
    for owner, base in bases:
        name = places.folder_name(installation.config)
        own = [os.path.join(base, each) for each in (name, f"{name}-{owner}")]
        if any(_owner(each) == owner for each in own) or may(owner, existing(base), 3):
            continue
        user = user_name(owner)
        yield Finding("state-unwritable-for-user", FAIL, f"user {user} cannot write to its AGENT_STATE_DIR", base,
                      f"give {user}'s processes an AGENT_STATE_DIR of their own")  # fmt: skip


def _owner(folder: str) -> int | None:
    try:
        return os.lstat(folder).st_uid
    except OSError:
        return None


def _spool(installation: Installation) -> Finding:
    settings = installation.configured.spool_settings if installation.configured else None
    folder = (settings["directory"] if settings else None) or os.path.join(installation.state, "spool")
    found = [item for part in ("new", "held") for item in files.scan(os.path.join(folder, part))]
    size = sum(item[1] for item in found)
    words = f"{counted(len(found), 'event or trace', 'events and traces')}, {size_text(size)}"
    if settings and (size > _FULL * settings["max_size"] or len(found) > _FULL * settings["max_files"]):
        return Finding("spool-full", WARN, f"the spool is nearly full: {words}",
                       f"at most {size_text(settings['max_size'])} and {settings['max_files']:,} events; then the "
                       "oldest are dropped", "python -m agent spool status")  # fmt: skip
    return Finding("spool", OK, f"the spool holds {words}")
