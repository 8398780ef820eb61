from __future__ import annotations

import os
import threading

from agent.observe.call import limits
from agent.observe.call.limits import HANDFUL, Escalation, Limiter


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_burst_of_equal_failures_sends_a_handful_and_reports_how_many_were_dropped():
    clock = Clock()
    limiter = Limiter((30, 60.0), clock=clock)
    passed = [number for number in (limiter.admit("same") for _ in range(100_000)) if number is not None]
    assert passed == [0] * HANDFUL + [999, 8_999]  # the 1,000th and the 10,000th that the rate dropped pass too
    clock.now += 2.0
    assert limiter.admit("same") == 100_000 - HANDFUL - 10_000
    assert limiter.admit("same") is None
    clock.now += 2.0
    assert limiter.admit("same") == 1


def test_the_rate_holds_over_time_for_all_keys_together():
    clock = Clock()
    limiter = Limiter((30, 60.0), clock=clock)
    admitted = 0
    for step in range(6_000):
        clock.now += 0.1
        admitted += limiter.admit(step % 10) is not None
    assert 300 <= admitted <= 300 + 30 + 10  # ten minutes


def test_the_first_of_each_kind_passes_whatever_the_rest_did():
    limiter = Limiter((5, 60.0), sample=0.0, clock=Clock(), random=lambda: 0.5)
    assert [limiter.admit(key) for key in ("a", "a", "b", "c", "a")] == [0, None, 0, 0, None]
    flood = Limiter((5, 60.0), clock=Clock())
    assert sum(flood.admit(number) is not None for number in range(1000)) == 10  # the bucket, and as much debt


def test_sampling_keeps_its_share():
    shares = iter([0.05, 0.5, 0.09, 0.99] * 100)
    limiter = Limiter(None, sample=0.1, clock=Clock(), random=lambda: next(shares))
    assert limiter.admit("a") == 0
    assert [limiter.admit("a") for _ in range(4)] == [0, None, 1, None]


def test_what_is_given_back_passes_later():
    limiter = Limiter((30, 60.0), clock=Clock())
    for _ in range(100):
        assert limiter.admit("tried again") == 0
        limiter.give_back("tried again", 0)
    assert [limiter.admit("tried again") for _ in range(HANDFUL + 1)] == [0] * HANDFUL + [None]
    assert sum(limiter.admit(number) is not None for number in range(100)) == 30 - HANDFUL + 30  # and no more than that
    limiter.give_back("unknown", 0)


def test_what_was_suppressed_before_it_is_told_by_the_next():
    clock = Clock()
    limiter = Limiter((1, 60.0), clock=clock)
    assert [limiter.admit("a") for _ in range(3)] == [0, None, None]
    clock.now += 60.0
    assert limiter.admit("a") == 2
    limiter.give_back("a", 2)
    assert limiter.admit("a") == 2


def test_the_first_that_is_sent_passes_the_sample():
    limiter = Limiter(None, sample=0.0, clock=Clock(), random=lambda: 0.5)
    assert limiter.admit("a") == 0
    limiter.give_back("a", 0)
    assert [limiter.admit("a") for _ in range(3)] == [0, None, None]


def test_no_limit():
    limiter = Limiter(None)
    assert all(limiter.admit("a") == 0 for _ in range(1000))


def test_memory_is_bounded_and_forgets_the_oldest():
    clock = Clock()
    limiter = Limiter(None, sample=0.0, clock=clock)  # only the first of each key passes
    for number in range(5_000):
        clock.now += 1
        assert limiter.admit(number) == 0
    remembered = [number for number in reversed(range(5_000)) if limiter.admit(number) is None]
    assert remembered == list(range(4_999, 4_999 - len(remembered), -1))
    assert 250 <= len(remembered) <= 500


def test_threads_lose_no_count():
    clock = Clock()
    limiter = Limiter((1, 1e9), clock=clock)
    limiter.admit("a")
    results: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: results.extend(limiter.admit("a") for _ in range(5_000))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed = [number for number in results if number is not None]
    assert len(results) == 20_000
    assert len(passed) == 2  # the 1,000th and the 10,000th
    clock.now += 5e9  # both were taken on credit
    last = limiter.admit("a")
    assert last is not None
    assert sum(passed) + last == 20_000 - 2


def test_a_fork_while_another_thread_is_inside():
    with limits.lock:
        done = threading.Event()
        status: list[int] = []

        def fork():
            pid = os.fork()
            if pid == 0:
                Limiter((1, 1)).admit("a")
                os._exit(7)
            status.append(os.waitpid(pid, 0)[1])
            done.set()

        threading.Thread(target=fork).start()
        assert done.wait(60)
    assert os.WEXITSTATUS(status[0]) == 7


def test_what_is_expected_passes_once_when_it_comes_too_often_and_again_after_a_calm_period():
    clock = Clock()
    escalation = Escalation(10, 60.0, clock=clock)
    assert [escalation.passes("a") for _ in range(12)] == [False] * 10 + [True, False]
    clock.now += 60.0
    assert not any(escalation.passes("a") for _ in range(100))  # it continues: one has passed already
    clock.now += 60.0
    assert not any(escalation.passes("a") for _ in range(10))
    clock.now += 60.0
    assert [escalation.passes("a") for _ in range(11)][-1]
    assert not any(escalation.passes("another") for _ in range(10))
