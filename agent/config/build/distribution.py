"""The release of the ERP, where nobody names one: the version that its distribution was installed with.

Looked up when the configuration is compiled, in a process of its own: what reads metadata is large. An installation
changes the folder of installed packages, which a plan is compared with, so that the next process has the new version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...language.targets import own_packages
from ..requirements import installed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...base.model import MonitorData


def release_of(monitors: Iterable[MonitorData]) -> str | None:
    """The version of the distribution that holds the first of them; None where it was not installed as one.

    Only of the first: a library that one monitor names has a version too, and it is not the ERP's.
    """
    packages = own_packages(monitors)
    try:
        found = _distribution(packages[0]) if packages else None
        return (str(found.version).strip() or None) if found is not None and found.version else None
    except Exception:  # whatever is wrong with what is installed
        return None


def _distribution(package: str) -> Any:
    for distribution in installed().distributions(name=package):
        return distribution
    for distribution in installed().distributions():
        if _holds(distribution, package):
            return distribution
    return None


def _holds(distribution: Any, package: str) -> bool:
    """Does it install this package or module?

    RECORD is searched as text: `distribution.files` looks up each of its files on disk, which takes most of the time
    of a compilation where many distributions are installed.
    """
    listed = distribution.read_text("top_level.txt")
    if listed:
        return package in listed.split()
    record = "\n" + (distribution.read_text("RECORD") or "")
    return f"\n{package}/" in record or f"\n{package}.py," in record
