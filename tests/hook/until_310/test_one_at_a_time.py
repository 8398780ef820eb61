"""Calls have one turn at a time, whichever thread makes them in the end; and a turn that is lost is found again."""

import threading

import pytest

from agent.hook.until_310.one_at_a_time import Turns
from agent.measure.tallies import Tallies
from agent.measure.tally import Tally


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def turns(now):
    return Turns(lambda: now[0])


class Held:
    """A thread that is at its work until the block is left."""

    def __init__(self, turns):
        self.there, self.goes_on = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=turns(self.wait))

    def wait(self):
        self.there.set()
        assert self.goes_on.wait(10)

    def __enter__(self):
        self.thread.start()
        assert self.there.wait(10)

    def __exit__(self, *_):
        self.goes_on.set()
        self.thread.join()


def test_who_finds_another_at_it_leaves_the_call_to_that_one(turns):
    made = []
    note = turns(lambda number: made.append((number, threading.get_ident())))
    held = Held(turns)
    with held:
        note(1)
        note(2)
        assert made == []
    assert made == [(1, held.thread.ident), (2, held.thread.ident)]


def test_a_turn_that_takes_long_is_not_given_to_another(turns, now):
    """However many calls are left, and however long."""
    made = []
    note = turns(made.append)
    with Held(turns):
        for number in range(3000):
            now[0] += 1.0
            note(number)
        assert made == []
    assert made == [*range(3000)]


def test_one_that_an_exception_has_struck_is_given_to_the_next(turns, now):
    made = []
    note = turns(made.append)
    turns.turn.acquire()  # and is not in it
    note(1)
    now[0] += 11.0
    note(2)
    assert made == [1, 2]


def test_so_is_one_of_a_thread_that_has_gone_on(turns, now):
    made = []
    note = turns(made.append)
    turns.turn.acquire()
    gone = threading.Thread(target=lambda: setattr(turns, "whose", threading.get_ident()))
    gone.start()
    gone.join()
    note(1)
    now[0] += 11.0
    note(2)
    assert made == [1, 2]


def test_a_call_that_is_left_is_counted_with_its_own_duration(turns):
    seconds = [5.0]
    tallies = Tallies()
    tallies.clock = lambda: seconds[0]
    tallies.due = 1e9
    tally = Tally(tallies, {"module": "shop", "name": "f"}, "f")
    count = turns(Tally.count, Tally.count_later)
    with Held(turns):
        seconds[0] = 7.0
        count(tally, 5.0)
        count(tally, 0.0)
        seconds[0] = 60.0
    tally.settle_total()
    counts = tally.counts()
    assert (counts.calls, counts.untimed, counts.total, counts.longest) == (2, 1, 2.0, 2.0)
