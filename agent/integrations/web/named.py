"""The application that `web: {application: …}` names, or that uWSGI's options load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import embedding
from .install import web_of

if TYPE_CHECKING:
    from types import ModuleType

    from ...boot.engine import Engine


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when a module has been imported that the application's path goes through."""
    path = engine.outlet.sentry["application"] or embedding.application()
    if not path.startswith(name + "."):
        return []
    path = path[len(name) + 1 :]
    found: Any = module
    for part in path.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    if found is None:
        return []  # further down, in a module that is imported later
    web = web_of(engine)
    web.watch(found)
    return [web]


def of_file(namespace: dict[str, Any], engine: Engine) -> None:
    """A server has run this file, for the application in it."""
    web_of(engine).watch(namespace.get(embedding.attribute_of_file()))
