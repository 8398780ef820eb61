"""What a command knows of the configuration that it is asked about."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, NamedTuple

from ..base import places
from ..base.errors import ConfigError
from ..base.health import Health
from ..plan import index as cache
from .terminal import err

if TYPE_CHECKING:
    import argparse

    from ..base.model import SentryData, SpoolData
    from ..deliver.spool.spool import Spool


class Here(NamedTuple):
    config: str
    state: str
    sentry: SentryData
    spool_settings: SpoolData

    def spool(self) -> Spool:
        from ..deliver.sink import open_spool

        return open_spool(self.spool_settings, self.state, self.health("spool"))

    def health(self, command: str) -> Health:
        """Where a command counts: apart from the processes of the ERP."""
        return Health(os.path.join(self.state, "run"), self.config, command=command)


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="default: AGENT_CONFIG, or monitors.yaml beside sitecustomize.py"
    )


def config_of(given: str | None) -> str:
    """The configuration that is meant. Raises ConfigError where none is named and none lies in the usual place.

    One in the current folder is never used unasked: it is named.
    """
    if given:
        return os.path.abspath(os.path.expanduser(given))
    path = places.config_path(os.environ)
    if os.environ.get("AGENT_CONFIG"):
        return path
    local = os.path.abspath("monitors.yaml")
    there = os.path.exists(path)
    hint = f"there is one in this folder: export AGENT_CONFIG={shlex.quote(local)}, or give --config monitors.yaml"
    if not os.path.exists(local):
        hint = "name yours in AGENT_CONFIG or with --config, or write one: python -m agent init"
    if not there:
        raise ConfigError(f"no configuration: AGENT_CONFIG is not set, and there is no {path}; {hint}")
    if os.path.exists(local) and not os.path.samefile(local, path):
        err(f"note: AGENT_CONFIG is not set, so this is about {path}; {hint}")
    return path


def look(arguments: argparse.Namespace) -> Here:
    """The settings in force. Raises ConfigError where there are none: the file gives no plan, and never did."""
    return settings(config_of(arguments.config))


def settings(path: str) -> Here:
    """As `look`, for this configuration."""
    state = places.state_folder(os.environ, path)
    from ..config.load import load

    loaded = load(path, os.environ)
    if loaded.plan is not None:
        return Here(path, state, loaded.plan["sentry"], loaded.plan["spool"])
    index = cache.load(state, path)
    if index is not None:
        return Here(path, state, *index.settings())
    first = next((problem for problem in loaded.problems if problem.severity == "error"), None)
    raise ConfigError("{}: {}; see: python -m agent validate".format(path, first.message if first else "gives no plan"))
