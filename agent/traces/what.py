"""What a monitored function's spans are: operation, description and data, in Sentry's words where there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.interrupts import ours
from ..hook.code import trampoline
from ..observe.call import arguments
from ..observe.call.spans import OPERATIONS, Span
from ..observe.expression.evaluate import compile_expression
from . import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..base.model import ExpressionData, Json
    from ..observe.call.probe import Probe
    from .trace import Lane

#: Sentry has these names for what caches do.
_OF_CACHES = {
    "get_many": "get", "set": "put", "add": "put", "set_many": "put", "incr": "put", "delete": "remove",
    "delete_many": "remove", "clear": "flush",
}  # fmt: skip


class What:
    """The same for all spans of one function."""

    __slots__ = (
        "_apart",
        "_wanted",
        "data",
        "description",
        "has_lane",
        "labels",
        "located",
        "monitor",
        "op",
        "quiet",
        "reads",
        "together",
    )

    def __init__(self, probe: Probe, passable: Sequence[str]) -> None:
        monitor = probe.monitor
        named = probe._named
        detail = named.monitor["detail"]
        given = monitor["span_data"]
        self.op = _op(given["op"], named.operation) if given else OPERATIONS.get(monitor["kind"], "")
        self.op = self.op or f"db.{named.operation}"
        self.description = detail.get("name") or named.operation
        self.data: dict[str, Json] = {"erp.operation": named.operation, "erp.monitor": monitor["name"]}
        self.data["code.function"] = probe.path
        if monitor["module"]:
            self.data["erp.module"] = monitor["module"]
        if monitor["kind"] == "database" and not given:
            self.description = f"{detail.get('model', '')} {named.operation}".strip()
            self.data["db.operation"] = named.operation
        self.monitor = monitor["name"]
        #: Is what runs in it in a lane of its own?
        self.has_lane = trampoline.kind_of(probe._code) == trampoline.COROUTINE
        self.quiet = probe.terms.quiet  # monitors whose spans show what is directly inside, too
        self.located = self.op == "db" or monitor["kind"] == "database"  # is it shown where a slow one was called?
        #: Names of the data that each call has, the first is the description.
        self.labels: tuple[str, ...] = ()
        #: Takes the result and a tuple of what is passed; returns the values of `labels`, which may be any, or None for
        #: no span.
        self.together: Callable[..., tuple[Any, ...] | None] | None = None
        self._apart: list[Callable[..., tuple[Any, ...]]] = []
        self._wanted: list[ExpressionData | None] = []
        self.reads: tuple[str, ...] = ()  # the parameters that are passed
        wanted = {"": given["description"], **given["data"]} if given else {}
        own = {label: each for label, each in wanted.items() if each is not None}
        known = {"result", *passable}
        readable = {label: each for label, each in own.items() if known.issuperset(each["names"])}
        if self.op != "cache.get":
            readable.pop("cache.hit", None)
        shared = probe._shared and bool(passable)
        if readable or shared:
            self.labels = tuple(readable) if "" in readable else ("", *readable)
            names = {name for each in readable.values() for name in each["names"]}.difference(("result",))
            self.reads = tuple([name for name in passable if name in names or (shared and name == passable[0])])
            self._wanted = [readable.get(label) for label in self.labels]
            self.together = _compiled(self.reads, self._wanted)
            if shared:
                self.together = _of_receivers(probe, self.together)

    def one_by_one(self, result: object, passed: tuple[object, ...]) -> tuple[Any, ...]:
        """The same where one of the expressions has raised: that one has no value."""
        if not self._apart:
            self._apart = [_compiled(self.reads, [each]) for each in self._wanted]
        return tuple([_value(each, result, passed) for each in self._apart])

    def read(self, result: object, passed: tuple[object, ...]) -> tuple[Any, ...] | None:
        """The values of a call, plain; None for no span. `trace.record` does the same by itself."""
        if self.together is None:
            return ()
        try:
            found = self.together(result, passed)
        except ours(Exception):
            found = self.one_by_one(result, passed)
        return tuple([trace.plain(each) for each in found]) if found is not None else None


def _value(expression: Callable[..., tuple[Any, ...]], result: object, passed: tuple[object, ...]) -> object:
    try:
        return expression(result, passed)[0]
    except ours(Exception):
        return None


def span_of(probe: Probe, passable: tuple[str, ...]) -> Span:
    """The callables for the code of a function: see `observe.call.spans`."""
    what = What(probe, passable)
    enter, leave = calls_of(probe)
    return Span(trampoline.Callback(enter), trampoline.Callback(leave, what), what.reads)


def calls_of(probe: Probe) -> tuple[Callable[[], Lane | None], Callable[..., None]]:
    """What begins and ends the spans of a function."""
    if trampoline.kind_of(probe._code) == trampoline.COROUTINE:
        return trace.begin_coroutine, trace.end_coroutine
    return trace.current.get, trace.record


def _op(given: str, operation: str) -> str:
    prefix, _, name = given.replace("{operation}", operation).rpartition(".")
    if prefix == "cache":
        name = _OF_CACHES.get(name, name)
    return f"{prefix}.{name}" if prefix else name


def _compiled(names: Sequence[str], wanted: Sequence[ExpressionData | None]) -> Callable[..., tuple[object, ...]]:
    """A function of the result and a tuple of these parameters that returns the values."""
    tree = ["tuple", [one["tree"] if one is not None else ["const", None] for one in wanted]]
    data: ExpressionData = {"text": "", "names": ["result", *names], "tree": tree}
    return compile_expression(data, packed=True)  # type: ignore[return-value]


def _of_receivers(
    probe: Probe, read: Callable[..., tuple[object, ...] | None]
) -> Callable[..., tuple[object, ...] | None]:
    """For a method that several classes share, or whose names contain that of its class."""
    receiver, by_class = probe.receiver, probe._by_class

    def look(result: object, passed: tuple[object, ...]) -> tuple[object, ...] | None:
        first = passed[0]
        if receiver is not None and not arguments.is_received_by(receiver, first):
            return None
        values = read(result, passed)
        if values is not None and values[0] is None and by_class is not None:
            named = by_class.of(first)
            if named is not None:
                return (named.monitor["detail"].get("name") or named.operation, *values[1:])
        return values

    return look
