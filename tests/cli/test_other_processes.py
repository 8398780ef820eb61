"""Why a Python process has not reported in."""

import os

import pytest

from agent.cli.path import folder
from agent.cli.state import other_processes
from agent.cli.state.other_processes import Running


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"PYTHONPATH": ""}, "without the agent"),
        ({"AGENT_DISABLED": "1"}, "with AGENT_DISABLED"),
        ({"AGENT_DISABLED": "false"}, "without an import of a monitored module"),
        ({"AGENT_CONFIG": "conf/other.yaml"}, "with another configuration (/srv/erp/conf/other.yaml)"),
    ],
)
def test_the_reason_is_what_its_environment_shows(monkeypatch, given, why):
    monkeypatch.delenv("AGENT_STATE_DIR", raising=False)
    environ = {"PYTHONPATH": folder(), "AGENT_CONFIG": "monitors.yaml", **given}
    process = Running(7, os.geteuid(), ["python", "manage.py"], "/usr/bin/python3", environ, "/srv/erp")
    monkeypatch.setattr(other_processes, "pythons", lambda: iter([process]))
    (line,) = other_processes.reasons_by_process("/srv/erp/monitors.yaml")
    assert why in line and line.endswith(": 7 manage.py")
