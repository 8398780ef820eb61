"""Searches and fields in Sentry's language, over what the agent sends: events, spans and counts."""

from __future__ import annotations

import re

#: Failures of monitored calls; `slow`, `rule`, `audit` and others are no errors.
FAILED = "erp.report:error"
QUEUE_WAIT = "erp.operation:*.queue_wait"
#: The span of a task in a worker, as Sentry's own page about queues expects it.
PROCESSED = "span.op:queue.process"
LATENCY = "messaging.message.receive.latency"

CALLS = "sum(value,erp.calls,counter,none)"
FAILURES = "sum(value,erp.failures,counter,none)"
P95_COUNTED = "max(value,erp.duration.p95,gauge,millisecond)"

_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


def of_module(name: str | None) -> str:
    return term("erp.module", name) if name else ""


def term(key: str, value: str) -> str:
    r"""`key:value`, quoted where necessary; `*` and `"` stand for themselves."""
    if _PLAIN.fullmatch(value):
        return f"{key}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*")
    return f'{key}:"{escaped}"'


def both(*terms: str) -> str:
    return " ".join(each for each in terms if each)
