"""What is changed for a time beside the file: kept, read back, over, and applied to the monitors."""

import os

import pytest

from agent.config import child, overlay
from agent.config.overlay import Off, Overlay, Put
from agent.plan import index

FILE = """version: 1
modules: {sales: {}}
monitors:
  - {target: shop.order, module: sales, operation: order}
  - {target: shop.price, module: sales, operation: price}
"""
OFF = Off("or*", 10.0, None, "ann")
PUT = Put("live-1", {"target": "shop.order", "threshold": "1ms"}, 10.0, 60.0, "ann")


def test_what_is_written_is_read_back_as_far_as_it_is_not_over(tmp_path):
    state = str(tmp_path / "state")
    changed = Overlay((OFF, Off("price", 10.0, 30.0, "bob")), (PUT,))
    overlay.write(state, changed)
    assert os.stat(overlay.path_in(state)).st_mode & 0o077 == 0
    assert overlay.read(state, 20.0) == changed
    assert overlay.read(state, 40.0) == Overlay((OFF,), (PUT,))
    assert overlay.read(state, 70.0) == Overlay((OFF,))
    assert changed.expires() == 30.0
    assert Overlay((OFF,)).expires() == 0.0
    overlay.write(state, Overlay())
    assert overlay.read(state, 20.0) == Overlay()
    assert not os.path.exists(overlay.path_in(state))


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    config = tmp_path / "monitors.yaml"
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "base"))

    def compile_(changed, text=FILE):
        config.write_text(text)
        overlay.write(child.places.state_folder(os.environ, str(config)), changed)
        return index.decode(child.compiled(str(config)), str(config))

    monkeypatch.setattr(child.time, "time", lambda: 20.0)
    return compile_


def names(plan):
    return [monitor["name"] for monitor in plan.all_monitors()]


def test_monitors_are_off_by_their_names(compiled):
    assert names(compiled(Overlay())) == ["order", "price"]
    assert names(compiled(Overlay((OFF,)))) == ["price"]
    assert names(compiled(Overlay((Off("*", 0.0, None, "ann"),)))) == []


def test_one_that_is_put_in_lies_beside_that_of_the_file(compiled):
    plan = compiled(Overlay((), (PUT,)))
    assert names(plan) == ["order", "price", "live-1"]
    assert [monitor["live"] for monitor in plan.all_monitors()] == [False, False, True]
    assert not plan.problems
    assert plan.header[8] == 60.0


def test_one_that_is_wrong_is_a_problem_and_is_left_out(compiled):
    wrong = PUT._replace(monitor={"target": "shop.order", "threshold": "soon"})
    plan = compiled(Overlay((), (wrong,)))
    assert names(plan) == ["order", "price"]
    assert "(put in)" in plan.problems[0]


def test_the_file_may_forbid_it(compiled):
    plan = compiled(Overlay((OFF,), (PUT,)), FILE + 'live: "off"\n')
    assert names(plan) == ["order", "price"]
    assert plan.header[8] == 0.0


def test_a_damaged_one_is_as_none(compiled, tmp_path):
    plan = compiled(Overlay((OFF,)))
    state = child.places.state_folder(os.environ, str(tmp_path / "monitors.yaml"))
    with open(overlay.path_in(state), "w", encoding="utf-8") as stream:
        stream.write("{")
    plan = index.decode(child.compiled(str(tmp_path / "monitors.yaml")), str(tmp_path / "monitors.yaml"))
    assert names(plan) == ["order", "price"]


def test_what_is_changed_is_read_where_the_plan_is_kept(tmp_path, monkeypatch):
    """The variable may have been meant from another working folder, or for another user."""
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "elsewhere"))
    path, state = tmp_path / "monitors.yaml", str(tmp_path / "state")
    path.write_text(FILE)
    overlay.write(state, Overlay((OFF,)))
    child.keep(str(path), state)
    assert names(index.load(state, str(path))) == ["price"]
