"""`path`: the folder to put on PYTHONPATH."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base import places
from ..base.errors import AgentError
from .terminal import out

if TYPE_CHECKING:
    import argparse

HELP = "print the folder to put on PYTHONPATH"


def configure(parser: argparse.ArgumentParser) -> None:
    del parser


def run(_: argparse.Namespace) -> int:
    out(folder())
    return 0


def folder() -> str:
    """Where sitecustomize.py lies. Raises AgentError where it cannot be found."""
    package = places.PACKAGE
    for place in (os.path.dirname(package), os.path.join(package, "site")):
        name = os.path.join(place, "sitecustomize.py")
        # In site-packages there may be a sitecustomize.py of somebody else's.
        if os.path.isfile(name) and (place.startswith(package) or not place.endswith("-packages")):
            return place
    raise AgentError(f"no sitecustomize.py of the agent was found beside {package}: install the agent again")
