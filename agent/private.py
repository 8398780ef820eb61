"""Folders that belong to this user alone: the one place that makes and checks them."""

import os


def make(folder: str) -> None:
    """Make `folder`, and what is missing above it, with mode 0700. Raises OSError where it is not, or not our own."""
    _make(folder)
    if check_own(folder).st_mode & 0o077:
        os.chmod(folder, 0o700)


def check_own(folder: str) -> os.stat_result:
    """Raises OSError for what is missing, no folder, a link to one, or somebody else's."""
    import errno
    import stat

    facts = os.lstat(folder)
    if stat.S_ISLNK(facts.st_mode):
        raise OSError(errno.ELOOP, "is a symbolic link, which is not followed", folder)
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is not a folder", folder)
    if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"belongs to uid {facts.st_uid}, not to uid {os.geteuid()}", folder)
    return facts


def _make(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass  # also where another process makes the same folders at this moment
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if above == folder or os.path.isdir(above):  # /proc, say: nothing can be made there
            raise
        _make(above)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
