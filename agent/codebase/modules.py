"""Module name → file, by the import system's own finders."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from typing import Any, NamedTuple

from ..base import places
from .search import SearchPath

MOST_BYTES = 20_000_000  # of one source file

_SUFFIXES = (".py", ".pyw", ".pyc", ".so", ".pyd", ".dll")
_IN_ARCHIVES = ("/__init__.py", "/__init__.pyc", ".py", ".pyc")  # as zipimport prefers them
_UNREADABLE = (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, EOFError, zlib.error)


class ModuleFile(NamedTuple):
    name: str
    kind: str  # source | namespace | extension | bytecode | builtin
    file: str  # of a module in a zip: the zip's path, then the path inside
    locations: tuple[str, ...]  # where the submodules of a package lie; () for a plain module


class ModuleFinder:
    def __init__(self, search: SearchPath) -> None:
        self.search = search
        self._modules: dict[str, ModuleFile | None] = {}
        self._folders: dict[str, FileFinder | zipfile.Path | None] = {}
        self.files: dict[str, Any] = {}  # that were read → their stamps
        self._loaders = (
            (ExtensionFileLoader, list(search.extensions)),
            (SourceFileLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )

    def find(self, name: str) -> ModuleFile | None:
        """The module as an import would find it, with the packages above it; None where there is none."""
        if name not in self._modules:
            self._modules[name] = self._find(name)
        return self._modules[name]

    def _find(self, name: str) -> ModuleFile | None:
        parent = name.rpartition(".")[0]
        if not parent and name in self.search.builtin:
            return ModuleFile(name, "builtin", "", ())
        mapped = self.search.mapped.get(name)
        found = self._at(name, mapped) if mapped is not None else None
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
            found = self._in(place, name)
            if found is None:
                continue
            if found.kind != "namespace":
                return found
            portions += found.locations
        if not portions and not parent:  # a namespace whose parts are mapped by editable installs
            portions = sorted({_above(path) for key, path in self.search.mapped.items()
                               if key.startswith(name + ".") and key.count(".") == 1})  # fmt: skip
        return ModuleFile(name, "namespace", portions[0], tuple(dict.fromkeys(portions))) if portions else None

    def widen(self, module: ModuleFile) -> None:
        """Take a package's submodules from every place of the path: it calls pkgutil.extend_path."""
        folders = [os.path.join(entry, *module.name.split(".")) for entry in self.search.entries]
        every = (*module.locations, *(folder for folder in folders if os.path.isdir(folder)))
        self._modules[module.name] = module._replace(locations=tuple(dict.fromkeys(every)))

    def submodules(self, module: ModuleFile) -> list[str]:
        """The last names of the modules in a package."""
        found = {key.rpartition(".")[2] for key in self.search.mapped if key.rpartition(".")[0] == module.name}
        for place in module.locations:
            folder = self._folder(place)
            try:
                for each in (folder if isinstance(folder, zipfile.Path) else Path(place)).iterdir():
                    stem = each.name.partition(".")[0] if each.name.endswith(_SUFFIXES) else each.name
                    if stem != each.name or each.is_dir():
                        found.add(stem)
            except (OSError, ValueError):
                continue
        return sorted(name for name in found if name.isidentifier() and name not in ("__init__", "__pycache__"))

    def read(self, module: ModuleFile) -> bytes:
        """The source. Raises OSError."""
        place, name = os.path.split(module.file)
        folder = self._folder(place)
        self.files[module.file] = places.stamp(module.file)
        try:
            with (folder / name).open("rb") if isinstance(folder, zipfile.Path) else open(module.file, "rb") as stream:
                data: bytes = stream.read(MOST_BYTES + 1)
        except _UNREADABLE as error:
            raise OSError(str(error)) from None
        if len(data) > MOST_BYTES:
            raise OSError(f"it is larger than {MOST_BYTES // 1_000_000} MB")
        return data

    def _at(self, name: str, path: str) -> ModuleFile | None:
        """A module that an editable install maps to a file, or to the folder of a package."""
        if os.path.isdir(path):
            package = self._in(path, "__init__")
            if package is None or package.kind == "namespace":
                return ModuleFile(name, "namespace", path, (path,))
            return package._replace(name=name, locations=(path,))
        for file in (path, path + ".py"):
            if os.path.isfile(file):
                package_file = os.path.basename(file) == "__init__.py"
                return ModuleFile(name, _kind(file), file, (os.path.dirname(file),) if package_file else ())
        return None

    def _in(self, place: str, name: str) -> ModuleFile | None:
        folder = self._folder(place)
        if isinstance(folder, zipfile.Path):
            return _in_archive(folder, place, name)
        spec = folder.find_spec(name) if folder is not None else None
        if spec is None:
            return None
        locations = tuple(spec.submodule_search_locations or ())
        if spec.loader is None:
            for location in locations:  # an `__init__` may appear in one
                self._folder(location)
            return ModuleFile(name, "namespace", locations[0], locations)
        return ModuleFile(name, _kind(spec.origin or ""), spec.origin or "", locations)

    def _folder(self, place: str) -> FileFinder | zipfile.Path | None:
        """A folder, or one inside a zip file; None where there is none."""
        if place not in self._folders:
            self._folders[place] = FileFinder(place, *self._loaders) if os.path.isdir(place) else _archive(place)
            archive = self._folders[place]
            if isinstance(archive, zipfile.Path):
                file = str(archive.root.filename)
                self.files[file] = places.stamp(file)
        return self._folders[place]

    def folders(self) -> list[str]:
        """Those that were looked into, or for."""
        return list(self._folders)


def _archive(place: str) -> zipfile.Path | None:
    head, inside = place, ""
    try:
        while head and not os.path.isfile(head) and os.path.dirname(head) != head:
            head, tail = os.path.split(head)
            inside = f"{tail}/{inside}"
        return zipfile.Path(head, inside) if zipfile.is_zipfile(head) else None
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _in_archive(folder: zipfile.Path, place: str, name: str) -> ModuleFile | None:
    """By zipimport's rules: what it has itself cannot list a package, nor find a namespace on Python 3.9."""
    tail = name.rpartition(".")[2]
    inner = os.path.join(place, tail)
    for suffix in _IN_ARCHIVES:
        if (folder / (tail + suffix)).exists():
            file = os.path.join(place, *(tail + suffix).split("/"))
            return ModuleFile(name, _kind(file), file, (inner,) if suffix[0] == "/" else ())
    return ModuleFile(name, "namespace", inner, (inner,)) if (folder / tail).is_dir() else None


def _kind(file: str) -> str:
    return {".py": "source", ".pyw": "source", ".pyc": "bytecode"}.get(os.path.splitext(file)[1], "extension")


def _above(path: str) -> str:
    return os.path.dirname(os.path.dirname(path) if path.endswith("__init__.py") else path)
