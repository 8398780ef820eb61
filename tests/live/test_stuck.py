"""Calls that do not return are reported while they run, and once more when they do."""

import asyncio
import gc
import sys
import threading
from _thread import get_ident
from types import SimpleNamespace as Namespace

import pytest
from support import Watch, module, monitor

from agent.hook.targets import alive
from agent.live import limits_of_hosts
from agent.live.stuck import Stuck

SOURCE = """
import asyncio
def close_month(gate): return wait(gate)
def wait(gate): gate.wait(); return "closed"
async def book(gate): return await posted(gate)
async def posted(gate): await gate.wait(); return "booked"
"""


class Looked:
    """Monitors that ask for it, and a look that is taken when the test says so."""

    def __init__(self, *monitors):
        self.shop = module(SOURCE)
        self.watch = Watch(*monitors).apply(self.shop)
        self.reports, self.counted = [], []
        self.now = 100.0
        self.stuck = Stuck(
            self.reports.append, lambda reason, what: self.counted.append(reason), clock=lambda: self.now
        )

    def look(self, later=0.0):
        self.now += later
        self.stuck.look(get_ident())

    def told(self):
        return [(each.message.partition(" (")[0], each.duration) for each in self.reports]


@pytest.fixture(scope="module", autouse=True)
def no_other_objects():
    """A look goes through all objects: those of the other tests are a million. They stay frozen, as conftest.py has it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_of_the_test_before():
    gc.collect()


@pytest.fixture
def stuck():
    made = Looked(
        monitor("shop.close_month", operation="close_month", stuck=60.0),
        monitor("shop.book", operation="book", stuck=60.0),
    )
    yield made
    made.watch.undo()


def in_thread(call, *arguments):
    thread = threading.Thread(target=call, args=arguments, daemon=True)
    thread.start()
    return thread


def until_it_waits(code):
    """The thread has come to where it waits."""
    for _ in range(10_000):
        for frame in sys._current_frames().values():
            while frame is not None:
                if frame.f_code.co_name == code and frame.f_lineno:
                    return
                frame = frame.f_back
        threading.Event().wait(0.001)
    raise AssertionError(code)


BEGUN = "{operation} has not returned for more than {duration}"
ENDED = "{operation} returned after more than {duration}"


def test_a_call_that_hangs_is_reported_once_and_once_more_when_it_returns(stuck):
    gate = threading.Event()
    thread = in_thread(stuck.shop.close_month, gate)
    until_it_waits("wait")
    for _ in range(3):
        stuck.look(5.0)
    assert stuck.reports == []
    stuck.look(55.0)
    stuck.look(5.0)
    assert stuck.told() == [(BEGUN, 60.0)]
    report = stuck.reports[0]
    assert (report.report, report.severity, report.operation) == ("stuck", "error", "close_month")
    names = []
    frame = report.frame
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    assert names.index("wait") < names.index("close_month"), "the stack that it waits in"
    gate.set()
    thread.join()
    stuck.look(5.0)
    stuck.look(5.0)
    assert stuck.told()[1:] == [(ENDED, 70.0)]


def test_many_short_calls_are_not_one_long_one(stuck):
    for _ in range(8):
        gate = threading.Event()
        thread = in_thread(stuck.shop.close_month, gate)
        until_it_waits("wait")
        stuck.look(5.0)
        stuck.look(5.0)
        gate.set()
        thread.join()
    assert stuck.reports == []


def test_a_task_that_waits_is_seen_too(stuck):
    async def main():
        gate = asyncio.Event()
        task = asyncio.ensure_future(stuck.shop.book(gate))
        await asyncio.sleep(0)
        done = []
        for later in (0.0, 5.0, 65.0):
            looking = threading.Thread(target=lambda later=later: (stuck.look(later), done.append(1)))
            looking.start()
            looking.join()
        gate.set()
        assert await task == "booked"
        stuck.look(5.0)
        stuck.look(5.0)

    asyncio.run(main())
    assert stuck.told() == [(BEGUN, 65.0), (ENDED, 70.0)]
    assert "task" in stuck.reports[0].message


def test_a_greenlet_that_waits_is_seen_too(stuck):
    greenlet = pytest.importorskip("greenlet")

    class Gate:
        def wait(self):
            greenlet.getcurrent().parent.switch()

    class Proxy:
        """What an object gives for its class is the host's code, which is not run."""

        __class__ = property(lambda _: 1 / 0)

    proxy = Proxy()
    waiting = greenlet.greenlet(stuck.shop.close_month)
    waiting.switch(Gate())
    for later in (0.0, 5.0, 65.0):
        looking = threading.Thread(target=stuck.look, args=(later,))
        looking.start()
        looking.join()
    assert stuck.told() == [(BEGUN, 65.0)]
    waiting.switch()
    del proxy


