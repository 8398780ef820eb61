"""Which folders of a project are on its interpreter's path, and by which names its code is imported.

Known from the names that the source itself imports.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from .modules import ModuleFinder
from .search import SearchPath

#: Folders that hold what tools have made, unless they are packages: an application of an ERP may be called `build`.
NO_PACKAGES = frozenset(("docs", "node_modules", "venv", "env", "build", "dist", "site-packages"))
SKIPPED = NO_PACKAGES | {"tests", "test"}

_MOST_FILES = 5_000  # that are looked through
_LARGEST = 500_000  # bytes of a file that are looked through
_IMPORTED = re.compile(rb"^(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)  # not what a `try` or a condition holds

#: Modules at the top of a project that are no part of what runs.
_OF_TOOLS = frozenset(("setup", "conftest", "manage", "noxfile", "fabfile", "versioneer"))
_DEEPEST = 3  # folders below the given one, in which a `manage.py` is looked for


class Layout(NamedTuple):
    roots: list[str]  # folders that are to be on the path
    packages: list[str]  # and modules beside them: names of the project's code, dotted where a part of it was given


def layout(folder: str, search: SearchPath) -> Layout:
    """Of the project in `folder`, which runs in the environment `search`."""
    package = package_at(folder, search)
    if package is not None:
        return Layout([package[0]], [package[1]])
    imported = names_imported([folder])
    roots = [folder]
    source = os.path.join(folder, "src")
    if os.path.isdir(source) and not imported["src"]:
        roots.append(source)
    roots += [each for each in _projects_below(folder) if each not in roots and _is_root(each, imported, search)]
    inside = {os.path.abspath(root) for root in roots}
    found = [
        name
        for root in roots
        for name in _packages(root, imported)
        if os.path.join(os.path.abspath(root), name) not in inside
    ]
    return Layout(roots, list(dict.fromkeys(found)))


def package_at(folder: str, search: SearchPath) -> tuple[str, str] | None:
    """A folder that is a package: (the folder above it that is on the path, its dotted name). None where it is none.

    A folder that its own code imports from, as if it was on the path, is none, with an `__init__.py` or without.
    """
    if not _is_package(folder) or _is_root(folder, names_imported([folder]), search):
        return None
    above = os.path.abspath(folder)
    names: list[str] = []
    while _is_package(above):
        above, name = os.path.split(above)
        names.insert(0, name)
    return above if os.path.isabs(folder) else os.path.relpath(above), ".".join(names)


def names_imported(folders: Iterable[str]) -> Counter[str]:
    """The first names of all modules that the source in `folders` imports, and how often."""
    imported: Counter[bytes] = Counter()
    for _, path in source_files(folders, SKIPPED):
        try:
            with open(path, "rb") as file:
                imported.update(_IMPORTED.findall(file.read(_LARGEST)))
        except OSError:
            continue
    return Counter({name.decode(): often for name, often in imported.items()})


def source_files(roots: Iterable[str], skipped: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield (root, path) of the Python files below, in order, some thousands at most; without the `skipped` folders.

    A root may be a file.
    """
    left = _MOST_FILES
    for root in roots:
        if os.path.isfile(root):
            yield root, root
        for folder, below, names in os.walk(root):
            below[:] = sorted(
                each
                for each in below
                if not each.startswith((".", "__")) and not is_left_out(os.path.join(folder, each), skipped)
            )
            for name in sorted(each for each in names if each.endswith(".py"))[:left]:
                left -= 1
                yield root, os.path.join(folder, name)


def is_left_out(folder: str, skipped: Container[str]) -> bool:
    name = os.path.basename(folder)
    return name in skipped and not (name in NO_PACKAGES and _is_package(folder))


def _is_package(folder: str) -> bool:
    name = os.path.basename(os.path.abspath(folder))
    return name.isidentifier() and os.path.isfile(os.path.join(folder, "__init__.py"))


def _is_root(folder: str, imported: Counter[str], search: SearchPath) -> bool:
    """Is what lies in it imported by its own names more often than by the folder's?"""
    if not _is_package(folder):
        return True
    place = os.path.abspath(folder)
    finder = ModuleFinder(search._replace(entries=tuple(each for each in search.entries if each != place)))
    below = sum(imported[name] for name in _names_in(folder) if finder.find(name) is None)
    own = imported[os.path.basename(place)]
    return below > own or (below == own == 0 and os.path.isfile(os.path.join(folder, "manage.py")))


def _names_in(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            name = entry.name.removesuffix(".py")
            skipped = is_left_out(os.path.join(folder, name), SKIPPED)
            if name.isidentifier() and not skipped and (name != entry.name or entry.is_dir()):
                yield name


def _packages(root: str, imported: Counter[str]) -> Iterator[str]:
    """Regular packages, modules, and folders of source that the project imports from by their names."""
    for name in _names_in(root):
        place = os.path.join(root, name)
        if os.path.isfile(f"{place}.py"):
            if name not in _OF_TOOLS and not name.startswith(("_", "test_")):
                yield name
        elif _is_package(place) or (imported[name] and next(source_files([place], SKIPPED), None) is not None):
            yield name


def _projects_below(folder: str) -> list[str]:
    """Folders with a `manage.py`, the highest of them, where the given one has none."""
    level = [folder]
    for _ in range(_DEEPEST + 1):
        found = [each for each in level if os.path.isfile(os.path.join(each, "manage.py"))]
        if found:
            return found if found != [folder] else []
        level = [os.path.join(each, name) for each in level for name in _folders_in(each)]
    return []


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir() and entry.name not in SKIPPED and not entry.name.startswith((".", "__"))
                and not os.path.isfile(os.path.join(entry.path, "pyvenv.cfg"))
            )  # fmt: skip
    except OSError:
        return []
