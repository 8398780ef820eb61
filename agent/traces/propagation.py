"""What a trace has from the service that called this one, and what the ones that this one calls are sent of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..language.dsn import parse_dsn

if TYPE_CHECKING:
    from ..base.model import Json, SentryData
    from .trace import Trace


def dynamic_sampling_context(trace: Trace, name: str, kept: str, sentry: SentryData) -> Json:
    """The header `trace` of an envelope: the facts that Sentry decides with what it keeps of a trace."""
    del kept
    known: dict[str, Json] = {"trace_id": trace.trace_id, "sampled": "true", "sample_rate": str(trace.sample_rate)}
    if sentry["dsn"] is not None:
        known["public_key"] = parse_dsn(sentry["dsn"]).public_key
    known["environment"] = sentry["environment"]
    known["transaction"] = name
    return known
