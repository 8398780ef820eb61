"""Folders that belong to this user alone."""

import os


def make(folder: str) -> None:
    """Make `folder`, and what is missing above it, with mode 0700. Raises OSError where it is a link or not our own."""
    _make(folder)
    status = os.lstat(folder)
    if status.st_mode & 0o170000 != 0o040000:
        raise NotADirectoryError(20, "is a link, or not a folder", folder)
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise PermissionError(1, "belongs to another user", folder)
    if status.st_mode & 0o077:
        os.chmod(folder, 0o700)


def _make(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if os.path.isdir(above):  # /proc, say
            raise
        _make(above)
        _make(folder)
