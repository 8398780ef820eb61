"""`path`: the folder to put on PYTHONPATH."""

from __future__ import annotations

import argparse
import os

from ..base import places
from ..base.errors import AgentError
from .terminal import out

HELP = "print the folder to put on PYTHONPATH"


def configure(_: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(_: argparse.Namespace) -> int:
    out(folder())
    return 0


def folder() -> str:
    """The folder of sitecustomize.py. Raises AgentError where there is none."""
    package = places.PACKAGE
    for place in (os.path.dirname(package), os.path.join(package, "site")):
        # A sitecustomize.py in site-packages may be another project's.
        ours = place.startswith(package) or not place.endswith("-packages")
        if ours and os.path.isfile(os.path.join(place, "sitecustomize.py")):
            return place
    raise AgentError(f"no sitecustomize.py of the agent beside {package}: install the agent again")
