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
    """`where` says, in place of a file and a line, what it was that reported."""
    return {
        "name": name, "where": where, "targets": [], "exclude": [], "kind": kind, "module": module,
        "operation": operation, "detail": {}, "severity": severity, "thresholds": [], "errors": {}, "expect": [],
        "escalate": None, "capture": {}, "rules": [], "audit": "", "tags": {}, "fingerprint": fingerprint,
        "sample": 1.0, "rate_limit": rate_limit, "span": "never", "subclasses": False, "owner": None,
        "exception_text": True, "quiet_inside": [], "unless": None,
    }  # fmt: skip
