"""Decorators for new code of the ERP, in place of entries in monitors.yaml.

They are monitors like any other: the decorated function is patched in place and given back, the same object. Each can
be written as `@sentry_monitor` or as `@sentry_monitor("sales", "create_order", threshold="2s")`. Where the agent is
off or not configured they do nothing.

Beside the words of each kind all take `threshold` (seconds or "250ms"), `severity`, `capture` (names of parameters, or
name → expression), `expect` (exception classes or dotted names that are part of the business) and `tags`.
"""

from __future__ import annotations

import sys
from _weakref import ref
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Callable, TypedDict, TypeVar, Union, overload

from .base import guard
from .base.errors import CannotPatch
from .base.interrupts import ours
from .base.postponed import when_freed
from .boot import bootstrap
from .boot import running as here
from .boot.running import engine
from .hook.code import patch
from .hook.targets import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .base.model import ExpressionData, MonitorData
    from .boot.engine import Engine
    from .observe.call.probe import Probe

Function = TypeVar("Function", bound=Callable[..., Any])
#: What `@decorator` is given, in place of its first word.
_First = Union[str, Callable[..., Any], None]


class Options(TypedDict, total=False):
    threshold: float | str | None
    severity: str | None
    capture: Mapping[str, str] | Iterable[str]
    expect: Iterable[type[BaseException] | str]
    tags: Mapping[str, str]


@overload
def sentry_monitor(module: Function, /) -> Function: ...
@overload
def sentry_monitor(
    module: str | None = None, operation: str | None = None, **options: Any
) -> Callable[[Function], Function]: ...
def sentry_monitor(module: _First = None, operation: str | None = None, **options: Any) -> Any:
    """Any function: its errors, and slow calls where there is a `threshold`."""
    return _decorator("function", module, {"module": module, "operation": operation}, options)


@overload
def sentry_database_monitor(model: Function, /) -> Function: ...
@overload
def sentry_database_monitor(
    model: str | None = None, operation: str | None = None, **options: Any
) -> Callable[[Function], Function]: ...
def sentry_database_monitor(model: _First = None, operation: str | None = None, **options: Any) -> Any:
    """Data access: slower than a second is slow."""
    return _decorator("database", model, {"model": model, "operation": operation}, options)


@overload
def sentry_business_logic_monitor(process: Function, /) -> Function: ...
@overload
def sentry_business_logic_monitor(
    process: str | None = None, operation: str | None = None, **options: Any
) -> Callable[[Function], Function]: ...
def sentry_business_logic_monitor(process: _First = None, operation: str | None = None, **options: Any) -> Any:
    """A step of a business process."""
    return _decorator("business", process, {"process": process, "operation": operation}, options)


@overload
def sentry_transaction(name: Function, /) -> Function: ...
@overload
def sentry_transaction(
    name: str | None = None, operation: str | None = None, **options: Any
) -> Callable[[Function], Function]: ...
def sentry_transaction(name: _First = None, operation: str | None = None, **options: Any) -> Any:
    """A Sentry transaction where none is under way, a span of it otherwise."""
    return _decorator("transaction", name, {"name": name, "operation": operation}, options)


@overload
def sentry_api_monitor(endpoint: Function, /) -> Function: ...
@overload
def sentry_api_monitor(endpoint: str | None = None, **options: Any) -> Callable[[Function], Function]: ...
def sentry_api_monitor(endpoint: _First = None, **options: Any) -> Any:
    """An endpoint: its errors, its 5xx responses, and responses that take more than five seconds."""
    return _decorator("api", endpoint, {"endpoint": endpoint}, options)


@overload
def sentry_security_monitor(event_type: Function, /) -> Function: ...
@overload
def sentry_security_monitor(
    event_type: str | None = None, severity: str = "warning", *, audit: bool | str = False, **options: Any
) -> Callable[[Function], Function]: ...
def sentry_security_monitor(
    event_type: _First = None, severity: str = "warning", *, audit: bool | str = False, **options: Any
) -> Any:
    """Sign-in, permissions: failures always, every call with `audit`."""
    words = {"event_type": event_type, "severity": severity, "module": options.pop("module", "security")}
    return _decorator("security", event_type, words, options, audit=audit)


class Preset:
    """`sentry_monitor` for one module of the ERP."""

    def __init__(self, module: str) -> None:
        self._module = module
        self.__doc__ = f"An operation of the module {module}."

    @overload
    def __call__(self, operation: Function, /) -> Function: ...
    @overload
    def __call__(self, operation: str | None = None, **options: Any) -> Callable[[Function], Function]: ...
    def __call__(self, operation: _First = None, **options: Any) -> Any:
        return _decorator("function", operation, {"module": self._module, "operation": operation}, options)


monitor_sales_operation = Preset("sales")
monitor_inventory_operation = Preset("inventory")
monitor_production_operation = Preset("production")
monitor_quality_operation = Preset("quality")


def _decorator(
    kind: str, first: _First, words: dict[str, Any], options: dict[str, Any], *, audit: bool | str = False
) -> Any:
    options = _known(options)
    bare = first is not None and not isinstance(first, str)
    if bare:
        words = {name: None if value is first else value for name, value in words.items()}

    def decorate(function: Any) -> Any:
        try:
            declared = Declared(function, kind, words, options, audit)
            running = engine()
            if running is not None:
                declared.apply(running)
                _show(declared, running)
            _remember(declared)
        except ours(Exception):
            guard.swallow("monitoring a decorated function")
        return function

    return decorate(first) if bare else decorate


