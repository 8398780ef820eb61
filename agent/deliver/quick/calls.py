"""The system calls that write a file, chosen so that the calling thread waits as little as possible for the GIL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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


class QuickCalls:
    def __init__(self, on_slow_disk: Callable[[], object]) -> None:
        self._on_slow_disk = on_slow_disk
        self.gil_holding: GilHoldingCalls | None = None  # once `load` found that they can be used

    def load(self, folder: str) -> None:
        """For a thread of ours: takes milliseconds."""
        from . import holding_gil

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
            write(os)
        finally:
            if shortened:
                try:
                    switch_interval.end()
                except BaseException:  # a time limit of the host may interrupt the first one
                    switch_interval.end()
                    raise
