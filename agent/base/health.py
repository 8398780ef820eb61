"""The state file of a process: what its agent did and did not do, for `python -m agent status`.

Each process appends lines to a file of its own, `run/PID-STARTED.state`; without lines there is no file. A line is the
Python literal of a tuple whose first item names it: process, plan (another one is in force: what was before of the next
four kinds does not count), patched, waiting, failed, problem, sdk, client, counts.
The counters are one line, overwritten for as long as it is the last one. They are followed by an empty mapping, and by
one of whether the file is `behind` what was counted, and which expressions have failed.
The file is opened for each batch of lines and never kept open: hosts close and reuse file descriptors when they
daemonise, and a line of ours must not land in a file of theirs.

No thread waits to write counters, so a count is written when it changes: each of the first ones, for a process may be
idle from then on; of a stream of them one each second, and the last at exit.
"""

import os
import sys
from _collections import _count_elements  # type: ignore[import-not-found]
from _thread import allocate_lock

from . import clocks, own_folders, places, programs
from .clocks import monotonic
from .interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LONGEST_PID = 10  # digits
_KEEP = 200  # files of processes that have ended
_AT_ONCE = 256.0  # writings of the counters that may follow one upon the other; one more may each second
_USUAL = 0.00025  # seconds: one that takes longer counts for more
_MOST_EXPRESSIONS = 200

#: Lines about what a plan became of.
_OF_PLAN = ("plan", "patched", "waiting", "failed", "problem", "reduced")

#: From 3.10 on no thread and no signal handler comes between reading an item and writing it: they are let in at calls
#: and loops only. Before, only what is done in C is done in one step.
_ONE_STEP = sys.version_info >= (3, 10)


