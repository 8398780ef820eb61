"""What is different in a Python that the agent was not tested with: later than 3.15, a prerelease, or free-threaded."""

import sys

from ..hook.code import inject

#: Counting takes no lock: without the interpreter's own, calls would be lost. Nothing is injected there either.
FREE_THREADED = "t" in getattr(sys, "abiflags", "")

#: The bytecode of 3.15, as of its first release candidate.
_OF_315 = 3666


def is_known() -> bool:
    if sys.version_info[:2] >= (3, 15):
        import _imp

        magic: int = getattr(_imp, "pyc_magic_number_token", 0)
        return sys.version_info[:2] == (3, 15) and magic & 0xFFFF == _OF_315
    return True


#: Whether the agent was not tested with this Python.
UNTESTED = FREE_THREADED or not is_known()


def settle(injects: bool) -> "list[str]":
    """Inject nothing, unless the process that compiled the plan has seen that it works. Return notes for `status`."""
    if not UNTESTED:
        return []
    inject.AVAILABLE = inject.AVAILABLE and injects
    version = "%d.%d" % sys.version_info[:2] + " (free-threaded)" * FREE_THREADED
    how = "as on tested versions, after a check" if inject.AVAILABLE else "with trampolines"
    rest = "; calls are not counted" if FREE_THREADED else ""
    return [f"Python {version} was not tested with this release: functions are monitored {how}{rest}"]
