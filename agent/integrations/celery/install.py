"""Installs what Celery needs: monitors and facts of tasks, attempts, failures, and the SDK's integration if needed.

Where a key under `celery:` needs it, also reports of waits in queues and of a worker's pool, and beat's check-ins.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...hook.code import wrap
from ...observe.around import context, traces
from ...observe.failure import attempts
from ..signals import Receiver
from ..tasks import running
from . import attempts as celery_attempts
from . import task_context, tasks, trace_headers

if TYPE_CHECKING:
    from types import ModuleType

    from ...boot.engine import Engine
    from ...hook.code import patch
    from .check_ins import CheckIns

    Changes = list[patch.Layer | Any]


def install(name: str, module: ModuleType, engine: Engine) -> Changes:
    """Called when the module `name` of Celery has been imported. Returns the changes, each with its undo."""
    return _INSTALL[name](module, engine)


def _publisher(_module: ModuleType, engine: Engine) -> Changes:
    """The first message is about to be published, or a worker begins."""
    signals = sys.modules["celery.signals"]
    changes: Changes = [trace_headers.add(signals)] if engine.frameworks.integrates("celery") else []
    settings = engine.outlet.sentry.get("celery")
    if settings is not None and (settings["queue_wait"] or settings["queues"] or settings["check_ins"]):
        from . import messages

        changes.append(messages.add_headers(signals))
    return changes


def _tasks(module: ModuleType, engine: Engine) -> Changes:
    """Tasks may run here: in a worker's process, or eagerly."""
    signals = sys.modules["celery.signals"]
    context.register("celery", task_context.provide, first=True)  # a command or a request may run a task itself
    context.register("trace", traces.provide)
    attempts.register(running.attempt)
    # Celery's own function, before the SDK's integration puts another one in its place.
    changes: Changes = [wrap.wrap(module.build_tracer, tasks.tracing(engine.applier))]
    changes += celery_attempts.watch(signals, lambda attempt, again: engine.outlet.sink().settle(attempt, again=again))
    if engine.frameworks.integrates("celery"):
        from . import failures

        changes.append(failures.receive(signals, engine.frameworks.failed))
    settings = engine.outlet.sentry.get("celery")
    if settings is not None and (settings["queue_wait"] or settings["queues"]):
        from . import queue

        waits = queue.Waits("celery", settings, engine.report, engine.health.count)
        changes.append(Receiver(signals.task_prerun, waits.begin, "measuring how long a task waited"))
    check_ins = _check_ins(engine)
    if check_ins is not None:
        changes.append(Receiver(signals.task_postrun, check_ins.ended, "ending a scheduled task"))
        changes.append(Receiver(signals.task_revoked, check_ins.revoked, "revoking a scheduled task"))
    engine.frameworks.work("celery")
    if engine.outlet.sentry["dsn"] is None:
        # Django's settings may bring one. When this is sent they are loaded, and no process has been forked yet.
        begin = signals.celeryd_after_setup
        changes.append(Receiver(begin, lambda **_: engine.frameworks.work("celery"), "beginning to run tasks"))
    return changes


def _requests(module: ModuleType, engine: Engine) -> Changes:
    """In a worker's main process, which handles the requests of pool processes that were lost."""
    handlers = module.Request.__dict__
    changes: Changes = []
    if engine.frameworks.integrates("celery"):
        from . import failures

        losses = failures.Losses(handlers, engine.frameworks.failed)
        changes.append(wrap.wrap(handlers["on_timeout"], losses.timed_out))
        changes.append(wrap.wrap(handlers["on_failure"], losses.failed))
    # Around the others, which look up whose request it is.
    changes += [wrap.wrap(handlers[each], task_context.about_request) for each in _HANDLERS if each in handlers]
    check_ins = _check_ins(engine)
    if check_ins is not None:
        changes.append(wrap.wrap(handlers["on_timeout"], check_ins.timed_out))
        changes.append(wrap.wrap(handlers["on_failure"], check_ins.failed))
    return changes


def _pool(_module: ModuleType, engine: Engine) -> Changes:
    """A worker starts a pool of processes."""
    settings = engine.outlet.sentry.get("celery")
    if settings is None or not (settings["pool_full"] or settings["worker_stalled"] or settings["memory_recycles"]):
        return []
    from . import pool

    methods = sys.modules["billiard.pool"].Pool.__dict__
    processes = pool.Processes(settings, engine.report)
    changes: Changes = []
    if settings["pool_full"] or settings["worker_stalled"]:
        changes.append(wrap.wrap(methods["maintain_pool"], processes.maintained))
    if settings["memory_recycles"]:
        changes.append(wrap.wrap(methods["_join_exited_workers"], processes.ended))
    return changes


def _scheduler(module: ModuleType, engine: Engine) -> Changes:
    check_ins = _check_ins(engine)
    if check_ins is None:
        return []
    return [wrap.wrap(module.Scheduler.__dict__["apply_async"], check_ins.scheduling)]


def _check_ins(engine: Engine) -> CheckIns | None:
    """Return None where none are configured. A DSN may still come from Django's settings later."""
    settings = engine.outlet.sentry.get("celery")
    if settings is None or not settings["check_ins"]:
        return None
    from ..tasks.check_ins import keeper, noting
    from .check_ins import CheckIns

    return CheckIns(settings, engine.outlet.sentry, keeper(engine), noting(engine))


_HANDLERS = ("on_timeout", "on_failure", "cancel")
_INSTALL = {
    "celery.app.amqp": _publisher,
    "celery.app.trace": _tasks,
    "celery.beat": _scheduler,
    "celery.concurrency.asynpool": _pool,
    "celery.worker.request": _requests,
}
