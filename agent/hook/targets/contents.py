"""The definitions of one module, looked up once for all patterns that match it."""

from types import ModuleType

from ...base.errors import CannotPatch
from ...base.interrupts import ours
from ...base.wildcards import segment_match
from . import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .defined import Names

NOTHING: "Names" = {}


class Contents:
    def __init__(self, module: ModuleType, name: str, own: "Names") -> None:
        self.name = name
        self._module = module
        self._own = own
        self._members: "dict[int, list[tuple[str, Any]]]" = {}  # by id of the class or module, which `_module` holds
        self._found: "dict[str, resolve.Found | CannotPatch | None]" = {}

    def expand(self, segments: "list[str]", names: "set[str] | None") -> "Iterator[str]":
        """Return the paths of matching functions; only those that begin with one of `names`, if given."""
        return self._expand(self._module, self._own, segments, names)

    def _expand(self, parent: "Any", own: "Names", segments: "list[str]", names: "set[str] | None") -> "Iterator[str]":
        first, rest = segments[0], segments[1:]
        for name, raw in self._members_of(parent, own):
            if (names is not None and name not in names) or not segment_match(first, name):
                continue
            if name.startswith("_") and not first.startswith("_"):
                continue
            if rest:
                if isinstance(raw, type):
                    for below in self._expand(raw, own.get(name) or NOTHING, rest, None):
                        yield name + "." + below
            elif not isinstance(raw, type):
                yield name

    def _members_of(self, parent: "Any", own: "Names") -> "list[tuple[str, Any]]":
        known = self._members.get(id(parent))
        if known is None:
            known = self._members[id(parent)] = list(resolve.members(parent, own))
            there = {name for name, _ in known}
            known += [(name, None) for name in own if name not in there and resolve.is_lost(parent, name)]
        return known

    def found(self, attribute: str) -> "resolve.Found | None":
        """Return what the module has there, or None. Raises CannotPatch with the reason."""
        if attribute not in self._found:
            try:
                self._found[attribute] = resolve.resolve(self._module, attribute, self.name)
            except ours(resolve.NotThere, resolve.InSubmodule):
                self._found[attribute] = None
            except ours(CannotPatch) as reason:
                self._found[attribute] = reason
        found = self._found[attribute]
        if isinstance(found, CannotPatch):
            raise found
        return found
