"""The paths of the schema and the packs that ship with the agent, in a checkout or an installed wheel."""

from __future__ import annotations

import os

from ...base import places

_ROOT = os.path.dirname(places.PACKAGE)


def schema_path() -> str:
    """The schema inside the package (a wheel) or beside it (a checkout)."""
    inside = os.path.join(places.PACKAGE, "schema", "monitors.schema.json")
    return inside if os.path.isfile(inside) else os.path.join(_ROOT, "schema", "monitors.schema.json")


def pack_path(name: str) -> str:
    return os.path.join(places.PACKAGE, "packs", name + ".yaml")


def pack_names() -> list[str]:
    try:
        entries = os.listdir(os.path.join(places.PACKAGE, "packs"))
    except OSError:
        return []
    return sorted(entry[:-5] for entry in entries if entry.endswith(".yaml"))
