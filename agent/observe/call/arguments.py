"""Reads the arguments of a monitored call by name, once there is something to report."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from ...hook.code import patch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, FrameType

_VARARGS, _VARKEYWORDS = 0x04, 0x08


def parameters(code: CodeType) -> tuple[str, ...]:
    """The names of a function's parameters, in the order of co_varnames."""
    number = code.co_argcount + code.co_kwonlyargcount
    number += bool(code.co_flags & _VARARGS) + bool(code.co_flags & _VARKEYWORDS)
    return code.co_varnames[:number]


def definition(function: FunctionType) -> FunctionType:
    """The function that a person wrote, below decorators that set `__wrapped__`."""
    inner: Any = function
    for _ in range(20):
        wrapped = getattr(inner, "__wrapped__", None)  # reading `__dict__` would create one
        if type(wrapped) is not FunctionType:
            break
        inner = wrapped
    return inner  # type: ignore[no-any-return]


def first(frame: FrameType, code: CodeType) -> object:
    """The first argument of a call of the function with this `code`: a method's own object or class."""
    name = code.co_varnames[0] if parameters(code) else ""
    found = frame.f_locals.get(name)
    if code.co_argcount == 0:  # a decorator's (*args, **kwargs)
        return found[0] if isinstance(found, tuple) and found else None
    return found


def is_received_by(receiver: object, found: object) -> bool:
    """Is this argument the receiver, or an object or subclass of it?"""
    if found is receiver:
        return True
    if not isinstance(receiver, type):
        return False
    return issubclass(found if isinstance(found, type) else type(found), receiver)


def of_frame(frame: FrameType, code: CodeType, written: FunctionType | None) -> dict[str, Any]:
    """The arguments in `frame`, a trampoline's, by name.

    `code` is the patched function's own code. Where it is a decorator's wrapper, `written` is the function below it,
    and what the wrapper received as *args and **kwargs gets that function's names.
    """
    values = frame.f_locals
    found = {name: values[name] for name in parameters(code) if name in values}
    if written is None:
        return found
    positional: list[Any] = [found[name] for name in code.co_varnames[: code.co_argcount] if name in found]
    number = code.co_argcount + code.co_kwonlyargcount
    named = {name: found[name] for name in parameters(code)[:number] if name in found}
    if code.co_flags & _VARARGS:
        positional += found.get(code.co_varnames[number], ())
        number += 1
    more = found.get(code.co_varnames[number], {}) if code.co_flags & _VARKEYWORDS else {}
    return {**found, **_bind(written, patch.original_code(written), positional, named, more)}


def _bind(
    function: FunctionType, code: CodeType, positional: Sequence[Any], named: dict[str, Any], more: dict[str, Any]
) -> dict[str, Any]:
    """The parameters of `function` by name. `named` may hold what is `positional` too; `more` came as **kwargs."""
    names = code.co_varnames[: code.co_argcount]
    bound: dict[str, Any] = {}
    defaults = function.__defaults__ or ()
    bound.update(zip(names[len(names) - len(defaults) :], defaults))
    bound.update(function.__kwdefaults__ or {})
    number = code.co_argcount + code.co_kwonlyargcount
    known = code.co_varnames[:number]
    bound.update({name: value for name, value in {**named, **more}.items() if name in known})
    bound.update(zip(names, positional))
    if code.co_flags & _VARARGS:
        bound[code.co_varnames[number]] = tuple(positional[len(names) :])
        number += 1
    if code.co_flags & _VARKEYWORDS:
        bound[code.co_varnames[number]] = {name: value for name, value in more.items() if name not in known}
    return bound
