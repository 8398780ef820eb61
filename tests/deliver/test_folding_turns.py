"""When who delivers folds counts, and for how long it stays for them: agent/deliver/folding.py."""

import os
import subprocess
from pathlib import Path

import pytest
from measure.writing import ENDED, Process

from agent.base.health import Health
from agent.deliver.courier import settings
from agent.deliver.folding import Folding
from agent.deliver.send.lock import DeliveryLock
from agent.measure import due, ledger
from agent.measure.figures import Figures


class Turns:
    def __init__(self, state):
        self.state = str(state)
        self.now = 1_795_000_000.0
        self.health = Health(os.path.join(self.state, "run"), "monitors.yaml")
        self.folding = Folding(self.health, clock=lambda: self.now, tick=lambda: self.now)

    def turn(self, after=1.0):
        self.now += after
        stays = self.folding.turn()
        if os.path.exists(due.path_in(self.state)):
            os.utime(due.path_in(self.state), (self.folded, self.folded))
        return stays

    @property
    def folded(self):
        """When the last fold was, by the clock of this test."""
        return ledger.load(self.state).at or self.now

    def calls(self):
        counted = Figures(self.state, lambda: self.now).window(24 * 3600.0, self.now)
        return sum(counts.calls for counts in counted.values())  # only what was folded

    def process(self, **facts):
        process = Process(self.state, started=self.now, **facts)
        process.count("order", 0.1)
        process.write()
        return process


@pytest.fixture
def turns(tmp_path):
    return Turns(tmp_path)


def test_counts_wait_for_a_minute_and_then_it_stays_while_there_are_new_ones(turns):
    process = turns.process()
    assert not turns.turn(50)
    assert turns.calls() == 0
    assert turns.turn(20)
    assert turns.calls() == 1
    for number in range(3):
        process.count("order", 0.1)
        process.write()
        assert turns.turn(61)
        assert turns.calls() == 2 + number
    assert turns.turn(61)
    assert not turns.turn(61)


def test_once_all_have_ended_it_folds_for_the_last_time_and_goes(turns):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        process = turns.process(pid=child.pid)
        assert turns.turn(61)
        process.count("order", 0.1, 5)
        process.write()
        assert turns.turn(2)
        assert turns.calls() == 1
    assert not turns.turn(2)
    assert turns.calls() == 6
    assert os.listdir(os.path.join(turns.state, "counts")) == []


def test_where_another_process_folds_it_leaves_that_to_it(turns):
    turns.process()
    assert turns.turn(61)
    lock = DeliveryLock(os.path.join(turns.state, due.FOLDER))
    assert lock.take()
    assert not turns.turn(61)
    lock.release()
    assert turns.health.due() == 0


def test_a_fold_that_fails_is_reported_once_and_tried_again_later(turns, monkeypatch):
    turns.process()
    assert turns.turn(61)
    process = turns.process()
    tries = []

    def full(*_):
        tries.append(turns.now)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("agent.measure.fold.fold", full)
        for _ in range(130):
            turns.turn(1)
    assert len(tries) == 2
    lines = "".join(path.read_text() for path in Path(turns.state, "run").iterdir())
    assert lines.count("counts are not added to the history") == 1
    assert "No space left on device" in lines
    turns.turn(61)
    assert turns.calls() == 2
    assert process.rows


@pytest.mark.parametrize("offset", [-3600.0, 61.0])
def test_files_of_a_clock_that_was_wrong_are_due(turns, offset):
    Process(turns.state, pid=ENDED, started=turns.now - offset).write()
    assert due.is_due(turns.state, turns.now)
    assert not due.is_due(turns.state, turns.now - offset + 1)


def test_who_has_no_dsn_does_not_take_it_from_the_others(tmp_path):
    folder = str(tmp_path)
    tmp_path.chmod(0o700)
    with_dsn = settings.Settings("https://key@sentry.example/1", "run", "monitors.yaml", {}, {})
    without = settings.Settings("", "run", "monitors.yaml", {}, {})
    assert without.write(folder)
    assert settings.read(folder)[0].dsn == ""
    assert with_dsn.write(folder)
    assert not without.write(folder)
    assert settings.read(folder)[0].dsn == with_dsn.dsn
    hosts = settings.Settings(None, "run", "monitors.yaml", {}, {})
    assert hosts.write(folder)
    assert not without.write(folder)
