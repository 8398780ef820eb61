"""Wait for the end of a thread of the operating system."""

import os
import sys
import time

_LONGEST = 0.05  # seconds that the system may take to end a thread that has nothing more to do
_FORKS_ARE_WARNED_OF = sys.version_info >= (3, 12)


def await_end(thread: int) -> None:
    """Wait until the thread is gone. Python releases a lock a moment earlier, and a fork from 3.12 on counts threads.

    `thread` is the system's id; 0 for none.
    """
    if not thread or not _FORKS_ARE_WARNED_OF:
        return
    deadline = time.monotonic() + _LONGEST
    while os.path.exists(f"/proc/self/task/{thread}") and time.monotonic() < deadline:
        time.sleep(0.0002)
