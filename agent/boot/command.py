"""`python -m agent` where the host has an `agent` of its own, in the current folder or anywhere on its path.

The host's comes first wherever it is imported. One that cannot be run as a program leaves the command to ours; where it
can, ours is `python -m _erp_agent`.
"""

import os
import sys

from ..base import places, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def make_way() -> None:
    """Called where a process runs some `-m`, before it looks for the module."""
    module = programs.module_of(programs.arguments())
    if module == "_erp_agent":
        from _frozen_importlib import ModuleSpec

        package = sys.modules[module]
        package.__spec__ = spec = ModuleSpec(module, None, is_package=True)
        spec.submodule_search_locations = [places.PACKAGE]
    elif module == "agent":
        sys.meta_path.insert(0, _Command())


def is_ours() -> bool:
    """Is the program of this process a command of ours, and not one of a host's `agent`?"""
    words = programs.arguments()
    if programs.module_of(words) != "agent":
        return programs.is_command(words)
    from _frozen_importlib_external import PathFinder

    path = sys.path if getattr(sys.flags, "safe_path", False) else [os.getcwd(), *sys.path]
    spec = PathFinder.find_spec("agent", path)
    if spec is None or spec.origin == os.path.join(places.PACKAGE, "__init__.py"):
        return True
    return PathFinder.find_spec("agent.__main__", spec.submodule_search_locations) is None


class _Command:
    """A finder for `agent` in a process that runs it, which looks it up more than once."""

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        del path, target
        if name != "agent":
            return None
        from _frozen_importlib_external import PathFinder, spec_from_file_location

        other = PathFinder.find_spec(name)
        if other is None or (other.origin is None and not other.submodule_search_locations):
            return None
        locations = other.submodule_search_locations
        if locations is None or PathFinder.find_spec("agent.__main__", locations) is not None:
            return None
        return spec_from_file_location(name, os.path.join(places.PACKAGE, "__init__.py"),
                                       submodule_search_locations=[places.PACKAGE])  # fmt: skip
