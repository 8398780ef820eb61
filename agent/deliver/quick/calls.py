"""The system calls that write a file, chosen so that the calling thread waits as little as possible for the GIL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...base.clocks import monotonic
from . import switch_interval

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from .holding_gil import GilHoldingCalls

    class FileCalls(Protocol):
        """Functions with which a file is written: the module `os`, or GilHoldingCalls."""

        def open(self, path: str, flags: int, mode: int = ...) -> int: ...
        def write(self, descriptor: int, data: bytes, /) -> int: ...
        def lseek(self, descriptor: int, offset: int, whence: int, /) -> int: ...
        def close(self, descriptor: int) -> None: ...
        def rename(self, old: str, new: str, /) -> None: ...


#: Seconds of a write that has waited for other threads: it takes a tenth of a millisecond.
_WAITED = 0.0005


class QuickCalls:
    def __init__(self, on_slow_disk: Callable[[], object], tick: Callable[[], float] = monotonic) -> None:
        self._on_slow_disk = on_slow_disk
        self._tick = tick
        self.gil_holding: GilHoldingCalls | None = None  # once `load` found that they can be used
        #: Whether a write has waited for other threads, and `load` was not called since: most processes never need it.
        self.worth_loading = False
        self._loaded = False

    def load(self, folder: str) -> None:
        """Takes milliseconds, once."""
        from . import holding_gil

        self.worth_loading, self._loaded = False, True
        if self.gil_holding is None:
            self.gil_holding = holding_gil.load(folder)

    def run(self, size: int, write: Callable[[FileCalls], object]) -> None:
        """Call `write`, which writes so many bytes, with the functions to use."""
        gil_holding = self.gil_holding
        if gil_holding is not None and (began := gil_holding.begin(size)) is not None:
            try:
                write(gil_holding)
            finally:
                if gil_holding.end(began):
                    self._on_slow_disk()
            return
        shortened = True
        try:
            shortened = switch_interval.begin()
            start = self._tick()
            write(os)
            self.worth_loading = not self._loaded and shortened and self._tick() - start >= _WAITED
        finally:
            if shortened:
                try:
                    switch_interval.end()
                except BaseException:  # a time limit of the host may interrupt the first one
                    switch_interval.end()
                    raise
