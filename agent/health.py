"""What this process's agent did and did not do, for `python -m agent status`.

Each process appends lines to a file of its own, `run/PID-STARTED.state`; a process that has nothing to say has no file.
A line is the Python literal of a tuple whose first item names it: process, patched, waiting, failed, problem, sdk,
client, counts.
The counters stand in one line, written over again while nothing else has been said since; behind them, where metrics
are on, what was measured: monitor → calls, failures, seconds that 50 %, 95 %, 99 % and all of them took at most.
The file is opened for each batch of lines and never kept open: hosts close and reuse file descriptors when they
daemonise, and a line of ours must never land in a file of theirs.
"""

import os
import sys
import time
from _collections import _count_elements  # type: ignore[import-not-found]
from _thread import allocate_lock

from . import private, programs
from .interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LONGEST_PID = 10  # digits
_KEEP = 200  # files of processes that have ended
_EVERY = 1.0  # seconds between two writings of the counters…
_LOOK_EVERY = 5.0  # seconds between two looks at what was measured
_FEW = 40  # …where there are more of them than this: fewer are written with every report, which `os._exit` may follow


#: From 3.10 on no thread and no signal handler comes between reading an item and writing it: they are let in at calls
#: and loops only. Before, only what is done in C is done in one step.
_ONE_STEP = sys.version_info >= (3, 10)


class Health:
    def __init__(self, directory: str, config: str, note: str = "") -> None:
        self.directory = directory
        self._config = config
        self._note = note
        self._pid = 0
        self._file = ""
        self._lines: "list[tuple[Any, ...]]" = []
        self._memory: "list[tuple[Any, ...]]" = []  # lines that a forked child must repeat in its own file
        self._written = 0.0
        self._last = (-1, 0)  # where the line of counters lies that ends the file, and its length
        self._writing = allocate_lock()
        self.counts: "dict[tuple[str, str], int]" = {}
        self.unwritable = ""
        self.measured: "Callable[[], dict[str, Any]] | None" = None  # where metrics are on
        self._rows: "dict[str, tuple[Any, ...]]" = {}
        self._looked = 0.0

    def record(self, *line: "Any") -> None:
        """Remember one line; `flush` writes it."""
        self._lines.append(line)

    def count(self, reason: str, what: str = "", number: int = 1) -> None:
        """Count something that happened: captured, rate, expected, spool-full, … for a monitor or a category."""
        key = (reason, what)
        if _ONE_STEP:
            try:
                self.counts[key] += number
            except ours(KeyError):
                self.counts.setdefault(key, 0)
                self.counts[key] += number
        else:
            _count_elements(self.counts, (key,) * number)

    def flush(self, final: bool = False, calls: "Any" = os) -> None:
        """Write what is remembered. Raises nothing. `calls`: `os`, or what stands in for it where a file is written."""
        # A lock is never waited for: a signal handler may have interrupted its holder in this very thread.
        if not self._writing.acquire(final, 0.1 if final else -1):
            return  # another thread is at it; what it has not seen is written with the next report, or at exit
        try:
            now = time.time()
            due = final or now - self._written > _EVERY or len(self.counts) <= _FEW
            lines, self._lines = self._lines, []
            if self.measured is not None and (final or not self._rows or not 0 <= now - self._looked < _LOOK_EVERY):
                self._looked = now
                self._rows = {name: tuple(measured) for name, measured in self.measured().items()}
            if not lines and not (due and (self.counts or self._rows)):
                return
            self._written = now
            self._write(lines, dict(self.counts), now, calls)
        except ours(OSError) as error:
            self.unwritable = str(error)
        except ours(Exception):
            from . import guard

            guard.swallow("writing the state file")
        finally:
            self._writing.release()

    def after_fork(self) -> None:
        """In a forked child: what the parent counted and has not written yet is the parent's to write."""
        self._writing = allocate_lock()
        self.counts = {}
        self._lines = []
        self._written = self._looked = 0.0
        self._rows = {}

    def _write(
        self, lines: "list[tuple[Any, ...]]", counts: "dict[tuple[str, str], int]", now: float, calls: "Any"
    ) -> None:
        pid = os.getpid()
        if pid != self._pid:
            if self._pid:  # a fork: the child says for itself what it inherited
                lines = self._memory + [line for line in lines if line not in self._memory]
            self._pid = pid
            self._last = (-1, 0)
            private.make(self.directory)
            self._file = os.path.join(self.directory, "%d-%d.state" % (pid, now * 1000))
            prune(self.directory, _KEEP)
            header = ("process", pid, now, _program(), sys.version.split()[0], self._config, self._note)
            lines = [header, *lines]
        self._memory += [line for line in lines if line[0] in ("patched", "waiting", "failed", "problem")]
        said = "".join([repr(line) + "\n" for line in lines]).encode("utf-8", "backslashreplace")
        counted = b""
        if counts or self._rows:
            told = ("counts", now, counts, self._rows) if self._rows else ("counts", now, counts)
            counted = repr(told).encode("utf-8", "backslashreplace") + b"\n"
        descriptor = calls.open(self._file, private.OLD_FILE | os.O_CREAT, 0o600)
        try:
            end = calls.lseek(descriptor, 0, os.SEEK_END)
            at, length = self._last
            if not said and at >= 0 and end == at + length:  # counters only grow, so that nothing of the old is left
                calls.lseek(descriptor, at, os.SEEK_SET)
                end, counted = at, counted[:-1].ljust(length - 1) + b"\n"
            calls.write(descriptor, said + counted)
            self._last = (end + len(said), len(counted))
        finally:
            calls.close(descriptor)


def _program() -> str:
    """The program's name, and its command where the first argument is one (manage.py migrate)."""
    name = programs.title() or os.path.basename(sys.executable or "")
    words = [word for word in getattr(sys, "argv", [])[1:2] if word.isidentifier()]
    return " ".join([name, *words])


def pid_in(text: str) -> int:
    """The process that part of a file's name stands for; 0, which is none, for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_PID else 0


def alive(pid: int) -> bool:
    """Whether there is such a process. 0 and what is below stand for groups of them, and are none."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ours(ProcessLookupError, OverflowError):
        return False
    except ours(OSError):
        return True
    return True


def prune(directory: str, keep: int) -> None:
    """Remove the oldest files of processes that have ended, down to `keep` files in all."""
    names = [name for name in os.listdir(directory) if name.endswith(".state")]
    if len(names) <= keep:
        return
    names.sort(key=lambda name: name.rpartition("-")[2])
    for name in names[: len(names) - keep]:
        if not alive(pid_in(name.partition("-")[0])):
            try:
                os.unlink(os.path.join(directory, name))
            except ours(OSError):
                continue
