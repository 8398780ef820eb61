"""What a host raises into a hook around a fork is raised after the fork, where the host goes on."""

import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from agent.base import postponed

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = """
import functools, os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from agent.base import postponed

class Limit(Exception):
    pass

def ring(number, frame):
    raise Limit

def strikes():
    os.kill(os.getpid(), signal.SIGUSR1)
    for _ in range(100):
        pass

def idle():
    pass

signal.signal(signal.SIGUSR1, ring)
when = sys.argv[2]
if when == "pending":  # as the hook begins: a signal has come in the middle of the fork
    import _thread
    rings = getattr(_thread, "interrupt_main", None) if sys.version_info >= (3, 10) else signal.raise_signal
    os.register_at_fork(after_in_parent=functools.partial(rings, int(signal.SIGUSR1)))
    postponed.around_forks(after_in_parent=idle)
else:
    postponed.around_forks(**{when: strikes})
postponed.around_forks(before=idle, after_in_parent=idle, after_in_child=idle)
went_on = []
os.register_at_fork(after_in_parent=lambda: [went_on.append(each) for each in "abc"])

def forks():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return "parent" if child else "child"

def forks_last():
    return os.fork()

for fork in (forks, forks_last):
    me = os.getpid()
    try:
        outcome = fork()
    except Limit:
        outcome = "limit"
    if os.getpid() != me:
        os.write(1, ("child of %s: %s\\n" % (fork.__name__, outcome)).encode())
        os._exit(0)
    if fork is forks_last:
        os.wait()
    os.write(1, ("%s: %s %s %s\\n" % (fork.__name__, outcome if outcome == "limit" else "went on", "".join(went_on), sys.gettrace())).encode())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("when", ["before", "pending", "after_in_parent", "after_in_child"])
def test_a_time_limit_that_strikes_in_a_hook_is_raised_where_the_host_forked(when):
    environment = {**os.environ, "AGENT_DISABLED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT), when], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stderr == ""
    parent, child = ("went on", "limit") if when == "after_in_child" else ("limit", "child")
    assert sorted(done.stdout.splitlines()) == [
        f"child of forks: {child}",
        f"child of forks_last: {child if child == 'limit' else 0}",
        f"forks: {parent} abc None",
        f"forks_last: {parent} abcabc None",
    ]


class Limit(Exception):
    pass


def host(begin):
    begin(sys._getframe())
    return between()


def between():
    return len(())


def test_only_the_frame_that_was_interrupted_has_it():
    def begin(frame):
        postponed.later(Limit(), frame)
        between()

    before = sys.gettrace()
    sys.settrace(None)
    try:
        with pytest.raises(Limit) as raised:
            host(begin)
        assert sys.gettrace() is None
    finally:
        sys.settrace(before)
    assert [entry.frame.code.name for entry in raised.traceback][1] == "host"


def test_where_somebody_traces_it_is_raised_all_the_same():
    seen = []

    def tracer(frame, event, _):
        seen.append(event)
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with pytest.raises(Limit):
            host(lambda frame: postponed.later(Limit(), frame))
        assert sys.gettrace() is tracer
        assert sys.getprofile() is None
    finally:
        sys.settrace(before)
    assert seen


def test_without_a_frame_of_pythons_there_is_nobody_to_have_it():
    postponed.later(Limit(), None)
    assert sys.getprofile() is None


def test_an_error_of_ours_in_a_hook_stays_with_us(monkeypatch):
    monkeypatch.setattr(postponed.guard, "TESTING", False)
    monkeypatch.setattr(postponed.guard, "internal_errors", {})
    said = []
    monkeypatch.setattr(postponed.guard, "write_line", said.append)
    postponed.hook(lambda: {}["none"])()
    assert len(said) == 1
    assert "KeyError" in said[0]


def test_what_is_freed_where_the_stack_is_full_is_dropped_as_anywhere(monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    objects = [Limit() for _ in range(sys.getrecursionlimit())]
    store = {id(each): "here" for each in objects}
    kept = [weakref.ref(each, postponed.when_freed(store, id(each))) for each in objects]

    def recurse():
        objects.pop()
        recurse()

    with pytest.raises(RecursionError):
        recurse()
    lost = len(store) - len(objects)
    # Before 3.12, calls of C's count as well, so that the last frames have no room for any.
    assert (len(said), lost) == (0, 0) or (sys.version_info < (3, 12) and lost <= 2)
    assert len(objects) < len(kept) - 100
