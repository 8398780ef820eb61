"""Where a process writes once it has changed its user: root starts a server, and its workers are somebody else's.

What root has made is root's alone, so such a process has a state folder of its own, as if that user had started it.
"""

import os
import sys

from . import private, start
from .interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .plan import PlanFile

#: The users for whom it was said already that they can write nowhere.
_said: "set[int]" = set()


def state_folder(config: str, state: str) -> str:
    """The folder of the user that this process is now, made if need be; `state` is the one that it had before."""
    environ = dict(os.environ)
    if environ.get("AGENT_STATE_DIR"):  # which may have been meant from another working folder
        environ["AGENT_STATE_DIR"] = os.path.dirname(state)
    user = os.geteuid()
    folder = start.state_folder(environ, config)
    shared = os.path.join(start.shared_base(user), start.folder_name(config))
    reason = ""
    for each in (folder, shared):
        try:
            private.make(each)
        except ours(OSError) as error:
            reason = reason or str(error)
        else:
            return each
    if user not in _said:
        from . import guard

        _said.add(user)
        guard.say(
            f"this process is uid {user} now and can write nowhere, so that events are kept in memory only: {reason}"
        )
    return folder


def spool_folder(directory: "str | None") -> "str | None":
    """`delivery.spool.directory`, where this user may write there; None, which is a folder in the state folder."""
    if directory:
        try:
            private.make(directory)
        except ours(OSError):
            return None
    return directory


#: What a report needs of ours, and with it of the standard library.
_NEEDED = (
    "engine",
    "hook.apply",
    "hook.inject",
    "hook.trampoline",
    "observe.probe",
    "observe.terms",
    "deliver.sink",
    "users",
)

_prepared = False


def before_fork(config: str, state: str) -> None:
    """In a process of root's, before it forks for the first time: what the child could not read as another user.

    That is the plan, which is root's alone. And, where Python itself lies in root's home, all that a report imports.
    """
    global _prepared
    if _prepared or os.geteuid() != 0:
        return
    _prepared = True
    try:
        waiting = next((each for each in sys.meta_path if type(each).__module__ == "_erp_agent.lookout"), None)
        if waiting is not None:
            _hold(waiting.plan)  # type: ignore[attr-defined]
        if all(map(_others_may_read, (os.__file__, __file__))):
            return
        from . import bootstrap

        bootstrap.begin(config, state, instead_of=waiting)  # type: ignore[arg-type]
        if bootstrap.current is not None:
            bootstrap.current.engine()
            for name in _NEEDED:
                __import__("_erp_agent." + name)
    except ours(Exception):
        from . import guard

        guard.swallow("preparing for another user")


def _hold(known: "PlanFile") -> None:
    from .plan import Unreadable

    try:
        known.hold(start.SMALL_PLAN)
    except ours(Unreadable):
        pass  # replaced meanwhile: the child has a new one made


def _others_may_read(path: str) -> bool:
    while path != os.path.dirname(path):
        try:
            if not os.stat(path).st_mode & (0o001 if os.path.isdir(path) else 0o004):
                return False
        except ours(OSError):
            return False
        path = os.path.dirname(path)
    return True
