"""Dramatiq: messages that worker threads process. The trace that a message is sent in travels in its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...hook.code import wrap
from ...observe.event.represent import type_name
from . import adopted
from .library import Library, beginning, carried, library_of, quietly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from ...boot.engine import Engine
    from .running import Run

#: As with the Sentry SDK.
_TRACE = "_sentry_headers"
_SKIPPED = "dramatiq.middleware.middleware.SkipMessage"


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when a module of Dramatiq has been imported."""
    made = library_of(
        "dramatiq", engine, lambda: Library("dramatiq", ("dramatiq.actor", "Actor.__call__"), facts, engine, _header)
    )
    return list(_INSTALL[name](made, module))


def facts(message: Any) -> dict[str, object]:
    known = {
        "task": message.actor_name, "id": message.message_id, "queue": message.queue_name,
        "retries": message.options.get("retries", 0),
    }  # fmt: skip
    return {fact: value for fact, value in known.items() if type(value) in (str, int)}


def _header(message: Any, name: str) -> object:
    return carried(message.options, name, _TRACE)


def due(message: Any) -> float | None:
    """When it was sent, or was due with a delay, as after a failure."""
    known = [message.options.get("eta"), message.options.get("requeue_timestamp"), message.message_timestamp]
    return max([each for each in known if type(each) in (int, float)], default=0) / 1000 or None


def _brokers(library: Library, module: ModuleType) -> Iterator[Any]:
    def publishes(signal: Any, arguments: Any) -> None:
        if signal == "enqueue":
            options = arguments[0].options
            options.update(library.outgoing(options, _TRACE))

    # What every broker calls before it stores a message, in whichever way.
    yield wrap.surround(vars(module.Broker)["emit_before"], wrap.guarded(publishes), passed=["signal", "args"])


def _workers(library: Library, module: ModuleType) -> Iterator[Any]:
    def begins(worker: Any, message: Any) -> Run:
        actor = worker.broker.actors.get(message.actor_name)
        retries = message.options.get("retries", 0)
        run = library.begin(message, tries=may_retry(worker.broker, message, actor), retries=retries)
        library.waited(run, due(message))
        if actor is not None:
            run.declared = adopted.classes_of(message.options.get("throws") or actor.options.get("throws"))
            library.adopt(actor.fn, adopted.names_of(actor.options.get("throws", ())))
        return run

    def processed(message: Any) -> None:
        """Once every middleware has seen how it ended, and before the message forgets its exception."""
        error = message._exception
        run = library.of(message)
        if run is None or error is None or type_name(type(error)) == _SKIPPED:
            return
        again = not message.failed and message.options.get("retries", 0) > int(str(run.known["retries"]))
        severity = adopted.EXPECTED if isinstance(error, run.declared) else "error"
        library.failed(run, error, again=again, severity=severity)

    worker, consumer = vars(module)["_WorkerThread"], vars(module)["_ConsumerThread"]
    yield wrap.surround(
        vars(worker)["process_message"], beginning(begins), quietly(library.ended), passed=["self", "message"]
    )
    yield wrap.surround(vars(consumer)["post_process_message"], wrap.guarded(processed), passed=["message"])


def may_retry(broker: Any, message: Any, actor: Any) -> bool:
    """Whether the middleware `Retries` may send the message again, should it fail."""
    for each in broker.middleware:
        if type(each).__name__ == "Retries":
            options = actor.options if actor is not None else {}
            most = message.options.get("max_retries", options.get("max_retries", each.max_retries))
            decides = options.get("retry_when", each.retry_when)
            return decides is not None or most is None or message.options.get("retries", 0) < most
    return False


_INSTALL = {"dramatiq.broker": _brokers, "dramatiq.worker": _workers}
