"""A folder of source → what there is to monitor in it: apps, tasks, and the packs that apply. Nothing is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..config.read.node import Node
from ..config.read.shipped import pack_names, pack_path
from ..config.read.text import read_text
from ..config.read.tree import parse
from ..config.requirements import RequirementError, parse_requirement, unmet
from .lookup import Lookup
from .propose import NO_PACKAGES, Proposal, applications, discover, refusals, source_files
from .search import SearchPath

_NO_PACKAGES = NO_PACKAGES | {"tests", "test"}

#: Packs whose distribution is installed with the agent: that it is there means nothing for the ERP.
_EVERYWHERE = frozenset(("urllib3",))


_LARGEST = 500_000  # bytes of a file that are looked through for a Sentry client and for imports
_IMPORTED = re.compile(rb"^(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)  # not what a `try` or a condition holds


class Project(NamedTuple):
    roots: list[str]  # folders that are to be on the interpreter's path
    packages: list[str]
    apps: list[str]  # Django apps, dotted
    packs: list[str]
    proposals: list[Proposal]
    client: str | None = None  # the file that sets up a Sentry client of the ERP's own
    refusals: Sequence[str] = ()  # the project's exceptions for what somebody may not do, dotted
    absent: Sequence[str] = ()  # what its modules import, and the environment does not have


def survey(folder: str, search: SearchPath) -> Project:
    """Look a project over. `search` is the environment that it runs in."""
    roots = [root for root in (folder, os.path.join(folder, "src")) if os.path.isdir(root)]
    lookup = Lookup(search._replace(entries=tuple(dict.fromkeys([*map(os.path.abspath, roots), *search.entries]))))
    packages = list(dict.fromkeys(name for root in roots for name in _packages(root)))
    apps = [app for name in packages for app in applications(lookup, name)]
    proposals = [proposal for name in packages for proposal in discover(lookup, name)]
    refused = [name for package in packages for name in refusals(lookup, package)]
    absent = sorted(_absent(lookup, [os.path.join(root, name) for root in roots for name in _packages(root)]))
    return Project(roots, packages, apps, _packs(lookup), proposals, _client(roots), refused, absent)


def _absent(lookup: Lookup, folders: list[str]) -> set[str]:
    imported: set[bytes] = set()
    for _, path in source_files(folders, _NO_PACKAGES):
        try:
            with open(path, "rb") as file:
                imported.update(_IMPORTED.findall(file.read(_LARGEST)))
        except OSError:
            continue
    return {name for name in map(bytes.decode, imported) if lookup.finder.find(name) is None}


def _client(roots: list[str]) -> str | None:
    for _, path in source_files(roots, _NO_PACKAGES):
        try:
            with open(path, "rb") as file:
                if b"sentry_sdk.init(" in file.read(_LARGEST):
                    return path
        except OSError:
            continue
    return None


def _packages(root: str) -> Iterator[str]:
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        if name.isidentifier() and name not in _NO_PACKAGES and os.path.isfile(os.path.join(path, "__init__.py")):
            yield name


def _packs(lookup: Lookup) -> list[str]:
    """The packs of which at least one monitor's requirement is met in the environment."""
    found = []
    for pack in pack_names():
        if pack in _EVERYWHERE:
            continue
        root, _ = parse(read_text(pack_path(pack))[0])
        if root is not None and any(_is_met(text, lookup) for text in _requirements(root)):
            found.append(pack)
    return found


def _requirements(root: Node) -> Iterator[str]:
    monitors = root.children.get("monitors") if isinstance(root.children, dict) else None
    for monitor in monitors.children if monitors is not None and isinstance(monitors.children, list) else ():
        requires = monitor.children.get("requires") if isinstance(monitor.children, dict) else None
        if requires is not None:
            several = requires.children if isinstance(requires.children, list) else [requires]
            yield from (node.text for node in several if node.text)


def _is_met(text: str, lookup: Lookup) -> bool:
    try:
        return not unmet(parse_requirement(text), lookup.search.entries)
    except RequirementError:
        return False
