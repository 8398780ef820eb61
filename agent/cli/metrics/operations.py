"""Figures of the ERP's operations as samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...measure.figures import Counts, Figures, Key, add_up
from ..terminal import clean
from .families import WINDOW, Durations, Samples, Value

#: Failures of these are exposed as zero too: a rate sees the first failure only if there was a zero before it.
_ALWAYS = dict.fromkeys(("warning", "error", "fatal"), 0)


def collect(figures: Figures) -> Samples:
    """Releases are added up: as a label of each operation they would begin new series with each deployment."""
    totals, recent = figures.totals(), figures.window(WINDOW)
    operations = _added(totals, lambda key: (key.module, key.operation, key.monitor, key.kind))
    lately = _added(recent, lambda key: (key.module, key.operation, key.monitor, key.kind))
    modules = _added(recent, lambda key: (key.module,))
    releases = _added(totals, lambda key: (key.module, key.release))
    alive = _added(recent, lambda key: (key.module, key.release))
    known = {labels: releases[labels] for labels in alive if labels in releases}
    return {
        "erp_calls": _each(operations, lambda counts: counts.calls),
        "erp_failures": _split(operations, lambda counts: {**_ALWAYS, **counts.by_severity}),
        "erp_expected": _each(operations, lambda counts: counts.expected),
        "erp_slow": _each(operations, lambda counts: counts.slow),
        "erp_rule_hits": _each(operations, lambda counts: counts.rules),
        "erp_held": _split(operations, lambda counts: counts.held),
        "erp_uncounted_seconds": {
            labels: counts.uncounted for labels, counts in operations.items() if counts.uncounted
        },
        "erp_events": _each(operations, lambda counts: counts.reported),
        "erp_call_duration_seconds": _each(operations, lambda counts: Durations(counts.buckets, counts.total)),
        "erp_last_failure_timestamp_seconds": {
            labels: counts.last_failure for labels, counts in operations.items() if counts.last_failure is not None
        },
        # Zero for what had no call: a gauge that disappears looks like one that stays.
        "erp_users_affected": {labels: lately[labels].users if labels in lately else 0 for labels in operations},
        "erp_module_users_affected": {
            (module,): modules[module,].users if (module,) in modules else 0 for module, *_ in operations
        },
        "erp_host_users_affected": {(): sum(modules.values(), Counts()).users},
        "erp_release_calls": _each(known, lambda counts: counts.calls),
        "erp_release_failures": _each(known, lambda counts: counts.failures),
    }


def _added(figures: Mapping[Key, Counts], labels_of: Callable[[Key], tuple[str, ...]]) -> dict[tuple[str, ...], Counts]:
    """The counts by labels. Names that differ only in what `clean` replaces are one: a name twice is no exposition."""
    return add_up((tuple(map(clean, labels_of(key))), counts) for key, counts in figures.items())


def _each(counted: Mapping[tuple[str, ...], Counts], value: Callable[[Counts], Value]) -> dict[tuple[str, ...], Value]:
    return {labels: value(counts) for labels, counts in counted.items()}


def _split(
    counted: Mapping[tuple[str, ...], Counts], values: Callable[[Counts], Mapping[str, int]]
) -> dict[tuple[str, ...], Value]:
    return {
        (*labels, clean(name)): number for labels, counts in counted.items() for name, number in values(counts).items()
    }
