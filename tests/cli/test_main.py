import sys

import pytest

from agent.cli import main


def test_help_of_every_command(capsys):
    for arguments in (["--help"], *([name, "--help"] for name in main.COMMANDS)):
        with pytest.raises(SystemExit) as stop:
            main.main(arguments)
        assert stop.value.code == 0
        assert "usage: python -m agent" in capsys.readouterr().out


def test_no_command_shows_the_help(capsys):
    assert main.main([]) == 0
    assert "validate" in capsys.readouterr().out


def test_a_wrong_command_is_said(capsys):
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
