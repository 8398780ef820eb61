"""What was found in installed code, kept for the next look at the same code.

It is valid as long as nothing has changed that could make a difference: the search path, every file that was read, the
names in every folder that was looked into, and this release. It lies in the state folder of the configuration, if
there is one.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Optional

from ..base import places
from ..config import kept
from .outcome import Parameters, TargetOutcome

if TYPE_CHECKING:
    from .modules import ModuleFinder
    from .search import SearchPath

    Target = tuple[str, Optional[str]]  # the path, and the module, where a colon divides it from the attribute
    Functions = list[tuple[str, TargetOutcome]]


_MOMENT = 0.05  # seconds: clocks of file systems are that coarse


class Remembered:
    def __init__(self) -> None:
        self.outcomes: dict[Target, TargetOutcome] = {}
        self.expanded: dict[tuple[str, str | None, tuple[str, ...]], tuple[TargetOutcome, Functions]] = {}
        self.refuted: dict[tuple[str, str | None, str], tuple[Any, ...] | None] = {}
        self._files: dict[str, Any] = {}
        self._folders: dict[str, bytes] = {}
        self._size = 0

    def recall(self, file: str, search: SearchPath) -> None:
        known = kept.read(file)
        if known is None:
            return
        about, files, folders, found = known
        if about != _about(search) or any(places.stamp(each) != stamp for each, stamp in files.items()):
            return
        if any(_names(each) != names for each, names in folders.items()):
            return
        self.take((files, folders, found))
        self._size = self._count()

    def take(self, given: Any) -> None:
        """Add what `given` returned, maybe in another process."""
        files, folders, (outcomes, expanded, refuted) = given
        self._files.update(files)
        self._folders.update(folders)
        self.refuted.update(refuted)
        self.outcomes.update({key: _outcome(each) for key, each in outcomes.items()})
        self.expanded.update({
            key: (_outcome(whole), [(name, _outcome(each)) for name, each in functions])
            for key, (whole, functions) in expanded.items()
        })  # fmt: skip

    def given(self, finder: ModuleFinder) -> tuple[dict[str, Any], dict[str, bytes], tuple[Any, ...]]:
        """Everything, in plain values: stamps of files, names in folders, and what was found."""
        files = {**finder.files, **self._files}
        folders = {**{each: _names(each) for each in finder.folders()}, **self._folders}
        outcomes = {key: _plain(each) for key, each in self.outcomes.items()}
        expanded = {
            key: (_plain(whole), [(name, _plain(each)) for name, each in functions])
            for key, (whole, functions) in self.expanded.items()
        }
        return files, folders, (outcomes, expanded, self.refuted)

    def keep(self, file: str, search: SearchPath, finder: ModuleFinder) -> None:
        if self._count() == self._size:
            return
        files, folders, found = self.given(finder)
        if any(stamp is None or stamp[0] > (time.time() - _MOMENT) * 1e9 for stamp in files.values()):
            return  # it may have changed again since, with the same stamp
        kept.write(file, (_about(search), files, folders, found))

    def _count(self) -> int:
        return len(self.outcomes) + len(self.expanded) + len(self.refuted)


def _about(search: SearchPath) -> tuple[str, list[tuple[str, Any]]]:
    return repr((*search._replace(builtin=frozenset()), sorted(search.builtin))), kept.code_of("codebase", "language")


def _names(folder: str) -> bytes:
    """Of what could be a module. Programs that run leave other files."""
    try:
        found = [name for name in os.listdir(folder) if name[0] != "." and name != "__pycache__"]
    except OSError:
        return b""
    return places.checksum(b"", 0, "\0".join(sorted(found)).encode("utf-8", "surrogateescape"))


def _plain(outcome: TargetOutcome) -> tuple[Any, ...]:
    parameters = outcome.parameters
    return tuple(outcome._replace(parameters=tuple(parameters) if parameters is not None else None))  # type: ignore[arg-type]


def _outcome(plain: tuple[Any, ...]) -> TargetOutcome:
    made = TargetOutcome(*plain)
    return made if made.parameters is None else made._replace(parameters=Parameters(*made.parameters))
