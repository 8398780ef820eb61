from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from kit import ROOT, Script, envelope, python, through
from receiver import HANG, Answer
from support import at_once, finishes

from agent.deliver.background.sender import Sender
from agent.deliver.courier.run import is_in_vain
from agent.deliver.http import transport
from agent.deliver.http.transport import Outcome
from agent.deliver.send.delivery import Delivery
from agent.deliver.send.flush import Summary, flush
from agent.deliver.send.lock import DeliveryLock
from agent.deliver.send.rate_limits import RateLimits
from agent.deliver.send.resources import to_sentry

HOUR = 3600.0
DOWN = Outcome(transport.UNREACHABLE, 500, "HTTP 500")


def fill(spool, *categories):
    ids = []
    for category in categories:
        one = envelope(category=category)
        ids.append(one.event_id)
        spool.write(one)
    return ids


# ------------------------------------------------------------------------------ the rules, by flush and a turned clock


def test_what_waits_is_delivered_oldest_first_and_removed(kit):
    spool = kit.spool()
    ids = fill(spool, "error", "transaction", "error")
    connection = Script()
    seen = []
    summary = flush(kit.resources(spool, connection), 10, progress=lambda done, total: seen.append((done, total)))
    assert summary == Summary(3, 0, 0, "")
    assert connection.sent == ids
    assert kit.files() == []
    assert kit.counts.all == {("sent", "error"): 2, ("sent", "transaction"): 1}
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_empty_spool_is_flushed_without_creating_anything(kit):
    assert flush(kit.resources(kit.spool(), Script()), 1) == Summary(0, 0, 0, "")
    assert not os.path.exists(kit.directory)


def test_a_category_that_is_limited_waits_and_the_others_go_on(kit, clock):
    spool = kit.spool()
    ids = fill(spool, "transaction", "error", "transaction", "error")
    connection = Script(Outcome(transport.LIMITED, 429, "HTTP 429", {"transaction": 60.0}))
    summary = flush(kit.resources(spool, connection), 30)
    assert connection.sent == [ids[0], ids[1], ids[3]]
    assert summary == Summary(2, 0, 2, "backing off; next attempt in 60 s")
    clock.now += 61
    assert flush(kit.resources(spool, connection), 30).delivered == 2


def test_limits_that_come_with_a_success_are_obeyed_too(kit):
    spool = kit.spool()
    ids = fill(spool, "error", "transaction", "error")
    connection = Script(Outcome(transport.ACCEPTED, 200, "", {"transaction": 60.0}))
    flush(kit.resources(spool, connection), 30)
    assert connection.sent == [ids[0], ids[2]]


def test_a_limit_on_everything_stops_everything_and_other_processes_obey(kit, clock):
    spool = kit.spool()
    ids = fill(spool, "error", "transaction")
    connection = Script(Outcome(transport.LIMITED, 429, "HTTP 429", {"": 60.0}))
    flush(kit.resources(spool, connection), 5)
    assert connection.sent == ids[:1]
    other = Script()
    assert flush(kit.resources(kit.spool(), other), 5).waiting == 2
    assert other.sent == []
    clock.now += 61
    assert flush(kit.resources(kit.spool(), other), 5).delivered == 2


def test_a_clock_set_back_does_not_stretch_a_limit(kit, clock):
    spool = kit.spool()
    fill(spool, "error")
    flush(kit.resources(spool, Script(Outcome(transport.LIMITED, 429, "", {"": 60.0}))), 1)
    clock.now -= 86400 * 365
    assert flush(kit.resources(spool, Script()), 1).delivered == 1


def test_a_rejected_envelope_is_quarantined_with_the_response(kit):
    spool = kit.spool()
    ids = fill(spool, "error", "error")
    connection = Script(Outcome(transport.REJECTED, 413, "HTTP 413: too large"))
    assert flush(kit.resources(spool, connection), 5) == Summary(1, 1, 0, "")
    ((entry, reason),) = spool.quarantined()
    assert (entry.event_id, reason) == (ids[0], "HTTP 413: too large")


