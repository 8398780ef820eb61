"""Why a Python process has not reported in."""

import contextlib
import os
import subprocess
import sys

import pytest

from agent.cli.path import folder
from agent.cli.state import other_processes
from agent.cli.state.other_processes import Running

pythons = other_processes.pythons  # for other tests, there are none


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


def test_what_the_agent_runs_in_the_background_is_no_process_of_the_hosts(tmp_path):
    """A courier, and the interpreter that compiles a plan; a program that looks like neither is one."""
    waits = "import sys; print(flush=True); sys.stdin.read()"
    for name in ("erp_agent_courier.py", "erp_courier.py"):
        (tmp_path / name).write_text(waits)
    commands = {
        "courier": ["-S", str(tmp_path / "erp_agent_courier.py"), str(tmp_path), "4"],
        "compiler": ["-S", "-c", "package = '_erp_agent'; " + waits],
        "host": [str(tmp_path / "erp_courier.py")],
    }
    with contextlib.ExitStack() as stack:
        started = {}
        for name, command in commands.items():
            process = subprocess.Popen(
                [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            started[name] = stack.enter_context(process)
            stack.callback(process.communicate)  # ends it
            assert process.stdout.readline() == "\n"
        found = {process.pid for process in pythons()}
        assert {name for name, process in started.items() if process.pid in found} == {"host"}
