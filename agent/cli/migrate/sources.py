"""The files to read, and the dotted name of each one's module."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ...base.errors import ConfigError
from ...codebase.modules import MOST_BYTES
from ...codebase.roots import SKIPPED, is_left_out
from ..terminal import shown_path
from .newrelic_ini import is_newrelic

_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "manage.py")
#: A file without any of these is not parsed.
_TOOLS = re.compile(
    rb"sentry|newrelic|ddtrace|DD_TRACE_|tracer|start_as_current_span|logfire|elasticapm|monitor_\w+_operation|Preset"
)


class Source(NamedTuple):
    file: str  # as it is shown
    path: str
    data: bytes
    module: str  # "" where no import leads to it
    root: str  # the folder that is to be on the interpreter's path
    package: bool
    ini: bool  # of New Relic


class Unread(NamedTuple):
    file: str
    why: str


def of_a_tool(text: str) -> bool:
    return _TOOLS.search(text.encode("utf-8", "replace")) is not None


def sources(given: Sequence[str], paths: Sequence[str], words: Iterable[str] = ()) -> Iterator[Source | Unread]:
    """The files of tools in files and folders, and those with one of `words`.

    `paths`: folders that the ERP has on its path.

    Raises ConfigError for a source that is not there.
    """
    paths = [os.path.abspath(path) for path in paths]
    seen: set[str] = set()
    named = "|".join(map(re.escape, words))
    wanted = re.compile(_TOOLS.pattern + (rf"|\b(?:{named})\b".encode() if named else b""))
    for start in given:
        if not os.path.exists(start):
            raise ConfigError(f"there is no file or folder {start}")
        for path in _files(os.path.abspath(start)):
            if path not in seen:
                seen.add(path)
                found = _read(path, os.path.abspath(start), paths, wanted)
                if found is not None:
                    yield found


def _files(start: str) -> Iterator[str]:
    if not os.path.isdir(start):
        yield start
        return
    for folder, folders, names in os.walk(start):
        folders[:] = sorted(
            each
            for each in folders
            if not each.startswith(".") and not is_left_out(os.path.join(folder, each), SKIPPED)
        )
        for name in sorted(names):
            if name.endswith((".py", ".ini")):
                yield os.path.join(folder, name)


def _read(path: str, start: str, paths: Sequence[str], wanted: re.Pattern[bytes]) -> Source | Unread | None:
    file = shown_path(path)
    try:
        if not os.path.isfile(path):  # a pipe would be waited for
            return Unread(file, "it is no file")
        with open(path, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        return Unread(file, f"it cannot be read: {error.strerror}")
    if len(data) > MOST_BYTES:
        return Unread(file, f"it is larger than {MOST_BYTES // 1_000_000} MB")
    ini = not path.endswith(".py") and is_newrelic(data)
    if not ini and (path.endswith(".ini") or not wanted.search(data)):
        return None
    root = _root(path, start, paths)
    return Source(file, path, data, _dotted(path, root), root, os.path.basename(path) == "__init__.py", ini)


def _root(path: str, start: str, paths: Sequence[str]) -> str:
    """The folder that the dotted name begins below: one of `paths`, the project's, or the given one."""
    holding = [each for each in paths if path.startswith(each.rstrip(os.sep) + os.sep)]
    if holding:
        return max(holding, key=len)
    folder = os.path.dirname(path)
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    above = folder
    while not any(os.path.isfile(os.path.join(above, marker)) for marker in _MARKERS):
        if os.path.dirname(above) == above:  # no project: a namespace begins in the folder that was given
            return start if os.path.isdir(start) and f"{folder}{os.sep}".startswith(f"{start}{os.sep}") else folder
        above = os.path.dirname(above)
    source = os.path.join(above, "src")
    return source if f"{folder}{os.sep}".startswith(f"{source}{os.sep}") else above


def _dotted(path: str, root: str) -> str:
    stem, suffix = os.path.splitext(os.path.relpath(path, root))
    parts = stem.split(os.sep) if suffix == ".py" else []
    if parts[-1:] == ["__init__"]:
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else ""