def test_a_wrong_dsn_keeps_everything_and_is_not_tried_again_soon(kit, clock):
    spool = kit.spool()
    fill(spool, *["error"] * 5)
    connection = Script(Outcome(transport.REFUSED, 403, "HTTP 403: no such key"))
    assert flush(kit.resources(spool, connection), 600) == Summary(0, 0, 5, "HTTP 403: no such key")
    assert len(connection.sent) == 1


def test_a_courier_does_not_wait_for_a_try_that_would_be_refused_as_well(kit, clock):
    spool = kit.spool()
    fill(spool, *["error"] * 2)
    connection = Script(DOWN, Outcome(transport.REFUSED, 403, "HTTP 403: no such key"))
    delivery = Delivery(kit.resources(spool, connection), should_stop=lambda: False)

    def turn():
        wait = delivery.run()
        clock.now += wait or 0.0
        return wait is not None and is_in_vain(min(wait, 60.0), delivery)

    assert [turn() for _ in range(3)] == [True, False, False]  # the second of the two is refused, then both are sent
    assert spool.is_anything_waiting() is False
    assert is_in_vain(301.0, delivery)  # what Sentry asks for is too long


def test_backoff_doubles_with_jitter_up_to_a_bound_and_loses_nothing(kit, clock):
    spool = kit.spool()
    fill(spool, "error")
    tried = []

    def down(_):
        tried.append(clock.now)
        return DOWN

    connection = Script(*[down] * 14)
    assert flush(kit.resources(spool, connection), 10_000).delivered == 1
    waits = [later - earlier for earlier, later in zip(tried, tried[1:])]
    assert waits[:6] == pytest.approx([0.075, 0.15, 0.3, 0.6, 1.2, 2.4], abs=0.02)
    assert waits[-2:] == pytest.approx([90, 90], abs=1)


def test_a_sentry_that_is_down_is_not_asked_for_each_envelope(kit, clock):
    spool = kit.spool()
    ids = fill(spool, *["error"] * 200)
    connection = Script(*[DOWN] * 1000)
    assert flush(kit.resources(spool, connection), 3600).waiting == 200
    assert len(connection.sent) < 70
    connection.outcomes.clear()
    assert flush(kit.resources(spool, connection), 10).delivered == 200
    assert connection.sent[-200:] == ids


def test_one_envelope_that_always_fails_does_not_delay_the_others(kit):
    spool = kit.spool()
    ids = fill(spool, *["error"] * 4)

    class Choking(Script):
        def send(self, data):
            outcome = super().send(data)
            return DOWN if self.sent[-1] == ids[0] else outcome

    connection = Choking()
    summary = flush(kit.resources(spool, connection), 60)
    assert (summary.delivered, summary.waiting) == (3, 1)
    assert connection.sent[:4] == ids
    assert connection.sent.count(ids[0]) < 12
    assert kit.ids() == ids[:1]


def test_torn_files_are_set_aside_and_the_rest_goes(kit):
    spool = kit.spool()
    fill(spool, "error", "error", "error")
    name = kit.files()[1]
    with open(f"{kit.directory}/new/{name}", "r+b") as file:
        file.truncate(50)
    assert flush(kit.resources(spool, Script()), 5) == Summary(2, 1, 0, "")


def test_a_bad_dsn_delivers_nothing_and_reports_the_reason(kit):
    spool = kit.spool()
    fill(spool, "error")
    summary = flush(kit.resources(spool, dsn="https://sentry.io/1"), 5)
    assert summary.waiting == 1
    assert "no key" in summary.reason


def test_memory_is_delivered_when_the_disk_is_gone(kit):
    kit.directory = "/proc/nowhere/spool"
    spool = kit.spool()
    ids = fill(spool, "error", "transaction")
    connection = Script(DOWN)
    assert flush(kit.resources(spool, connection), 50).delivered == 2
    assert sorted(connection.sent) == sorted([ids[0], *ids])
    assert spool.entries() == []


def test_a_rejected_envelope_in_memory_does_not_stop_the_rest(kit):
    kit.directory = "/proc/nowhere/spool"
    spool = kit.spool()
    fill(spool, "error", "error")
    summary = flush(kit.resources(spool, Script(Outcome(transport.REJECTED, 400, "HTTP 400"))), 50)
    assert summary.delivered == 2 or summary == Summary(1, 1, 0, "")


