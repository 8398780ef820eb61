"""Notices the files that `runpy` reads, so that a program which it runs as `__main__` is followed (`main_module`).

A file of its own: each process that `python -m` starts has `runpy`, and few of them run a file that a monitor names.
"""

import os

from ...base import places
from ...base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from types import CodeType
    from typing import Any


class FileReader:
    """Replaces runpy's function that reads files: `run_path` runs next what it has read.

    Processes that multiprocessing spawns run the program of their parent in the same way.
    """

    def __init__(
        self,
        runpy: "Any",
        wanted: "Container[str]",
        follow: "Callable[[CodeType], None]",
        swallow: "Callable[[str], None]",
    ) -> None:
        self._runpy = runpy
        self._original = runpy._get_code_from_file
        self._wanted = wanted
        self._follow = follow
        self._swallow = swallow
        runpy._get_code_from_file = self

    def __call__(self, *arguments: "Any") -> "Any":
        read = self._original(*arguments)
        try:
            file = os.fsdecode(arguments[-1])
            if any(name in self._wanted for name in ["__main__", *places.program_names(file)]):
                self._follow(read[0] if type(read) is tuple else read)  # with the file's name, before 3.12
        except ours(Exception):
            self._swallow("following what runpy runs")
        return read

    def undo(self) -> None:
        if self._runpy._get_code_from_file is self:
            self._runpy._get_code_from_file = self._original
