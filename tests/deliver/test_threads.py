"""No signal of the host's is delivered to a thread of the agent's."""

from __future__ import annotations

import signal
import threading

import pytest
from support import finishes

from agent.deliver.background.worker import Worker
from agent.deliver.http.transport import ACCEPTED, Outcome
from agent.deliver.send.parallel import ParallelRequests
from agent.deliver.spool.names import make_name, parse_name

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no thread has a mask of signals")

FAULTS = {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP}
#: The system lets nobody block these.
NEVER = {signal.SIGKILL, signal.SIGSTOP}


def blocked():
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def expected():
    return set(map(int, signal.valid_signals() - FAULTS - NEVER))


def test_a_worker_takes_no_signals():
    seen, done = [], threading.Event()

    class Looks(Worker):
        def serve(self, state):
            state.gate.acquire(False)
            seen.append(blocked())
            done.set()

    before = blocked()
    worker = Looks("looking")
    worker.wake()
    finishes(done.wait)
    worker.close(5)
    assert seen == [expected()]
    assert blocked() == before


def test_what_sends_takes_no_signals():
    seen, now = {}, [0.0]

    class Looks:
        def send(self, data):
            seen[threading.get_ident()] = blocked()
            now[0] += 10.0  # so slow that the next one is sent beside it
            return Outcome(ACCEPTED, 200)

        def close(self):
            pass

    before = blocked()
    requests = ParallelRequests(Looks(), Looks, tick=lambda: now[0])
    entry = parse_name(make_name(0, "error", 32 * "0", "t0", slow=False, trying=False))
    requests.send(entry, b"first")
    requests.send(entry, b"beside it")
    requests.wait_for_all()
    assert seen.pop(threading.get_ident()) == before
    assert list(seen.values()) == [expected()]
