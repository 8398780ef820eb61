"""Where an interpreter looks for modules: its sys.path, and what .pth files and editable installs add to it.

The running interpreter has its path already. Another one is run with `-I -S` to print its own, so that neither its
`sitecustomize` nor a line of its .pth files runs; those files are then read here, as text.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any, NamedTuple

from ..base.errors import ConfigError

_PRINT_PATH = """
import sys, json, os, site, importlib.machinery
prefixes = [sys.prefix, sys.exec_prefix]
folder = os.path.dirname(os.path.dirname(os.path.abspath(sys.executable)))
venv, system = os.path.join(folder, "pyvenv.cfg"), True
if os.path.isfile(venv):
    with open(venv) as stream:
        system = any(line.replace(" ", "").lower().strip() == "include-system-site-packages=true" for line in stream)
    prefixes = [folder] + (prefixes if system else [])
sites = site.getsitepackages(list(dict.fromkeys(prefixes)))
if system and site.check_enableusersite() is not False:
    sites.insert(0, site.getusersitepackages())
print(json.dumps({
    "path": sys.path, "sites": sites, "version": list(sys.version_info[:3]),
    "builtin": list(sys.builtin_module_names), "extensions": importlib.machinery.EXTENSION_SUFFIXES,
}))
"""


class SearchPath(NamedTuple):
    entries: tuple[str, ...]  # folders and zip files, in order
    mapped: dict[str, str]  # module → its file or folder, from editable installs
    builtin: frozenset[str]
    version: tuple[int, ...]
    executable: str
    extensions: tuple[str, ...] = tuple(EXTENSION_SUFFIXES)  # of the files of compiled modules


def here(extra: Sequence[str] = ()) -> SearchPath:
    """The path of the interpreter that runs this."""
    bare = SearchPath((), {}, frozenset(sys.builtin_module_names), sys.version_info[:3], sys.executable)
    return widened(widened(bare, [entry or os.curdir for entry in sys.path]), extra)


def widened(search: SearchPath, extra: Sequence[str]) -> SearchPath:
    """With the folders `extra` before the others."""
    entries = [os.path.abspath(entry) for entry in extra]
    mapped = dict(search.mapped)
    for entry in entries:
        if os.path.basename(entry).endswith("-packages"):
            mapped.update(editable(entry)[1])
    return search._replace(entries=tuple(dict.fromkeys([*entries, *search.entries])), mapped=mapped)


def of_interpreter(python: str) -> SearchPath:
    """The path of another interpreter, given by its program or by the folder of its virtual environment.

    Raises ConfigError.
    """
    program = _program(python)
    facts = _run(program)
    entries = list(facts["path"])
    mapped: dict[str, str] = {}
    for site in facts["sites"]:
        if os.path.isdir(site):
            added, found = editable(site)
            entries += [site, *added]
            mapped.update(found)
    return SearchPath(
        tuple(dict.fromkeys(entries)),
        mapped,
        frozenset(facts["builtin"]),
        tuple(facts["version"]),
        program,
        tuple(facts["extensions"]),
    )


def _program(python: str) -> str:
    if os.path.isdir(python):
        for name in ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe"):
            program = os.path.join(python, *name.split("/"))
            if os.path.isfile(program):
                return program
        raise ConfigError(f"--python {python}: there is no interpreter in this folder")
    if os.path.sep not in python:
        from shutil import which

        python = which(python) or python
    return os.path.abspath(python) if os.path.exists(python) else python


def _run(program: str) -> dict[str, Any]:
    import subprocess

    try:
        ran = subprocess.run([program, "-I", "-S", "-c", _PRINT_PATH], capture_output=True, timeout=60, check=False)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ConfigError(f"--python {program}: it cannot be started: {error}") from None
    try:
        found = json.loads(ran.stdout.decode("utf-8", "replace"))
        assert isinstance(found, dict)
    except (ValueError, AssertionError):
        last = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it is not a Python 3"]
        raise ConfigError(f"--python {program}: it does not print its path: {last[0][:200]}") from None
    return found


def editable(site: str) -> tuple[list[str], dict[str, str]]:
    """What the .pth files of a folder add: folders, and modules that an editable install maps to files."""
    added: list[str] = []
    mapped: dict[str, str] = {}
    try:
        names = sorted(os.listdir(site))
    except OSError:
        return added, mapped
    for name in names:
        if not name.endswith(".pth") or name.startswith("."):
            continue
        for line in map(str.strip, _read(os.path.join(site, name)).splitlines()):
            if not line or line.startswith("#"):
                continue
            if line.startswith(("import ", "import\t")):
                for module in re.findall(r"[A-Za-z_]\w*(?:editable|_editable_impl_)\w*", line):
                    mapped.update(_mapping(_read(os.path.join(site, module + ".py"))))
                continue
            folder = os.path.normpath(os.path.join(site, line))
            if os.path.exists(folder):
                added.append(folder)
    return added, mapped


def _mapping(source: str) -> dict[str, str]:
    """Module → file or folder, out of the text of an editable install's finder.

    setuptools assigns MAPPING and NAMESPACES, `editables` (hatchling) calls F.map_module(name, file), scikit-build-core
    calls install({name: file}, …).
    """
    found: dict[str, str] = {}
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "MAPPING" for target in targets):
                found.update(_texts(node.value))
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name == "map_module" and len(node.args) == 2:
                module, file = (_literal(argument) for argument in node.args)
                if isinstance(module, str) and isinstance(file, str):
                    found[module] = file
            elif name == "install" and node.args:
                found.update(_texts(node.args[0]))
    return found


def _texts(node: ast.expr | None) -> Iterator[tuple[str, str]]:
    value = _literal(node)
    pairs: Iterable[tuple[object, object]] = value.items() if isinstance(value, dict) else ()
    for key, item in pairs:
        if isinstance(key, str) and isinstance(item, str):
            yield key, item


def _literal(node: ast.expr | None) -> object:
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.read(5_000_000)
    except OSError:
        return ""
