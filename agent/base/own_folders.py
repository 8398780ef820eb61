"""Folders and files that belong to this user alone: how they are made. `places.open_own` reads them.

A process may have changed its user: root starts a server, and its workers are somebody else's. What root has made is
root's alone, so such a process has a state folder of its own, as if that user had started it.
"""

import os

from . import places

#: A new file: never one that is there already, which may be a pipe, or a link to somebody's file.
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
#: One that is there, without waiting for a reader of a pipe that is in its place.
OLD_FILE = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
#: The users for whom the line that they can write nowhere has been written.
_reported: "set[int]" = set()


def make(folder: str) -> None:
    """Make `folder`, and what is missing above it, with mode 0700. Raises OSError where it is not, or not our own."""
    _make(folder)
    if check_own(folder, others=0).st_mode & 0o077:
        os.chmod(folder, 0o700)
        check_own(folder)  # some file systems give every file all rights


def check_own(folder: str, others: int = 0o022) -> os.stat_result:
    """Raises OSError for what is missing, no folder, a link to one, somebody else's, or gives `others` these rights."""
    facts = os.lstat(folder)
    if facts.st_mode & 0o170000 == 0o120000:
        import errno

        raise OSError(errno.ELOOP, "is a symbolic link, which is not followed", folder)
    places.check_own(facts, places.FOLDER, folder, others)
    return facts


def replace(file: str, data: bytes, mode: int = 0o600) -> None:
    """Write a new file beside it and rename it, so that readers get the old content or the new. Raises OSError."""
    beside = "%s.%d" % (file, os.getpid())
    try:
        os.unlink(beside)
    except places.ours(OSError):
        pass
    descriptor = -1
    try:
        try:
            descriptor = os.open(beside, NEW_FILE, 0o600)
            rest = data
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if mode != 0o600:
                os.fchmod(descriptor, mode)  # whatever the umask is
        finally:
            if descriptor >= 0:
                os.close(descriptor)  # a full network disk may report it only here
        os.replace(beside, file)
    except BaseException:
        try:
            os.unlink(beside)
        except places.ours(OSError):
            pass
        raise


def state_folder(config: str, state: str) -> str:
    """The folder of the user that this process is now, made if need be; `state` is the one that it had before."""
    environ = dict(os.environ)
    if environ.get("AGENT_STATE_DIR"):  # which may have been meant from another working folder
        environ["AGENT_STATE_DIR"] = os.path.dirname(state)
    user = os.geteuid()
    folder = places.state_folder(environ, config)
    shared = os.path.join(places.shared_base(user), places.folder_name(config))
    reason = ""
    for each in (folder, shared):
        try:
            make(each)
        except places.ours(OSError) as error:
            reason = reason or str(error)
        else:
            return each
    if user not in _reported:
        from . import guard

        _reported.add(user)
        guard.write_line(
            f"this process is uid {user} now and can write nowhere, so that events are kept in memory only: {reason}"
        )
    return folder


def spool_folder(directory: "str | None") -> "str | None":
    """`delivery.spool.directory`, where this user may write there; None, which is a folder in the state folder."""
    if directory:
        try:
            make(directory)
        except places.ours(OSError):
            return None
    return directory


def _make(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except places.ours(FileExistsError):
        pass  # also where another process makes the same folders at this moment
    except places.ours(FileNotFoundError):
        above = os.path.dirname(folder)
        if above == folder:
            raise
        if not os.path.isdir(above):
            _make(above)
        try:  # again also where it is there by now: another process has made it, unless nothing can be made in it
            os.mkdir(folder, 0o700)
        except places.ours(FileExistsError):
            pass
