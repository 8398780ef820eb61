"""The parser of `python -m agent`. Commands raise; only `main` prints the error and chooses the exit status."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ..base.errors import AgentError
from ..base.programs import COMMAND
from ..base.version import __version__
from .options import ProblemsError, add_command
from .terminal import clean, end_echo, err

#: Command → the module that has HELP, configure(parser) and, without subcommands, run(arguments) → exit status.
COMMANDS = {
    "validate": "validate",
    "list": "list",
    "explain": "explain",
    "init": "init",
    "discover": "discover",
    "migrate": "migrate.command",
    "schema": "schema",
    "doctor": "doctor.command",
    "events": "events",
    "status": "status.command",
    "top": "status.top",
    "report": "report.command",
    "reload": "reload",
    "watch": "live.watch",
    "disable": "live.disable",
    "enable": "live.enable",
    "metrics": "metrics.commands",
    "spool": "spool.commands",
    "sentry": "sentry.commands",
    "test": "test",
    "path": "path",
    "bundle": "bundle",
    "run": "run",
    "completion": "completion",
}

_EPILOG = """\
first steps:
  init, validate      write the configuration, and check it
  run -- COMMAND      start a program of the ERP with the agent
  status, events      what is monitored, and what was caught
  doctor              what is wrong where nothing is caught or sent

exit status:
  0  no problem
  1  problems were found
  2  the command could not run

environment variables:
  AGENT_CONFIG        configuration file
  AGENT_STATE_DIR     folder for everything that the agent writes
  AGENT_DISABLED=1    switch the agent off
  AGENT_STRICT=1      stop a process whose configuration has an error
  AGENT_DEBUG=1       log each step of the start on stderr
  AGENT_LAST_GOOD     how long the last good plan stays in force (default: 24h)
  AGENT_PYTHON        interpreter that compiles the configuration
  AGENT_INJECTION=0   do not change code inside functions
  SENTRY_DSN, SENTRY_ENVIRONMENT, SENTRY_RELEASE
                      as for the Sentry SDK
  SENTRY_AUTH_TOKEN   token of Sentry's API, for `sentry plan` and `apply`
  NO_COLOR            print without colours"""


def _called() -> str:
    """The words that started this: the console script, or the package that `python -m` ran."""
    name = os.path.basename(sys.argv[0] if sys.argv else "")
    return COMMAND if name.partition(".")[0] == COMMAND else f"python -m {__package__.partition('.')[0]}"


class _Parser(argparse.ArgumentParser):
    """Escapes control characters in what it repeats of the command line."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        super().exit(status, clean(message) if message else message)


def build_parser(chosen: str = "") -> argparse.ArgumentParser:
    """`chosen`: the only command whose module is needed, where it is one; each imports what it uses."""
    parser = _Parser(
        prog=_called(),
        description="Monitor a Python ERP as monitors.yaml describes it. Its source is not changed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"erp-sentry-agent {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, module_name in COMMANDS.items():
        if chosen in COMMANDS and name != chosen:
            continue
        module = import_module("." + module_name, __package__)
        module.configure(add_command(commands, name, getattr(module, "run", None), module.HELP))
    return parser


def main(arguments: Sequence[str]) -> int:
    if os.getpid() == 1:  # in a container, where nothing ends a program that does not ask for it
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    gc.set_threshold(100_000, 50, 100)  # a command makes many values at once, and keeps nearly all of them
    parser = build_parser(arguments[0] if arguments else "")
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return 0
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except AgentError as error:
        err(error)
        return 1 if isinstance(error, ProblemsError) else 2
    except BrokenPipeError:
        # The reader of the pipe has gone (`… | head`). Python would report it again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        end_echo()
        return 130
    return status
