"""Servers written in C that embed Python and call the application themselves: uWSGI and mod_wsgi.

uWSGI's options show which application it imports; a file that one of them runs by itself is noticed when it runs. How
a response ends is seen from a function around the application, which stands in for the server's.
"""

from __future__ import annotations

import sys
from types import FunctionType, GeneratorType
from typing import TYPE_CHECKING, Any

from ...base import guard, places
from ...base.interrupts import ours
from ...base.slots import drop_first_frame
from ...hook.code import trampoline, wrap
from ...observe.event.represent import class_attribute
from . import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...hook.code.patch import Layer
    from .install import Web


def application() -> str:
    """The dotted path of the application that uWSGI imports; "" where it imports none, as with `wsgi-file`."""
    options = _options()
    for name in ("module", "wsgi"):
        given = _text(options.get(name))
        module, _, attribute = given.partition(":")
        if module:
            return f"{module}.{attribute or attribute_of_file()}"
    return ""


def attribute_of_file() -> str:
    """What the application is called in a file that the server runs."""
    return _text(_options().get("callable")) or "application"


def _options() -> dict[str, Any]:
    options: dict[str, Any] = getattr(sys.modules.get("uwsgi"), "opt", {})
    return options


def _text(option: object) -> str:
    """Options are bytes; one that is given several times is a list of them."""
    if type(option) is list:
        option = option[0]
    return option.decode("utf-8", "replace") if type(option) is bytes else ""


def follow() -> None:
    """Have the import of the application's module noticed."""
    module = application().rpartition(".")[0]
    if module:
        places.HOOKS.setdefault(module, "integrations.web.named")
        places.FRAMEWORKS.add(module.partition(".")[0])


def _is_here() -> bool:
    return bool(_options()) or "mod_wsgi" in sys.modules


def around(function: FunctionType, web: Web) -> list[Layer]:
    """Have requests last until their body was sent, if `function`, an application, is called by such a server."""
    if function.__code__.co_flags & trampoline.CO_GENERATOR or not _is_here() or "async" in _options():
        return []  # a generator shows by itself how it ends; with uWSGI's `async`, all requests share one context

    def serve(original: Any, *arguments: Any, **named: Any) -> Any:
        above = sys._getframe(1)
        if above.f_back is not None:  # no server calls it, but a function in Python
            try:
                return original(*arguments, **named)
            except BaseException as error:
                drop_first_frame(error)
                raise
        token = serving.opened(above, None)
        try:
            result = original(*arguments, **named)
        except BaseException as error:
            drop_first_frame(error)
            web.sent(token)
            raise
        if _runs_code(result):
            return _Body(result, token, web)
        web.sent(token)
        return result

    return [wrap.wrap(function, serve)]


def _runs_code(body: object) -> bool:
    """Does code of the ERP's run while the server iterates over it? It sends files and lists by itself."""
    kind = type(body)
    if kind is GeneratorType or kind in (map, filter) or kind.__module__ == "itertools":
        return True
    if class_attribute(body, "read") is not None:
        return False
    return any(type(class_attribute(body, name)) is FunctionType for name in ("__next__", "__iter__"))


class _Body:
    """Iterates over a response in place of the server, which does nothing else with it but to close it."""

    __slots__ = ("_body", "_parts", "_token", "_web")

    def __init__(self, body: Any, token: Any, web: Web) -> None:
        self._body, self._token, self._web = body, token, web
        self._parts: Iterator[Any] | None = None

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> Any:
        try:
            if self._parts is None:
                self._parts = iter(self._body)
            return next(self._parts)
        except StopIteration:
            raise
        except Exception as error:
            self._failed(error)
            raise

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except Exception as error:
            self._failed(error)
            raise
        finally:
            self._web.sent(self._token)

    def _failed(self, error: Exception) -> None:
        try:
            drop_first_frame(error)
            self._web.failed(error)
        except ours(Exception):
            guard.swallow("looking at a response that fails")
