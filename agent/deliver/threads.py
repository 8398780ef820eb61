"""The agent's threads take no signal of the host's.

The system gives a signal of the process to any thread that does not block it. A host with one thread relies on that
being its own: it blocks SIGTERM and waits for it in `sigwait`, or sits in a system call that the signal ends. In a
thread of ours, the signal would end the process, or be seen when that system call ends by itself.
"""

import _signal  # type: ignore[import-not-found]  # `signal` makes enumerations, which takes time

from ..base.interrupts import ours

#: Those that a fault of the thread itself raises are for the thread, and end the process where they are blocked.
_FAULTS = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")


def take_no_signals() -> None:
    """For this thread, which is one of ours, from now on."""
    if hasattr(_signal, "pthread_sigmask"):
        faults = {getattr(_signal, name, 0) for name in _FAULTS}
        try:
            _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - faults)
        except ours(OSError):
            pass  # a system that refuses it is one more where a signal may be ours
