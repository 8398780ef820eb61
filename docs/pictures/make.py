"""Makes the pictures of the documentation from the real thing: a day of the example ERP, and what commands print then.

`make pictures` runs it. The picture of the report needs a Chromium.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from fcntl import ioctl

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COLUMNS, ROWS = 100, 60
#: Command, and how many lines of what it prints are shown.
SHOWN = (("status", 22), ("events --severity error", 14))


#: Of the demo: how many lines of each of its steps are shown.
STEPS = (20, 20, 20, 9, 40)


def main() -> int:
    with tempfile.TemporaryDirectory() as home:
        _make_of_the_demo(home)
        _make(home)
    return 0


def _make_of_the_demo(home: str) -> None:
    without = ("NO_COLOR", "DISPLAY", "WAYLAND_DISPLAY")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment["TERM"] = "xterm-256color"
    demo = [sys.executable, os.path.join(ROOT, "examples", "demo.py"), "--home", os.path.join(home, "demo")]
    printed = _in_terminal(demo, environment, ROOT).replace(os.path.join(home, "demo"), "var/demo")
    steps = re.split(r"\n(?=\n\x1b\[1m\d\. )", "\n" + _after_progress(printed).strip("\n"))
    lines = ["\x1b[1m$ make demo\x1b[0m"]
    for step, most in zip(filter(None, steps), STEPS):
        shown = step.splitlines()
        lines += [*shown[:most], *(["  …"] if len(shown) > most else [])]
    _draw("\n".join(lines), os.path.join(HERE, "demo.svg"))


def _after_progress(text: str) -> str:
    """What is left on the screen where a line was printed over again."""
    return "\n".join(re.split(r"\x1b\[2?K", line)[-1] for line in text.replace("\x1b[?25h", "").split("\n"))


def _make(home: str) -> None:
    folder = os.path.join(home, "erp")
    os.mkdir(folder)
    shutil.copy(os.path.join(ROOT, "monitors.yaml"), folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "AGENT_"))}
    environment.pop("NO_COLOR", None)
    environment.update(
        AGENT_CONFIG=os.path.join(folder, "monitors.yaml"),
        AGENT_STATE_DIR=os.path.join(home, "agent"),
        ERP_DB=os.path.join(home, "erp.sqlite3"),
        SENTRY_RELEASE="2.4.1",
        SENTRY_ENVIRONMENT="production",
        PYTHONPATH=ROOT,
        TERM="xterm-256color",
    )
    day = [sys.executable, "manage.py", "working_day"]
    erp = os.path.join(ROOT, "examples", "erp")
    subprocess.run(day, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=erp)
    lines = []
    for command, most in SHOWN:
        words = [sys.executable, "-m", "agent", *command.split()]
        printed = _in_terminal(words, environment).replace(home, "/var/lib/erp").splitlines()
        lines += [f"\x1b[1m$ python -m agent {command}\x1b[0m", *printed[:most]]
        lines += ["…", ""] if len(printed) > most else [""]
    _draw("\n".join(lines[:-1]), os.path.join(HERE, "terminal.svg"))
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("no Chromium: the picture of the report is left as it is")
        return
    page = os.path.join(home, "report.html")
    report = [sys.executable, "-m", "agent", "report", "--since", "10m", "--output", page]
    subprocess.run(report, check=True, env=environment, stdout=subprocess.DEVNULL)
    flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1200,1500", "--virtual-time-budget=4000"]
    picture = f"--screenshot={os.path.join(HERE, 'report.png')}"
    subprocess.run([browser, *flags, picture, f"file://{page}"], check=True, capture_output=True)


def _in_terminal(words: list[str], environment: dict[str, str], folder: str | None = None) -> str:
    """What a command prints on a terminal, with its colours."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(words, env=environment, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    data = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            data += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    process.wait()
    return data.decode().replace("\r\n", "\n")


def _draw(text: str, path: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(text))
    console.save_svg(path, title="erp-sentry-agent", unique_id="agent")


if __name__ == "__main__":
    sys.exit(main())