def test_what_cannot_be_removed_is_not_sent_again_and_again(kit, monkeypatch):
    spool = kit.spool()
    ids = fill(spool, "error", "error", "error")
    connection = Script(Outcome(transport.ACCEPTED, 200), Outcome(transport.REJECTED, 400, "HTTP 400"))
    resources = kit.resources(spool, connection)

    def read_only(*_):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", read_only)
        patched.setattr(os, "rename", read_only)
        summary = flush(resources, 0.05)
        assert connection.sent == ids
        assert summary.delivered == 2
    assert flush(resources, 10).delivered == 1  # the rejected one, which is now accepted
    assert connection.sent == [*ids, ids[1]]
    assert kit.files() == []


def test_flush_waits_for_another_process_and_reports_it(kit, clock):
    spool = kit.spool()
    fill(spool, "error")
    lock = DeliveryLock(kit.directory)
    assert lock.take() is True
    connection = Script()
    assert flush(kit.resources(spool, connection), 3) == Summary(0, 0, 1, "another process is delivering")
    assert connection.sent == []
    lock.release()
    assert flush(kit.resources(spool, connection), 3).delivered == 1


def test_a_damaged_file_of_rate_limits_counts_as_empty(tmp_path, clock):
    path = tmp_path / "rate-limits"
    for text in ("nonsense", "a b c", "! 1", "\xff"):
        path.write_text(text, encoding="utf-8")
        limits = RateLimits(str(tmp_path), clock)
        limits.load()
        assert limits.wait("error") == 0.0


# ------------------------------------------------------------------------------------------------------- the thread


def gone(sender, timeout=60.0):
    """Wait for the thread's end: then its flag can be taken."""
    assert sender.state().alive.acquire(True, timeout)
    sender.state().alive.release()


@pytest.fixture
def live(kit, receiver):
    """Real time, a real receiver."""
    senders = []

    def make(first_backoff=0.02, patience=None, **options):
        spool = kit.spool(clock=time.time)
        resources = to_sentry(spool, receiver.dsn, kit.counts)
        changed = resources._replace(first_backoff=first_backoff, connect=lambda _: resources.connect(patience))
        senders.append(Sender(changed, **{"linger": 0.05, **options}))
        return spool, senders[-1]

    yield make
    for sender in senders:
        sender.close(2)


def test_the_thread_starts_with_the_first_wake_delivers_and_ends(live, receiver, kit):
    spool, sender = live()
    before = set(threading.enumerate())
    ids = fill(spool, *["error"] * 20)
    assert set(threading.enumerate()) <= before
    sender.wake()
    receiver.wait_for(20)
    gone(sender)
    assert sorted(receiver.ids) == sorted(ids)  # on a busy machine the receiver is slow, and sent several at a time
    assert kit.files() == []
    sender.wake()  # with nothing to do
    more = fill(spool, "error")
    sender.wake()
    receiver.wait_for(21)
    assert receiver.ids[-1] == more[0]


@pytest.mark.slow(reason="many threads in turn")
def test_no_wake_up_is_ever_lost_around_the_end_of_the_thread(kit):
    """With a linger of nothing the thread ends all the time, and a wake comes at every point of its end."""
    spool = kit.spool(clock=time.time)
    arrived = threading.Semaphore(0)

    class Connection(Script):
        def send(self, data):
            arrived.release()
            return super().send(data)

    connection = Connection()
    sender = Sender(through(connection, to_sentry(spool, "", kit.counts)), linger=0.0)
    for number in range(1500):
        spool.write(envelope(size=1))
        sender.wake()
        assert arrived.acquire(timeout=60), f"event {number} was never looked at"
    gone(sender)
    assert len(connection.sent) == 1500
    assert spool.entries() == []


