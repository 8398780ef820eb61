"""Context providers that the configuration names: functions of the ERP that return the tenant, the company, the user.

The function is looked up among the modules that the host has imported, never imported by us, and called without
arguments while an event is made. If it raises, or an expression does, only that value is missing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...base.interrupts import ours
from ..call import reentry
from ..expression import reasons
from ..expression.evaluate import Expression
from . import context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...base.model import ContextData, ExpressionData
    from ..expression.reasons import Failed


_running = reentry.Running()


def register(configured: Sequence[ContextData], failed: Failed | None = None) -> None:
    """Call each of them for every event from now on. `failed` takes what raised."""
    for data in configured:
        context.register("context " + data["name"], _Provider(data, failed))


class _Provider:
    def __init__(self, data: ContextData, failed: Failed | None) -> None:
        self._failed = failed
        self._name = data["name"]
        self._path = data["target"]["path"]
        self._read = _compiled(data["read"])
        self._tags = _compiled(data["tags"])
        self._user = _compiled(data["user"])

    def __call__(self) -> dict[str, object]:
        if _running.number and reentry.is_within(sys._getframe(1), globals()):
            return {}  # for an event that the function itself causes
        why: dict[str, object] = {}
        found: dict[str, object] = {}
        _running.number += 1
        try:
            result = {"result": _function(self._path)()}
            for name, expressions in ((self._name, self._read), ("tags", self._tags), ("user", self._user)):
                values: dict[str, object] = {}
                for key, expression in expressions.items():
                    try:
                        value = expression.of(result)
                    except ours(BaseException) as error:  # the expression loses its own value
                        self._record(why, f"{name}.{key}: {expression.text}", error)
                        continue
                    if value is not None:
                        values[key] = value
                if values:
                    found[name] = values
        except ours(BaseException) as error:
            self._record(why, self._path, error)
        finally:
            _running.number -= 1
        return {**found, "context_failed": why} if why else found

    def _record(self, why: dict[str, object], expression: str, error: BaseException) -> None:
        reason = str(error) if type(error) is _AbsentError else reasons.reason_of(error, expression)
        why[expression.partition(":")[0]] = reason
        if self._failed is not None:
            self._failed("context-raised", "context " + self._name, expression, reason)


class _AbsentError(LookupError):
    """There is no such function; the message names what is missing."""


def _compiled(expressions: dict[str, ExpressionData]) -> dict[str, Expression]:
    return {name: Expression(data) for name, data in expressions.items()}


def _function(path: str) -> Callable[[], Any]:
    """The function at a dotted path, if the host has imported it. Raises _AbsentError otherwise."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        found: Any = sys.modules.get(module)
        if found is None:
            continue
        for at, part in enumerate(parts[end:], end):
            try:
                found = getattr(found, part)
            except ours(AttributeError):
                raise _AbsentError(f"{'.'.join(parts[:at])} has no {part}") from None
        if not callable(found):
            raise _AbsentError(f"{path} cannot be called")
        return found  # type: ignore[no-any-return]
    raise _AbsentError(f"{parts[0]} is not imported in this process")
