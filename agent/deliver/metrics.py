"""Envelopes of metrics: the counts of each operation since the last ones, as Sentry's `trace_metric` items.

https://develop.sentry.dev/sdk/telemetry/metrics/ describes the format. An item contains one number. Calls and failures
are counters, so that sums over processes and time are right. Single durations are not known, and a few representative
ones would be counted as calls, so their quantiles are sent as gauges.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base.model import Envelope
from ..base.version import __version__
from ..observe.event.encode import encode
from ..privacy import scrub
from . import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..base.model import Json, Platform, SentryData
    from ..measure.counts import Counts
    from ..measure.tally import Tally

_CONTENT = "application/vnd.sentry.items.trace-metric+json"
_MOST = 1000  # items in one envelope


def envelopes(
    taken: Iterable[tuple[Tally, Counts]], sentry: SentryData, platform: Platform, now: float
) -> Iterator[Envelope]:
    """Yield envelopes. `now` is the end of the time that was measured, in seconds since the epoch."""
    trace = os.urandom(16).hex()  # required by the format; sums belong to no trace of the host
    items: list[Json] = []
    for tally, counts in taken:
        attributes = _attributes(tally, sentry, platform)
        for name, kind, value, unit in _numbers(counts):
            item = scrub.Clean(timestamp=now, trace_id=trace, name=name, type=kind, value=value)
            item["attributes"] = attributes
            if unit:
                item["unit"] = unit
            items.append(item)
        if len(items) > _MOST - 10:
            yield _envelope(items)
            items = []
    if items:
        yield _envelope(items)


def _numbers(counts: Counts) -> Iterator[tuple[str, str, float, str]]:
    yield "erp.calls", "counter", counts.calls, ""
    if counts.failures:
        yield "erp.failures", "counter", counts.failures, ""
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        seconds = counts.quantile(share)
        if seconds is not None:
            yield "erp.duration." + name, "gauge", seconds * 1000, "millisecond"


def _attributes(tally: Tally, sentry: SentryData, platform: Platform) -> Json:
    monitor = tally.monitor
    words = {
        "erp.module": monitor["module"], "erp.operation": tally.operation, "erp.monitor": monitor["name"],
        "erp.kind": monitor["kind"], "sentry.environment": sentry["environment"],
        "sentry.release": sentry["release"] or platform.release, "server.address": platform.server_name,
        "sentry.sdk.name": "erp-sentry-agent", "sentry.sdk.version": __version__,
    }  # fmt: skip
    return scrub.scrub_json({name: {"value": word, "type": "string"} for name, word in words.items() if word})


def _envelope(items: list[Json]) -> Envelope:
    event_id = os.urandom(16).hex()
    payload = encode(scrub.scrub({"items": items}))
    headers: dict[str, Json] = {"item_count": len(items), "content_type": _CONTENT}
    return Envelope(event_id, "trace_metric", wire.encode(event_id, "trace_metric", payload, item_headers=headers))
