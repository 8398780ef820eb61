"""Which functions a pattern matches, read from the text: the counterpart of `hook.apply`'s expansion."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from ..base.wildcards import matches, segment_match
from ..language.nearest import did_you_mean
from .bindings import ModuleIndex, Scope
from .lookup import PROGRAM, Lookup, parameters_of
from .modules import ModuleFile
from .names import Thing
from .outcome import FOUND, MISSING, UNCHECKED, TargetOutcome

_MOST = 5000


class Matches(NamedTuple):
    outcome: TargetOutcome
    functions: list[tuple[str, TargetOutcome]]  # dotted path, its outcome


def expand(lookup: Lookup, path: str, module: str | None, exclude: list[str]) -> Matches:
    key = (path, module, tuple(exclude))
    if key not in lookup.known.expanded:
        found = _expand(lookup, path, module, exclude)
        lookup.known.expanded[key] = (found.outcome, found.functions)
    return Matches(*lookup.known.expanded[key])


def _expand(lookup: Lookup, path: str, module: str | None, exclude: list[str]) -> Matches:
    segments = path.split(".")
    split = len(module.split(".")) if module is not None else None
    if segments[0] == "__main__":
        return Matches(PROGRAM, [])
    top = lookup.module(segments[0])
    if top is None:
        reason = f"there is no package `{segments[0]}` on this interpreter's path"
        return Matches(TargetOutcome(MISSING, reason=reason, absent=True), [])
    functions: list[tuple[str, TargetOutcome]] = []
    unread: list[str] = []
    for found, rest in _modules(lookup, top, segments, 1, split):
        index = lookup.index(found)
        if index.unreadable:
            unread.append(f"`{found.name}`: {index.unreadable}")
            continue
        for name, outcome in _functions(index, index, rest, found.name):
            if not any(matches(pattern, name) for pattern in exclude) and len(functions) < _MOST:
                functions.append((name, outcome))
    if functions:
        note = f"matches {len(functions)} function{'s' * (len(functions) > 1)}"
        return Matches(TargetOutcome(FOUND, file=top.file, note=note, kind="pattern"), functions)
    if unread:
        return Matches(TargetOutcome(UNCHECKED, reason=unread[0]), [])
    return Matches(_nothing(lookup, segments), [])


def _nothing(lookup: Lookup, segments: list[str]) -> TargetOutcome:
    """How far the part without a `*` leads."""
    fixed = segments[: next(number for number, segment in enumerate(segments) if "*" in segment)]
    for length in range(2, len(fixed) + 1):
        name = ".".join(fixed[:length])
        above = lookup.module(".".join(fixed[: length - 1]))
        if lookup.module(name) is None and above is not None:
            step = lookup.in_module(above, fixed[length - 1])
            if isinstance(step, (Thing, ModuleFile)):
                break
            near = did_you_mean(fixed[length - 1], lookup.finder.submodules(above))
            return TargetOutcome(MISSING, reason=f"`{above.name}` exists, and has no `{fixed[length - 1]}`", hint=near)
    return TargetOutcome(MISSING, reason=f"`{'.'.join(segments)}` matches no public function", kind="pattern",
                   hint="a pattern matches what a module or class itself defines, not what it imports")  # fmt: skip


def _modules(
    lookup: Lookup, module: ModuleFile, segments: list[str], depth: int, split: int | None
) -> Iterator[tuple[ModuleFile, list[str]]]:
    """The modules in which the rest of the pattern may name attributes."""
    if depth < len(segments) and split in (None, depth):
        yield module, segments[depth:]
    if depth + 1 >= len(segments) or not module.locations or (split is not None and depth >= split):
        return
    segment = segments[depth]
    names = [segment] if "*" not in segment else lookup.finder.submodules(module)
    for name in names:
        if segment_match(segment, name):
            below = lookup.module(f"{module.name}.{name}")
            if below is not None:
                yield from _modules(lookup, below, segments, depth + 1, split)


def _functions(index: ModuleIndex, scope: Scope, rest: list[str], prefix: str) -> Iterator[tuple[str, TargetOutcome]]:
    first, below = rest[0], rest[1:]
    for name, bindings in scope.names.items():
        if not segment_match(first, name) or (name.startswith("_") and not first.startswith("_")):
            continue
        for binding in bindings:
            if below and isinstance(binding.node, ast.ClassDef):
                yield from _functions(index, index.inside(binding.node), below, f"{prefix}.{name}")
                break
            parameters = None if below else parameters_of(binding.node)
            if parameters is not None:
                yield f"{prefix}.{name}", TargetOutcome(FOUND, index.name, index.file, binding.line, parameters)
                break
