"""The parser and the dispatch of `python -m agent`."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from ..base.errors import AgentError
from ..base.version import __version__
from .terminal import clean, fail

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Command → the module that has HELP, configure(parser) and run(arguments) → exit status.
COMMANDS = {
    "validate": "validate",
    "list": "list",
    "explain": "explain",
    "init": "init",
    "discover": "discover",
    "schema": "schema",
    "events": "events",
    "status": "status",
    "spool": "spool.commands",
    "test": "test",
    "path": "path",
    "run": "run",
}

_EPILOG = """exit status: 0 all is well, 1 problems were found, 2 the command could not run
environment: AGENT_CONFIG the configuration, AGENT_STATE_DIR where the agent writes, AGENT_DISABLED=1 the kill switch,
             AGENT_STRICT=1 stop where the configuration is wrong, AGENT_DEBUG=1 explain each step on stderr,
             AGENT_LAST_GOOD how long the last good plan holds (24h), AGENT_PYTHON the interpreter that compiles it,
             AGENT_INJECTION=0 no change inside functions, SENTRY_DSN SENTRY_ENVIRONMENT SENTRY_RELEASE as for the SDK,
             NO_COLOR no colours"""


class _Parser(argparse.ArgumentParser):
    """Repeats what was typed, cleaned like all that is printed."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        super().exit(status, clean(message) if message else message)


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m agent",
        description="Monitors a Python ERP from monitors.yaml, without touching its source.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"erp-sentry-agent {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, module_name in COMMANDS.items():
        module = import_module("." + module_name, __package__)
        sub = commands.add_parser(name, help=module.HELP, description=module.HELP[0].upper() + module.HELP[1:] + ".")
        module.configure(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return 0
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except AgentError as error:
        return fail(error)
    except BrokenPipeError:
        # Whoever read our output has had enough (`… | head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return status
