"""The console script `erp-agent`, as pip writes it, beside `python -m agent`."""

import os
import sys

import pytest
from host import ROOT


@pytest.fixture
def script(host):
    """An `erp-agent` as an installer makes it: a program of the interpreter, in a folder without the ERP's code."""
    file = host.folder / "bin" / "erp-agent"
    file.parent.mkdir()
    file.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.append({str(ROOT)!r})  # where it is installed\n"
        "from erp_agent_command import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    host.write(monitors__yaml="version: 1\nmonitors: [{target: shop.fail, name: fail}]\n",
               shop__py="def fail(): ...\n")  # fmt: skip
    return lambda *words, **extra: host.run(str(file), *words, check=False, **extra)


@pytest.mark.parametrize("agent", [True, False], ids=["with-the-agent", "without"])
def test_it_is_the_command_line_also_beside_a_package_called_agent(host, script, agent):
    theirs = host.folder / "agent"
    theirs.mkdir()
    theirs.joinpath("__init__.py").write_text("raise SystemExit('the host has an agent of its own')\n")
    theirs.joinpath("__main__.py").write_text("raise SystemExit('and runs it')\n")
    path = [str(ROOT)] if agent else []
    done = script("list", PYTHONPATH=os.pathsep.join([*path, str(host.folder)]))
    assert (done.returncode, done.stderr) == (0, "")
    assert "fail" in done.stdout
    assert script("--help", PYTHONPATH=str(host.folder)).stdout.startswith("usage: erp-agent [-h]")


def test_help_names_the_way_in_which_it_was_called(host, script):
    assert script("spool", "--help").stdout.startswith("usage: erp-agent spool")
    assert host.run("-m", "_erp_agent", "list", "--help").stdout.startswith("usage: python -m _erp_agent list")
    assert host.agent("list", "--help").stdout.startswith("usage: python -m agent list")


def test_it_shows_what_is_wrong_although_strict_stops_other_processes(host, script):
    host.config.write_text("version: 1\nmonitors: [{target: shop.fail, threshold: 5 parsecs}]\n")
    stopped = host.run("-c", "pass", check=False, AGENT_STRICT="1")
    assert stopped.returncode == 2
    done = script("validate", AGENT_STRICT="1")
    assert done.returncode == 1
    assert "bad-duration" in done.stdout
    assert not list(host.state.glob("run/*"))
