"""Whether a Python that the agent was not tested with runs functions the same with a monitor as without.

The process that compiles the plan runs this, once for each plan: with a monitor around them (`difference`), and in them
(`injects`), where the opcodes are known and have the numbers that are expected.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from functools import partial
from io import BytesIO
from types import CodeType, FunctionType
from typing import Any

from ..hook.code import inject, operations, patch, trampoline

#: Enough for the interpreter to specialise the code.
_CALLS = 200


class _Area:
    kept = 0

    def method(self, a: int, /, b: int = 2, *rest: int, c: int, **named: int) -> object:
        return self, a, b, rest, c, sorted(named)

    def child(self) -> str:
        return super().__repr__()[:1]

    def __enter__(self) -> None:
        self.kept += 1

    def __exit__(self, *_: object) -> None:
        self.kept -= 1


def _returns(a: Any, b: Any = 1) -> object:
    return a if b else None


def _fails(a: int) -> object:
    try:
        with _Area():
            return a / 0
    finally:
        a += 1


def _yields(a: int) -> Generator[Any, Any, int]:
    try:
        got = yield a
        yield from (got, a)
    except KeyError:
        yield "caught"
    return a


async def _waits(a: int) -> int:
    return a + 1


def _throws(generator: Any) -> object:
    next(generator)
    return generator.throw(KeyError("x")), list(generator)


def _sends(generator: Any) -> list[object]:
    found = [next(generator), generator.send(7)]
    try:
        while True:
            found.append(next(generator))
    except StopIteration as end:
        return [*found, end.value]


def _finish(coroutine: Any) -> object:
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    return "suspended"


_AREA = _Area()

#: (function to patch, a call of it)
CALLS: tuple[tuple[Any, Callable[[], object]], ...] = (
    (_returns, lambda: _returns(_AREA)),
    (_returns, lambda: _returns(1, b=0)),
    (_returns, partial(_returns)),
    (_Area.method, lambda: _AREA.method(1, 3, 4, c=5, d=6)),
    (_Area.child, _AREA.child),
    (_fails, lambda: _fails(1)),
    (_yields, lambda: _sends(_yields(1))),
    (_yields, lambda: _throws(_yields(2))),
    (_yields, lambda: _yields(2).close()),
    (_waits, lambda: _finish(_waits(1))),
)

_FEATURES = (
    trampoline.Features(),
    trampoline.Features(threshold=True, check=(0,)),
    trampoline.Features(counted=trampoline.AT_THE_END),
    trampoline.Features(counted=trampoline.AT_THE_BEGINNING),
    trampoline.Features(threshold=True, span=True),
)


class _Owner:
    """Makes a monitor whose callbacks do nothing: in the function, where that is possible and wanted, or around it."""

    def __init__(self, features: trampoline.Features, *, within: bool) -> None:
        self._features, self._within = features, within
        callback = trampoline.Callback(lambda *_: self)
        self._values: dict[str, Any] = dict.fromkeys(("fail", "slow", "check", "enter", "leave", "count"), callback)
        self._values.update(clock=lambda: 2.0, limit=-1.0, batch=BytesIO(b"\n" * (_CALLS // 2)))

    def make(self, original: FunctionType) -> CodeType:
        return trampoline.build(original, self._features, self._values)

    def inject(self, code: CodeType) -> CodeType | None:
        return inject.inject(code, self._features, self._values) if self._within else None


def injects() -> bool:
    """Whether code can be put into functions. Tried in another process, which may crash."""
    if not inject.AVAILABLE or unlike():
        return False
    child = os.fork()
    if not child:
        try:
            os._exit(bool(difference(within=True)))
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def unlike() -> list[str]:
    """The opcodes whose number, or what follows it, is not what is expected."""
    import opcode

    given: Any = opcode._inline_cache_entries  # type: ignore[attr-defined]
    entries = given.items() if hasattr(given, "items") else zip(opcode.opname, given)
    caches = {opcode.opmap[name]: count for name, count in entries if count and opcode.opmap.get(name, 256) < 256}
    table = operations.OPS
    found = [name for name, number in table.items() if name.isupper() and opcode.opmap.get(name) != number]
    numbers = {*caches.items(), *[(number, "jumps") for number in opcode.hasjrel if number < 256]}
    expected = {*table["caches"].items(), *[(number, "jumps") for number in (*table["forward"], *table["backward"])]}
    different = {number for number, _ in numbers ^ expected}
    return found + [name for name in map(opcode.opname.__getitem__, sorted(different)) if not name.startswith("INSTR")]


def difference(*, within: bool = False) -> str:
    """What a monitored function does differently here, in words; "" where nothing is different.

    The monitor is around the function, or `within` it where that is possible.
    """
    for features in _FEATURES:
        for function, call in CALLS:
            expected = _outcome(call)
            before = function.__code__
            try:
                layer = patch.patch_function(function, _Owner(features, within=within))
                try:
                    found = [_outcome(call) for _ in range(_CALLS)]
                finally:
                    layer.undo()
            except Exception as error:
                return f"{function.__name__.strip('_')} cannot be patched: {type(error).__name__}: {error}"
            if any(each != expected for each in found) or function.__code__ is not before:
                return f"a function that {function.__name__.strip('_')} does not do the same"
    return ""


def _outcome(call: Callable[[], object]) -> tuple[object, ...]:
    try:
        return "returned", call()
    except Exception as error:
        text, lines, trace = str(error), [], error.__traceback__
        while trace is not None:
            if patch.trampoline_of(trace.tb_frame.f_code) is None:
                lines.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
            trace = trace.tb_next
        return "raised", type(error), text, lines, sys.exc_info()[1] is error
