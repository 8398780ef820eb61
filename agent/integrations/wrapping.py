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
    return patch.patch_function(function, _Wrapper(wrapper))


class _Wrapper:
    """Has a trampoline only: the original is what the wrapper calls."""

    def __init__(self, wrapper: Callable[..., Any]) -> None:
        self._values = {"wrap": wrapper}

    def make(self, original: FunctionType) -> CodeType:
        return trampoline.build(original, _WRAP, self._values)

    def inject(self, code: CodeType) -> None:
        del code
