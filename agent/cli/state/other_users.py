"""Where else processes of a configuration wrote: as another user, which a server's workers become, or without a home.

Only names are listed here, nothing is read: what lies there is another user's, which root's command does not trust.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, NamedTuple

from ...base import places
from ...base.interrupts import ours
from ...deliver.spool import files

if TYPE_CHECKING:
    from collections.abc import Iterator


class Other(NamedTuple):
    folder: str
    user: int
    processes: int
    events: int

    def line(self, command: str) -> str:
        """What lies there, and how to look at it."""
        words = f"{_number(self.events, 'event')} and {_number(self.processes, 'process')} of {_name(self.user)}"
        as_user = "" if self.user == places.user else f"runuser -u {_name(self.user)} -- "
        base = shlex.quote(os.path.dirname(self.folder))
        python = shlex.quote(os.path.basename(sys.executable or "python"))
        return f"{words} in {self.folder}; to look: AGENT_STATE_DIR={base} {as_user}{python} -m agent {command}"


def look(config: str, state: str) -> list[Other]:
    """The state folders of this configuration beside `state`: all users' where root asks, else the user's own."""
    found = []
    for folder in sorted({*_candidates(state, places.folder_name(config))}):
        try:
            facts = os.lstat(folder)
        except ours(OSError):
            continue
        if (
            facts.st_mode & 0o170000 != places.FOLDER
            or folder == state
            or (places.user and facts.st_uid != places.user)
        ):
            continue
        processes = sum(each.endswith(".state") for each in files.names_in(os.path.join(folder, "run")))
        spool = (os.path.join(folder, "spool", each) for each in ("new", "held"))
        events = sum(each.endswith(".envelope") for where in spool for each in files.names_in(where))
        if processes or events:
            found.append(Other(folder, facts.st_uid, processes, events))
    return found


def _candidates(state: str, name: str) -> Iterator[str]:
    own = os.path.dirname(state)
    for base in (own, *_shared()):
        for each in files.names_in(base):
            if each == name or re.fullmatch(re.escape(name) + r"-\d+", each):
                yield os.path.join(base, each)


def _shared() -> Iterator[str]:
    """`start.shared_base` of every user."""
    above, beginning = os.path.split(places.SHARED)
    for each in files.names_in(above):
        if each.startswith(beginning) and each[len(beginning) :].isdigit():
            yield os.path.join(above, each)


def _number(number: int, what: str) -> str:
    plural = "" if number == 1 else "es" if what.endswith("s") else "s"
    return f"{number} {what}{plural}"


def _name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except ours(KeyError):
        return f"#{user}"
