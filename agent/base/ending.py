"""What runs at the end of a process, without changing how it ends.

CPython remembers that a program was left by Ctrl-C, so as to end by SIGINT, and forgets it as soon as any thread runs
source text. `namedtuple` and `dataclass` do: to import almost anything, for a delivery at exit, would make a shell loop
go on that Ctrl-C should have stopped.
"""

import sys

from .interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def at_exit(work: "Callable[[], object]") -> None:
    """Have `work` done when the process ends, before what was registered until now."""
    import atexit

    atexit.register(_run, work)


def _run(work: "Callable[[], object]") -> None:
    known = len(sys.modules)
    try:
        work()
    finally:
        if len(sys.modules) != known and _was_left_by_ctrl_c():
            try:
                exec("raise KeyboardInterrupt", {})  # noqa: S102  (what leaves source text with this is what CPython remembers)
            except ours(KeyboardInterrupt):
                pass


def _was_left_by_ctrl_c() -> bool:
    trace = getattr(sys, "last_traceback", None)
    if getattr(sys, "last_type", None) is not KeyboardInterrupt or trace is None or trace.tb_frame.f_back is not None:
        return False
    return not (sys.flags.interactive or hasattr(sys, "ps1"))  # at a prompt it ends a line of input only
