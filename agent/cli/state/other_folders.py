"""Other state folders of a configuration: of other users, such as a server's workers, or with another AGENT_STATE_DIR.

Only names are listed and nothing is read: another user's files are not to be trusted by a command of root.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from typing import NamedTuple

from ...base import places
from ...deliver.spool import files
from ..terminal import counted


class Other(NamedTuple):
    folder: str
    user: int
    processes: int
    events: int

    def line(self, command: str) -> str:
        """What is there, and how to look at it."""
        found = f"{counted(self.events, 'event')} and {counted(self.processes, 'process', 'processes')} of"
        python = shlex.quote(os.path.basename(sys.executable or "python"))
        as_user = "" if self.user == places.user else f"runuser -u {user_name(self.user)} -- "
        base = shlex.quote(os.path.dirname(self.folder))
        words = f"AGENT_STATE_DIR={base} {as_user}{python} -m agent {command}"
        return f"{found} {user_name(self.user)} in {self.folder}; to look: {words}"

    def hint(self) -> str:
        """How to look at a folder that this user may not read."""
        name = user_name(self.user)
        return f"user {name} has a state folder of this configuration, {self.folder}: run this command as {name}"


def readable(config: str, state: str) -> list[Other]:
    """Folders that hold something and that this user may read: all users' for root, else the user's own."""
    found = (other for other in _others(config, state) if not places.user or other.user == places.user)
    return [other for other in found if other.processes or other.events]


def unreadable(config: str, state: str) -> list[Other]:
    """Folders of other users, where the user is not root."""
    return [other for other in _others(config, state) if places.user and other.user != places.user]


def _others(config: str, state: str) -> Iterator[Other]:
    for folder in sorted({*_candidates(config, state)} - {state}):
        try:
            facts = os.lstat(folder)
        except OSError:
            continue
        if facts.st_mode & 0o170000 != places.FOLDER:
            continue
        processes = _number(os.path.join(folder, "run"), ".state")
        events = sum(_number(os.path.join(folder, "spool", part), ".envelope") for part in ("new", "held"))
        yield Other(folder, facts.st_uid, processes, events)


def _number(folder: str, ending: str) -> int:
    return sum(name.endswith(ending) for name in files.names_in(folder))


def _candidates(config: str, state: str) -> Iterator[str]:
    usual = places.state_folder({**os.environ, "AGENT_STATE_DIR": ""}, config)
    homes = (os.path.join(home, ".local", "state", "erp-sentry-agent") for home in _homes())
    name = re.compile(re.escape(places.folder_name(config)) + r"(-\d+)?")
    for base in (os.path.dirname(state), os.path.dirname(usual), *homes, *_shared()):
        yield from (os.path.join(base, each) for each in files.names_in(base) if name.fullmatch(each))


def _shared() -> Iterator[str]:
    """`places.shared_base` of every user."""
    above, beginning = os.path.split(places.SHARED)
    for each in files.names_in(above):
        if each.startswith(beginning) and each[len(beginning) :].isdigit():
            yield os.path.join(above, each)


def _homes() -> list[str]:
    try:
        import pwd
    except ImportError:
        return []
    return [each.pw_dir for each in pwd.getpwall() if each.pw_dir not in ("", "/", "/nonexistent")]


def user_name(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"#{number}"
