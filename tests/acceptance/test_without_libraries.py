"""Interpreters that inherit PYTHONPATH and lack what reads monitors.yaml: another virtual environment, the system's own."""

import json
import subprocess
import sys

import pytest
from acceptance.host import ROOT, Host, other_pythons
from receiver import Receiver

MONITORS = """\
version: 1
monitors:
  - target: shop.order
    operation: order
  - target: shop.cancel
    operation: cancel
    requires: not-installed-anywhere
  - target: shop.pay
    operation: pay
    requires: only-there
"""
SHOP = """\
def order(): raise ValueError("order")
def pay(): raise ValueError("pay")
def cancel(): raise ValueError("cancel")
"""
MAIN = """\
import contextlib, shop
for each in (shop.order, shop.pay, shop.cancel):
    with contextlib.suppress(ValueError): each()
"""


def made(venv):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(venv)], check=True)
    return venv


@pytest.fixture
def bare(tmp_path):
    """An environment without libraries, but with a package of its own."""
    venv = made(tmp_path / "venv")
    (site,) = venv.glob("lib/python3*/site-packages")
    there = site / "only_there-1.0.dist-info"
    there.mkdir()
    there.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: only-there\nVersion: 1.0\n")
    host = Host(tmp_path, python=str(venv / "bin/python"))
    host.write(monitors__yaml=MONITORS, shop__py=SHOP, main__py=MAIN)
    yield host
    host.end_couriers()


@pytest.fixture
def elsewhere(tmp_path):
    """The agent's folder without an environment beside it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("agent", "schema", "sitecustomize.py"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_the_environment_beside_the_agents_folder_compiles_and_delivers_for_it(bare, elsewhere):
    (elsewhere / ".venv").symlink_to(sys.prefix)
    first, second = [bare.run("main.py", PYTHONPATH=str(elsewhere)).stderr for _ in range(2)]
    assert first.count("\n") == 1
    assert f"{elsewhere}/.venv/bin/python reads it from now on (AGENT_PYTHON names another)" in first
    assert second == ""
    operations = [event["tags"]["erp.operation"] for event in bare.events()]
    assert sorted(operations) == ["order", "order", "pay", "pay"]
    bare.config.write_text(MONITORS.replace("operation: order", "operation: changed"))
    with Receiver() as sentry:
        assert bare.run("main.py", PYTHONPATH=str(elsewhere), SENTRY_DSN=sentry.dsn).stderr == ""
        sentry.wait_for(2)
        assert sorted(event["tags"]["erp.operation"] for event in sentry.events) == ["changed", "pay"]
    status = json.loads(bare.agent("status", "--format", "json").stdout)
    assert status["borrowed"] == {str(bare.folder.parent / "venv"): f"{elsewhere}/.venv/bin/python"}


def test_it_waits_for_an_environment_that_can_compile(bare, elsewhere):
    there = {"PYTHONPATH": str(elsewhere)}
    assert "nothing is monitored" in bare.run("main.py", **there).stderr
    python, bare.python = bare.python, sys.executable
    assert bare.run("main.py", **there).stderr == ""
    bare.python = python
    first, second = [bare.run("main.py", **there).stderr for _ in range(2)]
    assert f"{sys.executable} reads it from now on" in first
    assert second == ""


def test_it_is_reported_once_for_each_configuration_and_environment(bare, elsewhere, tmp_path):
    def lines(runs, **variables):
        first, *others = [bare.run("main.py", PYTHONPATH=str(elsewhere), **variables).stderr for _ in range(runs)]
        assert others == [""] * (runs - 1)
        return first

    line = "agent: nothing is monitored: reading monitors.yaml needs PyYAML"
    assert lines(4).startswith(line + ", which this Python does not have: python -m pip install pyyaml, or name one")
    (tmp_path / "others.yaml").write_text(MONITORS)
    other = str(tmp_path / "others.yaml")
    assert lines(2, AGENT_CONFIG=other).startswith(line)
    before, bare.python = bare.python, str(made(tmp_path / "another") / "bin/python")
    for variables in ({}, {"AGENT_CONFIG": other}):
        found = lines(2, **variables)
        assert (found.startswith(line), found.count("\n")) == (True, 1)
    bare.python = before
    assert lines(1) + lines(1, AGENT_CONFIG=other) == ""


def _of_the_same_kind():
    return [
        each
        for each in other_pythons()
        if (each.split(".venv-3.")[1][:2] in ("9/", "10")) == (sys.version_info < (3, 11))
    ]


@pytest.mark.parametrize("compiler", [sys.executable, *_of_the_same_kind()[:1]])
def test_another_interpreter_compiles_for_it(bare, compiler):
    """`requires` is about the environment of the program, and the plan is stored for it."""
    for _ in range(2):
        assert bare.run("main.py", AGENT_PYTHON=compiler).stderr == ""
    assert sorted(event["tags"]["erp.operation"] for event in bare.events()) == ["order", "order", "pay", "pay"]
    (plan,) = bare.state.glob("plan-*")
    assert plan.name.startswith("plan-%d.%d-" % sys.version_info[:2])


def test_a_compiler_whose_plans_cannot_be_read_is_named_once(bare):
    others = set(other_pythons()) - set(_of_the_same_kind())
    if not others:
        pytest.skip("no interpreter of the other kind")
    lines = [bare.run("main.py", AGENT_PYTHON=min(others)).stderr for _ in range(3)]
    assert "AGENT_PYTHON has to name Python 3." in lines[0]
    assert lines[1:] == ["", ""]


def test_a_free_threaded_build_counts_nothing_and_status_shows_it(tmp_path):
    """Of such a build, nothing is here but its mark."""
    host = Host(tmp_path)
    host.write(monitors__yaml=MONITORS, shop__py=SHOP, main__py="import sys\nsys.abiflags = 't'\n" + MAIN)
    try:
        assert host.run("main.py").stderr == ""
        assert [event["tags"]["erp.operation"] for event in host.events()] == ["order"]
        assert not list(host.state.glob("counts/*.counts"))
        (process,) = host.status()
        (problem,) = [each for each in process["problems"] if "free-threaded" in each]
        assert problem.endswith("functions are monitored with trampolines; calls are not counted")
    finally:
        host.end_couriers()