def _show(declared: Declared, running: Engine) -> None:
    """Have `status` show what became of it, together with all that its module decorates."""
    agent = bootstrap.current
    if agent is None or here.instead is not None:
        return  # `testing` watches
    if agent.finder is None or declared.module == "__main__":  # nobody notices when that has run
        running.health.flush()
    else:
        agent.finder.after = running.health.flush


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """The options that decorators have. Another one is misspelt: an error in tests, and a line where the agent runs."""
    allowed = (*Options.__annotations__, "module", "operation")
    unknown = [name for name in options if name not in allowed]
    if not unknown:
        return options
    caller = sys._getframe(3)
    what = f"{caller.f_code.co_filename}:{caller.f_lineno}: no decorator has the option `{unknown[0]}`"
    if guard.TESTING or __package__ + ".testing" in sys.modules:
        raise TypeError(f"{what}; {_nearest(unknown[0], allowed)}")
    try:
        if engine() is not None:
            guard.write_line(f"{what}, the function is monitored without it; {_nearest(unknown[0], allowed)}")
    except ours(Exception):
        guard.swallow("looking at the options of a decorator")
    return {name: value for name, value in options.items() if name in allowed}


def _nearest(name: str, allowed: Iterable[str]) -> str:
    from .language.nearest import did_you_mean, listed

    return did_you_mean(name, allowed, f"there are {listed(allowed)}")


class Declared:
    """One decorated function and the decorator's arguments. `apply` monitors the function, on whichever engine."""

    def __init__(
        self, function: Any, kind: str, words: dict[str, Any], options: dict[str, Any], audit: bool | str
    ) -> None:
        inner: Any = function
        while not isinstance(inner, FunctionType) and hasattr(inner, "__func__"):
            inner = inner.__func__
        self.module: str = getattr(inner, "__module__", None) or "__main__"
        self.qualname: str = getattr(inner, "__qualname__", type(inner).__qualname__)
        self._function: Callable[[], Any] = lambda: function
        if _can_be_dropped(function):
            self._function = ref(function, when_freed(_declared, id(self)))
        self._arguments = (kind, words, options, audit)
        code = getattr(inner, "__code__", None)
        self.where = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else self.module

    def gone(self) -> bool:
        return self._function() is None

    def apply(self, running: Engine) -> patch.Layer | None:
        """The layer that undoes it; None where the function cannot be monitored, which `status` then shows."""
        bound = self._bound(running)
        if bound is None:
            return None
        probe, function = bound
        try:
            layer = patch.patch_function(function, probe)
        except ours(CannotPatch) as reason:
            running.record_beside("failed", probe.name, probe.path, str(reason))
            return None
        running.record_beside("patched", probe.name, probe.path, "decorated in the source")
        running.outlet.make_ready()
        held = [layer]
        running.renewals.append(lambda: self._renew(running, held))
        return layer

    def _bound(self, running: Engine) -> tuple[Probe, FunctionType] | None:
        function = self._function()
        if function is None:
            return None
        path = f"{self.module}.{self.qualname}"
        monitor = _monitor(path, self.where, *self._arguments)
        try:
            parent = sys.modules.get(self.module) or ModuleType(self.module)
            found = resolve.found_in(path, parent, self.qualname.rpartition(".")[2], function, self.module)
            if found.function is None:
                raise CannotPatch(f"{path} has no Python code: name it in monitors.yaml")
            return running.probes.bind(monitor, found, found.function), found.function
        except ours(CannotPatch) as reason:
            running.record_beside("failed", monitor["name"], path, str(reason))
            return None

    def _renew(self, running: Engine, held: list[patch.Layer]) -> None:
        """The settings of the file have changed: what is reported from now on is decided by the new ones."""
        bound = self._bound(running) if held[0].patch() is not None else None
        if bound is None:
            return
        try:
            held[0] = held[0].exchange(bound[0]) or held[0]
        except ours(CannotPatch) as reason:
            running.record_beside("failed", bound[0].name, bound[0].path, str(reason))


#: By the id of each.
_declared: dict[int, Declared] = {}


def declared() -> Iterator[Declared]:
    """Everything that was decorated and is still there."""
    return iter([each for each in list(_declared.values()) if not each.gone()])


def _remember(one: Declared) -> None:
    _declared[id(one)] = one


def _can_be_dropped(function: object) -> bool:
    try:
        ref(function)
    except ours(TypeError):
        return False
    return isinstance(function, FunctionType)  # a staticmethod object is freed as soon as its class is made


def _monitor(
    path: str, where: str, kind: str, words: dict[str, Any], options: dict[str, Any], audit: bool | str
) -> MonitorData:
    from .language import units
    from .language.monitor_keys import KIND_THRESHOLD, plain_monitor

    detail = {name: words[name] for name in ("model", "process", "name", "endpoint", "event_type") if words.get(name)}
    severity = units.severity(options.get("severity") or words.get("severity") or "error")
    given = options.get("threshold")
    seconds = units.duration(given) if given is not None else KIND_THRESHOLD.get(kind)
    slow = min("warning", severity, key=units.rank)
    operation = words.get("operation") or options.get("operation")
    operation = operation or next((detail[name] for name in detail if name != "model"), "{name}")
    return plain_monitor(
        name=path,
        where=where,
        kind=kind,
        module=words.get("module") or options.get("module"),
        operation=operation,
        detail=detail,
        severity=severity,
        thresholds=[(seconds, slow)] if seconds is not None else [],
        expect=[
            each if isinstance(each, str) else f"{each.__module__}.{each.__qualname__}"
            for each in options.get("expect", ())
        ],
        capture=_capture(options.get("capture", {})),
        audit=units.audit(audit),
        tags=dict(options.get("tags", {})),
    )


def _capture(given: Mapping[str, str] | Iterable[str]) -> dict[str, ExpressionData]:
    from .language import expressions

    named = given if isinstance(given, dict) else {each: each for each in given}
    return {name: expressions.parse(text) for name, text in named.items()}
