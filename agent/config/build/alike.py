"""Monitors that differ in what they name alone, as most of a large file do: all else of them is built once."""

from __future__ import annotations

import marshal
from typing import Any, cast

from ...base.model import MonitorData
from ..findings import Findings
from .merge import Settings, WrittenMonitor
from .monitor import Builder, build

_FEW = 1000  # that are like no other: then it is not worth looking

#: What monitors that are alike may have of their own.
_OWN = frozenset(("target", "targets", "name", "operation"))


class Alike:
    def __init__(self, settings: Settings, findings: Findings) -> None:
        self._settings = settings
        self._findings = findings
        self._known: dict[bytes, tuple[MonitorData, list[str]]] = {}  # with the fields that hold lists and mappings
        self._unlike = 0  # how many more were like no other than were like one

    def build(self, written: WrittenMonitor) -> MonitorData | None:
        """What `monitor.build` returns."""
        value = written.value
        named = value.get("kind", "function") == "transaction"  # whose name is more than a name
        if named or written.pack or self._unlike > _FEW:
            return build(written, self._settings, self._findings)
        rest = {key: value[key] for key in value if key not in _OWN}
        key = marshal.dumps((rest, "operation" in value), 2)  # equal values, equal bytes
        known = self._known.get(key)
        self._unlike += 1 if known is None else -1
        if known is not None:
            return self._like(*known, written)
        before = self._findings.number
        made = build(written, self._settings, self._findings)
        if made is not None and self._findings.number == before:
            self._known[key] = made, [field for field, each in made.items() if isinstance(each, (list, dict))]
        return made

    def _like(self, known: MonitorData, copied: list[str], written: WrittenMonitor) -> MonitorData | None:
        builder = Builder(written, self._settings, self._findings)
        targets = builder.targets()
        builder.check_operation()
        if self._findings.is_wrong(written.placed):
            return None
        made: dict[str, Any] = {**known}
        for field in copied:
            made[field] = made[field].copy()
        value = written.value
        made.update(where=written.where, targets=targets, name=value.get("name", ""))
        made["operation"] = value.get("operation") or known["operation"]
        made["rules"] = [{**rule} for rule in known["rules"]]
        return cast("MonitorData", made)
