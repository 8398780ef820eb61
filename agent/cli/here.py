"""What a command knows of the configuration that it is asked about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from .. import start
from ..config import cache
from ..errors import ConfigError
from ..health import Health

if TYPE_CHECKING:
    import argparse

    from ..deliver.spool import Spool
    from ..model import SentryData, SpoolData


class Here(NamedTuple):
    config: str
    state: str
    sentry: SentryData
    spool_settings: SpoolData

    def spool(self) -> Spool:
        from ..deliver.sink import open_spool

        return open_spool(self.spool_settings, self.state, Health(os.path.join(self.state, "run"), self.config))


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="default: AGENT_CONFIG, or monitors.yaml beside sitecustomize.py"
    )


def look(arguments: argparse.Namespace) -> Here:
    """The settings in force. Raises ConfigError where there are none: the file gives no plan, and never did."""
    path = os.path.abspath(arguments.config) if arguments.config else start.config_path(os.environ)
    state = start.state_folder(os.environ, path)
    from ..config.load import load

    loaded = load(path, os.environ)
    if loaded.plan is not None:
        return Here(path, state, loaded.plan["sentry"], loaded.plan["spool"])
    index = cache.load(state, path)
    if index is not None:
        return Here(path, state, *index.settings())
    first = next((problem for problem in loaded.problems if problem.severity == "error"), None)
    raise ConfigError("{}: {}; see: python -m agent validate".format(path, first.message if first else "gives no plan"))
