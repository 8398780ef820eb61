"""Each command of the documentation, in a clean environment: it works, and prints what its page shows.

AGENT_TEST_PAGES=all runs the pages that take longer, too; `.ci/run` does.
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import pages
import pytest
from acceptance.host import ROOT, Host, other_pythons
from receiver import Receiver
from sentry_project.stub import TOKEN, Stub

#: Pages whose commands are run by `make test` as well.
ALWAYS = ("tutorial.md", "privacy.md")
WITH_COMMANDS = [
    page
    for page in pages.PAGES
    if (page.name in ALWAYS or os.environ.get("AGENT_TEST_PAGES"))
    and any(block.language == "console" for block in pages.blocks(page.read_text("utf-8")))
]
#: Folders that the pages name → variables of the environment that name the test's.
FOLDERS = {
    "/opt/erp-sentry-agent": "CHECKOUT",
    "/srv/erp-agent": "BUNDLE",
    "/srv/erp": "ERP",
    "/var/lib/erp-agent/erp-4cf1a8b2": "STATE",
    "/var/lib/erp-agent": "STATES",
    "/usr/bin/python3.9": "OTHER",
}


class Shell:
    """What a reader has: a terminal of 100 columns in the ERP's folder, with Python, and nothing else in its environment."""

    def __init__(self, host: Host, **variables: str) -> None:
        self.folder = host.folder
        self.saved = host.folder.parent / "shell"
        self.started: "list[int]" = []
        variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(host.folder.parent),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "NO_COLOR": "1",
            "AGENT_CONFIG": str(host.config),
            "AGENT_STATE_DIR": str(host.state_base),
            "AGENT_TESTING": "1",
            "PYTHONPATH": str(ROOT),
            "GUNICORN_CMD_ARGS": "--bind 127.0.0.1:0",  # several tests run at the same time
            "UVICORN_PORT": "0",
            **variables,
        }
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        self.saved.write_text(f"{exports}cd '{host.folder}'\n")

    def run(self, command: str, until: "str | None" = None) -> "tuple[int, str]":
        """Return the exit status and what was printed. What it exports, and its folder, count for the next one.

        With `until`, the command is ended as by Ctrl-C when it has printed a match of that.
        """
        keep = f"{{ export -p; echo \"cd '$PWD'\"; }} >'{self.saved}'"
        text = f". '{self.saved}'\n{command}\nstatus=$?\n{keep}\nexit $status\n"
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 100, 0, 0))
        process = subprocess.Popen(
            ["/bin/bash", "-c", text], env={}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        self.started.append(process.pid)
        try:
            printed = _read(ours, process, until)
        finally:
            os.close(ours)
        return process.returncode, printed

    def end(self) -> None:
        """End what went on in the background."""
        for pid in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _read(terminal: int, process, until: "str | None") -> str:
    """All that a process prints until it ends, or until it is ended because it has printed what was waited for."""
    data, end = b"", time.monotonic() + 150
    while True:
        assert time.monotonic() < end, f"goes on after minutes, without {until!r}: {data.decode()}"
        ended = process.poll() is not None
        if select.select([terminal], [], [], 0 if ended else 0.1)[0]:
            try:
                data += os.read(terminal, 1 << 16)
            except OSError:  # nobody has the other end any more
                process.wait()
                break
        elif ended:
            break
        if until and re.search(until, data.decode(errors="replace")):
            os.killpg(process.pid, signal.SIGINT)
            until = None
    return data.decode().replace("\r\n", "\n")


@pytest.fixture
def host():
    """In a folder with a short name: a long one would break the lines that are printed."""
    folder = tempfile.mkdtemp(prefix="d")
    made = Host(Path(folder))
    yield made
    made.end_couriers()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_print_what_their_page_shows(page, host):
    shutil.copytree(ROOT / "tests" / "data" / "small_erp", host.folder, dirs_exist_ok=True)
    with Receiver() as sentry, Stub().serve() as project:
        folders = {
            "CHECKOUT": str(ROOT), "ERP": str(host.folder), "BUNDLE": str(host.folder.parent / "bundle"),
            "STATE": str(host.state), "STATES": str(host.state_base), "SENTRY": sentry.dsn, "OTHER": (other_pythons() or [sys.executable])[0], "STUB": project, "TOKEN": TOKEN,
        }  # fmt: skip
        shell = Shell(host, **folders)
        try:
            for block in pages.blocks(page.read_text("utf-8")):
                run_block(shell, block, folders, page)
        finally:
            shell.end()


def run_block(shell: Shell, block: pages.Block, folders: "dict[str, str]", page: Path) -> None:
    if "file" in block.comments:
        path = shell.folder / block.comments["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    if block.language != "console" or "not run" in block.comments:
        return
    where = f"{page.relative_to(ROOT)}:{block.line}"
    if "before" in block.comments:
        status, printed = shell.run(block.comments["before"])
        assert status == 0, f"{where}: before it: {block.comments['before']}\n{printed}"
    commands = block.commands()
    for number, (command, shown) in enumerate(commands, 1):
        last = number == len(commands)
        until = None if command.startswith("export ") else block.comments.get("until")
        status, printed = shell.run(_of_this_machine(command, folders), until)
        printed = _of_the_page(printed, folders)
        if until is None:
            wanted = int(block.comments.get("exit", 0)) if last else 0
            assert status == wanted, f"{where}: $ {command}\nexit status {status}:\n{printed}"
        if shown:
            assert pages.matches(shown, printed), f"{where}: $ {command}\nprinted:\n{printed}\nnot:\n{shown}"


def _of_this_machine(command: str, folders: "dict[str, str]") -> str:
    for shown, name in FOLDERS.items():
        command = command.replace(shown, folders[name])
    command = command.replace("manage.py runserver", "manage.py runserver 0")
    return command.replace("SENTRY_DSN=…", "SENTRY_DSN=$SENTRY").replace("AUTH_TOKEN=…", "AUTH_TOKEN=$TOKEN")


#: What `status` notes about the processes of tests that run beside this one.
_BESIDE = re.compile(r"^ - (?:(?!\n [-!] ).)*?\[another-agent\][ \t]*\n", re.MULTILINE | re.DOTALL)


def _of_the_page(printed: str, folders: "dict[str, str]") -> str:
    printed = _BESIDE.sub("", printed)
    for shown, name in sorted(FOLDERS.items(), key=lambda each: -len(folders[each[1]])):
        printed = printed.replace(folders[name], shown)
    return re.sub(r"http://127\.0\.0\.1:\d+", "https://sentry.example.com", printed)
