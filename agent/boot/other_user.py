"""Before root's server forks: what its workers, which become somebody else, could not read themselves."""

import os
import sys

from ..base import places
from ..base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan.file import PlanFile

#: What a report needs of ours, and with it of the standard library.
_NEEDED = (
    "boot.engine",
    "hook.targets.apply",
    "hook.code.inject",
    "hook.code.trampoline",
    "observe.call.probe",
    "observe.call.terms",
    "deliver.sink",
    "measure.store",
    "measure.tallies",
    "measure.tally",
    "base.own_folders",
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
        waiting = next((each for each in sys.meta_path if type(each).__module__ == "_erp_agent.boot.lookout"), None)
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
        from ..base import guard

        guard.swallow("preparing for another user")


def _hold(known: "PlanFile") -> None:
    from ..plan.file import Unreadable

    try:
        known.hold(places.SMALL_PLAN)
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
