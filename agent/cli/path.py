"""`path`: the folder to put on PYTHONPATH."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import AgentError

if TYPE_CHECKING:
    import argparse

HELP = "print the folder to put on PYTHONPATH"


def configure(parser: argparse.ArgumentParser) -> None:
    del parser


def run(_: argparse.Namespace) -> int:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in (os.path.dirname(package), os.path.join(package, "site")):
        name = os.path.join(folder, "sitecustomize.py")
        # In site-packages there may be a sitecustomize.py of somebody else's.
        if os.path.isfile(name) and (folder.startswith(package) or not folder.endswith("-packages")):
            print(folder)
            return 0
    raise AgentError(f"no sitecustomize.py of the agent was found beside {package}: install the agent again")
