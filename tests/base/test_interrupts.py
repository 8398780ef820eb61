"""`except ours(…)`: what a host raises into our code goes on, and what our code or what it called raised stays."""

import ctypes
import functools
import json
import os
import signal
import sys
import threading

import pytest

from agent.base import interrupts


class OutOfTime(Exception):
    pass


class Worded(Exception):
    def __init__(self):
        super().__init__("the job took too long")


class Killed(BaseException):
    pass


def ours(source):
    """A function of the agent's with this body, which catches everything: its `call` runs host code."""
    text = f"def run(call):\n    try:\n        {source}\n    except ours(BaseException):\n        return 'swallowed'\n"
    space = {"ours": interrupts.ours}
    exec(compile(text, os.path.join(os.path.dirname(interrupts.__file__), "made_up.py"), "exec"), space)
    return space["run"]


run = ours("call()")


def raising(kind):
    raise kind


def forgetful(kind):
    def handler(number, frame):
        del number, frame
        raising(kind)

    return handler


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **options):
        return function(*args, **options)

    return wrapper


class Limit:
    def __init__(self, kind):
        self.kind = kind

    def __call__(self, number, frame):
        raise self.kind

    def ring(self, number, frame, more=None):
        try:
            raise self.kind
        finally:
            del frame


HANDLERS = {
    "function": lambda kind: lambda number, frame: raising(kind),
    "any arguments": lambda kind: lambda *_: raising(kind),
    "lets go of its arguments": forgetful,
    "method": lambda kind: Limit(kind).ring,
    "object": Limit,
    "partial": lambda kind: functools.partial(Limit(kind).ring, more=1),
    "decorated": lambda kind: wrapped(lambda number, frame: raising(kind)),
    "with a default": lambda kind: lambda number, frame, kind=kind: raising(kind),
}
KINDS = [OutOfTime, Worded, TimeoutError, OSError(2, "gone"), KeyError("x"), ValueError("x"), AttributeError, TypeError("x"),
         ImportError("x"), MemoryError, StopIteration, SystemExit(1), Killed, KeyboardInterrupt]  # fmt: skip


@pytest.fixture
def handled():
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, before)


def type_of(kind):
    return kind if isinstance(kind, type) else type(kind)


def call_of_the_agents():
    """The signal arrives while a function of ours runs."""
    return ours(f"__import__('signal').raise_signal({int(signal.SIGUSR1)})")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type_of(kind).__name__)
@pytest.mark.parametrize("handler", HANDLERS)
def test_what_a_signal_handler_raises_goes_on(handled, handler, kind):
    handled(HANDLERS[handler](kind))
    with pytest.raises(type_of(kind)):
        call_of_the_agents()(None)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type_of(kind).__name__)
def test_so_it_does_where_it_strikes_host_code_that_we_called(handled, kind):
    handled(lambda number, frame: raising(kind))
    with pytest.raises(type_of(kind)):
        run(lambda: signal.raise_signal(signal.SIGUSR1))


