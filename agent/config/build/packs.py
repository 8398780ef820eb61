"""What `packs` says: which packs, and what of each is left out or changed.

    packs:
      - celery
      - django:
          except: [django.template, django.form*]
          monitors:
            django.query: {threshold: 200ms}

A file may name a pack that another names too: what is left out adds up, and one setting that is given differently is a
conflict.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.wildcards import matches
from ...language.nearest import did_you_mean, listed
from ..read.document import position
from .merge import Entry, Placed
from .sections import check_inheritable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..findings import Findings
    from ..read.document import Document
    from ..read.node import Key


class Mention(NamedTuple):
    """A pack that a file names, and where."""

    document: Document
    path: tuple[Key, ...]
    name: str
    options: dict[str, Any]


def mentions(document: Document) -> Iterator[Mention]:
    given = document.value.get("packs")
    for index, item in enumerate(given if isinstance(given, list) else []):
        if isinstance(item, str) and item:
            yield Mention(document, ("packs", index), item, {})
        elif isinstance(item, dict) and len(item) == 1:
            ((name, options),) = item.items()
            yield Mention(document, ("packs", index, name), name, options if isinstance(options, dict) else {})


def changed(documents: list[Document], entries: list[Entry], findings: Findings) -> list[Entry]:
    """The entries, those of packs as the files change them."""
    named: dict[str, dict[str, int]] = {}  # pack → name of a monitor → its number in `entries`
    for number, entry in enumerate(entries):
        if entry.pack:
            named.setdefault(name_of(entry.document), {})[str(entry.value.get("name"))] = number
    changes: dict[int, dict[str, Placed]] = {}
    for document in documents:
        for mention in mentions(document):
            known = named.get(mention.name, {})
            for name, key, placed in _asked(mention, known, findings):
                _add(changes.setdefault(known[name], {}), key, placed, findings)
    return [
        entry._replace(value={**entry.value, **{key: placed.value for key, placed in found.items()}}, changes=found)
        if (found := changes.get(number))
        else entry
        for number, entry in enumerate(entries)
    ]


def name_of(pack: Document) -> str:
    return os.path.basename(pack.file)[: -len(".yaml")]


def _asked(mention: Mention, known: dict[str, int], findings: Findings) -> Iterator[tuple[str, str, Placed]]:
    """(name of a monitor, key, new value). `except` is `enabled: false` in other words."""
    document = mention.document
    given = mention.options.get("except")
    for index, pattern in enumerate(given if isinstance(given, list) else []):
        path = (*mention.path, "except", index)
        if not isinstance(pattern, str) or findings.has(document, path) or not known:
            continue
        meant = [name for name in known if matches(pattern, name)]
        if not meant:
            _unknown(mention, path, pattern, known, findings)
        for name in meant:
            yield name, "enabled", Placed(document, path, False)
    monitors = mention.options.get("monitors")
    for name, change in monitors.items() if isinstance(monitors, dict) else ():
        path = (*mention.path, "monitors", name)
        if not known or not isinstance(change, dict):
            continue
        if name not in known:
            _unknown(mention, path, name, known, findings)
            continue
        check_inheritable(document, path, change, findings)
        for key, value in change.items():
            if not findings.is_wrong(document, *path, key):
                yield name, key, Placed(document, (*path, key), value)


def _unknown(mention: Mention, path: tuple[Key, ...], name: str, known: dict[str, int], findings: Findings) -> None:
    message = f"the pack `{mention.name}` has no monitor `{name[:100]}`"
    hint = did_you_mean(name, known, f"it has {listed(sorted(known), 40)}")
    findings.add(mention.document, path, "unknown-monitor", message, hint, of_key="monitors" in path)


def _add(changes: dict[str, Placed], key: str, placed: Placed, findings: Findings) -> None:
    same = "thresholds" if key == "threshold" else "threshold" if key == "thresholds" else key
    first = changes.get(key) or changes.get(same) or placed
    if first is not placed and (first.path[-1], first.value) != (placed.path[-1], placed.value) and key != "enabled":
        line = position(first.document, first.path, of_key=True).line
        findings.add(
            placed.document, placed.path, "conflict", f"`{key}` is given differently in {first.document.shown}:{line}",
            "give it in one file only", of_key=True,
        )  # fmt: skip
        return
    if key == "enabled" and first is not placed and first.value is False:
        return  # what one file leaves out, another does not bring back
    changes[key] = placed
