"""`run`: start a command with the agent switched on."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from ..base.errors import AgentError
from .options import add_config, config_path
from .path import folder
from .terminal import shown_path

HELP = "run a command with the agent switched on, as in: run --strict -- python manage.py runserver"


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--strict", action="store_true", help="if the configuration has an error, exit with status 2 and run nothing"
    )
    parser.add_argument("--debug", action="store_true", help="log each step of the agent's start on stderr")
    parser.usage = "%(prog)s [--config FILE] [--strict] [--debug] -- COMMAND ..."
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command and its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Becomes the command, whose exit status counts. Raises AgentError where it could not be run."""
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise AgentError("no command to run was given; example: python -m agent run -- python manage.py runserver")
    config = config_path(arguments.config)
    if arguments.config and not os.path.exists(config):
        raise AgentError(f"{config}: no such file")
    program = shutil.which(words[0])
    if program is None:
        raise AgentError(f"{words[0]}: no such command on PATH")
    if arguments.strict:
        _check(config)
    environment = make_environment(os.environ, config, strict=arguments.strict, debug=arguments.debug)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, words, environment)  # noqa: S606


def make_environment(
    environ: os._Environ[str] | dict[str, str], config: str, *, strict: bool, debug: bool
) -> dict[str, str]:
    """`environ` with the agent switched on in every Python that inherits it, first on PYTHONPATH."""
    made = {name: value for name, value in environ.items() if name != "AGENT_DISABLED"}
    first = folder()
    rest = [entry for entry in made.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != first]
    made["PYTHONPATH"] = os.pathsep.join([first, *rest])
    made["AGENT_CONFIG"] = config
    if strict:
        made["AGENT_STRICT"] = "1"
    if debug:
        made["AGENT_DEBUG"] = "1"
    return made


def _check(config: str) -> None:
    """Raises AgentError with every error of the configuration.

    The command's own process would check too, but it may be no Python, or one that ignores PYTHONPATH.
    """
    from ..config.load import load

    wrong = [problem for problem in load(config, os.environ).problems if problem.severity == "error"]
    if wrong:
        lines = []
        for each in wrong:
            place = f":{each.line}:{each.column}" if each.line else ""
            where = f"{each.path}: " if each.path else ""
            lines.append(f"{shown_path(each.file)}{place}: {where}{each.message} [{each.slug}]")
        raise AgentError("\n".join([*lines, f"the command was not run: {shown_path(config)} has errors"]))
