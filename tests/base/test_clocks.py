from __future__ import annotations

import pickle
import sys
import time

import pytest

from agent.base import clocks

NAMES = ("gmtime", "localtime", "monotonic", "perf_counter", "strftime", "strptime", "time")


def test_they_show_the_same_times_as_those_of_python():
    for name in ("monotonic", "perf_counter", "time"):
        before = getattr(time, name)()
        ours = getattr(clocks, name)()
        assert before <= ours <= getattr(time, name)()
    moment = 1_700_000_000
    assert tuple(clocks.gmtime(moment)) == tuple(time.gmtime(moment))
    assert tuple(clocks.localtime(moment)) == tuple(time.localtime(moment))
    assert clocks.strftime("%Y-%m-%d %H:%M", clocks.gmtime(moment)) == "2023-11-14 22:13"
    assert clocks.strptime("2023", "%Y").tm_year == 2023


@pytest.mark.parametrize("name", NAMES)
def test_they_are_none_of_those_that_a_host_can_reach(name):
    theirs = getattr(time, name)
    assert getattr(clocks, name) is not theirs
    assert getattr(clocks, name) != theirs
    assert sys.modules["time"] is time


def test_a_host_that_replaces_pythons_is_not_seen(monkeypatch):
    read = []
    for name in NAMES:
        monkeypatch.setattr(time, name, lambda *_: read.append(1) or 0.0)
    assert clocks.time() > 1_700_000_000 and clocks.monotonic() > 0
    assert clocks.strftime("%Y", clocks.gmtime(0)) == "1970"
    assert read == []


def test_the_clock_of_changed_functions_is_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(clocks.IN_CODE[0])) is time.perf_counter
