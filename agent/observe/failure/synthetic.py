"""The monitor that a report would have come from, where it came from none in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...base.model import MonitorData


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
) -> MonitorData:
    """`where` names, in place of a file and a line, what reported."""
    from ...language.monitor_keys import plain_monitor

    return plain_monitor(
        name=name, where=where, kind=kind, module=module, operation=operation, severity=severity,
        fingerprint=fingerprint, rate_limit=rate_limit, span="never",
    )  # fmt: skip
