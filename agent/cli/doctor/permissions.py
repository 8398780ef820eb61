"""May a user read, write or enter a path? By owner, group and mode; access lists are not looked at."""

from __future__ import annotations

import os
from functools import lru_cache


@lru_cache(maxsize=64)
def _groups(user: int) -> frozenset[int]:
    try:
        import pwd

        entry = pwd.getpwuid(user)
        return frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
    except (ImportError, KeyError, OSError):
        return frozenset()


def may(user: int, path: str, rights: int) -> bool:
    """`rights`: 4 to read, 2 to write, 1 to enter, or their sum. False also where the path does not exist."""
    path = os.path.realpath(path)
    above = os.path.dirname(path)
    while True:
        if not _allows(user, above, 1):
            return False
        if above == os.path.dirname(above):
            break
        above = os.path.dirname(above)
    return _allows(user, path, rights)


def _allows(user: int, path: str, rights: int) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    if user == 0:
        return True
    shift = 6 if status.st_uid == user else 3 if status.st_gid in _groups(user) else 0
    return status.st_mode >> shift & rights == rights


def existing(path: str) -> str:
    """The path, or the nearest folder above it that exists."""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path
