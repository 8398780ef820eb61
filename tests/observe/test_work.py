"""What is noted of a piece of work while it goes on. Leaving in other contexts: test_context.py."""

import pytest
from support import no_work

from agent.observe.around import work


@pytest.fixture(autouse=True)
def nothing_is_done():
    no_work()
    yield
    no_work()


def test_the_outcome_is_the_worst_that_was_noted():
    entered = work.enter(object())
    assert entered[0].outcome == work.WELL
    work.note(work.CRASHED)
    work.note(work.ERRORED)
    assert entered[0].outcome == work.CRASHED
    work.leave(entered)
    work.note(work.CRASHED)  # nothing is being done
    assert work.current() is None


def test_one_inside_another_is_noted_for_itself():
    outer = work.enter("request")
    inner = work.enter("another, which serves a part of it")
    work.note(work.ERRORED)
    assert work.current() is inner[0]
    work.leave(inner)
    assert (work.current(), outer[0].outcome) == (outer[0], work.WELL)
    work.leave(outer)
