"""Two copies of the agent in reach: which one runs is printed."""

from __future__ import annotations

import json
import os

import pytest

from agent.base import places
from agent.cli.main import main
from agent.cli.state.copies import HINT, beside


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with what looks like another copy; the configuration is in order."""
    package = tmp_path / "checkout" / "agent"
    (package / "base").mkdir(parents=True)
    for file in (package / "__init__.py", package / "base" / "places.py", package.parent / "sitecustomize.py"):
        file.touch()
    config = tmp_path / "monitors.yaml"
    config.write_text("version: 1\nmonitors: []\n")
    monkeypatch.setenv("AGENT_CONFIG", str(config))
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    return package.parent


def test_one_copy_is_not_worth_a_line(tmp_path):
    ours = os.path.dirname(places.PACKAGE)
    link = tmp_path / "link"
    link.symlink_to(ours)
    assert beside([ours, str(tmp_path), str(link)], {"PYTHONPATH": ours}) == ""
    foreign = tmp_path / "erp" / "agent"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").touch()
    assert beside([str(tmp_path / "erp")], {}) == ""


def test_a_copy_that_programs_start_with_and_one_that_is_installed(checkout):
    ours, other = os.path.dirname(places.PACKAGE), str(checkout / "agent")
    run = f"this command runs {places.PACKAGE}, and {other} is another"
    assert beside([ours], {"PYTHONPATH": str(checkout)}) == f"{run}; programs of this shell start with {other}"
    assert beside([str(checkout)], {}) == run
    started = {"PYTHONPATH": f"{ours}{os.pathsep}{checkout}"}
    assert beside([ours, str(checkout)], started) == f"{run}; programs of this shell start with {places.PACKAGE}"


def test_an_installed_agent_starts_from_a_folder_within_its_package(checkout):
    site = checkout / "agent" / "site"
    site.mkdir()
    (site / "sitecustomize.py").touch()
    assert beside([], {"PYTHONPATH": str(site)}).endswith(f"programs of this shell start with {checkout / 'agent'}")


def test_validate_status_and_doctor_print_it(checkout, capsys, monkeypatch):
    assert main(["validate"]) == 0
    assert "copies" not in capsys.readouterr().err
    monkeypatch.syspath_prepend(str(checkout))
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    said = beside()
    assert main(["validate"]) == 0
    assert capsys.readouterr().err == f"there are two copies of the agent: {said} ({HINT})\n"
    main(["status", "--format", "json"])
    (problem,) = [each for each in json.loads(capsys.readouterr().out)["problems"] if each["slug"] == "two-agents"]
    assert (problem["severity"], problem["hint"]) == ("note", HINT)
    assert said in problem["text"]
    main(["doctor", "--offline", "--format", "json"])
    found = [each for each in json.loads(capsys.readouterr().out)["findings"] if each["slug"] == "two-agents"]
    assert [said in each["detail"] for each in found] == [True]
