import sys

import pytest

from agent.cli import main


def test_help_of_every_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (["--help"], *([name, "--help"] for name in main.COMMANDS)):
        with pytest.raises(SystemExit) as stop:
            main.main(arguments)
        assert stop.value.code == 0
        out = capsys.readouterr().out
        assert "usage: python -m agent" in out
        assert max(map(len, out.splitlines())) <= 80, out


def test_no_command_shows_the_help(capsys):
    assert main.main([]) == 0
    assert "validate" in capsys.readouterr().out


def test_an_unknown_command_is_named(capsys):
    with pytest.raises(SystemExit) as stop:
        main.main(["vaildate"])
    assert stop.value.code == 2
    assert "vaildate" in capsys.readouterr().err


def test_the_version(capsys):
    from agent import __version__

    with pytest.raises(SystemExit):
        main.main(["--version"])
    assert __version__ in capsys.readouterr().out


def test_the_path_is_the_folder_of_sitecustomize(capsys):
    import os

    assert main.main(["path"]) == 0
    folder = capsys.readouterr().out.strip()
    assert os.path.isfile(os.path.join(folder, "sitecustomize.py"))


def test_a_reader_that_has_had_enough_is_no_error(tmp_path):
    import subprocess

    done = subprocess.run(
        f"{sys.executable} -m agent list | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=main.__file__.rsplit("/agent/", 1)[0],
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


#: Every command, as it is usually given.
COMMANDS = {
    "validate": [[], ["--format", "json"]], "list": [[], ["--format", "json"]], "explain": [["create"]],
    "init": [["{new}"]], "discover": [["services", "--path", "{new}"]],
    "migrate": [["{new}/decorated.py"], ["{new}/decorated.py", "--diff"]], "schema": [[], ["--path"], ["--markdown"]], "path": [[]],
    "bundle": [["{new}"]],
    "events": [[], ["--json"], ["last"]], "status": [[], ["--format", "json"]], "top": [[]], "test": [["--error"]],
    "spool": [["status"], ["status", "--format", "json"], ["show"], ["flush"], ["release"], ["replay"],
              ["export", "{new}/export.tar"], ["import", "{new}/nothing.tar"], ["purge", "--yes"]],
    "run": [["--", "true"]], "completion": [["bash"]],
    "reload": [[], ["--format", "json"]], "doctor": [["--offline"], ["--offline", "--json"]],
    "disable": [["create"], ["nobody"]], "enable": [["--all"]], "watch": [["--list"], ["--stop", "all"], []],
    "metrics": [[]], "report": [["--output", "{new}.html"]], "sentry": [["plan"], ["export"]],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_without_rich_works_or_ends_with_a_sentence(tmp_path, command, capsys, monkeypatch):
    from agent.cli import terminal

    assert set(COMMANDS) == set(main.COMMANDS)
    config = tmp_path / "monitors.yaml"
    config.write_text("version: 1\nmonitors: [{target: json.dumps, name: create}]\n")
    monkeypatch.setenv("AGENT_CONFIG", str(config))
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr("os.execve", lambda *_: sys.exit(0))
    terminal.console_class.cache_clear()
    for number, arguments in enumerate(COMMANDS[command]):
        new = tmp_path / f"new{number}"
        new.mkdir()
        new.joinpath("services.py").write_text("def create_order(number): ...\n")
        new.joinpath("decorated.py").write_text("@sentry_monitor('sales')\ndef create_order(number): ...\n")
        try:
            status = main.main([command, *(word.format(new=new) for word in arguments)])
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert status in (0, 2), (arguments, status, err)
        if status == 2:
            assert len(err.splitlines()) == 1, err
            assert "rich" in err or "json" not in arguments, err
        else:
            assert out or command in ("run", "events")
    terminal.console_class.cache_clear()
