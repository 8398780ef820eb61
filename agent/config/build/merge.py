"""The sections of all files as one, and the monitors as they are written."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...language.monitor_keys import KEYS
from ..findings import Findings
from ..read.document import Document, Placed
from ..read.node import Key

#: Keys of `defaults` whose values in several files add up: see `stances`.
ADDING = tuple(key.name for key in KEYS if key.adds)
#: Keys at the top of a file that are about processes that run.
RUNNING = ("reload", "live", "budget")


class Settings(NamedTuple):
    sentry: dict[str, Placed]
    spool: dict[str, Placed]
    processes: dict[str, Placed]
    tasks: dict[str, Placed]
    celery: dict[str, Placed]
    web: dict[str, Placed]
    running: dict[str, Placed]  # keys at the top about processes that run
    defaults: dict[str, Placed]
    modules: dict[str, Placed]
    presets: dict[str, list[Placed]]  # modules that packs declare; what the files give wins
    files: list[Placed]  # the `defaults` of each file, for the keys of `stances`
    packs: list[Placed]
    beneath: dict[tuple[str | None, str | None], dict[str, Placed]]  # what monitors inherit, kept by `inherit`

    def module(self, name: object) -> list[Placed]:
        """The declarations of a module: the files' first, then those of packs."""
        if not isinstance(name, str):
            return []
        found = [self.modules[name]] if name in self.modules else []
        found += [placed for placed in self.presets.get(name, ()) if placed not in found]
        return [placed for placed in found if isinstance(placed.value, dict)]


_UNCHANGED: dict[str, Placed] = {}


class WrittenMonitor(NamedTuple):
    """One monitor as written; of a pack, with what `packs` changes about it."""

    placed: Placed  # as its own file has it
    value: dict[str, Any]
    pack: bool
    changes: dict[str, Placed] = _UNCHANGED  # key → the value that `packs` gives in place of the pack's own

    @property
    def document(self) -> Document:
        return self.placed.document

    @property
    def where(self) -> str:
        return self.placed.where

    def at(self, key: str, *more: Key) -> Placed:
        """The value of a key, or of what is below it."""
        return self.changes[key].at(*more) if key in self.changes else self.placed.at(key, *more)


def merge(documents: list[Document], packs: list[Document], findings: Findings) -> Settings:
    of_files, of_packs = ([document.at("defaults") for document in each] for each in (documents, packs))
    settings = Settings({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, of_files, of_packs, {})
    for document in documents:
        for key in RUNNING:
            placed = document.at(key)
            if key in document.value and not findings.is_wrong(placed):
                check_same(settings.running.setdefault(key, placed), key, placed, findings)
        for section, path in (
            (settings.sentry, ("sentry",)), (settings.spool, ("delivery", "spool")), (settings.spool, ("delivery",)),
            (settings.processes, ("processes",)), (settings.tasks, ("tasks",)),
            (settings.celery, ("celery",)),
            (settings.web, ("web",)), (settings.defaults, ("defaults",)), (settings.modules, ("modules",)),
        ):  # fmt: skip
            passed = ADDING if path == ("defaults",) else ("spool",)  # a section of its own
            for key, placed in layer(document.at(*path), findings).items():
                if key not in passed:
                    check_same(section.setdefault(key, placed), key, placed, findings)
    for pack in packs:
        for name, module in layer(pack.at("modules"), findings).items():
            settings.modules.setdefault(name, module)
            settings.presets.setdefault(name, []).append(module)
    return settings


def monitors_of(documents: list[Document], *, pack: bool) -> list[WrittenMonitor]:
    return [
        WrittenMonitor(placed, placed.value, pack)
        for document in documents
        for placed in document.at("monitors").items()
        if isinstance(placed.value, dict)
    ]


def layer(mapping: Placed, findings: Findings) -> dict[str, Placed]:
    """The values of a mapping, without those that are wrong. `thresholds` counts as the `threshold` that it replaces,
    so that only one of the two is inherited; the path has the key as written.
    """
    whole_module = mapping.path == ("modules",)  # a module stays declared when one of its keys is wrong
    return {
        key if key != "thresholds" else "threshold": placed
        for key, placed in mapping.fields()
        if whole_module or not findings.is_wrong(placed)
    }


def check_same(first: Placed, key: str, other: Placed, findings: Findings) -> bool:
    """Two files may give the same value; where they differ, the second is reported, and the first counts."""
    if first is other or (first.path[-1], first.value) == (other.path[-1], other.value):
        return True
    message = f"`{key}` is given differently in {first.where_key}"
    findings.add(other, "conflict", message, "give it in one file only", of_key=True)
    return False
