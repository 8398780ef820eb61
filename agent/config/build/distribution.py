"""The release of the ERP, where nobody names one: the version that its distribution was installed with.

Looked up when the configuration is compiled, in a process of its own: what reads metadata is large. An installation
changes the folder of installed packages, which a plan is compared with, so that the next process has the new version.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Callable

from ..requirements import installed


def release_of(packages: Sequence[str]) -> str | None:
    """The version of the distribution with the first of the ERP's packages; None where it was not installed as one.

    Only of the first: a library that one monitor names has a version too, and it is not the ERP's.
    """
    try:
        found = _distribution(packages[0].partition(".")[0]) if packages else None
        return (str(found.version).strip() or None) if found is not None and found.version else None
    except Exception:  # whatever is wrong with what is installed
        return None


def _distribution(package: str) -> Any:
    if not any(_may_hold(folder, package) for folder in dict.fromkeys(sys.path)):
        return None  # as most ERPs: what reads metadata takes a quarter of a compilation to import
    for distribution in installed().distributions(name=package):
        return distribution
    for distribution in installed().distributions():
        if _holds(distribution.read_text, package):
            return distribution
    return None


def _may_hold(folder: str, package: str) -> bool:
    """May a folder of the path hold a distribution with this package, or of its name?"""
    try:
        names = os.listdir(folder or ".")
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a zip file
    infos = [name for name in names if name.lower().endswith((".dist-info", ".egg-info"))]
    return (
        folder.lower().endswith(".egg")
        or any(_plain(name).startswith(_plain(package)) for name in infos)
        or any(_holds(partial(_read, folder, name), package) for name in infos)
    )


def _plain(name: str) -> str:
    return re.sub("[-_.]+", "_", name).lower()


def _read(*path: str) -> str:
    try:
        with open(os.path.join(*path), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _holds(read: Callable[[str], str | None], package: str) -> bool:
    """Does the distribution whose files of metadata `read` returns install this package or module?

    RECORD is searched as text: `distribution.files` looks up each of its files on disk, which takes most of the time
    of a compilation where many distributions are installed.
    """
    listed = read("top_level.txt")
    if listed:
        return package in listed.split()
    record = "\n" + (read("RECORD") or "")
    return f"\n{package}/" in record or f"\n{package}.py," in record
