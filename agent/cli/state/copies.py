"""Other copies of the agent beside the one that runs: in the current folder, on PYTHONPATH, or installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder

from ...base import places
from ..terminal import one_line

HINT = "keep one: uninstall the other, or take its folder off PYTHONPATH and do not run this in it"


def first_other(path: Iterable[str]) -> str:
    """The file of the first package called `agent` on the path that is not this one; "" if there is none."""
    for entry in path:
        spec = PathFinder.find_spec("agent", [entry])
        file = spec.origin if spec is not None else None
        if file is not None and not _is_this(os.path.dirname(file)):
            return file
    return ""


def is_agent(package: str) -> bool:
    return os.path.isfile(os.path.join(package, "base", "places.py"))


def beside(path: Iterable[str] | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Which copy runs this command and which one the ERP's processes, where there are two; "" where there is one.

    `path` is that of this interpreter by default, and `environ` the environment of this shell.
    """
    environ = os.environ if environ is None else environ
    entries = [entry or os.getcwd() for entry in sys.path] if path is None else list(path)
    started = _started_by(environ)
    others = [os.path.dirname(first_other(entries)), started]
    other = next((each for each in others if each and is_agent(each) and not _is_this(each)), "")
    if not other:
        return ""
    processes = f"; programs of this shell start with {one_line(started)}" if started else ""
    return f"this command runs {one_line(places.PACKAGE)}, and {one_line(other)} is another{processes}"


def _is_this(package: str) -> bool:
    return os.path.realpath(package) == os.path.realpath(places.PACKAGE)


def _started_by(environ: Mapping[str, str]) -> str:
    """The package of the agent whose sitecustomize.py is the first on PYTHONPATH; "" if that is none of an agent."""
    for entry in environ.get("PYTHONPATH", "").split(os.pathsep):
        if entry and os.path.isfile(os.path.join(entry, "sitecustomize.py")):
            folders = (os.path.join(entry, "agent"), os.path.dirname(os.path.abspath(entry)))
            return next((folder for folder in folders if is_agent(folder)), "")
    return ""
