"""The sections of all files as one. Two files may say the same; where they differ, both places are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..read.document import position

if TYPE_CHECKING:
    from ..findings import Findings
    from ..read.document import Document
    from ..read.node import Key


class Placed(NamedTuple):
    """A plain value and where it stands."""

    document: Document
    path: tuple[Key, ...]
    value: Any


class Settings(NamedTuple):
    sentry: dict[str, Placed]
    spool: dict[str, Placed]
    processes: dict[str, Placed]
    celery: dict[str, Placed]
    defaults: dict[str, Placed]
    modules: dict[str, Placed]
    presets: dict[str, list[Placed]]  # what packs say of modules, under what the files themselves say

    def module(self, name: object) -> list[Placed]:
        """What is said of a module: by the files first, then by packs."""
        if not isinstance(name, str):
            return []
        said = [self.modules[name]] if name in self.modules else []
        said += [placed for placed in self.presets.get(name, ()) if placed not in said]
        return [placed for placed in said if isinstance(placed.value, dict)]


_UNCHANGED: dict[str, Placed] = {}


class Entry(NamedTuple):
    """One monitor as written; of a pack, with what `packs` changes about it."""

    document: Document
    number: int  # in the list of its file, from 0
    value: dict[str, Any]
    pack: bool
    changes: dict[str, Placed] = _UNCHANGED  # key → what `packs` says in place of the pack's own word

    @property
    def path(self) -> tuple[Key, ...]:
        return ("monitors", self.number)

    def at(self, key: str, *more: Key) -> tuple[Document, tuple[Key, ...]]:
        """Where the value of a key stands, or what lies below it."""
        placed = self.changes.get(key)
        return (self.document, (*self.path, key, *more)) if placed is None else (placed.document, (*placed.path, *more))

    @property
    def where(self) -> str:
        return f"{self.document.shown}:{position(self.document, self.path).line}"


def merge(documents: list[Document], packs: list[Document], findings: Findings) -> Settings:
    settings = Settings({}, {}, {}, {}, {}, {}, {})
    for document in documents:
        value = document.value
        delivery = value.get("delivery")
        spool = delivery.get("spool") if isinstance(delivery, dict) else None
        _merge_section(settings.sentry, layer(document, ("sentry",), value.get("sentry"), findings), findings)
        _merge_section(settings.spool, layer(document, ("delivery", "spool"), spool, findings), findings)
        processes = layer(document, ("processes",), value.get("processes"), findings)
        _merge_section(settings.processes, processes, findings)
        _merge_section(settings.celery, layer(document, ("celery",), value.get("celery"), findings), findings)
        _merge_section(settings.defaults, layer(document, ("defaults",), value.get("defaults"), findings), findings)
        _merge_section(settings.modules, layer(document, ("modules",), value.get("modules"), findings), findings)
    for pack in packs:
        for name, module in layer(pack, ("modules",), pack.value.get("modules"), findings).items():
            settings.modules.setdefault(name, module)
            settings.presets.setdefault(name, []).append(module)
    return settings


def entries(documents: list[Document], packs: list[Document]) -> list[Entry]:
    found = []
    for document in (*documents, *packs):
        monitors = document.value.get("monitors")
        for index, value in enumerate(monitors if isinstance(monitors, list) else []):
            if isinstance(value, dict):
                found.append(Entry(document, index, value, pack=document in packs))
    return found


def layer(document: Document, path: tuple[Key, ...], mapping: object, findings: Findings) -> dict[str, Placed]:
    """What one mapping gives, without its keys that are wrong. `thresholds` counts as the `threshold` that it replaces,
    and so only one of the two is inherited; the path tells which it was.
    """
    if not isinstance(mapping, dict):
        return {}
    found = {}
    for key, item in mapping.items():
        whole_module = path == ("modules",)  # a module stays declared when one of its keys is wrong
        if whole_module or not findings.is_wrong(document, *path, key):
            found[key if key != "thresholds" else "threshold"] = Placed(document, (*path, key), item)
    return found


def _merge_section(merged: dict[str, Placed], section: dict[str, Placed], findings: Findings) -> None:
    for key, placed in section.items():
        first = merged.setdefault(key, placed)
        if first is not placed and (first.path[-1], first.value) != (placed.path[-1], placed.value):
            line = position(first.document, first.path, of_key=True).line
            findings.add(
                placed.document,
                placed.path,
                "conflict",
                f"`{key}` is given differently in {first.document.shown}:{line}",
                "give it in one file only",
                of_key=True,
            )
