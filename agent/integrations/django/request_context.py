"""Facts about the Django request that is being served, without evaluating anything lazy.

No `request.user`, `GET`, `POST`, `body` or `COOKIES`, and no database query: only what instances already hold in their
`__dict__`. The user is known only if the host has already loaded it.
"""

from __future__ import annotations

import sys
from typing import Any

from ...observe.around import people, work
from ...observe.event.represent import instance_dict
from ..web import serving
from ..web.facts import LONGEST_QUERY, header, names_in, without_secrets
from ..web.views import path_of
from .routes import readable


def provide() -> dict[str, object]:
    """Return facts for an event; registered with `context.register`."""
    facts: dict[str, object] = {}
    command = _command()
    if command is not None:
        facts["django"] = {"command": command}
        facts["transaction"] = f"manage.py {command}"
    held = _request_here()
    if held is None:
        return facts
    meta = held.get("META")
    meta = meta if type(meta) is dict else {}
    match = instance_dict(held.get("resolver_match")) or {}
    request = _request(held, meta, match)
    facts["request"] = request
    asked = serving.operation()
    if asked:
        request["operation"] = asked
    place = asked or _place(match)
    if place:
        facts["transaction"] = place
    known = user()
    if known:
        facts["user"] = known
    return facts


#: A request of Django that came through no server that we know.
KIND = work.Kind(
    "http.server",
    lambda about, name: header((instance_dict(about) or {}).get("META") or {}, name),
    method=lambda about: (instance_dict(about) or {}).get("method"),
)


def operation() -> tuple[str, str]:
    """Return the request as words, such as `GET /orders/<int:number>/`, and the dotted path of its view."""
    held = _request_here() or {}
    match = instance_dict(held.get("resolver_match")) or {}
    method = held.get("method")
    words = [method if type(method) is str else "", _place(match) or "request"]
    return " ".join(filter(None, words)), path_of(match.get("func")) or "django.request"


def _place(match: dict[str, object]) -> str:
    """Return the route that matched, or an empty text."""
    route = match.get("route")
    return readable(route) if type(route) is str else ""


def user() -> dict[str, object]:
    """Return the id and address of the user who makes the current request, as far as they are known."""
    held = _request_here()
    if held is None:
        return {}
    found = _user(held)
    meta = held.get("META")
    address = meta.get("REMOTE_ADDR") if type(meta) is dict else None
    if type(address) is str and address:
        found["ip"] = address
    return found


def _request_here() -> dict[str, object] | None:
    """Return the `__dict__` of the current request; None outside of one."""
    current = work.current()
    about = current.about if current is not None else None
    if type(about) is serving.Serving:
        about = about.django
    return instance_dict(about) if about is not None else None


def _command() -> str | None:
    """Return the management command: the first word after manage.py, and nothing else of the command line."""
    arguments = getattr(sys, "argv", None) or []
    if len(arguments) < 2 or not all(type(each) is str for each in arguments[:2]):
        return None
    program, command = arguments[:2]
    if not program.endswith(("manage.py", "django-admin", "django-admin.py", "django/__main__.py")):
        return None
    return command if command.isidentifier() and len(command) <= 60 else None


def _request(held: dict[str, object], meta: dict[Any, Any], match: dict[str, object]) -> dict[str, object]:
    request: dict[str, object] = {}
    method, path, route = held.get("method"), held.get("path"), match.get("route")
    if type(method) is str:
        request["method"] = method
    if type(path) is str:
        request["path"] = without_secrets(path, match.get("kwargs"))
    if type(route) is str:
        request["route"] = readable(route)[1:]
    view = path_of(match.get("func"))
    if view:
        request["view"] = view
    query = meta.get("QUERY_STRING")
    if type(query) is str and query:
        request["parameters"] = names_in(query[:LONGEST_QUERY])
    return request


def _user(held: dict[str, object]) -> dict[str, object]:
    for name in ("_cached_user", "_acached_user", "user"):
        facts = people.facts_of(held.get(name))
        if facts:
            return facts
    session = instance_dict(held.get("session"))
    loaded = session.get("_session_cache") if session else None
    identity = loaded.get("_auth_user_id") if type(loaded) is dict else None
    return {"id": identity} if type(identity) is str else {}
