"""What was found → monitors.yaml, and the lines for stderr."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from ...codebase.proposals.propose import module_lines, scalar
from ..terminal import one_line
from .found import Carried, Found, Remark

_ORDER = ("module", "kind", "model", "process", "name", "endpoint", "event_type", "operation", "severity", "threshold",
          "capture", "expect", "audit", "tags")  # fmt: skip
#: Plain in YAML, so that a number stays a number.
_VARIABLE = re.compile(r"\$\{\w+:-[\w.@+-]*\}")


def render(found: Found, command: str) -> str:
    monitors = _with_unique_names(found)
    lines = [
        f"# Written by `{one_line(command)}`, which read the source and ran none of it.",
        "# A monitor reports errors too, also where a decorator only measured. Kind api is slow above 5s, kind",
        "# database above 1s, unless a `threshold` is given. After a change: python -m agent validate",
        "version: 1",
        "",
    ]
    if found.sentry:
        lines += [f"sentry:{_comment(found.sentry_place)}", *_mapping(found.sentry, 1), ""]
    modules = dict.fromkeys(one.keys["module"] for one in monitors if "module" in one.keys)
    if modules:
        lines += ["modules:", *module_lines(modules), ""]
    lines.append("monitors:" if monitors else "monitors: []")
    for group in _grouped(monitors):
        lines += _monitor(group)
    return "\n".join(lines) + "\n"


def _with_unique_names(found: Found) -> list[Carried]:
    """Of two transactions with one name, those that differ otherwise have it as their operation instead."""
    owners: dict[str, dict[str, Any]] = {}
    made = []
    for one in found.monitors.values():
        name = one.keys.get("name")
        if name and owners.setdefault(name, one.keys) != one.keys:
            keys = {key: value for key, value in one.keys.items() if key != "name"}
            keys.setdefault("operation", name)
            instead = "give it a `name` of its own"
            found.leave(one.file, one.line, Remark(f"name={name!r:.60}", "another monitor has this name", instead))
            one = one._replace(keys=keys)  # noqa: PLW2901
        made.append(one)
    return made


def _grouped(monitors: Iterable[Carried]) -> list[list[Carried]]:
    """Monitors that one entry can hold: the same settings, side by side in one file, or one transaction's name."""
    groups: list[list[Carried]] = []
    named: dict[str, list[Carried]] = {}
    for _, several in groupby(monitors, lambda one: (one.file, _spelled(one.keys))):
        group = list(several)
        name = group[0].keys.get("name", "")
        if name and name in named:
            named[name] += group
            continue
        groups.append(group)
        if name:
            named[name] = group
    return groups


def _spelled(keys: dict[str, Any]) -> str:
    return json.dumps(keys, sort_keys=True)


def _monitor(group: list[Carried]) -> Iterator[str]:
    first = group[0]
    if len(group) == 1:
        yield f"  # {_origin(first)}"
        yield f"  - target: {scalar(first.target)}"
    else:
        yield "  - targets:"
        for one in group:
            yield f"      # {_origin(one)}"
            yield f"      - {scalar(one.target)}"
    for key in sorted(first.keys, key=_ORDER.index):
        yield f"    {key}: {_value(first.keys[key])}"


def _origin(one: Carried) -> str:
    return one_line(f"{one.file}:{one.line} {', '.join(one.written)}")


def _value(value: Any, *, escaped: bool = False) -> str:
    """One line of YAML. A `$` of the source stays one: monitors.yaml would read `${NAME}` as a variable."""
    if isinstance(value, dict):
        pairs = (f"{scalar(name)}: {_value(each, escaped=escaped)}" for name, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_value(each, escaped=escaped) for each in value)}]"
    if isinstance(value, str):
        if escaped and _VARIABLE.fullmatch(value):
            return value
        return scalar(value if escaped else value.replace("$", "$$"))
    return json.dumps(value)


def _mapping(values: dict[str, Any], level: int) -> list[str]:
    return [f"{'  ' * level}{key}: {_value(value, escaped=key != 'tags')}" for key, value in values.items()]


def _comment(text: str) -> str:
    return f"  # {one_line(text)}" if text else ""


def left_lines(found: Found) -> list[str]:
    """One line for each thing that was not carried over; what is left for one reason in one file shares one."""
    shared: dict[tuple[str, str, str, str], list[int]] = {}
    for one in found.left:
        shared.setdefault((one.file, one.what, one.why, one.instead), []).append(one.line)
    return [
        one_line(f"{file}:{','.join(map(str, sorted(set(lines))))}: {what}: {why}; {instead}")
        for (file, what, why, instead), lines in sorted(shared.items(), key=lambda item: (item[0][0], min(item[1])))
    ]
