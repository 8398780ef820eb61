"""`top`: what keys do, and that the terminal gets back what it had, however the program ends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measure.writing import Process

from agent.base import places
from agent.cli.status.operations import Name, Operation
from agent.cli.status.screen import parsed
from agent.cli.status.top import View, after, marked
from agent.measure.figures import Counts

ROOT = Path(__file__).resolve().parents[2]
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def rows(*names):
    return [Operation(Name("sales", name, name, "function"), Counts(), 60.0, Counts(), 0.0) for name in names]


def pressed(view, keys, found):
    for key in keys:
        view = marked(after(view, key, found), found)
    return view


def test_keys_are_read_in_pieces_and_unknown_ones_are_left_out():
    assert list(parsed(b"j\x1b[A\x1b[5~\r/\xc3\xa4\x7f\x1b")) == [
        "j", "up", "page up", "enter", "/", "ä", "backspace", "escape",
    ]  # fmt: skip
    assert list(parsed(b"\x1b[1;5Cq")) == ["q"]
    assert list(parsed(b"\x00\xff\x1b[")) == []


def test_rows_are_chosen_sorted_and_found():
    found = rows("a", "b", "c")
    view = marked(View("e"), found)
    assert view.name.operation == "a"
    assert pressed(view, ["j", "down", "down", "j"], found).name.operation == "c"
    assert pressed(view, ["end", "up", "k", "k", "k"], found).name.operation == "a"
    assert pressed(view, ["p"], found).order == "p"
    assert pressed(view, ["r"], found).reverse
    assert not pressed(view, ["r", "n"], found).reverse
    typed = pressed(view, [*"/qe", "backspace", "u"], found)
    assert (typed.text, typed.editing, typed.over, typed.order) == ("qu", True, False, "e")
    assert pressed(typed, ["enter"], found)[2:4] == ("qu", False)
    assert pressed(typed, ["escape"], found).text == ""
    assert pressed(view, ["q"], found).over


def test_events_of_a_row_are_shown_until_a_key_and_not_without_a_row():
    found = rows("a")
    view = pressed(marked(View("e"), found), ["enter"], found)
    assert view.events
    assert pressed(view, ["j"], found).events
    assert not pressed(view, ["q"], found).events
    assert not pressed(view, ["q"], found).over
    assert not marked(view, []).events
    assert not after(View("e"), "enter", []).events


@pytest.fixture
def place(tmp_path):
    config = tmp_path / "monitors.yaml"
    config.write_text("version: 1\nmonitors: []\n")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AGENT_", "SENTRY_", "COV", "COLUMNS", "LINES"))
    }
    environment.update(AGENT_CONFIG=str(config), AGENT_STATE_DIR=str(tmp_path / "state"), TERM="xterm", PYTHONPATH="")
    process = Process(places.state_folder(environment, str(config)), started=time.time() - 600)
    for module in ("accounting", "inventory", "sales"):
        for number in range(12):
            process.count(f"operation_{number}", 0.00002 * 3**number, 10, module=module)
    process.count("reserve_stock", 0.02, 100, module="inventory")
    process.count("reserve_stock", 0.02, 3, module="inventory", failed="error", at=time.time())
    process.write()
    return environment


class Terminal:
    """`top` on a terminal of its own."""

    def __init__(self, environment, *arguments, columns=80, lines=24):
        self.main, self.its = pty.openpty()
        self.resize(columns, lines, tell=False)
        self.before = termios.tcgetattr(self.its)
        self.printed = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", "top", "--every", "300ms", *arguments],
            stdin=self.its, stdout=self.its, stderr=self.its, env=environment, cwd=ROOT,
        )  # fmt: skip

    def resize(self, columns, lines, *, tell=True):
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def frame(self):
        """What is on the screen now."""
        return CODES.sub("", self.printed.rpartition("\x1b[H")[2]).splitlines()

    def line(self, number):
        """A line of what is on the screen now: "" as long as the frame is not printed that far."""
        lines = self.frame()
        return lines[number] if -len(lines) <= number < len(lines) else ""

    def wait_for(self, there, seconds=30.0):
        end = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < end, self.printed[-3000:]
            if select.select([self.main], [], [], 0.1)[0]:
                self.printed += os.read(self.main, 65536).decode()

    def press(self, keys):
        os.write(self.main, keys.encode())

    def ended(self):
        """The exit status; the terminal is as it was."""
        status = None

        def over():
            nonlocal status
            status = self.process.poll()
            return status is not None

        self.wait_for(over)
        while select.select([self.main], [], [], 0)[0]:
            self.printed += os.read(self.main, 65536).decode()
        assert termios.tcgetattr(self.its) == self.before
        assert self.printed.endswith("\x1b[?25h\x1b[?1049l"), self.printed[-300:]
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.main)
        os.close(self.its)


def test_on_a_terminal_it_fits_follows_keys_and_sizes_and_leaves_no_trace(place):
    with Terminal(place, "--sort", "name") as top:
        top.wait_for(lambda: len(top.frame()) == 24 and "q quit" in top.line(-1))
        frame = top.frame()
        assert all(len(line) <= 80 for line in frame), frame
        assert "by name" in frame[0]
        assert frame[4].startswith("> accounting operation_0 ")
        top.press("/RESERVE_\r")
        top.wait_for(lambda: "> inventory reserve_stock" in "\n".join(top.frame()) and "filter" not in top.line(-1))
        assert len([line for line in top.frame() if "inventory " in line]) == 1
        top.press("\x1b")
        top.wait_for(lambda: len([line for line in top.frame() if "inventory " in line]) > 1)
        top.press("\r")
        top.wait_for(lambda: "its last events" in top.line(0))
        top.press("q")
        top.wait_for(lambda: "by name" in top.line(0))
        top.resize(120, 10)
        top.wait_for(lambda: len(top.frame()) == 10 and "LAST ERROR" in top.line(3))
        top.press("q")
        assert top.ended() == 0


@pytest.mark.slow(reason="runs the command in processes")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0)])
def test_a_signal_ends_it_and_the_terminal_is_as_before(place, number, status):
    with Terminal({**place, "NO_COLOR": "1"}) as top:
        top.wait_for(lambda: "q quit" in "".join(top.frame()))
        assert not re.search(r"\x1b\[[0-9;]*m", top.printed)
        top.process.send_signal(number)
        assert top.ended() == status


def test_an_error_is_printed_on_the_terminal_as_it_was(place):
    with Terminal(place) as top:
        top.wait_for(lambda: "q quit" in "".join(top.frame()))
        Path(place["AGENT_CONFIG"]).unlink()
        top.wait_for(lambda: re.match(r"\d problems?: /", top.line(1)) is not None)
        top.press("q")
        assert top.ended() == 0


@pytest.mark.parametrize("more", [[], ["--once"]])
def test_without_a_terminal_it_prints_one_frame(place, more):
    environment = {**place, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "agent", "top", "--module", "sales", *more],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[3].split() == "MODULE OPERATION MONITOR CALLS FAILED P50 P95 P99 MAX LAST ERROR TREND".split()
    assert len(lines) == 4 + 12
    assert all(line.startswith("sales") for line in lines[4:])
    assert " us " in done.stdout
