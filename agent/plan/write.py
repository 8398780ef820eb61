"""Writes what `index` reads: the bytes of a plan, or of a configuration that gives none, and the files for them."""

import marshal
import os
import sys

from ..base import own_folders, places
from ..base.interrupts import ours
from .file import open_plan
from .index import Bad, Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..base.model import PlanData
    from ..base.places import Place

#: Modules of the standard library that nothing imports before a program does, the agent neither.
_LATE = {"sqlite3"}

#: Modules that may be there before the agent is: their monitors are applied at once.
_EARLY = (
    "_frozen_importlib", "builtins", "marshal", "posix", "nt", "time", "zipimport", "sitecustomize", "usercustomize",
)  # fmt: skip

#: What an environment lacks where it cannot read the configuration, and another one might.
LIBRARIES = "libraries"

#: What the monitors of a large file differ in, if in nothing else.
_OWN = dict.fromkeys(("where", "name", "operation", "targets"))

_FEW = 1000  # that are like no other: then it is not worth looking

#: Plans for other values of the environment variables, beside the first.
_MOST_VARIANTS = 8


def encode(
    plan: "PlanData", problems: "list[str]", folders: "Sequence[tuple[str, str]]" = (), *, injects: bool = False
) -> bytes:
    """The bytes to store for `plan`; runs where yaml and jsonschema may be imported.

    `folders` holds (folder, end of the names) where a new file would be included. `injects` is read by a Python that is
    untested: whether code may be put into functions.
    """
    from ..language.targets import own_packages

    body = _Body()
    sizes: "list[int]" = []
    parts: "dict[str, dict[str, list[Place]]]" = {}
    patterns: "set[str]" = set()
    for monitor, written in zip(plan["monitors"], _written(plan["monitors"])):
        place = body.append(written)
        sizes.append(place[1])
        if monitor["line"] is not None:
            parts.setdefault(places.LINES, {}).setdefault(places.LINES, []).append(place)
        for target in monitor["targets"]:
            path = target["module"] or target["path"]
            root = path.partition(".")[0]
            if target["pattern"]:
                patterns.add(root)
                names = ["*"]
            elif target["module"] is not None:
                names = [path]
            else:
                names = _modules_on(path)
            for name in names:
                there = parts.setdefault(root, {}).setdefault(name, [])
                if not there or there[-1] != place:
                    there.append(place)
    for name in _modules_on(plan["sentry"].get("application") or ""):
        parts.setdefault(name.partition(".")[0], {}).setdefault(name, [])  # watched, without a monitor
    top = {root: body.append(part) for root, part in parts.items()}
    packages = sorted(own_packages(plan["monitors"], plan["sentry"]))
    settings = body.append(
        (plain(plan["sentry"]), plain(plan["spool"]), problems, packages, plan.get("follows", True), injects)
    )
    table = body.append(sizes)
    first = _first_modules()
    early = any(name in first for part in parts.values() for name in part) or not first.isdisjoint(patterns)
    early = early or places.LINES in parts
    header = (
        plan["path"],
        [(name, places.stamp(name)) for name in [*plan["files"], *package_folders()]],
        list(plan["environment"].items()),
        watch(folders),
        early,
        plain(plan.get("processes")),
        "__main__" in parts,
        plan.get("expires", 0.0),
        plan.get("renew", 0.0),
    )
    return body.join(header, (top, frozenset(patterns), settings, table))


def encode_bad(
    path: str,
    files: "Sequence[str]",
    environment: "dict[str, str | None]",
    problems: "list[str]",
    folders: "Sequence[tuple[str, str]]" = (),
    since: float = 0.0,
    until: "float | None" = None,
    lacking: str = "",
) -> bytes:
    """The bytes to store for a configuration that gives no plan, so that no process tries it again until it changes."""
    watched = [(name, places.stamp(name)) for name in files]
    header = (path, watched, list(environment.items()), watch(folders), False, None, False, 0.0, 0.0)
    return bad_bytes(header, problems, since, until, lacking)


def bad_bytes(
    header: "places.Header", problems: "list[str]", since: float, until: "float | None" = None, lacking: str = ""
) -> bytes:
    body = _Body()
    settings = body.append((problems, since, until, lacking))
    return body.join(header, ({}, frozenset(), settings, None))


def watch(folders: "Sequence[tuple[str, str]]") -> "list[tuple[str, Any, list[str], str]]":
    return [(name, places.stamp(name), places.listing(name, suffix), suffix) for name, suffix in folders]


def _modules_on(path: str) -> "list[str]":
    """The modules that a dotted path may lie in."""
    words = path.split(".")
    return [".".join(words[:end]) for end in range(1, len(words))]