def test_ctrl_c_goes_on_and_an_interrupt_that_a_property_raises_does_not(handled):
    handled(signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        call_of_the_agents()(None)
    with pytest.raises(KeyboardInterrupt):
        run(lambda: signal.raise_signal(signal.SIGUSR1))
    assert run(lambda: raising(KeyboardInterrupt)) == "swallowed"


@pytest.mark.parametrize(
    "kind", [OutOfTime, TimeoutError("x"), KeyError("x"), Killed], ids=lambda kind: type_of(kind).__name__
)
@pytest.mark.parametrize("event", ["call", "line", "return", "c_call"])
def test_what_a_trace_or_a_profile_function_raises_goes_on(event, kind):
    def tracer(frame, seen, argument):
        if seen == event and frame.f_code.co_filename.endswith("made_up.py"):
            raise kind
        return tracer

    begin, end = (sys.setprofile, sys.getprofile()) if event == "c_call" else (sys.settrace, sys.gettrace())
    work_on = ours("[each for each in (1, 2)]; len(())")
    begin(tracer)
    try:
        with pytest.raises(type_of(kind)):
            work_on(None)
    finally:
        begin(end)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring")
def test_what_a_callback_of_sys_monitoring_raises_goes_on():
    monitoring = sys.monitoring
    seen = ours("len(())")

    def line(code, number):
        raise KeyError(number)

    monitoring.use_tool_id(4, "test")
    try:
        monitoring.register_callback(4, monitoring.events.LINE, line)
        monitoring.set_local_events(4, seen.__code__, monitoring.events.LINE)
        with pytest.raises(KeyError):
            seen(None)
    finally:
        monitoring.set_local_events(4, seen.__code__, 0)
        monitoring.register_callback(4, monitoring.events.LINE, None)
        monitoring.free_tool_id(4)


@pytest.mark.parametrize("kind", [OutOfTime, Worded, TimeoutError, KeyError, SystemExit, Killed])
def test_what_another_thread_sets_goes_on(kind):
    me = ctypes.c_ulong(threading.get_ident())
    looping = ours("call(); [len(()) for _ in range(1000)]")
    with pytest.raises(kind):
        looping(functools.partial(ctypes.pythonapi.PyThreadState_SetAsyncExc, me, ctypes.py_object(kind)))


def test_what_a_greenlet_is_thrown_goes_on():
    greenlet = pytest.importorskip("greenlet")
    switching = ours("call()")
    for thrown in (greenlet.GreenletExit(), Killed("x"), OutOfTime()):
        waits = greenlet.greenlet(lambda: switching(greenlet.getcurrent().parent.switch))
        waits.switch()
        if isinstance(thrown, greenlet.GreenletExit):
            assert waits.throw(thrown) is thrown  # it ends the greenlet, quietly
        else:
            with pytest.raises(type(thrown)):
                waits.throw(thrown)


def reading_itself(frame):
    raise ValueError(frame)


@pytest.mark.parametrize(
    "call",
    [
        lambda: raising(OutOfTime), lambda: raising(Worded), lambda: raising(Killed), lambda: raising(TimeoutError),
        lambda: raising(SystemExit), lambda: raising(GeneratorExit), lambda: raising(StopIteration), lambda: sys.exit(),
        lambda: sys.exit(3), lambda: int("x"), lambda: {}["x"], lambda: json.loads("{"), lambda: next(iter(())),
        lambda: os.stat("/none"), lambda: reading_itself(sys._getframe()), lambda: bytes(1 << 62), lambda: ().x,
    ],
)  # fmt: skip
def test_what_we_or_what_we_called_raised_stays_with_us(call):
    assert run(call) == "swallowed"


def test_what_endless_recursion_of_what_we_called_raises_stays_with_us():
    def deeper():
        return deeper()

    assert run(deeper) == "swallowed"


def test_a_clause_of_other_types_lets_pass_as_ever():
    text = "def run(call):\n    try:\n        call()\n    except ours(KeyError, OSError):\n        return 'swallowed'\n"
    space = {"ours": interrupts.ours}
    exec(compile(text, os.path.join(os.path.dirname(interrupts.__file__), "made_up.py"), "exec"), space)
    with pytest.raises(ValueError, match="invalid literal"):
        space["run"](lambda: int("x"))
    assert space["run"](lambda: {}["x"]) == "swallowed"


def test_an_error_of_our_own_clearing_up_does_not_hide_the_interruption(handled):
    handled(lambda number, frame: raising(OutOfTime))
    clearing = ours("try: call()\n        finally: int('x')")
    with pytest.raises(OutOfTime):
        clearing(lambda: signal.raise_signal(signal.SIGUSR1))


def test_an_interruption_that_the_host_deals_with_while_it_calls_us_is_over(handled):
    handled(lambda number, frame: raising(OutOfTime))
    try:
        signal.raise_signal(signal.SIGUSR1)
    except OutOfTime:
        assert run(lambda: int("x")) == "swallowed"


def test_an_exception_that_bites_is_judged_without_asking_it():
    class Meta(type):
        def __getattribute__(cls, name):
            raise RuntimeError(name)

    class Biting(Exception, metaclass=Meta):
        def __getattribute__(self, name):
            raise TypeError(name)

    assert run(lambda: raising(BaseException.__new__(Biting))) == "swallowed"