def test_no_object_of_the_host_is_asked_what_it_is(stuck):
    """Django's lazy objects have a `__class__` that reads the database."""
    pytest.importorskip("greenlet")
    asked = []

    class Lazy:
        __class__ = property(lambda self: asked.append(1) or str)
        __hash__ = None

    lazy = [Lazy()]
    stuck.look()
    assert asked == []
    assert lazy


def test_a_look_at_everything_leaves_nothing_that_holds_what_the_host_drops():
    """Of 600,000 objects, a `tee` in its own list is six megabytes, until the collector runs."""
    kept = [[] for _ in range(100_000)]
    gc.collect()
    gc.disable()
    try:
        assert len(alive.instances(list)) > len(kept)
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_greenlets_that_are_known_are_looked_at_between_looks_at_everything(stuck, monkeypatch):
    """Looking through all objects is the dear part: it takes one hundredth of the time at most."""
    greenlet = pytest.importorskip("greenlet")
    instances, everywhere = alive.instances, []

    def slowly(kind):
        everywhere.append(stuck.now)
        stuck.now += 0.2
        return instances(kind)

    monkeypatch.setattr(alive, "instances", slowly)

    class Gate:
        def wait(self):
            greenlet.getcurrent().parent.switch()

    waiting = greenlet.greenlet(stuck.shop.close_month)
    waiting.switch(Gate())
    for _ in range(160):
        looking = threading.Thread(target=stuck.look, args=(0.5,))
        looking.start()
        looking.join()
    assert [message for message, _ in stuck.told()] == [BEGUN]
    assert 3 <= len(everywhere) <= 5
    waiting.switch()
    stuck.look(0.5)
    assert [message for message, _ in stuck.told()] == [BEGUN, ENDED]


def test_when_no_monitor_asks_any_more_the_thread_ends(stuck):
    def looks():
        return stuck.stuck.state().alive.locked()

    stuck.stuck.follow(0.8)
    assert looks()
    stuck.stuck.follow_only([])
    stuck.stuck.keep_looking()
    for _ in range(10_000):
        if not looks():
            break
        threading.Event().wait(0.001)
    assert not looks()
    assert stuck.stuck.followed == {}


def test_without_the_key_nothing_is_followed():
    looked = Looked(monitor("shop.close_month", operation="close_month"))
    gate = threading.Event()
    thread = in_thread(looked.shop.close_month, gate)
    until_it_waits("wait")
    for _ in range(5):
        looked.look(100.0)
    gate.set()
    thread.join()
    assert looked.reports == []


def test_it_is_reported_before_a_worker_is_killed(stuck):
    """gunicorn's sync worker is killed after `timeout`: its frames show how long that is."""
    space = {"__name__": "gunicorn.workers.sync"}
    exec("def handle_request(self, call, gate): return call(gate)", space)

    class Settings:
        timeout = 30

    class Worker:
        cfg = Settings

    gate = threading.Event()
    thread = in_thread(space["handle_request"], Worker(), stuck.shop.close_month, gate)
    until_it_waits("wait")
    for later in (5.0, 2.0, 16.0):  # it may have begun right after the look before the first of these
        stuck.look(later)
    assert stuck.reports == []
    stuck.look(1.0)
    assert stuck.told() == [(BEGUN, 17.0)]
    gate.set()
    thread.join()


def test_celerys_limit_is_the_soft_one_if_there_are_two():
    space = {"__name__": "celery.app.trace", "sys": sys}
    exec("def trace_task(task_request): return sys._getframe()", space)

    class Request:
        def __init__(self, *limits):
            self.timelimit = limits

    assert limits_of_hosts.of(space["trace_task"](Request(120, 100))) == 100.0
    assert limits_of_hosts.of(space["trace_task"](Request(None, None))) is None
    assert limits_of_hosts.of(sys._getframe()) is None


@pytest.mark.parametrize(
    ("module", "function", "local", "seconds"),
    [
        ("rq.worker.base", "perform_job", {"job": Namespace(timeout=180)}, 180.0),
        ("rq.worker", "perform_job", {"job": Namespace(timeout=-1)}, None),  # none at all
        ("huey.api", "_execute", {"task": Namespace(timeout=None)}, None),
        ("huey.api", "_execute", {"task": Namespace(timeout=5)}, 5.0),
        ("django_q.worker", "worker", {"timer_value": 60}, 60.0),
        ("django_q.worker", "worker", {"timer_value": -1}, None),
        ("dramatiq.worker", "process_message", {"message": Namespace(options={"time_limit": 500})}, 0.5),
        (
            "dramatiq.worker",
            "process_message",
            {"actor": Namespace(options={"time_limit": 9_000}), "message": None},
            9.0,
        ),
        ("dramatiq.worker", "process_message", {"actor": None}, None),
    ],
)
def test_the_limits_of_other_queues_are_known_from_their_frames(module, function, local, seconds):
    space = {"__name__": module, "sys": sys}
    exec(f"def {function}({', '.join(local)}): return sys._getframe()", space)
    assert limits_of_hosts.of(space[function](**local)) == seconds
