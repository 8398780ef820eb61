"""Starts a program that is no child of the host's: which therefore never meets it in `os.wait`, nor ends with it.

A shell starts it and does not wait for it. It has a session of its own, and no standard stream.
"""

import os

from .interrupts import ours

try:
    # Not those of `os`: gevent's wait in its loop, where other greenlets run meanwhile; and in a worker of gunicorn's,
    # which takes away its handler for children that have ended, for ever.
    from posix import posix_spawn, waitpid
except ours(ImportError):
    posix_spawn = waitpid = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_SHELL = "/bin/sh"
_SIGNALS = (1, 2, 3, 10, 12, 13, 14, 15)  # that the host may ignore, and the program must not

#: Whether this system can do it.
AVAILABLE = posix_spawn is not None


def spawn(arguments: "Sequence[str]", environment: "Mapping[str, str]", descriptor: int) -> None:
    """Start `arguments`, to which the number is appended that `descriptor`, a lock, has there.

    Raises OSError, and NotImplementedError where the system cannot start a session.
    """
    given = 3 if descriptor != 3 else 4
    actions: "list[Any]" = [
        (os.POSIX_SPAWN_DUP2, descriptor, given),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]
    words = ["sh", "-c", '"$@" &', "sh", *arguments, str(given)]
    pid = posix_spawn(_SHELL, words, environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_SIGNALS)
    try:
        waitpid(pid, 0)
    except ours(OSError):
        pass  # the host reaps every child
