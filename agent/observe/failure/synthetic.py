"""A synthetic monitor for reports that no configured monitor made: unmonitored failures, Celery, `capture_*()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...language.monitor_keys import plain_monitor

if TYPE_CHECKING:
    from ...base.model import MonitorData

#: In place of a file and a line: what failed outside of all monitors.
NO_MONITOR = "no monitor has seen it"


def monitor(
    name: str,
    where: str,
    *,
    operation: str,
    severity: str,
    kind: str = "function",
    module: str | None = None,
    fingerprint: list[str] | None = None,
    rate_limit: tuple[float, float] | None = None,
    repeat_interval: dict[str, float] | None = None,
) -> MonitorData:
    """`where` names what reported, in place of a file and a line."""
    return plain_monitor(
        name=name, where=where, kind=kind, module=module, operation=operation, severity=severity,
        fingerprint=fingerprint, rate_limit=rate_limit, repeat_interval=repeat_interval or {},
        span="never",
    )  # fmt: skip
