"""A folder of source → what there is to monitor in it: apps, tasks, and the packs that apply. Nothing is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...config.read.node import Node
from ...config.read.shipped import pack_names, pack_path
from ...config.read.text import read_text
from ...config.read.tree import parse
from ...config.requirements import RequirementError, parse_requirement, unmet
from ..attributes import Bodies
from ..lookup import Lookup
from ..roots import SKIPPED, layout, names_imported, source_files
from ..search import SearchPath, widened
from .handled import Handlers
from .propose import Proposal, applications, discover, refusals

#: Packs whose distribution is installed with the agent: that it is there means nothing for the ERP.
_EVERYWHERE = frozenset(("urllib3",))

#: Packs of database drivers → what who uses the driver itself imports. Below these packs, they see the same statements
#: once more, and report none of them.
_DRIVERS = {
    "asyncpg": ("asyncpg",),
    "mysql": ("pymysql", "MySQLdb", "aiomysql", "mysql"),
    "oracledb": ("oracledb", "cx_Oracle"),
    "psycopg": ("psycopg", "psycopg2", "psycopg_pool"),
}
_ABOVE_DRIVERS = frozenset(("django", "sqlalchemy"))  # names of packs and of what is imported

_LARGEST = 500_000  # bytes of a file that are looked through for a Sentry client and for drivers
_TAKEN = re.compile(rb"^from[ \t]+(\w+)[\w.]*[ \t]+import[ \t]+\*", re.MULTILINE)
_USED = re.compile(rb"^[ \t]*(?:from|import)[ \t]+(%s)\b" % "|".join(sum(_DRIVERS.values(), ())).encode(), re.MULTILINE)


class Project(NamedTuple):
    roots: list[str]  # folders that are to be on the interpreter's path, and are not by themselves
    packages: list[str]
    apps: list[str]  # Django apps, dotted
    packs: list[str]
    proposals: list[Proposal]
    client: str | None = None  # the file that sets up a Sentry client of the ERP's own
    refusals: Sequence[str] = ()  # the project's exceptions for what somebody may not do, dotted
    absent: Sequence[str] = ()  # what its modules import, and the environment does not have
    covered: Sequence[str] = ()  # packs of drivers that only Django or SQLAlchemy use here
    installed: Sequence[str] = ()  # the ERP's top-level packages, if some lie where packages are installed
    extended: Sequence[str] = ()  # those of them that it only configures: its settings begin with theirs


def survey(folder: str, search: SearchPath) -> Project:
    """Look a project over. `search` is the environment that it runs in."""
    roots, packages = layout(folder, search)
    lookup = Lookup(widened(search, roots))
    apps = [app for name in packages for app in applications(lookup, name)]
    handlers = Handlers(lookup, Bodies())
    proposals = [proposal for name in packages for proposal in discover(lookup, name, handlers)]
    refused = [name for package in packages for name in refusals(lookup, package)]
    places = [place for name in packages for place in _places(lookup, name)]
    imported = names_imported(places)
    absent = sorted(name for name in imported if lookup.finder.find(name) is None)
    own = {name.partition(".")[0] for name in packages}
    extended = _extended(lookup, places, own)
    installed = {*own, *extended} if extended or os.path.abspath(roots[0]).endswith("-packages") else ()
    roots = [root for root in roots if os.path.abspath(root) not in search.entries]
    packs = _packs(lookup)
    covered = _covered(packs, places) if _ABOVE_DRIVERS.intersection(packs, imported) else []
    packs = [pack for pack in packs if pack not in covered]
    return Project(
        roots, packages, apps, packs, proposals, _client(places), refused, absent, covered, sorted(installed), extended
    )


def _extended(lookup: Lookup, places: list[str], own: set[str]) -> list[str]:
    """The installed packages from whose settings those of the project take everything, Django's own left out."""
    found: set[str] = set()
    for path, text in _texts(places):
        if "settings" in (os.path.basename(path)[:-3], os.path.basename(os.path.dirname(path))):
            found.update(name.decode() for name in _TAKEN.findall(text))
    modules = [lookup.finder.find(name) for name in sorted(found - own - {"django"})]
    return [module.name for module in modules if module is not None and "-packages" in module.file]


def _covered(packs: list[str], places: list[str]) -> list[str]:
    """The packs of drivers that the source in `places` does not use itself."""
    used = {name.decode() for _, text in _texts(places) for name in _USED.findall(text)}
    return [pack for pack in packs if pack in _DRIVERS and used.isdisjoint(_DRIVERS[pack])]


def _places(lookup: Lookup, name: str) -> Iterator[str]:
    """The folders of a package, or the file of a module."""
    module = lookup.module(name)
    if module is not None:
        yield from module.locations or (module.file,)


def _texts(places: list[str]) -> Iterator[tuple[str, bytes]]:
    for _, path in source_files(places, SKIPPED):
        try:
            with open(path, "rb") as file:
                text = file.read(_LARGEST)
        except OSError:
            continue
        yield path, text


def _client(places: list[str]) -> str | None:
    return next((path for path, text in _texts(places) if b"sentry_sdk.init(" in text), None)


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