class _Body:
    """The pieces that follow the index, each with room for a checksum that is known once the index is."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._places: "list[Place]" = []

    def append(self, value: "Any") -> "Place":
        data = marshal.dumps(value)
        place = (len(self._data), len(data))
        self._data += data + bytes(places.CHECKSUM)
        self._places.append(place)
        return place

    def join(self, header: "tuple[Any, ...]", index: "Any") -> bytes:
        # Distinguishes it from an earlier plan of the same sizes: every checksum is derived from it.
        content = places.checksum(b"", 0, bytes(self._data))
        first, second = marshal.dumps((*header[:7], content, *header[-2:])), marshal.dumps(index)
        sizes = (len(first), len(second), len(self._data))
        head = b"%s %s %d %d %d\n" % (places.FORMAT, places.plan_version(), *sizes) + first
        of_head = places.checksum(b"", 0, head)
        of_index = places.checksum(of_head, 0, second)
        for at, size in self._places:
            end = at + size
            self._data[end : end + places.CHECKSUM] = places.checksum(of_index, at, bytes(self._data[at:end]))
        return head + of_head + second + of_index + bytes(self._data)


def _first_modules() -> "set[str]":
    """What an interpreter has imported when the agent starts, `.pth` files of the environment included.

    This runs in a process of the same environment, a moment after that: what it has imported since does no harm.
    """
    return {*_EARLY, *sys.modules, *(set(getattr(sys, "stdlib_module_names", ())) - _LATE)}


def package_folders() -> "list[str]":
    """Where packages are installed: an installation changes the folder, and with it what `requires` finds."""
    path = places.made_for[2] if places.made_for else sys.path
    return [entry for entry in path if os.path.basename(entry) in ("site-packages", "dist-packages")]


def plain(value: "Any") -> "Any":
    """Exact builtin types, which are all that marshal takes."""
    if isinstance(value, dict):
        return {
            key if key.__class__ is str else str(key): item if item.__class__ in _LEAVES else plain(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [item if item.__class__ in _LEAVES else plain(item) for item in value]
    return value


def _written(monitors: "Sequence[Mapping[str, object]]") -> "Iterator[dict[str, Any]]":
    """Each as `_shared`. What is equal in many of them is looked through once."""
    alike: "dict[bytes, dict[str, Any]]" = {}
    unlike = 0  # how many more were like no other than were like one
    for monitor in monitors:
        own = {key: monitor[key] for key in _OWN}
        rest = {**monitor, **_OWN}
        key = marshal.dumps(rest, 2) if unlike <= _FEW else b""  # equal values, equal bytes
        made = alike.get(key)
        unlike += 1 if made is None else -1
        if made is None:
            made = _shared(rest, {})
            if key:
                alike[key] = made
        yield {**made, **_shared(own, {})}


def _shared(value: "Any", known: "dict[Any, Any]") -> "Any":
    """As `plain`, with one object for all that is equal in it: a monitor is never changed, and a process holds it once.

    `known` keeps each of them, since marshal marks only what is referred to more than once. Most values of a monitor
    are single objects anyway (None, true, false), or texts: they are not worth a call.
    """
    if isinstance(value, dict):
        made = {
            key if key.__class__ is str else str(key): item if item is None or item is False or item is True
            else known.setdefault(item, item) if item.__class__ is str
            else _shared(item, known)
            for key, item in value.items()
        }  # fmt: skip
        return known.setdefault((dict, *map(id, made), *map(id, made.values())) if made else dict, made)
    if isinstance(value, (list, tuple)):
        several = [
            known.setdefault(item, item) if item.__class__ is str else _shared(item, known) for item in value
        ]  # fmt: skip
        return known.setdefault((list, *map(id, several)) if several else list, several)
    return known.setdefault(value if value.__class__ is str else (value.__class__, repr(value)), value)


_LEAVES = frozenset((str, bool, int, float, type(None)))


# ------------------------------------------------------------------------------------------------------------- on disk


def store(state: str, decoded: "Index | Bad", data: bytes) -> None:
    """Keep what a configuration gave. Raises OSError."""
    rejected = places.plan_file(state, "rejected")
    if isinstance(decoded, Bad):
        write(rejected, data)
        return
    first = open_plan(places.plan_file(state), decoded.path)
    if (
        first is not None
        and places.unchanged(first.header, environment=False)
        and not places.unchanged(first.header)
        and [name for name, _ in first.header[2]] == [name for name, _ in decoded.header[2]]
    ):
        write(places.plan_file(state, variant=places.variant_of(decoded.header)), data)
        _prune(state)
    else:
        write(places.plan_file(state), data)
    try:
        os.unlink(rejected)
    except ours(OSError):
        pass


def _prune(state: str) -> None:
    begin = os.path.basename(places.plan_file(state))[: -len(".bin")] + "-"
    names = [os.path.join(state, name) for name in os.listdir(state) if name.startswith(begin)]
    names.sort(key=lambda name: (places.stamp(name) or (0,))[0])
    for name in names[:-_MOST_VARIANTS]:
        try:
            os.unlink(name)
        except ours(OSError):
            continue


def write(file: str, data: bytes) -> None:
    """Store `data` beside `file` and rename it there. Raises OSError."""
    own_folders.make(os.path.dirname(file))
    own_folders.replace(file, data)
