"""Runs the example ERP on PostgreSQL, Redis, gunicorn, a Celery worker and beat, under the agent and under load.

Only PYTHONPATH switches the agent on. All servers are started for this run, on free ports, and stopped at the end or on
Ctrl-C. There is no DSN: events stay in the spool, in the folder given by --home. Exit status 1: the agent has not
counted exactly what was called.
"""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [FOLDER, os.path.dirname(FOLDER)]

from full import compare, load, people, screen, sums
from full.accidents import Accidents
from full.browser import Answer
from full.parts import Missing, Parts
from full.process import Failed
from full.stack import ROOT, Stack

#: A day of the ERP's schedule lasts so many seconds here: invoicing comes once in it, replenishment four times.
DAY = 10


#: Operations that people's pages call, too: a response does not show whether it did.
_UNSEEN = ("create_order", "token_rejected")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", default=os.path.join(ROOT, "var", "demo-full"), help="where the demo keeps its files")
    parser.add_argument("--seconds", type=float, default=30, help="how long people work (default: 30)")
    parser.add_argument("--salespeople", type=int, default=12, help="0 to 12 (default: 12); others work as well")
    parser.add_argument("--think", type=float, default=0.3, help="seconds between two acts of one person, on average")
    parser.add_argument(
        "--accidents",
        type=int,
        metavar="N",
        help="recycle processes, and after every N responses terminate or kill -9 one of them",
    )
    parser.add_argument("--stay", action="store_true", help="go on until Ctrl-C after that, to look at the ERP's pages")
    parser.add_argument(
        "--compare", action="store_true", help="instead: the same work with and without the agent, and what differs"
    )
    parser.add_argument("--turns", type=int, default=12, help="with --compare: how often each person acts")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    home = os.path.abspath(arguments.home)
    try:
        parts = Parts()
        shutil.rmtree(home, ignore_errors=True)
        os.makedirs(home)
        return _compare(parts, home, arguments) if arguments.compare else _show(parts, home, arguments)
    except (Missing, Failed) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped, with everything that it had started.", file=sys.stderr)
        return 130


def _show(parts: Parts, home: str, arguments: argparse.Namespace) -> int:
    agent = {"PYTHONPATH": ROOT, "AGENT_STATE_DIR": os.path.join(home, "agent")}
    screen.say("The ERP on the services of production:   gunicorn, a Celery worker, Celery beat   with PYTHONPATH=.")
    steps = screen.Steps()
    settings = {"ERP_DAY_SECONDS": str(DAY), "ERP_CLOSED_PERIODS": "2026-03"}
    known = sums.Known()
    with parts, Stack(parts, home, "erp", agent, **settings) as stack, sums.Tasks(stack.broker) as tasks:
        steps.done(f"PostgreSQL on port {parts.postgres_port}, Redis on port {parts.redis_port}")
        stack.prepare(arguments.salespeople)
        steps.done("tables and the demonstration company")
        stack.start(recycled=(100, 10) if arguments.accidents else None)
        steps.done(f"web server with 2 × 4 threads on port {stack.port}, worker, beat")

        figures = load.Figures()
        accidents = Accidents(stack, arguments.accidents) if arguments.accidents else None

        def watch(answer: Answer) -> None:
            figures.watch(answer)
            known.watch(answer)
            if accidents is not None:
                accidents.watch(answer)

        crowd = people.everybody(stack.port, watch, salespeople=arguments.salespeople)
        screen.say(f"{len(crowd)} people at work for {arguments.seconds:.0f} seconds, strangers among them")
        progress = screen.Progress(figures, arguments.seconds)
        try:
            load.crowd(crowd, figures, seconds=arguments.seconds, think=arguments.think, show=progress)
        finally:
            progress.end()
        print()
        screen.table_of(figures)
        stack.finish_tasks()
        tasks.wait()
        compared = known.beside(sums.counted(stack.variables), tasks, asked=stack.asked)
        compared = [each for each in compared if each.operation not in _UNSEEN]
        print(*sums.lines(compared), sep="\n", flush=True)
        if accidents is not None:
            print("Meanwhile: " + ", ".join(f"{often} × {what}" for what, often in accidents.happened.items()))
        if arguments.stay:
            _what_was_caught(stack, home)
            screen.say(
                f"The ERP is at http://127.0.0.1:{stack.port}: sign in as anna, bo, carla or admin, password granskog-NAME-7"
            )
            print("Ctrl-C stops it.", flush=True)
            signal.pause()
    _what_was_caught(stack, home)
    return 0 if all(each.is_right for each in compared) else 1


def _what_was_caught(stack: Stack, home: str) -> None:
    command = [sys.executable, "-m", "agent"]
    environment = {**stack.environment, **stack.variables}
    for operation in ("invoice_order", "orders.margin"):  # a task's, if the schedule has run it
        one = ["events", "show", "last", "--operation", operation]
        shown = subprocess.run([*command, *one], env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
        if shown.returncode == 0:
            screen.say("One event in full (--json: exactly what would be sent):   python -m agent " + " ".join(one))
            print(shown.stdout.rstrip(), flush=True)
            break
    screen.say("All events, grouped as in Sentry:   python -m agent events")
    subprocess.run([*command, "events"], env=environment, cwd=ROOT, check=False)
    screen.say(f"More commands (logs are in {os.path.relpath(home)}):")
    for line in ("events", "status --all"):
        print("    " + to_copy(line, environment["AGENT_STATE_DIR"]), flush=True)


def _compare(parts: Parts, home: str, arguments: argparse.Namespace) -> int:
    agent = {"PYTHONPATH": ROOT, "AGENT_STATE_DIR": os.path.join(home, "agent")}
    outcomes = []
    screen.say("The same work twice, one person after another: without and with the agent")
    steps = screen.Steps()
    with parts:
        steps.done(f"PostgreSQL on port {parts.postgres_port}, Redis on port {parts.redis_port}")
        with Stack(parts, home, "prepared", {}) as stack:
            stack.prepare(compare.SALESPEOPLE)
        steps.done("tables and the demonstration company")
        for name, variables in (("without", {}), ("with", agent)):
            with Stack(parts, os.path.join(home, name), name, variables, template="prepared") as stack:
                outcomes.append(compare.play(stack, arguments.turns))
            steps.done(f"the work {name} the agent: {outcomes[-1].size()}")
    found = compare.differences(*outcomes)
    if found:
        screen.say("These differ")
        print("\n".join(found))
        return 1
    screen.say("No difference in responses, rows and mails. Events:   python -m agent events")
    return subprocess.run(
        [sys.executable, "-m", "agent", "events"], env={**stack.environment, **agent}, cwd=ROOT, check=False
    ).returncode


def to_copy(command: str, state: str) -> str:
    """A command that works as it stands, in whatever folder it is pasted."""
    words = [sys.executable, "-m", "agent", *command.split(), "--config", "monitors.yaml"]
    line = "AGENT_STATE_DIR=%s %s" % (shlex.quote(os.path.abspath(state)), " ".join(map(shlex.quote, words)))
    return "(cd %s && %s)" % (shlex.quote(ROOT), line)


if __name__ == "__main__":
    sys.exit(main())