class Flag:
    """A lock that lets a test step in at the moments that decide."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.before_release = self.after_release = self.on_refusal = self.on_waiting = lambda: None

    def locked(self):
        return self.lock.locked()

    def acquire(self, blocking=True, timeout=-1):
        if blocking:
            self.on_waiting()
        taken = self.lock.acquire(blocking, timeout) if blocking else self.lock.acquire(False)
        if not taken and not blocking:
            self.on_refusal()
        return taken

    def release(self):
        self.before_release()
        self.lock.release()
        self.after_release()


def flagged(kit, arrived, **options):
    class Connection(Script):
        def send(self, data):
            outcome = super().send(data)
            arrived.release()
            return outcome

    spool = kit.spool(clock=time.time)
    sender = Sender(through(Connection(), to_sentry(spool, "", kit.counts)), **options)
    state = sender.state()
    state.alive, state.gate = Flag(), Flag()
    state.gate.acquire()
    return spool, sender, state


def test_a_wake_just_before_the_thread_releases_its_flag_is_not_lost(kit):
    arrived = threading.Semaphore(0)
    spool, sender, state = flagged(kit, arrived, linger=0.0)

    def last_moment():
        state.alive.before_release = lambda: None
        spool.write(envelope())
        sender.wake()

    state.alive.before_release = last_moment
    sender.wake()
    assert arrived.acquire(timeout=60)


def test_a_wake_that_finds_a_thread_which_then_ends_is_not_lost(kit):
    arrived, lingers, ended = threading.Semaphore(0), threading.Event(), threading.Event()
    spool, sender, state = flagged(kit, arrived, linger=0.3)
    state.gate.on_waiting = lingers.set
    state.alive.after_release = ended.set
    state.alive.on_refusal = lambda: ended.wait(60)
    sender.wake()
    assert lingers.wait(60)
    spool.write(envelope())
    sender.wake()
    assert arrived.acquire(timeout=60)


def test_wakes_from_many_threads_start_one_thread(kit):
    spool = kit.spool(clock=time.time)
    running, most = [], []
    guard = threading.Lock()
    all_sent = threading.Event()

    class Connection(Script):
        def send(self, data):
            with guard:
                running.append(1)
                most.append(len(running))
            outcome = super().send(data)
            with guard:
                running.pop()
                if len(self.sent) == 400:
                    all_sent.set()
            return outcome

    sender = Sender(through(Connection(), to_sentry(spool, "", kit.counts)), linger=0.001)

    def work():
        for _ in range(50):
            spool.write(envelope(size=1))
            sender.wake()

    at_once(8, work)
    assert all_sent.wait(60)
    assert max(most) == 1
    gone(sender)
    assert kit.counts.of("sent") == 400


def test_a_sentry_that_recovers_gets_everything(live, receiver, kit):
    spool, sender = live()
    receiver.program(500, 503, Answer(429, {"Retry-After": "0"}), 500)
    ids = fill(spool, *["error"] * 3)
    sender.wake()
    receiver.wait_for_ids(set(ids))
    gone(sender)
    assert kit.counts.of("sent") == 3


def test_close_lets_a_delivery_finish(live, receiver, kit):
    spool, sender = live(linger=60.0)
    ids = fill(spool, "error", "error")
    sender.wake()
    sender.close(10)
    assert receiver.ids == ids
    assert kit.files() == []
    fill(spool, "error")
    sender.wake()  # after the end nothing starts any more
    assert len(kit.files()) == 1


def test_close_does_not_wait_for_a_sentry_that_hangs(live, receiver, kit):
    spool, sender = live(patience=HOUR)
    receiver.program(default=HANG)
    fill(spool, "error")
    sender.wake()
    receiver.wait_for_requests(1)
    finishes(sender.close, 0.1)
    receiver.release()
    assert len(kit.files()) == 1


def test_close_counts_what_was_only_in_memory_as_lost(live, receiver, kit):
    kit.directory = "/proc/nowhere/spool"
    spool, sender = live()
    receiver.program(default=HANG)
    fill(spool, "error", "transaction")
    sender.wake()
    receiver.wait_for_requests(1)
    sender.close(0.05)
    assert kit.counts.of("lost-at-exit") == 2
    assert spool.entries() == []


def test_close_during_a_backoff_does_not_wait_at_all(live, receiver, kit):
    spool, sender = live(first_backoff=HOUR)
    receiver.program(default=500)
    fill(spool, "error")
    sender.wake()
    receiver.wait_for_requests(1)
    finishes(sender.close, HOUR)
    assert len(kit.files()) == 1


def test_close_without_any_event_does_nothing(kit):
    sender = Sender(kit.resources(kit.spool(), Script()))
    sender.close(10)
    assert not os.path.exists(kit.directory)


def test_no_more_threads_is_no_error(live, kit, monkeypatch):
    spool, sender = live()

    def fail(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("agent.deliver.background.worker.start_new_thread", fail)
    fill(spool, "error")
    sender.wake()
    assert "no thread can be started" in sender.no_thread
    monkeypatch.undo()
    sender.wake()
    gone(sender)
    assert kit.files() == []


def test_a_signal_handler_may_wake_in_the_middle_of_a_wake(live, receiver):
    import signal

    spool, sender = live(linger=0.001)
    ids, within = [], []

    def handler(*_):
        if len(within) > 5:
            return  # on a slow machine the next signal comes before this one is done with, for ever
        within.append(1)
        ids.extend(fill(spool, "error"))
        sender.wake()
        within.pop()

    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.002)
    try:
        while len(ids) < 50:
            sender.wake()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    receiver.wait_for_ids(set(ids))
    assert len(ids) >= 50
    assert sorted(receiver.ids) == sorted(ids), "each once"


def test_a_spool_is_delivered_without_what_lives_in_a_host(kit, receiver):
    """So that a process of its own can deliver: neither the threads of a host nor what makes events is loaded."""
    ids = fill(kit.spool(clock=time.time), "error", "transaction")
    process = python(
        "import sys\n"
        "from agent.deliver.send.flush import flush\n"
        "from agent.deliver.send.resources import to_sentry\n"
        "from agent.deliver.spool.spool import Spool\n"
        "spool = Spool(sys.argv[1], max_size=1 << 26, max_age=1e6, durable=False, count=lambda *_: None)\n"
        "assert flush(to_sentry(spool, sys.argv[2], lambda *_: None), 30).delivered == 2\n"
        "parts = ('agent.deliver.background', 'agent.deliver.sink', 'agent.observe', 'agent.privacy')\n"
        "print(*(name for name in sys.modules if name.startswith(parts)))",
        kit.directory,
        receiver.dsn,
        stdout=subprocess.PIPE,
    )
    assert process.communicate(timeout=60)[0] == b"\n"
    assert process.returncode == 0
    assert receiver.ids == ids


# -------------------------------------------------------------------------------------------- a host, in a process

HOST = """
import sys, os
from agent.deliver.spool.spool import Spool
from agent.deliver.background.sender import Sender
from agent.deliver.send.resources import to_sentry
from kit import envelope, Counts
spool = Spool(sys.argv[1], max_size=1 << 26, max_age=1e6, durable=False, count=Counts())
sender = Sender(to_sentry(spool, sys.argv[2], Counts()))
def event():
    one = envelope()
    assert spool.write(one)
    sender.wake()
    return one.event_id
