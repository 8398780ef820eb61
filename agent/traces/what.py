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
    from ..privacy.scrub import Clean
    from .trace import Lane

#: Sentry has these names for what caches do.
_OF_CACHES = {
    "get_many": "get", "set": "put", "add": "put", "set_many": "put", "incr": "put", "delete": "remove",
    "delete_many": "remove", "clear": "flush",
}  # fmt: skip

_PLAIN = frozenset((str, int, float, bool, type(None)))
_LONGEST = 2_000  # characters of a text


class What:
    """The same for all spans of one function."""

    __slots__ = ("data", "description", "fixed", "labels", "located", "monitor", "op", "quiet", "read", "reads")

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
        self.fixed: Clean | None = None  # `data`, scrubbed: see `transaction`
        self.monitor = monitor["name"]
        self.quiet = frozenset(monitor["quiet_inside"])  # monitors whose spans show what is directly inside, too
        self.located = self.op == "db" or monitor["kind"] == "database"  # is it shown where a slow one was called?
        #: Names of the data that each call has, the first is the description.
        self.labels: tuple[str, ...] = ()
        #: Takes the result and what is passed; returns the values of `labels`, or None for no span.
        self.read: Callable[..., tuple[object, ...] | None] | None = None
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
            self.read = _reader(self.reads, [readable.get(label) for label in self.labels])
            if shared:
                self.read = _of_receivers(probe, self.read)


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


def _reader(names: Sequence[str], wanted: Sequence[ExpressionData | None]) -> Callable[..., tuple[object, ...]]:
    """A function of the result and these parameters that returns the values. Objects of the host are left out."""
    nothing = ["const", None]
    parameters = ["result", *names]

    def compiled(each: Sequence[ExpressionData | None]) -> Any:
        tree = ["tuple", [one["tree"] if one is not None else nothing for one in each]]
        return compile_expression({"text": "", "names": parameters, "tree": tree})

    together = compiled(wanted)
    one_by_one: list[Any] = []

    def read(*values: object) -> tuple[object, ...]:
        try:
            found: tuple[object, ...] = together(*values)
        except ours(Exception):
            if not one_by_one:
                one_by_one.extend([compiled([each]) for each in wanted])
            found = tuple([_value(each, values) for each in one_by_one])
        for each in found:
            if type(each) not in _PLAIN or (type(each) is str and len(each) > _LONGEST):
                return tuple([_plain(one) for one in found])
        return found

    return read


def _value(expression: Any, values: tuple[object, ...]) -> object:
    try:
        return expression(*values)[0]
    except ours(Exception):
        return None


def _plain(value: object) -> object:
    if type(value) is str:
        return value[:_LONGEST]
    if isinstance(value, str):  # a text with a class of its own: Django's and Celery's
        return str.__str__(value)[:_LONGEST]
    return value if type(value) in _PLAIN else None


def _of_receivers(probe: Probe, read: Callable[..., tuple[object, ...]]) -> Callable[..., tuple[object, ...] | None]:
    """For a method that several classes share, or whose names contain that of its class."""
    receiver, by_class = probe.receiver, probe._by_class

    def look(result: object, first: object, *others: object) -> tuple[object, ...] | None:
        if receiver is not None and not arguments.is_received_by(receiver, first):
            return None
        values = read(result, first, *others)
        if values[0] is None and by_class is not None:
            named = by_class.of(first)
            if named is not None:
                return (named.monitor["detail"].get("name") or named.operation, *values[1:])
        return values

    return look
