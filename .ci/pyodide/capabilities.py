"""A plugin of pytest for Pyodide: skips a test that needs what WebAssembly lacks, with what it lacks as the reason.

A test is skipped because it has failed and used the missing capability; by its name only where that cannot be noticed.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Part of the message of an error → what is missing.
MISSING = {
    "'_multiprocessing'": "no processes",
    "emscripten does not support processes": "no processes",
    "too large to convert to C long": "no 64-bit long",
    "has no attribute 'link'": "no hard links",
    "has no attribute 'mkfifo'": "no named pipes",
    "WebAssembly stack switching": "no event loop that blocks",
}
BY_NAME = {
    "test_files_that_cannot_be_read_are_named_with_the_reason": "opens symbolic links that it must not follow",
    "test_a_file_grows[in memory]": "counts no blocks of a file",
}

#: What the running test has tried in vain.
tried: set[str] = set()


def _noticing(module: Any, name: str, what: str) -> None:
    original = getattr(module, name, None)
    if original is None:
        return

    def call(*args: Any, **kwargs: Any) -> Any:
        tried.add(what)
        return original(*args, **kwargs)

    setattr(module, name, call)


for module, name in ((_thread, "start_new_thread"), (threading, "_start_joinable_thread")):
    _noticing(module, name, "no threads")
_noticing(os, "fork", "no processes")
_noticing(os, "kill", "every process number exists")
_noticing(__import__("socket"), "socketpair", "no sockets")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[Any]:
    tried.clear()
    try:
        return (yield)
    except Exception as error:
        text = str(error)
        tried.update(reason for part, reason in MISSING.items() if part in text)
        if pyfuncitem.name in BY_NAME:
            tried.add(BY_NAME[pyfuncitem.name])
        if tried:
            pytest.skip(", ".join(sorted(tried)))
        raise


class _Nothing:
    """A selector without sockets, which only waits."""

    def select(self, timeout: float | None) -> tuple[()]:
        time.sleep(timeout or 0)
        return ()


class Loop(asyncio.BaseEventLoop):
    """An event loop without sockets and other threads. Pyodide's own is the browser's: none can be run to its end."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Nothing()

    def _process_events(self, events: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


asyncio._set_running_loop(None)
asyncio.new_event_loop = asyncio.events.new_event_loop = Loop
