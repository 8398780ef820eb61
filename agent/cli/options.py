"""What commands share: their options, the configuration that they read, and its settings."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from ..base import places
from ..base.errors import AgentError, ConfigError
from ..base.health import Health
from ..language import units
from ..plan import index
from .terminal import err, shown_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..base.model import Problem, SentryData, SpoolData
    from ..deliver.spool.spool import Spool

#: Problems of a file that cannot be read, rather than of what it contains.
UNREADABLE = ("file-missing", "file-unreadable")

CONFIG_HELP = "configuration file (default: $AGENT_CONFIG, else monitors.yaml beside sitecustomize.py)"


class ProblemsError(AgentError):
    """The command ran and found something wrong: exit status 1 instead of 2."""


class Configured(NamedTuple):
    """A configuration, its state folder, and the settings that are in force."""

    config: str
    state: str
    sentry: SentryData
    spool_settings: SpoolData

    def spool(self) -> Spool:
        from ..deliver.sink import open_spool

        return open_spool(self.spool_settings, self.state, self.health("spool"))

    def health(self, command: str) -> Health:
        """Counters of a command, which are kept apart from those of the ERP's processes."""
        return Health(os.path.join(self.state, "run"), self.config, command=command)


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int] | None, text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help=CONFIG_HELP)


def add_format(parser: argparse.ArgumentParser, *others: str, json: str = "the same as --format json") -> None:
    """`--format`, and `--json`, which does what the text `json` describes."""
    parser.add_argument(
        "--format", choices=("text", "json", *others), default="text", help="output format (default: text)"
    )
    parser.add_argument("--json", action="store_const", const="json", dest="format", help=json)


def add_waiting(parser: argparse.ArgumentParser) -> None:
    """How long to wait for running processes."""
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=10.0, help="stop waiting after this time (default: 10)"
    )


def point_in_time(text: str) -> float:
    """For argparse: how long ago (`90s`, `1h`, `7d`), or a local time (`14:30`, `2026-01-31`, `2026-01-31T14:30Z`).

    Returns seconds since the epoch.
    """
    now = time.time()
    try:
        return now - units.duration(text)
    except units.UnitError:
        pass
    given = text.strip()
    if re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", given):
        given = time.strftime("%Y-%m-%dT", time.localtime(now)) + given.zfill(-(-len(given) // 3) * 3 - 1)
    try:
        return datetime.fromisoformat(given[:-1] + "+00:00" if given[-1:] in ("Z", "z") else given).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is neither how long ago (90s, 30m, 1h, 7d) nor a time (14:30, 2026-01-31, 2026-01-31T14:30)"
        ) from None


def duration(text: str) -> float:
    """For argparse: seconds."""
    try:
        return units.duration(text)
    except units.UnitError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: {error}") from None


def port(text: str) -> int:
    """For argparse."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a port: a number from 0 to 65535, such as 9464")
    return number


def config_path(given: str | None) -> str:
    """The path of the configuration. Raises ConfigError where none is named and the usual place has none.

    One in the current folder is used only if it is named.
    """
    if given:
        return os.path.abspath(os.path.expanduser(given))
    path = places.config_path(os.environ)
    if os.environ.get("AGENT_CONFIG"):
        return path
    local = os.path.abspath("monitors.yaml")
    hint = f"to use the one in this folder: export AGENT_CONFIG={shlex.quote(local)}, or add --config monitors.yaml"
    if not os.path.exists(local):
        hint = "name yours in AGENT_CONFIG or with --config, or write one: python -m agent init"
    if not os.path.exists(path):
        raise ConfigError(f"no configuration: AGENT_CONFIG is not set, and {path} does not exist; {hint}")
    if os.path.exists(local) and not os.path.samefile(local, path):
        err(f"note: AGENT_CONFIG is not set, so {path} is used; {hint}")
    return path


def configured(arguments: argparse.Namespace) -> Configured:
    """The settings in force. Raises ConfigError where the file gives no plan and no earlier one is kept."""
    return configured_by(config_path(arguments.config))


def configured_by(path: str) -> Configured:
    """`configured` for this path."""
    state = places.state_folder(os.environ, path)
    from ..config.load import load

    loaded = load(path, os.environ)
    if loaded.plan is not None:
        return Configured(path, state, loaded.plan["sentry"], loaded.plan["spool"])
    kept = index.load(state, path)
    if kept is not None:
        return Configured(path, state, *kept.settings())
    raise ConfigError(str(unusable(path, loaded.problems)))


def unusable(path: str, problems: Iterable[Problem]) -> AgentError:
    """The error to raise for a file that gives no plan."""
    first = next((problem for problem in problems if problem.severity == "error"), None)
    where = f"{first.path}: " if first is not None and first.path else ""
    why = first.message if first is not None else "the file cannot be used"
    unread = first is not None and first.slug in UNREADABLE and first.file == path
    kind = ConfigError if unread else ProblemsError
    return kind(f"{shown_path(path)}: {where}{why}; see: python -m agent validate {shlex.quote(shown_path(path))}")
