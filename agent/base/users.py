"""Where a process writes once it has changed its user: root starts a server, and its workers are somebody else's.

What root has made is root's alone, so such a process has a state folder of its own, as if that user had started it.
"""

import os

from . import own_folders, places
from .interrupts import ours

#: The users for whom the line that they can write nowhere has been written.
_reported: "set[int]" = set()


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
            own_folders.make(each)
        except ours(OSError) as error:
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
            own_folders.make(directory)
        except ours(OSError):
            return None
    return directory
