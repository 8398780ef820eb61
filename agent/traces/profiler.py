"""Profiles of traces: where the threads of a trace are, looked at 101 times a second while it goes on.

One thread looks, and lives only while a profiled trace does. It keeps code objects, line numbers and names of modules:
no frame outlives a look, and nothing of the host's values is read. Of an asyncio program it sees what the thread of the
loop runs, whoever that is for. Where gevent or eventlet have patched threads there is no profile: a greenlet cannot
look at the one that runs. A forked child has none.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from types import BuiltinFunctionType
from typing import TYPE_CHECKING

from ..base import clocks, guard
from ..base.interrupts import ours
from ..deliver.background.worker import Worker
from ..observe.call import callers, stacks
from ..observe.event import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import CodeType, FrameType

    from ..deliver.background.worker import State

    #: All that is kept of a frame: its code, the line in it, the name of its module and that module's file.
    Place = tuple[CodeType, int, str | None, str | None]

#: Looks a second. Not 100, so as not to keep step with what a program does at regular intervals.
FREQUENCY = 101

LONGEST = 30.0  # seconds of a profile: Relay refuses more
DEEPEST = 128  # frames of a stack, from the innermost on
FEWEST = 2  # samples: Relay refuses fewer
_MOST_THREADS = 16
MOST_FRAMES = 200_000  # in all stacks of one profile
_MOST_PROFILES = 20  # at a time


GREENLETS = "no trace is profiled: gevent or eventlet have patched threads; set sentry.profiles_sample_rate to 0"


class Profile:
    """The samples of one trace."""

    __slots__ = ("_codes", "_frames", "_known", "_numbers", "began", "full", "idents", "pid", "places", "samples",
                 "stacks", "thread")  # fmt: skip

    def __init__(self, began: float, idents: Callable[[], Iterable[int]]) -> None:
        """`began` is of `perf_counter`. `idents` returns the threads of the trace, which begins in this one."""
        self.began = began
        self.idents = idents
        self.thread = get_ident()
        self.pid = os.getpid()
        self.places: list[Place] = []
        self.stacks: list[tuple[int, ...]] = []  # numbers of places, innermost first
        self.samples: list[tuple[float, int, int]] = []  # seconds since it began, thread, number of a stack
        self.full = False
        self._frames = 0
        self._codes: list[CodeType] = []  # held, so that an id stays that of one code object
        self._known: dict[tuple[int, int], int] = {}  # id of a code object, line → number of the place; -1: left out
        self._numbers: dict[tuple[int, ...], int] = {}  # of stacks

    def take(self, now: float, frames: Mapping[int, FrameType], own: Callable[[CodeType], bool]) -> None:
        """Note where the threads are. `own` is true of code that is left out."""
        elapsed = now - self.began
        self.full = self.full or elapsed > LONGEST or self._frames > MOST_FRAMES
        if self.full:
            return
        for ident in list(dict.fromkeys(self.idents()))[:_MOST_THREADS]:
            found = tuple(self._stack(frames.get(ident), own))
            if found:
                number = self._numbers.setdefault(found, len(self.stacks))
                if number == len(self.stacks):
                    self.stacks.append(found)
                    self._frames += len(found)
                self.samples.append((elapsed, ident, number))

    def _stack(self, frame: FrameType | None, own: Callable[[CodeType], bool]) -> Iterator[int]:
        known = self._known
        for _ in range(DEEPEST):
            if frame is None:
                return
            code, line = frame.f_code, frame.f_lineno or 0
            key = (id(code), line)
            number = known.get(key)
            if number is None:
                self._codes.append(code)
                number = known[key] = -1 if own(code) else len(self.places)
                if number >= 0:
                    self.places.append((code, line, *stack.module_of(frame)))
            if number >= 0:
                yield number
            frame = frame.f_back

    @property
    def is_valid(self) -> bool:
        """Whether Sentry takes it: a trace shorter than two looks has nothing to show, nor has a forked child."""
        return self.pid == os.getpid() and len(self.samples) >= FEWEST


class Sampler(Worker):
    """The thread that looks, for all profiles of a process."""

    def __init__(self, clock: Callable[[], float] = clocks.perf_counter) -> None:
        super().__init__("profiling")
        self._clock = clock
        self.profiles: dict[int, Profile] = {}

    def begin(self, profile: Profile) -> bool:
        """Follow this profile; return whether it is. Too many at a time would make each look a long one."""
        if len(self.profiles) >= _MOST_PROFILES:
            return False
        self.profiles[id(profile)] = profile
        self.wake()
        return True

    def end(self, profile: Profile) -> None:
        self.profiles.pop(id(profile), None)

    def after_fork(self) -> None:
        self.profiles = {}
        super().after_fork()

    def look(self) -> None:
        """Take a sample for each profile. The frames are gone when this returns."""
        with stacks.of_others:
            frames = sys._current_frames()
            now = self._clock()
            for profile in list(self.profiles.values()):
                profile.take(now, frames, callers.own_code)
                if profile.full:
                    self.end(profile)

    def serve(self, state: State) -> None:
        state.gate.acquire(False)
        due = self._clock()
        while self.profiles and not state.stopping():
            try:
                self.look()
            except ours(Exception):
                guard.swallow("profiling")
            now = self._clock()
            due = max(due + 1 / FREQUENCY, now)  # no look is made up for
            state.pause(due - now)


def threads_are_greenlets() -> bool:
    """Whether gevent or eventlet have patched threads, as they may at any time."""
    return type(sys.modules["_thread"].start_new_thread) is not BuiltinFunctionType


class Profiles:
    """Which traces of this process are profiled. `note` is called once with what `status` is to show."""

    def __init__(self, rate: float, note: Callable[[str], None]) -> None:
        self._rate = rate
        self._note = note
        self.sampler = Sampler()
        self._in_threads = True

    def begin(self, began: float, idents: Callable[[], Iterable[int]]) -> Profile | None:
        """A sampled trace begins in this thread; None where it is not profiled. See `Profile`."""
        if int.from_bytes(os.urandom(4), "big") >= self._rate * (1 << 32):
            return None
        if threads_are_greenlets():
            if self._in_threads:
                self._in_threads = False
                self._note(GREENLETS)
            return None
        made = Profile(began, idents)
        return made if self.sampler.begin(made) else None

    def end(self, profile: Profile) -> None:
        self.sampler.end(profile)

    def after_fork(self) -> None:
        self.sampler.after_fork()

    def close(self) -> None:
        self.sampler.close(0.0)