class Health:
    def __init__(
        self, directory: str, config: str, note: str = "", *, plan: str = "", command: str = "", follows: bool = True
    ) -> None:
        """`plan` identifies the compiled plan, which is exchanged while the process runs if it `follows` a change.

        For a `command` of ours, only `flush` writes.
        """
        self.directory = directory
        self.config = config
        self._note = note
        self._plan = plan
        self._command = command
        self._reload = "auto" if follows else "off"
        self._pid = 0
        self._file = ""
        self._lines: "list[tuple[Any, ...]]" = []
        self._memory: "list[tuple[Any, ...]]" = []  # lines that a forked child must repeat in its own file
        self._left = _AT_ONCE  # writings of the counters that may follow now
        self._calculated = self._calm = monotonic()  # when `_left` was calculated, and when it began to fall
        self._not_before = 0.0  # the next one
        self._last = (-1, 0)  # where the line of counters lies that ends the file, and its length
        self._written: "dict[tuple[str, str], int]" = {}  # the counters in it
        self._files: "dict[str, tuple[str, tuple[int, int], dict[tuple[str, str], int]]]" = {}  # other folders' of it
        self.follow: "Callable[[], object] | None" = None  # called before each writing: may `move` this
        self._writing = allocate_lock()
        self.counts: "dict[tuple[str, str], int]" = {}
        self.expressions: "dict[tuple[str, str], tuple[int, str]]" = {}  # (monitor, which) → how often it failed, why

    def record(self, *line: "Any") -> None:
        """Remember one line; `flush` writes it."""
        self._lines.append(line)

    def restart(self, plan: str) -> None:
        """Another plan is in force: what is recorded of targets and problems from now on replaces what was."""
        self._plan = plan
        self._memory = [line for line in self._memory if line[0] not in _OF_PLAN]
        self._lines = [line for line in self._lines if line[0] not in _OF_PLAN]
        self.record("plan", plan, clocks.time())

    def count(self, reason: str, what: str = "", number: int = 1) -> None:
        """Count something that happened: captured, rate, expected, spool-full, … for a monitor or a category."""
        if _ONE_STEP and (reason, what) in self.counts:
            self.counts[reason, what] += number
        else:
            self.add(reason, what, number)
        if monotonic() >= self._not_before and not self._command:
            self.flush()

    def failed(self, reason: str, monitor: str, expression: str, why: str) -> None:
        """A rule, a capture, an exemption or a provider of context could not be evaluated; counted under `reason`."""
        key = (monitor, expression)
        known = self.expressions.get(key)
        if known is not None or len(self.expressions) < _MOST_EXPRESSIONS:
            self.expressions[key] = (known[0] + 1 if known is not None else 1, why)
        self.count(reason, monitor)

    def add(self, reason: str, what: str = "", number: int = 1) -> None:
        """Count something without writing it."""
        key = (reason, what)
        if _ONE_STEP:
            try:
                self.counts[key] += number
            except ours(KeyError):
                self.counts.setdefault(key, 0)
                self.counts[key] += number
        else:
            _count_elements(self.counts, (key,) * number)

    def due(self) -> float:
        """Seconds until counters may be written again; 0 if they may now."""
        return max(0.0, self._not_before - monotonic())

    def flush(self, final: bool = False, calls: "Any" = os) -> bool:
        """Write what is remembered. Return whether nothing is left to write. Raises nothing.

        `calls`: `os`, or what stands in for it where a file is written.
        """
        # A lock is never waited for: a signal handler may have interrupted its holder in this very thread.
        if not self._writing.acquire(final, 0.1 if final else -1):
            return False  # another thread writes; what it misses is written with the next report, or at exit
        try:
            if self.follow is not None:
                self.follow()
            began = monotonic()
            lines, self._lines = self._lines, []
            due = final or began >= self._not_before
            if not lines and not (due and self.counts):
                return due
            pause = self._pause(began) if due and not final else 0.0
            self.write(lines, dict(self.counts), clocks.time(), calls, behind=pause > 0)
            now = monotonic()
            self._left -= max(1.0, (now - began) / _USUAL)
            self._not_before = now + pause
            return due
        except ours(OSError) as error:
            self._not_before = monotonic() + 1.0
            if issubclass(type(error), FileNotFoundError):
                self._file = ""  # somebody removed it: the next writing makes another, with all that is so
        except ours(Exception):
            from . import guard

            guard.swallow("writing the state file")
        finally:
            self._writing.release()
        return False

    def _pause(self, now: float) -> float:
        """Return the seconds to wait after the next writing: in a burst, at most as long as it has lasted."""
        self._left = min(_AT_ONCE, self._left + now - self._calculated)
        self._calculated = now
        if self._left > _AT_ONCE / 2:
            self._calm = now
        return max(0.0, min(2.0 - self._left, now - self._calm)) if self._left < 2.0 else 0.0

    def after_fork(self) -> None:
        """In a forked child: what the parent counted and has not written yet is the parent's to write."""
        self._writing = allocate_lock()
        self.counts = {}
        self.expressions = {}
        self._written = {}
        self._files = {}
        self._lines = []
        self._left = _AT_ONCE
        self._not_before = 0.0

    def move(self, directory: str) -> None:
        """Write to another folder: the process is another user's now. What was counted and not written goes along."""
        counts, written = self.counts, self._written
        self._files[self.directory] = (self._file, self._last, written)
        self.directory = directory
        self._file, self._last, self._written = self._files.pop(directory, ("", (-1, 0), {}))
        self.counts = dict(self._written)
        for (reason, what), number in counts.items():
            more = number - written.get((reason, what), 0)
            if more:
                self.add(reason, what, more)

    def write(
        self,
        lines: "list[tuple[Any, ...]]",
        counts: "dict[tuple[str, str], int]",
        now: float,
        calls: "Any",
        *,
        behind: bool,
    ) -> None:
        pid = os.getpid()
        flags = own_folders.OLD_FILE
        if pid != self._pid or not self._file:
            flags |= os.O_CREAT
            if self._pid:  # a fork, or another folder: earlier lines are repeated
                lines = self._memory + [line for line in lines if line not in self._memory]
            self._pid = pid
            self._file = ""
            self._last = (-1, 0)
            own_folders.make(self.directory)
            self._file = os.path.join(self.directory, "%d-%d.state" % (pid, now * 1000))
            prune(self.directory, _KEEP)
            facts = {
                "plan": self._plan,
                "command": self._command,
                "reload": self._reload,
                "born": programs.born(pid),
                "family": family(pid),
                "prefix": sys.prefix,
            }
            header = ("process", pid, now, program(), sys.version.split()[0], self.config, self._note, facts)
            lines = [header, *lines]
        self._memory += [line for line in lines if line[0] in _OF_PLAN]
        text = "".join([repr(line) + "\n" for line in lines]).encode("utf-8", "backslashreplace")
        counted = b""
        if counts:
            more = {"behind": behind, "expressions": dict(self.expressions)}
            counted = repr(("counts", now, counts, {}, more)).encode("utf-8", "backslashreplace") + b"\n"
        descriptor = -1
        try:
            descriptor = calls.open(self._file, flags, 0o600)
            end = calls.lseek(descriptor, 0, os.SEEK_END)
            at, length = self._last
            if not text and at >= 0 and end == at + length:  # counters only grow, so that nothing of the old is left
                calls.lseek(descriptor, at, os.SEEK_SET)
                end, counted = at, counted[:-1].ljust(length - 1) + b"\n"
            calls.write(descriptor, text + counted)
            self._last = (end + len(text), len(counted))
            self._written = counts
        finally:
            if descriptor >= 0:
                calls.close(descriptor)


def program() -> str:
    """The program's name, and its command where it has some (manage.py migrate)."""
    return programs.title_with_command() or os.path.basename(sys.executable or "")


def pid_in(text: str) -> int:
    """The process that part of a file's name stands for; 0, which is none, for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_PID else 0


def family(pid: int) -> str:
    """The same for the processes of one server: the one that forked this one, or had multiprocessing start it."""
    if places.started_in not in (0, pid):
        root = places.started_in
    else:
        root = os.getppid() if programs.is_child(programs.arguments()) else pid
    return "%d@%s" % (root, programs.born(root))


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
