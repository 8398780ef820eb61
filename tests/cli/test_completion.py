"""The completion scripts, in the real shells where they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.cli import completion
from agent.cli.main import COMMANDS, build_parser, main

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "version: 1\nmodules: {sales: {}, stock: {}}\nmonitors:\n  - {target: json.dumps, module: sales, name: create_order}\n"

#: What is typed → what completes it.
TYPED = {
    "erp-agent vali": {"validate"},
    "erp-agent spool sta": {"status"},
    "erp-agent list --modu": {"--module"},
    "erp-agent spool status --form": {"--format"},
    "erp-agent validate --format s": {"sarif"},
    "erp-agent list --format=j": {"json"},
    "erp-agent list --module s": {"sales"},
    "erp-agent explain cre": {"create_order"},
    "erp-agent validate monit": {"monitors.yaml"},
    "erp-agent completion f": {"fish"},
}


def script(shell, capsys):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.fixture
def environment(tmp_path):
    """A folder with a configuration, and an `erp-agent` on PATH."""
    tmp_path.joinpath("monitors.yaml").write_text(CONFIG)
    program = tmp_path / "bin" / "erp-agent"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{ROOT / 'erp_agent_command.py'}' \"$@\"\n")
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AGENT", "SENTRY", "PYTHON"))}
    return {**kept, "PATH": f"{program.parent}:{os.environ['PATH']}", "AGENT_CONFIG": str(tmp_path / "monitors.yaml"),
            "AGENT_STATE_DIR": str(tmp_path / "state"), "TERM": "dumb", "HOME": str(tmp_path)}  # fmt: skip


def needs(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


def test_bash(capsys, tmp_path, environment):
    needs("bash")
    ask = 'ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _erp_agent; echo "${COMPREPLY[*]}"; }\n'
    lines = [script("bash", capsys), ask]
    lines += ["ask " + typed.replace("=", " = ") for typed in TYPED]
    done = subprocess.run(["bash", "--norc", "-c", "\n".join(lines)], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stderr == ""
    assert dict(zip(TYPED, (set(line.split()) for line in done.stdout.splitlines()))) == TYPED


def test_fish(capsys, tmp_path, environment):
    needs("fish")
    file = tmp_path / "completion"
    file.write_text(script("fish", capsys))
    lines = [f"source {file}", *(f"complete -C '{typed}'; echo ===" for typed in TYPED)]
    done = subprocess.run(["fish", "--no-config", "-c", "\n".join(lines)], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    answers = done.stdout.split("===\n")[:-1]
    found = [{line.split("\t")[0].rpartition("=")[2] for line in answer.splitlines()} for answer in answers]
    assert dict(zip(TYPED, found)) == TYPED


def test_zsh(capsys, tmp_path, environment):
    needs("zsh")
    file = tmp_path / "completion"
    file.write_text(script("zsh", capsys))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
    try:
        shell = f"autoload -U compinit; compinit -u -D; source {file}; bindkey '^I' complete-word; echo re''ady\n"
        os.write(terminal, shell.encode())
        printed(terminal, "ready\r\n")
        for typed, (word,) in TYPED.items():
            # Complete it, and echo the line: ^A is the beginning of the line, ^E its end.
            os.write(terminal, f'{typed}\t\x01echo "<\x05>"\n'.encode())
            begun = typed[: len(typed) - len(typed.replace("=", " ").split()[-1])]
            assert f"\n<{begun}{word}>" in printed(terminal, ">\r\n").replace(" >", ">")
    finally:
        os.close(terminal)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def printed(terminal, until, timeout=30.0):
    out = b""
    end = time.monotonic() + timeout
    while until.encode() not in out:
        assert time.monotonic() < end, out
        if select.select([terminal], [], [], 0.1)[0]:
            out += os.read(terminal, 4096)
    return out.decode()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_in_the_script(shell, capsys):
    text = script(shell, capsys)
    for place in completion.places(build_parser()):
        for choice in (*place.commands, *place.options):
            spelt = (choice.word, f"-l {choice.word[2:]} ", f"-s {choice.word[1:]} ")  # the last two are fish's
            assert any(each in text for each in spelt), choice
    assert all(name in text for name in COMMANDS)


def test_names_where_there_is_no_configuration(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AGENT_CONFIG", str(tmp_path / "nowhere.yaml"))
    assert main(["completion", "--names", "monitors"]) == 0
    assert capsys.readouterr() == ("", "")


def test_without_a_shell(capsys):
    assert main(["completion"]) == 2
    assert capsys.readouterr().err == "which shell? erp-agent completion bash|zsh|fish\n"
