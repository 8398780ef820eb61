"""Two processes look up many targets: what they find together is what one finds alone."""

import os
import signal

import pytest

from agent.cli.environment import check_all
from agent.codebase import second_half
from agent.codebase.lookup import Lookup
from agent.codebase.search import here
from agent.codebase.second_half import SecondHalf
from agent.config.load import examine

TARGETS = ["json.dumps", "json.dump_", "os.path.join", "textwrap.wrap", "shlex.*", "nowhere.f"]


@pytest.fixture
def examined(tmp_path, monkeypatch):
    monkeypatch.setattr(second_half, "FEW", 2)
    monkeypatch.setattr(second_half, "can_fork", lambda: True)
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    monitors = "".join(f"  - {{target: '{each}', module: m, name: m{n}}}\n" for n, each in enumerate(TARGETS))
    file = tmp_path / "monitors.yaml"
    file.write_text("version: 1\nmodules: {m: {}}\nmonitors:\n" + monitors)
    return examine(str(file), {})


def test_what_both_find_is_what_one_finds(examined, monkeypatch):
    both = check_all([examined], Lookup(here()))
    monkeypatch.setattr(second_half, "can_fork", lambda: False)
    assert check_all([examined], Lookup(here())) == both
    assert [one.outcome.found for one in both[1]] == [True, False, True, True, True, False]


def test_from_the_middle_on_all_is_known(examined):
    lookup = Lookup(here())
    second = SecondHalf(examined, lookup)
    assert second.begins == 3
    second.join()
    assert {path for path, _ in lookup.known.outcomes} == {"textwrap.wrap", "nowhere.f"}
    assert {path for path, _, _ in lookup.known.expanded} == {"shlex.*"}


def test_one_process_finds_all_where_the_other_was_killed(examined):
    second = SecondHalf(examined, Lookup(here()))
    os.kill(second.pid, signal.SIGKILL)
    second.join()
    checked, sightings = check_all([examined], second.lookup)
    assert len(sightings) == len(TARGETS)
    assert checked[0].problems


def test_few_targets_take_one_process(examined, monkeypatch):
    monkeypatch.setattr(second_half, "FEW", 1000)
    assert not SecondHalf(examined, Lookup(here())).pid
