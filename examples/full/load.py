"""Many people at once, each in a thread, or one after another; and the times."""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from collections import Counter, defaultdict
from typing import Callable, NamedTuple

from .browser import Answer
from .people import Person


class Figures:
    """What was asked and answered, from any thread."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.ended: float | None = None
        self.broken: Counter[str] = Counter()  # requests without an answer, by what went wrong
        self._lock = threading.Lock()
        self._answers: list[_Answered] = []

    def watch(self, answer: Answer) -> None:
        if not answer.status:
            return
        with self._lock:
            self._answers.append(_Answered(answer.ended, answer.what, answer.status, answer.waited, answer.is_redirect))

    def broke(self, error: Exception) -> None:
        with self._lock:
            self.broken[f"{type(error).__name__}: {error}"] += 1

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.began

    def summary(self, last: float | None = None) -> Summary:
        """Of the `last` seconds, or of all."""
        with self._lock:
            answers = list(self._answers)
        if last is None:
            return Summary.of(answers, self.seconds)
        since = time.monotonic() - last
        return Summary.of([each for each in answers if each.ended > since], min(last, self.seconds))

    def by_what(self) -> list[tuple[str, Summary]]:
        """The most frequent first."""
        groups = defaultdict(list)
        with self._lock:
            for each in self._answers:
                groups[each.what].append(each)
        rows = [(what, Summary.of(answers, self.seconds)) for what, answers in groups.items()]
        return sorted(rows, key=lambda row: (-row[1].times, row[0]))


class _Answered(NamedTuple):
    ended: float
    what: str
    status: int
    waited: float
    is_redirect: bool


class Summary(NamedTuple):
    times: int  # how often something was asked for and came
    requests: int  # the redirects on the way to it included
    rate: float  # requests a second
    median: float  # seconds somebody waited
    p99: float
    statuses: Counter[int]  # of what came

    @classmethod
    def of(cls, answers: list[_Answered], seconds: float) -> Summary:
        came = [each for each in answers if not each.is_redirect]
        waited = sorted(each.waited for each in came)
        return cls(
            len(came),
            len(answers),
            len(answers) / seconds if seconds else 0.0,
            statistics.median(waited) if waited else 0.0,
            waited[min(len(waited) - 1, int(len(waited) * 0.99))] if waited else 0.0,
            Counter(each.status for each in came),
        )


def crowd(people: list[Person], figures: Figures, *, seconds: float, think: float, show: Callable[[], None]) -> None:
    """All at once for so many seconds; `think` is how long they pause between two acts, on average.

    They come to work over the first quarter of it: signing in is meant to be dear. `show` is called five times a second. Ctrl-C ends the load and is passed on.
    """
    over = threading.Event()
    threads = [
        threading.Thread(
            target=_live, args=(person, figures, over, think, seconds / 4 * turn / len(people)), daemon=True
        )
        for turn, person in enumerate(people)
    ]
    figures.began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        while time.monotonic() < figures.began + seconds:
            show()
            time.sleep(0.2)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
        figures.ended = time.monotonic()
    show()


def one_after_another(people: list[Person], turns: int, between: Callable[[], None] = lambda: None) -> None:
    """Each acts once in a turn, in the order given: the same seed asks the same of the same database."""
    for _ in range(turns):
        for person in people:
            person.act()
            between()
    for person in people:
        person.leave()


def _live(person: Person, figures: Figures, over: threading.Event, think: float, late: float) -> None:
    if over.wait(late):
        return
    while not over.wait(person.dice.expovariate(1 / think) if think else 0):
        attempt(person.act, figures)
    attempt(person.leave, figures)


def attempt(act: Callable[[], None], figures: Figures) -> None:
    """A request without a response ends what somebody does, and is noted."""
    try:
        act()
    except (OSError, http.client.HTTPException) as error:
        figures.broke(error)
