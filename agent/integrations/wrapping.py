"""Puts a function of ours around a function of a framework's, in place: `wrapper(original, *arguments)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hook import patch, trampoline

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FunctionType
    from typing import Any

_WRAP = trampoline.Features(wrap=True)


def wrap(function: FunctionType, wrapper: Callable[..., Any]) -> patch.Layer:
    """`wrapper` is a coroutine function where `function` is one. Undo through what is answered."""

    def make(original: FunctionType) -> CodeType:
        return trampoline.build(original, _WRAP, wrap=wrapper)

    return patch.patch_function(function, make, wrapper)
