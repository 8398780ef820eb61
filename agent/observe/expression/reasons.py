"""Why an expression, or a provider of context, failed, in words that contain no value of the host's.

The message of an exception may quote what the code was given. Those of the interpreter do not, except for keys and for
texts that are no numbers. So a message is used only where an operation of the expression itself raised; of any other
exception, only the type is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...base import places
from ..event.represent import type_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    #: (what is counted, monitor or provider, which of its expressions, why)
    Failed = Callable[[str, str, str, str], None]

_PACKAGE = places.PACKAGE + os.sep
_PLAIN = (AttributeError, TypeError, ZeroDivisionError, IndexError)
_LONGEST = 200
_DEEPEST = 1_000


def reason_of(error: BaseException, expression: str) -> str:
    """AttributeError: 'Order' object has no attribute 'statu'"""
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else type_name(kind)
    message = error.args[0] if kind in (*_PLAIN, KeyError) and error.args else None
    if kind is KeyError and type(message) in (str, int):
        quoted = repr(message)
        known = quoted in expression or quoted.replace("'", '"') in expression
        return f"{name}: {quoted[:_LONGEST]}" if known else name
    if kind in _PLAIN and type(message) is str and _is_the_expressions(error.__traceback__):
        return f"{name}: {message[:_LONGEST]}"
    return name


def _is_the_expressions(trace: TracebackType | None) -> bool:
    """Was it raised by code of ours or a compiled expression, rather than by the host's?"""
    for _ in range(_DEEPEST):
        if trace is None or trace.tb_next is None:
            break
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename if trace is not None else ""
    return file == "<string>" or file.startswith(_PACKAGE)
