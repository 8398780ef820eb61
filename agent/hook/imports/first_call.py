"""Tells of the first call of a function, just before it runs, and leaves no trace afterwards.

What a framework needs of us is needed by requests; most processes that import the framework never serve one.
"""

import sys

from ...base.slots import set_traceback, traceback_of
from ..code import patch, trampoline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FunctionType

_BEFORE = trampoline.Features(span=True)


def watch(function: "FunctionType", wake: "Callable[[], None]") -> "patch.Layer":
    """Call `wake` with the first call of `function`, which is itself again by then. Undo through what is answered.

    `wake` raises nothing. It may patch `function`: that counts from the second call on.
    """
    watcher = _Watcher(wake)
    layer = watcher.layer = patch.patch_function(function, watcher)
    return layer


class _Watcher:
    """Has a trampoline only: it is there for one call."""

    layer: "patch.Layer"

    def __init__(self, wake: "Callable[[], None]") -> None:
        self._wake = wake

    def make(self, original: "FunctionType") -> "CodeType":
        return trampoline.build(original, _BEFORE, {"fail": _leave_out, "enter": self._entered, "leave": _nothing})

    def inject(self, code: "CodeType") -> None:
        del code

    def _entered(self) -> None:
        self.layer.undo()
        self._wake()


def _leave_out(_: float) -> None:
    """The host's traceback shows no frame of ours."""
    error = sys.exc_info()[1]
    traceback = traceback_of(error) if error is not None else None
    if trampoline.LEAVES_NO_FRAME and traceback is not None and traceback.tb_frame is sys._getframe(1):
        set_traceback(error, traceback.tb_next)  # type: ignore[arg-type]


def _nothing(*_: object) -> None:
    pass
