"""What looks once a second (budgets, a changed configuration) does so in one thread at a time."""

import os
import threading

import pytest

from agent.boot.bootstrap import Turn


def test_no_other_plan_comes_into_force_while_budgets_exchange_monitors():
    turn, done = Turn(), []

    def exchanging():
        other = threading.Thread(target=turn.take, args=(lambda: done.append("another thread"),))
        other.start()
        other.join()
        turn.take(lambda: done.append("within"))  # an exchange may call what is counted
        done.append("exchanged")

    turn.take(exchanging)
    turn.take(lambda: done.append("afterwards"))
    assert done == ["exchanged", "afterwards"]


def test_what_a_time_limit_ends_is_not_the_last_one():
    turn, done = Turn(), []
    with pytest.raises(KeyError):
        turn.take({}.popitem)
    turn.take(lambda: done.append("afterwards"))
    assert done == ["afterwards"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_is_forked_meanwhile_has_a_turn_of_its_own():
    turn, done = Turn(), []

    def forking():
        child = os.fork()
        if not child:
            turn.take(lambda: done.append("child"))
            os._exit(len(done))
        done.append(os.WEXITSTATUS(os.waitpid(child, 0)[1]))

    turn.take(forking)
    assert done == [1]