"""

#: The sender waits for a response for so long that whoever waits for the sender hangs.
PATIENT = """
resources = to_sentry(spool, sys.argv[2], Counts())
sender = Sender(resources._replace(connect=lambda _: resources.connect(3600.0)))
"""


def run(code, *arguments):
    process = python(HOST + code, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), err
    return out


def test_the_hosts_main_thread_stays_the_main_thread(kit, receiver):
    """Before 3.13 whoever imports `threading` first is the main thread; the host here has not imported it."""
    import urllib3

    code = (
        "import sys; assert 'threading' not in sys.modules\n"
        "from agent.deliver.spool.spool import Spool; from agent.deliver.background.sender import Sender\n"
        "from agent.deliver.send.resources import to_sentry\n"
        "from agent.base.model import Envelope\n"
        "spool = Spool(sys.argv[1], max_size=1 << 26, max_age=1e9, durable=False, count=lambda *_: None)\n"
        "sender = Sender(to_sentry(spool, sys.argv[2], lambda *_: None))\n"
        "spool.write(Envelope('a' * 32, 'error', b'{}\\n{\"type\":\"event\"}\\n{}'))\n"
        "sender.wake(); sender.close(20)\n"
        "import threading; print(threading.current_thread() is threading.main_thread(), spool.entries())\n"
    )
    path = os.pathsep.join([ROOT, os.path.dirname(os.path.dirname(urllib3.__file__))])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, kit.directory, receiver.dsn],
        env={"PYTHONPATH": path, "AGENT_TESTING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True []\n", "")


def test_an_unhandled_signal_loses_nothing(kit, receiver):
    import signal

    process = python(
        HOST + "print(event(), flush=True)\nos.kill(os.getpid(), 15)",
        kit.directory,
        receiver.dsn,
        stdout=subprocess.PIPE,
        text=True,
    )
    event_id = process.communicate(timeout=120)[0].strip()
    assert process.returncode == -signal.SIGTERM
    assert kit.ids() == [event_id] or receiver.ids == [event_id]


@pytest.mark.parametrize("end", ["", "os._exit(0)", "sender.close(5)", "sys.exit(0)"])
def test_a_short_command_ends_at_once_silently_and_loses_nothing(kit, receiver, end):
    event_id = run(f"print(event(), flush=True)\n{end}", kit.directory, receiver.dsn).strip()
    if end == "sender.close(5)":
        assert receiver.ids == [event_id]
    assert kit.ids() == [event_id] or receiver.ids == [event_id]


def test_a_short_command_is_not_held_up_by_a_sentry_that_hangs(kit, receiver):
    receiver.program(default=HANG)
    out = run(PATIENT + "print(event()); sender.close(0.2)", kit.directory, receiver.dsn)
    assert kit.ids() == [out.strip()]


def test_a_fork_while_the_thread_imports_does_not_hang_the_child(kit, tmp_path):
    """Without the fork hook the child finds urllib3 locked by a thread that it does not have."""
    slow = tmp_path / "urllib3"
    slow.mkdir()
    # the sleep is the slow import that is being tested, not a way to wait
    (slow / "__init__.py").write_text("import os, sys, time; os.write(int(sys.argv[3]), b'x'); time.sleep(0.3)")
    out = run(
        "import warnings; warnings.simplefilter('ignore')  # 3.12 warns of any fork beside a thread\n"
        "reader, writer = os.pipe(); sys.argv.append(str(writer)); sys.path.insert(0, sys.argv[2])\n"
        "sender = Sender(to_sentry(spool, 'http://k@127.0.0.1:9/1', Counts()))\n"
        "event(); os.read(reader, 1)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    import signal; signal.alarm(5)\n"
        "    import urllib3\n"
        "    print('child imported', flush=True)\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "sender.close(10)",
        kit.directory,
        str(tmp_path),
    )
    assert out == "child imported\n"


def test_a_fork_beside_the_thread_causes_no_warning_and_delivery_continues(kit, receiver):
    """Python 3.12 warns of a fork in a process with threads; the host did not start ours.

    A fork waits a moment for the thread to end. How long that is, is the machine's business here.
    """
    out = run(
        "import time, warnings\n"
        "from agent.deliver.background import worker\n"
        "worker.PARK_WAIT = worker._THREAD_END = 60\n"
        "ids = []\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    for number in range(60):\n"
        "        ids.append(event())\n"
        "        if number % 3 == 0: time.sleep(0.003)  # so that forks fall into every moment of the thread\n"
        "        if not (child := os.fork()): os._exit(0)\n"
        "        assert os.waitpid(child, 0)[1] == 0\n"
        "assert not caught, caught[0].message\n"
        "sender.close(60); print(*ids)",
        kit.directory,
        receiver.dsn,
    )
    ids = out.split()
    assert sorted(receiver.ids) == sorted(ids)  # each once
    assert kit.files() == []


def test_a_fork_waits_only_a_moment_for_a_request_that_hangs(kit, receiver):
    receiver.program(default=HANG)
    out = run(
        PATIENT + "import time, warnings; warnings.simplefilter('ignore')\n"
        "event(); sys.stdin = None\n"
        "while not sender._delivery or not sender._delivery._lock._held: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "if not (child := os.fork()): os._exit(0)\n"
        "print(os.waitpid(child, 0)[1]); sender.close(0.2)",
        kit.directory,
        receiver.dsn,
    )
    assert out == "0\n"
    assert len(kit.files()) == 1


def test_what_was_delivered_but_cannot_be_removed_is_not_sent_by_another_process_either(kit, monkeypatch):
    spool = kit.spool()
    ids = fill(spool, "error", "error")
    real = os.unlink

    def stuck(path, **options):
        if os.sep + "new" + os.sep in str(path):
            raise PermissionError(1, "Operation not permitted")
        real(path, **options)

    first, second = Script(), Script()
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", stuck)
        flush(kit.resources(spool, first), 5)
        flush(kit.resources(kit.spool(), second), 5)
    assert (first.sent, second.sent) == (ids, [])
    assert len(kit.files()) == 2
    assert flush(kit.resources(kit.spool(), second), 5).waiting == 0
    assert second.sent == []
    assert kit.files() == []
    assert "delivered" not in os.listdir(kit.directory)


def test_what_is_held_back_is_never_sent(kit):
    fill(kit.spool(held=True), "error")
    ids = fill(kit.spool(), "error")
    connection = Script()
    assert flush(kit.resources(kit.spool(), connection), 5) == Summary(1, 0, 0, "")
    assert connection.sent == ids
    assert len(kit.files("held")) == 1


@pytest.mark.parametrize("seconds", [365 * 86400.0, -365 * 86400.0])
def test_a_clock_that_leaps_while_sentry_is_down_loses_nothing(kit, clock, seconds):
    spool = kit.spool(max_age=7 * 86400.0)
    ids = fill(spool, "error", "error")

    def leap(_):
        clock.leap(seconds)
        fill(spool, "error")
        return DOWN

    connection = Script(DOWN, leap, *[DOWN] * 6)
    assert flush(kit.resources(spool, connection), 600).waiting == 0
    assert set(ids) < set(connection.sent)
    assert kit.counts.of("sent") == 3
    assert kit.counts.of("too-old") == 0


def test_a_folder_on_a_file_system_without_locks_is_delivered_all_the_same(kit, monkeypatch):
    import fcntl

    def unsupported(*_):
        raise OSError(37, "No locks available")

    fill(kit.spool(), "error")
    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert flush(kit.resources(kit.spool(), Script()), 5).delivered == 1


def test_a_large_backlog_goes_in_batches(kit):
    from agent.deliver.send import delivery

    spool = kit.spool()
    ids = fill(spool, *["error"] * (delivery.BATCH + 50))
    connection, seen = Script(), []
    summary = flush(kit.resources(spool, connection), 500, progress=lambda done, total: seen.append((done, total)))
    assert summary.delivered == len(ids)
    assert connection.sent == ids
    assert {total for _, total in seen} == {len(ids)}


def test_a_child_does_not_keep_the_lock_of_its_parent(kit):
    os.makedirs(kit.directory)
    lock = DeliveryLock(kit.directory)
    assert lock.take()
    up, down = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.write(up[1], b"x")
        os.read(down[0], 1)
        os._exit(0)
    os.read(up[0], 1)
    lock.release()
    try:
        assert DeliveryLock(kit.directory).take() is True
    finally:
        os.write(down[1], b"x")
        os.waitpid(child, 0)


def test_to_wait_for_a_delivery_lists_no_folder_in_the_thread_that_waits(live, receiver, kit, monkeypatch):
    listed, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda *given: listed.append(threading.get_ident()) or scandir(*given))
    spool, sender = live()
    spool.sweeper = sender.wake
    for _ in range(3):
        spool.write(envelope())
    assert sender.drain(10) > 0
    receiver.wait_for(3)
    assert listed and threading.get_ident() not in listed


def test_what_is_counted_is_written_down_by_the_thread_that_counts_it(live, receiver, kit):
    """The last of a row of events, too: no report may follow for hours."""
    seen = []
    spool, sender = live(write_counts=lambda: seen.append(kit.counts.of("sent")))
    for _ in range(3):
        spool.write(envelope())
    assert sender.drain(10) > 0
    sender.close(10)
    assert seen[-1] == 3
