"""Runs a working day of the example ERP under the agent and shows what was caught, in about ten seconds.

Only PYTHONPATH switches the agent on. There is no DSN and no server: events stay in the folder given by --home, where
`python -m agent events` shows them.
"""

import argparse
import contextlib
import fcntl
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DAY = "PYTHONPATH=$PWD python examples/erp/manage.py working_day"
COLUMNS = 100  # where the output is no terminal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", default=os.path.join(ROOT, "var", "demo"), help="folder for the files of the demo")
    home = os.path.abspath(parser.parse_args().home)
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    variables = {
        "AGENT_CONFIG": os.path.join(ROOT, "monitors.yaml"),
        "AGENT_STATE_DIR": os.path.join(home, "agent"),
        "ERP_DB": os.path.join(home, "erp.sqlite3"),
        "ERP_PASSWORD_HASHERS": "MD5",  # the demo has no secrets, and a sign-in takes no half second
        "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", os.defpath),
    }
    settings = write_settings(os.path.join(home, "env"), variables)
    here = os.path.abspath(os.curdir) == ROOT
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "AGENT_"))}
    environment.update(variables)

    say("1. monitors.yaml names functions of the ERP, in the ERP's words. Is it right?")
    # What makes the commands below work in the reader's own shell.
    show(settings if here else in_the_checkout(settings))
    check = "python -m agent validate monitors.yaml --path examples/erp"
    show(check)
    if run(check, environment):
        return 1

    say("2. A working day of the ERP, whose source has no line about the agent")
    show(DAY)
    # An ERP's database waits for the disk; a demo's need not.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as fast:
        status = the_day({**environment, "ERP_DB": os.path.join(fast, "erp.sqlite3")}, os.path.join(home, "day.txt"))
    if status:
        return status

    page = os.path.join(home, "report.html")
    report = "python -m agent report --since 10m --output " + shlex.quote(shown(page))
    say("3. What it did, as one page")
    show(report)
    # Opened only where that is a window: a browser of the terminal would take the terminal.
    window = sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    run(report + (" --open" if window else ""), environment)

    say("4. One of the failures, as a person who is called reads it")
    one = "python -m agent events last --operation orders.margin"
    show(one)
    run(one, environment)

    say("5. The errors that were caught")
    errors = "python -m agent events --severity error"
    show(errors)
    run(errors, environment)
    print("\nTo go on: " + in_the_checkout(settings + " && python -m agent events && python -m agent status"))
    return 0


def write_settings(path, variables):
    """Write what a shell needs for the commands that are shown. Return the command that reads it, in the checkout."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(
            "export %s=%s\n" % (name, shlex.quote(value)) for name, value in variables.items() if name != "PATH"
        )
        file.write('export PATH=%s:"$PATH"\n' % shlex.quote(os.path.dirname(sys.executable)))
    words = shown(path)
    return ". " + shlex.quote(words if os.path.isabs(words) else "./" + words)


def in_the_checkout(command):
    """As it works wherever it is pasted."""
    return "cd %s && %s" % (shlex.quote(ROOT), command)


def shown(path):
    """A path as it works in the checkout, which is where the commands are run."""
    return os.path.relpath(path, ROOT) if path.startswith(ROOT + os.sep) else path


def the_day(environment, file):
    """Run the day. A terminal shows the line that the ERP is at; the file gets all of them. Return the exit status."""
    live = sys.stdout.isatty()
    words = [sys.executable, "-u", "examples/erp/manage.py", "working_day"]
    lines = 0
    with open(file, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            words, env={**environment, "PYTHONPATH": ROOT}, cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8"
        )
        for line in process.stdout:
            lines += 1
            stream.write(line)
            if live:
                sys.stdout.write("\r\x1b[K" + line.rstrip("\n")[: shutil.get_terminal_size().columns - 1])
                sys.stdout.flush()
    print("%sThe ERP printed %d lines: %s" % ("\r\x1b[K" if live else "", lines, shown(file)))
    return process.wait()


def say(line):
    styled = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(("\n\x1b[1m%s\x1b[0m" if styled else "\n%s") % line)


def show(command):
    print("$ " + command)
    sys.stdout.flush()


def run(command, environment):
    """Run it, shown as a terminal shows it: a pipe would get each row of a table as one line, however long."""
    words = shlex.split(command)
    if sys.stdout.isatty():
        return subprocess.run(words, env=environment, cwd=ROOT, check=False).returncode
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    process = subprocess.Popen(words, env={**environment, "NO_COLOR": "1"}, cwd=ROOT, stdout=theirs)
    os.close(theirs)
    printed = b""
    with contextlib.suppress(OSError):  # raised once the command has closed its end
        while data := os.read(ours, 1 << 16):
            printed += data
    os.close(ours)
    sys.stdout.flush()
    sys.stdout.buffer.write(re.sub(rb"\x1b\[[0-9;]*m|[ \r]+(?=\n)", b"", printed))
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
