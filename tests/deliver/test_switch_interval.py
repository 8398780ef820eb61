"""The interval in which Python lets threads take turns: shorter while an event is written, and the host's again after."""

from __future__ import annotations

import os
import sys

import pytest
from kit import envelope
from support import at_once

from agent.deliver.quick import switch_interval


@pytest.fixture(autouse=True)
def host(monkeypatch):
    """Another thread of the host's, and the host's own interval."""
    monkeypatch.setattr(switch_interval, "other_threads", lambda: 1)
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def microseconds():
    return round(sys.getswitchinterval() * 1e6)


def while_written(kit, monkeypatch, do=lambda: None):
    """The interval in the middle of a write."""
    seen = []
    rename = os.rename

    def look(*paths):
        seen.append(microseconds())
        do()
        rename(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", look)
        kit.spool().write(envelope())
    return seen


@pytest.mark.parametrize("interval", [5000, 100, 123_457, 999_999])
def test_it_is_short_while_an_event_is_written_and_exactly_as_before_after_it(kit, monkeypatch, interval):
    sys.setswitchinterval((interval + 0.5) / 1e6)
    for _ in range(50):
        assert while_written(kit, monkeypatch) == [50]
    assert microseconds() == interval


def test_a_host_without_another_thread_is_not_touched(kit, monkeypatch):
    monkeypatch.setattr(switch_interval, "other_threads", lambda: 0)
    usual = microseconds()
    assert while_written(kit, monkeypatch) == [usual]


def test_a_host_that_wants_it_short_keeps_it(kit, monkeypatch):
    sys.setswitchinterval(10.5e-6)
    assert while_written(kit, monkeypatch) == [10]
    assert microseconds() == 10


def test_what_the_host_sets_in_between_stays(kit, monkeypatch):
    while_written(kit, monkeypatch, lambda: sys.setswitchinterval(2000.5e-6))
    assert microseconds() == 2000


def test_a_write_that_fails_puts_it_back(kit, monkeypatch):
    def refuse():
        raise OSError(28, "No space left on device")

    usual = microseconds()
    assert while_written(kit, monkeypatch, refuse) == [50]
    assert microseconds() == usual


def test_a_write_inside_a_write_leaves_the_end_to_the_outer_one(kit, monkeypatch):
    inside = []
    usual = microseconds()
    spool = kit.spool()

    def interrupt():
        if not inside:
            inside.append(None)
            spool.write(envelope())
            inside[0] = microseconds()

    while_written(kit, monkeypatch, interrupt)
    assert inside == [50]
    assert microseconds() == usual


def test_many_threads_that_write_at_once_put_it_back(kit):
    usual = microseconds()
    spool = kit.spool()
    at_once(8, lambda: [spool.write(envelope()) for _ in range(50)])
    assert microseconds() == usual
    assert len(kit.files()) == 400


def test_a_child_that_is_forked_in_between_begins_with_the_hosts(kit, monkeypatch):
    reader, writer = os.pipe()

    def fork():
        if not os.fork():
            os.write(writer, b"%d" % microseconds())
            os._exit(0)
        os.wait()

    usual = microseconds()
    while_written(kit, monkeypatch, fork)
    assert int(os.read(reader, 20)) == usual
    os.close(reader)
    os.close(writer)
