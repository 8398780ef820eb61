"""The context of an event: request, user, task and process, collected from registered providers.

A provider is a function without parameters that returns sections, such as `{"request": {…}, "user": {…}}`, and reads
only what is in memory already. The section `transaction` is a text: the name of the endpoint or task; `tags` become
tags; `breadcrumbs` is a list of Sentry's breadcrumbs. Of two providers of the same fact, the one registered first wins.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from typing import TYPE_CHECKING

from ...base import programs
from ...base.guard import swallow
from ...base.interrupts import ours
from ..event.represent import instance_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

registered: dict[str, Callable[[], Mapping[str, object]]] = {}
#: Providers of ours, which read what is in memory; those of the host run its code.
_FRAMEWORKS = ("celery", "frappe", "odoo", "tasks", "tryton", "django", "web")


def register(name: str, provider: Callable[[], Mapping[str, object]], *, first: bool = False) -> None:
    """Registering a name again replaces its provider and keeps its place. `first`: before all others.

    A framework comes before those that know less of the same request, whichever of them the process has loaded first.
    """
    below = _FRAMEWORKS[_FRAMEWORKS.index(name) + 1 :] if name in _FRAMEWORKS else ()
    before = next((each for each in registered if first or each in below), None)
    if name in registered or before is None:
        registered[name] = provider
        return
    known = list(registered.items())
    registered.clear()
    for each, other in known:
        if each == before:
            registered[name] = provider
        registered[each] = other


def collect() -> dict[str, object]:
    """The sections of all providers, and `process`. Raw: building the event decides what of it may leave."""
    facts: dict[str, object] = {}
    for name, provider in list(registered.items()):
        try:
            _add(facts, provider())
        except ours(BaseException):
            swallow(f"collecting the context of {name}")
    _add(facts, {"process": _process()})
    return facts


def transaction() -> str:
    """The name of the endpoint or task that is running, as its framework knows it by now, or ""."""
    for provider in [registered[name] for name in _FRAMEWORKS if name in registered]:
        try:
            name = provider().get("transaction")
        except ours(BaseException):
            swallow("looking for the name of what is running")
            continue
        if type(name) is str and name:
            return name
    return ""


def _add(facts: dict[str, object], sections: Mapping[str, object]) -> None:
    for name, section in sections.items():
        known = facts.get(name)
        if known is None:
            facts[name] = dict(section) if type(section) is dict else section
        elif type(known) is dict and type(section) is dict:
            for key, value in section.items():
                known.setdefault(key, value)


def _process() -> dict[str, object]:
    facts: dict[str, object] = {"pid": os.getpid()}
    program = programs.title()
    if program:
        facts["program"] = program
    thread = _thread_name()
    if thread is not None:
        facts["thread"] = thread
    return facts


def _thread_name() -> str | None:
    """Read without `current_thread()`, which would register a thread that `threading` did not start."""
    threading = sys.modules.get("threading")
    active = getattr(threading, "_active", None)
    if type(active) is not dict:
        return None
    thread = active.get(get_ident())
    name = (instance_dict(thread) or {}).get("_name")
    return name if type(name) is str else None
