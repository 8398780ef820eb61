"""The section `packs`: which packs apply, and what of each is left out or changed.

    packs:
      - celery
      - django:
          except: [django.template, django.form*]
          monitors:
            django.query: {threshold: 200ms}
            django.signed_*: {audit: true}

A file may name a pack that another names too: what is left out adds up, and one setting that is given differently is a
conflict.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from ...base.wildcards import matches
from ...language.nearest import did_you_mean, listed
from ..findings import Findings
from ..read.document import Document, Placed
from .merge import WrittenMonitor, check_same
from .values import check_inheritable


class Mention(NamedTuple):
    """A pack that a file names."""

    name: str
    placed: Placed  # the name, or the options below it


def mentions(document: Document) -> Iterator[Mention]:
    for item in document.at("packs").items():
        if isinstance(item.value, str) and item.value:
            yield Mention(item.value, item)
        elif isinstance(item.value, dict) and len(item.value) == 1:
            yield from (Mention(name, options) for name, options in item.fields())


def changed(documents: list[Document], packs: list[WrittenMonitor], findings: Findings) -> list[WrittenMonitor]:
    """The monitors of packs, as the files change them."""
    named: dict[str, dict[str, int]] = {}  # pack → name of a monitor → its number in `packs`
    for number, monitor in enumerate(packs):
        named.setdefault(name_of(monitor.document), {})[str(monitor.value.get("name"))] = number
    changes: dict[int, dict[str, Placed]] = {}
    for document in documents:
        for mention in mentions(document):
            known = named.get(mention.name, {})
            for name, key, placed in _changes(mention, known, findings) if known else ():
                _add(changes.setdefault(known[name], {}), key, placed, findings)
    return [
        monitor._replace(value={**monitor.value, **{key: placed.value for key, placed in found.items()}}, changes=found)
        if (found := changes.get(number))
        else monitor
        for number, monitor in enumerate(packs)
    ]


def name_of(pack: Document) -> str:
    return os.path.basename(pack.file)[: -len(".yaml")]


def _changes(mention: Mention, known: dict[str, int], findings: Findings) -> Iterator[tuple[str, str, Placed]]:
    """(name of a monitor, key, new value). `except` is another spelling of `enabled: false`."""
    for pattern in mention.placed.at("except").items():
        if not isinstance(pattern.value, str) or findings.has(pattern):
            continue
        meant = [name for name in known if matches(pattern.value, name)]
        if not meant:
            _report_unknown(mention, pattern, pattern.value, known, findings)
        for name in meant:
            yield name, "enabled", pattern._replace(value=False)
    written = mention.placed.at("monitors")
    for wanted, change in written.fields():
        if not isinstance(change.value, dict):
            continue
        meant = [name for name in known if matches(wanted, name)]
        if not meant:
            _report_unknown(mention, change, wanted, known, findings, of_key=True)
            continue
        check_inheritable(change, findings)
        for name in meant:
            nearer = written.value.get(name) if name != wanted else None
            for key, placed in change.fields():
                if not findings.is_wrong(placed) and not (isinstance(nearer, dict) and key in nearer):
                    yield name, key, placed


def _report_unknown(
    mention: Mention, placed: Placed, name: str, known: dict[str, int], findings: Findings, *, of_key: bool = False
) -> None:
    message = f"the pack `{mention.name}` has no monitor `{name[:100]}`"
    hint = did_you_mean(name, known, f"it has {listed(sorted(known), 40)}")
    findings.add(placed, "unknown-monitor", message, hint, of_key=of_key)


def _add(changes: dict[str, Placed], key: str, placed: Placed, findings: Findings) -> None:
    same = "thresholds" if key == "threshold" else "threshold" if key == "thresholds" else key
    first = changes.get(key) or changes.get(same) or placed
    if key == "enabled":
        if first is placed or first.value is not False:  # what one file leaves out, another does not bring back
            changes[key] = placed
    elif check_same(first, key, placed, findings):
        changes[key] = placed
