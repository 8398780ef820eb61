"""Runs a working day of the example ERP under the agent and shows what was captured.

Only PYTHONPATH switches the agent on. There is no DSN and no server: events stay in the spool, in the folder given by
--home, where `python -m agent events` shows them.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ERP = os.path.join(ROOT, "examples", "erp")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", default=os.path.join(ROOT, "var", "demo"), help="folder for the files of the demo")
    parser.add_argument("--quiet", action="store_true", help="do not show what the ERP itself prints")
    arguments = parser.parse_args()
    home = os.path.abspath(arguments.home)
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "AGENT_"))}
    environment["ERP_DB"] = os.path.join(home, "erp.sqlite3")
    environment["AGENT_STATE_DIR"] = os.path.join(home, "agent")
    agent = [sys.executable, "-m", "agent"]

    check = ["validate", "monitors.yaml", "--path", "examples/erp"]
    say("Checking the configuration:   python -m agent %s" % " ".join(check))
    if run([*agent, *check], environment, ROOT):
        return 1

    say("A working day of the ERP, which contains nothing of the agent:   PYTHONPATH=. python manage.py working_day")
    day = [sys.executable, "manage.py", "working_day"]
    output = subprocess.DEVNULL if arguments.quiet else None
    status = run(day, {**environment, "PYTHONPATH": ROOT}, ERP, output)
    if status:
        return status

    one = ["events", "last", "--operation", "orders.margin"]
    say("One event in full (--json: exactly what would be sent):   python -m agent %s" % " ".join(one))
    run([*agent, *one], environment, ROOT)

    say("All events, grouped as in Sentry:   python -m agent events")
    run([*agent, "events"], environment, ROOT)

    page = os.path.join(home, "report.html")
    say("What the ERP did, as one page:   python -m agent report")
    run([*agent, "report", "--since", "10m", "--output", page], environment, ROOT)
    print("to look at it: file://" + page)

    say("More commands:")
    for command in ("status", "events last", "report --serve"):
        print("    " + to_copy(command, environment["AGENT_STATE_DIR"]))
    return 0


def to_copy(command: str, state: str) -> str:
    """A command that works as it stands in the folder, and the shell, that the demo was started from."""
    words = [os.path.relpath(sys.executable), "-m", "agent", *command.split(), "--config", "monitors.yaml"]
    if shutil.which("python") and os.path.samefile(shutil.which("python"), sys.executable):
        words[0] = "python"
    elsewhere = os.path.abspath(os.curdir) != ROOT
    if elsewhere:
        words[0] = words[0] if words[0] == "python" else sys.executable
    state = state if elsewhere else os.path.relpath(state)
    line = "AGENT_STATE_DIR=%s %s" % (shlex.quote(state), " ".join(map(shlex.quote, words)))
    return "(cd %s && %s)" % (shlex.quote(ROOT), line) if elsewhere else line


def say(line: str) -> None:
    print(
        "\n\x1b[1m━━ %s\x1b[0m" % line if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else "\n== %s" % line
    )
    sys.stdout.flush()


def run(command: "list[str]", environment: "dict[str, str]", folder: str, output: "int | None" = None) -> int:
    return subprocess.run(command, env=environment, cwd=folder, stdout=output, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
