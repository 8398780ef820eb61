"""Plays a working day of the example ERP under the agent and shows what was caught.

Nothing but PYTHONPATH switches the agent on. There is no DSN and no server: what is caught stays in the spool, in the
folder given by --home, where `python -m agent events` shows it.
"""

import argparse
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ERP = os.path.join(ROOT, "examples", "erp")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", default=os.path.join(ROOT, "var", "demo"), help="where the demo keeps its files")
    parser.add_argument("--quiet", action="store_true", help="do not show what the ERP itself prints")
    arguments = parser.parse_args()
    home = os.path.abspath(arguments.home)
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "AGENT_"))}
    environment["ERP_DB"] = os.path.join(home, "erp.sqlite3")
    environment["AGENT_STATE_DIR"] = os.path.join(home, "agent")
    agent = [sys.executable, "-m", "agent"]

    say("The configuration, checked:   python -m agent validate")
    if run([*agent, "validate"], environment, ROOT):
        return 1

    say("A working day of the ERP, which knows nothing of the agent:   PYTHONPATH=. python manage.py working_day")
    day = [sys.executable, "manage.py", "working_day"]
    output = subprocess.DEVNULL if arguments.quiet else None
    status = run(day, {**environment, "PYTHONPATH": ROOT}, ERP, output)
    if status:
        return status

    one = ["events", "show", "last", "--operation", "orders.margin"]
    say("One event, with everything that would have left this machine:   python -m agent %s" % " ".join(one))
    run([*agent, *one], environment, ROOT)

    say("What was caught, grouped as Sentry would group it:   python -m agent events")
    run([*agent, "events"], environment, ROOT)

    prefix = "AGENT_STATE_DIR=%s python -m agent " % os.path.relpath(environment["AGENT_STATE_DIR"])
    say("Look around:   %sevents   ·   %sstatus" % (prefix, prefix))
    return 0


def say(line: str) -> None:
    print(
        "\n\x1b[1m━━ %s\x1b[0m" % line if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else "\n== %s" % line
    )
    sys.stdout.flush()


def run(command: "list[str]", environment: "dict[str, str]", folder: str, output: "int | None" = None) -> int:
    return subprocess.run(command, env=environment, cwd=folder, stdout=output, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
