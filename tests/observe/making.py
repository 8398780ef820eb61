"""Observations for the tests of `observe`."""

from __future__ import annotations

from typing import Any

from agent.base.model import Captured, MonitorData, Observation, SentryData
from agent.language.monitor_keys import plain_monitor
from agent.observe.event import event


def a_monitor(**changed: Any) -> MonitorData:
    given: dict[str, Any] = {
        "name": "create_order", "where": "monitors.yaml:35", "module": "sales", "operation": "create_order",
        "thresholds": [(2.0, "warning")], "tags": {"tier": "1"}, "owner": "sales-team", **changed,
    }  # fmt: skip
    return plain_monitor(**given)


def sentry(**changed: Any) -> SentryData:
    data: dict[str, Any] = {
        "dsn": None, "environment": "test", "release": "erp@1.2", "sample_rate": 1.0, "traces_sample_rate": 0.0,
        "profiles_sample_rate": 0.0, "trace_propagation_targets": None, "propagate_traceparent": False,
        "strict_trace_continuation": False, "org_id": None, "debug": False, "metrics": False, "user": ["id"],
        "stances": {"modules": {}, "everywhere": [], "unattended": []}, "modules": {}, "ignore_loggers": [], "integrations": "auto",
        "tags": {"system": "demo"}, "context": [], "tasks": None, "celery": None, "project": None, "application": None,
        "in_app_include": None,
        "tracing": "agent",
        "traces": {"given": False, "keep_slow": 2.0, "keep_failed": True, "rate_limit": (30.0, 60.0), "max_spans": 1000},
    }  # fmt: skip
    data.update(changed)
    return data  # type: ignore[return-value]


def an_observation(*, captured: dict[str, object] | None = None, failed: Any = None, **changed: Any) -> Observation:
    error = changed.get("exception")
    values: dict[str, Any] = {
        "monitor": a_monitor(), "operation": "create_order", "function": "sales.services.create_order",
        "report": "error", "severity": "error", "message": None, "exception": None,
        "traceback": error.__traceback__ if error is not None else None, "frame": None, "duration": 3.2,
        "threshold": 2.0, "operations": ["create_order"], "captured": Captured(captured or {}, failed or {}),
        "suppressed": 0, "ended": 1_700_000_000.25,
    }  # fmt: skip
    values.update(changed)
    return Observation(**values)


PLATFORM = event.Platform("0.1.0", "erp-1", None)


def nothing_own(code: object) -> bool:
    return False


def built(observation: Observation, *, context: dict[str, object] | None = None, own: Any = nothing_own,
          **changed: Any) -> Any:  # fmt: skip
    return event.build(
        observation, sentry=sentry(**changed), context=context or {}, own=own, platform=PLATFORM, event_id="0" * 32
    )
