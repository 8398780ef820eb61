"""`run`: a command with the agent in it, for a try or in a service file."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from ..base.errors import AgentError
from . import options
from .path import folder

HELP = "run a command with the agent in it: python -m agent run [--config FILE] [--strict] -- COMMAND"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="default: AGENT_CONFIG, or monitors.yaml beside sitecustomize.py"
    )
    parser.add_argument(
        "--strict", action="store_true", help="do not run it, with exit status 2, where the configuration is wrong"
    )
    parser.add_argument("--debug", action="store_true", help="explain on stderr what the agent does as it starts")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command and its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Becomes the command: its exit status is the status. 2: the command could not be run."""
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise AgentError("there is no command to run: python -m agent run -- python manage.py runserver")
    config = options.config_of(arguments.config)
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
    """`environ` with the agent switched on in every Python that inherits it, in front of all others."""
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
    """Here, too: the command may be no Python, or one that does not read PYTHONPATH."""
    from ..config.load import load

    wrong = [problem for problem in load(config, os.environ).problems if problem.severity == "error"]
    if wrong:
        lines = [f"{each.file}:{each.line}:{each.column}: {each.path}: {each.message} [{each.slug}]" for each in wrong]
        raise AgentError("\n".join([*lines, f"{config} is wrong: the command was not run"]))
