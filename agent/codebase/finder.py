"""Module name → file, by the import system's own path rules."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .search import SearchPath

_SOURCE, _BYTECODE = (".py", ".pyw"), (".pyc",)
_COMPILED = (".so", ".pyd", ".dll")

MOST_BYTES = 20_000_000  # of one source file


class ModuleFile(NamedTuple):
    name: str
    kind: str  # source | namespace | extension | bytecode | builtin
    file: str  # of a module in a zip: the zip's path, then the path inside
    locations: tuple[str, ...]  # where the submodules of a package lie; () for a plain module


class Finder:
    def __init__(self, search: SearchPath) -> None:
        self.search = search
        self._modules: dict[str, ModuleFile | None] = {}
        self._folders: dict[str, frozenset[str]] = {}
        self._zips: dict[str, frozenset[str] | None] = {}

    def find(self, name: str) -> ModuleFile | None:
        """The module as an import would find it, with the packages above it; None where there is none."""
        if name not in self._modules:
            self._modules[name] = self._find(name)
        return self._modules[name]

    def _find(self, name: str) -> ModuleFile | None:
        parent, _, tail = name.rpartition(".")
        if not parent and name in self.search.builtin:
            return ModuleFile(name, "builtin", "", ())
        mapped = self.search.mapped.get(name)
        if mapped is not None:
            found = self._at(name, mapped)
            if found is not None:
                return found
        places: Sequence[str] = self.search.entries
        if parent:
            package = self.find(parent)
            if package is None:
                return None
            places = package.locations
        portions: list[str] = []
        for place in places:
            found = self._in(place, name, tail)
            if found is None:
                continue
            if found.kind != "namespace":
                return found
            portions += found.locations
        if not portions and not parent:  # a namespace whose parts are mapped by editable installs
            portions = sorted({_above(key, path) for key, path in self.search.mapped.items()
                               if key.startswith(name + ".") and key.count(".") == 1})  # fmt: skip
        return ModuleFile(name, "namespace", portions[0], tuple(dict.fromkeys(portions))) if portions else None

    def widen(self, module: ModuleFile) -> None:
        """Take a package's submodules from every place of the path: it calls pkgutil.extend_path."""
        folders = [os.path.join(entry, *module.name.split(".")) for entry in self.search.entries]
        every = (*module.locations, *(folder for folder in folders if os.path.isdir(folder)))
        self._modules[module.name] = module._replace(locations=tuple(dict.fromkeys(every)))

    def submodules(self, module: ModuleFile) -> list[str]:
        """The last names of the modules that lie in a package."""
        found = {key.rpartition(".")[2] for key in self.search.mapped if key.rpartition(".")[0] == module.name}
        for place in module.locations:
            archive, inside = self._split(place)
            if archive:
                names = self._zip(archive) or frozenset()
                below = [name[len(inside) + 1 :] for name in names if name.startswith(inside + "/")]
                found.update(_stem(name.partition("/")[0]) for name in below if name)
            else:
                for name in self._folder(place):
                    stem = _stem(name)
                    if stem != name or os.path.isdir(os.path.join(place, name)):
                        found.add(stem)
        return sorted(name for name in found if name.isidentifier() and name not in ("__init__", "__pycache__"))

    def read(self, module: ModuleFile) -> bytes:
        """The source. Raises OSError."""
        archive, inside = self._split(module.file)
        if not archive:
            with open(module.file, "rb") as stream:
                data = stream.read(MOST_BYTES + 1)
        else:
            import zipfile

            try:
                with zipfile.ZipFile(archive) as opened, opened.open(inside) as member:
                    data = member.read(MOST_BYTES + 1)
            except (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, EOFError) as error:
                raise OSError(str(error)) from None
        if len(data) > MOST_BYTES:
            raise OSError(f"it is larger than {MOST_BYTES // 1_000_000} MB")
        return data

    def _at(self, name: str, path: str) -> ModuleFile | None:
        """A module that an editable install maps to a file, or to the folder of a package."""
        if os.path.isdir(path):
            return self._package(name, path, self._folder(path)) or ModuleFile(name, "namespace", path, (path,))
        if os.path.isfile(path):
            package = os.path.basename(path) == "__init__.py"
            return ModuleFile(name, _kind(path), path, (os.path.dirname(path),) if package else ())
        if os.path.isfile(path + ".py"):
            return ModuleFile(name, "source", path + ".py", ())
        return None

    def _in(self, place: str, name: str, tail: str) -> ModuleFile | None:
        archive, inside = self._split(place)
        if archive:
            return self._in_zip(archive, inside, name, tail)
        entries = self._folder(place)
        folder = os.path.join(place, tail)
        if tail in entries:
            inner = self._folder(folder)
            package = self._package(name, folder, inner)
            if package is not None:
                return package
        for entry in self._candidates(entries, tail):
            file = os.path.join(place, entry)
            if os.path.isfile(file):
                return ModuleFile(name, _kind(entry), file, ())
        return ModuleFile(name, "namespace", folder, (folder,)) if tail in entries and os.path.isdir(folder) else None

    def _package(self, name: str, folder: str, entries: frozenset[str]) -> ModuleFile | None:
        for entry in self._candidates(entries, "__init__"):
            file = os.path.join(folder, entry)
            if os.path.isfile(file):
                return ModuleFile(name, _kind(entry), file, (folder,))
        return None

    def _candidates(self, entries: frozenset[str], stem: str) -> Iterator[str]:
        """Files that give a module of this name, in the order in which an import prefers them."""
        if not any(stem + suffix in entries for suffix in (*_SOURCE, *_BYTECODE, *_COMPILED)) and not any(
            entry.startswith(stem + ".") for entry in entries
        ):
            return
        # What other interpreters than this one could load is not tried: `x.cpython-39-….so` beside a 3.12.
        tag = "%d%d" % tuple(self.search.version[:2])
        for entry in sorted(entries):
            if entry.startswith(stem + ".") and entry.endswith(_COMPILED):
                middle = entry[len(stem) : entry.rfind(".")]
                if not middle or "abi3" in middle or re.search(rf"(?:-|cp){tag}(?!\d)", middle):
                    yield entry
        for suffix in (*_SOURCE[: 2 if os.name == "nt" else 1], *_BYTECODE):
            if stem + suffix in entries:
                yield stem + suffix

    def _in_zip(self, archive: str, inside: str, name: str, tail: str) -> ModuleFile | None:
        names = self._zip(archive)
        if names is None:
            return None
        path = f"{inside}/{tail}" if inside else tail
        for suffix, package in (("/__init__.py", True), ("/__init__.pyc", True), (".py", False), (".pyc", False)):
            if path + suffix in names:
                folder = os.path.join(archive, *path.split("/"))
                return ModuleFile(name, _kind(suffix), os.path.join(archive, *(path + suffix).split("/")),
                                  (folder,) if package else ())  # fmt: skip
        if path + "/" in names:
            folder = os.path.join(archive, *path.split("/"))
            return ModuleFile(name, "namespace", folder, (folder,))
        return None

    def _split(self, place: str) -> tuple[str, str]:
        """(zip file, path inside) of a place in an archive; ("", "") elsewhere."""
        if os.path.isdir(place):
            return "", ""
        head, inside = place, ""
        for _ in range(40):
            if os.path.isfile(head):
                return (head, inside.replace(os.sep, "/")) if self._zip(head) is not None else ("", "")
            head, tail = os.path.split(head)
            if not tail:
                break
            inside = os.path.join(tail, inside) if inside else tail
        return "", ""

    def _zip(self, file: str) -> frozenset[str] | None:
        if file not in self._zips:
            import zipfile

            names: set[str] | None = None
            try:
                if not file.endswith((*_SOURCE, *_BYTECODE, *_COMPILED)) and zipfile.is_zipfile(file):
                    with zipfile.ZipFile(file) as archive:
                        names = set(archive.namelist())
                    for name in list(names):
                        parts = name.split("/")
                        names.update("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))
            except (OSError, ValueError, zipfile.BadZipFile):
                names = None
            self._zips[file] = frozenset(names) if names is not None else None
        return self._zips[file]

    def _folder(self, path: str) -> frozenset[str]:
        if path not in self._folders:
            try:
                self._folders[path] = frozenset(os.listdir(path))
            except (OSError, ValueError):
                self._folders[path] = frozenset()
        return self._folders[path]


def _kind(file: str) -> str:
    return "source" if file.endswith(_SOURCE) else "bytecode" if file.endswith(_BYTECODE) else "extension"


def _stem(name: str) -> str:
    return name.partition(".")[0] if name.endswith((*_SOURCE, *_BYTECODE, *_COMPILED)) else name


def _above(name: str, path: str) -> str:
    del name
    return os.path.dirname(path if not path.endswith("__init__.py") else os.path.dirname(path))
