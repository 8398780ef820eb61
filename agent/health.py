"""What this process's agent did and did not do, for `python -m agent status`.

Each process appends lines to a file of its own, `run/PID-STARTED.state`; a process that has nothing to say has no file.
A line is the Python literal of a tuple whose first item names it: process, patched, waiting, failed, problem, counts.
The file is opened for each batch of lines and never kept open: hosts close and reuse file descriptors when they
daemonise, and a line of ours must never land in a file of theirs.
"""

import os
import sys
import time
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEEP = 200  # files of processes that have ended
_FOLD = 1000  # counts that may wait to be added up
_EVERY = 1.0  # seconds between two writings of the counters


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
        self._counted: "list[tuple[tuple[str, str], int]]" = []
        self._folding = allocate_lock()
        self.counts: "dict[tuple[str, str], int]" = {}
        self.unwritable = ""

    def record(self, *line: "Any") -> None:
        """Remember one line; `flush` writes it."""
        self._lines.append(line)

    def count(self, reason: str, what: str = "", number: int = 1) -> None:
        """Count something that happened: captured, rate, expected, spool-full, … for a monitor or a category."""
        # Appending is atomic, in a signal handler and beside other threads alike; adding to a number is not.
        self._counted.append(((reason, what), number))

    def _fold(self) -> None:
        if not self._folding.acquire(False):
            return  # another thread is at it
        try:
            while self._counted:
                key, number = self._counted.pop()
                self.counts[key] = self.counts.get(key, 0) + number
        finally:
            self._folding.release()

    def flush(self, final: bool = False) -> None:
        """Write what is remembered. Raises nothing."""
        try:
            now = time.time()
            if len(self._counted) > _FOLD or final or now - self._written > _EVERY:
                self._fold()
            if self.counts and (final or self._lines or now - self._written > _EVERY):
                self._lines.append(("counts", now, dict(self.counts)))
                self._written = now
            if not self._lines:
                return
            lines, self._lines = self._lines, []
            self._write(lines, now)
        except OSError as error:
            self.unwritable = str(error)
        except Exception:
            from . import guard

            guard.swallow("writing the state file")

    def _write(self, lines: "list[tuple[Any, ...]]", now: float) -> None:
        pid = os.getpid()
        if pid != self._pid:
            if self._pid:  # a fork: the child says for itself what it inherited
                lines = self._memory + [line for line in lines if line not in self._memory]
            self._pid = pid
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            self._file = os.path.join(self.directory, "%d-%d.state" % (pid, now * 1000))
            prune(self.directory, _KEEP)
            header = ("process", pid, now, _program(), sys.version.split()[0], self._config, self._note)
            lines = [header, *lines]
        self._memory += [line for line in lines if line[0] in ("patched", "waiting", "failed", "problem")]
        text = "".join([repr(line) + "\n" for line in lines])
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(self._file, flags, 0o600)
        try:
            os.write(descriptor, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(descriptor)


def _program() -> str:
    """The program's name, without its arguments: those may hold secrets."""
    arguments = getattr(sys, "argv", None) or getattr(sys, "orig_argv", None) or [""]
    name = os.path.basename(arguments[0]) or os.path.basename(sys.executable or "")
    words = [word for word in arguments[1:2] if word.isidentifier()]
    return " ".join([name, *words])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def prune(directory: str, keep: int) -> None:
    """Remove the oldest files of processes that have ended, down to `keep` files in all."""
    names = [name for name in os.listdir(directory) if name.endswith(".state")]
    if len(names) <= keep:
        return
    names.sort(key=lambda name: name.rpartition("-")[2])
    for name in names[: len(names) - keep]:
        pid = name.partition("-")[0]
        if not pid.isdigit() or not alive(int(pid)):
            try:
                os.unlink(os.path.join(directory, name))
            except OSError:
                continue
