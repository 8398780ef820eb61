"""Every metric that is exposed: its name, type, labels, unit and meaning. docs/metrics.md is made from this table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Union


class Family(NamedTuple):
    """A metric. `name` is without the `_total` of a counter and the `_info` of an info."""

    name: str
    kind: str  # counter, gauge, histogram or info
    labels: tuple[str, ...]
    text: str
    unit: str = ""

    @property
    def sample(self) -> str:
        """The name as queries use it."""
        return self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")


class Durations(NamedTuple):
    """The value of a histogram."""

    buckets: Sequence[int]  # as `measure.layout` bounds them, not cumulated
    total: float  # seconds


Value = Union[int, float, Durations]
#: Name of a family → the values of its labels, in their order → the value.
Samples = dict[str, Mapping[tuple[str, ...], Value]]


#: Seconds that "recent" means in gauges: see `erp_users_affected` and `erp_release_calls_total`.
WINDOW = 3600

OPERATION = ("module", "operation", "monitor", "kind")

FAMILIES = (
    Family("erp_calls", "counter", OPERATION, "Calls that ended, successfully or not."),
    Family(
        "erp_failures", "counter", (*OPERATION, "severity"),
        "Calls that failed, reported or not, by the severity of the monitor. Expected exceptions are not among them.",
    ),
    Family("erp_expected", "counter", OPERATION, "Calls that ended with an exception that the configuration expects."),
    Family("erp_slow", "counter", OPERATION, "Calls that took longer than the monitor's lowest threshold."),
    Family("erp_rule_hits", "counter", OPERATION, "Calls that a rule matched, reported or not."),
    Family(
        "erp_held", "counter", (*OPERATION, "reason"),
        "What was worth a report that was not made: over the rate limit, not in the sample, or other.",
    ),
    Family(
        "erp_uncounted_seconds", "counter", OPERATION,
        "Time, of all processes together, in which calls were not counted, because that cost more than the monitor's "
        "budget. Absent where all were.", "seconds",
    ),
    Family("erp_events", "counter", OPERATION, "Events that were made, to be sent to Sentry or kept."),
    Family(
        "erp_call_duration_seconds", "histogram", OPERATION,
        "Durations of calls. A function that is called very often is measured in samples: the count may be less than "
        "erp_calls_total.", "seconds",
    ),
    Family(
        "erp_last_failure_timestamp_seconds", "gauge", OPERATION,
        "When a call last failed, in seconds since 1970. Absent where none did.", "seconds",
    ),
    Family(
        "erp_users_affected", "gauge", OPERATION,
        "Distinct users of the ERP whose calls failed in the last hour: an estimate, with an error of 7 %. It is at "
        "most the number of failures, and may include users of earlier ones in the same process. A user of several "
        "operations counts in each: do not add up.",
    ),
    Family(
        "erp_module_users_affected", "gauge", ("module",),
        "As erp_users_affected, for all operations of a module together: each user counts once.",
    ),
    Family("erp_host_users_affected", "gauge", (), "As erp_users_affected, for all modules together."),
    Family(
        "erp_release_calls", "counter", ("module", "release"),
        "Calls by release of the ERP. Only releases that had a call in the last hour.",
    ),
    Family(
        "erp_release_failures", "counter", ("module", "release"),
        "Failures by release of the ERP. Only releases that had a call in the last hour.",
    ),
    Family(
        "erp_agent", "info", ("version", "python", "environment", "release"),
        "The agent: its version, the Python that reads the figures, environment and release as configured.",
    ),
    Family(
        "erp_agent_processes", "gauge", ("program", "plan"),
        "Running processes of the ERP. plan is current, or older where a process does not use the configuration "
        "as it is now.",
    ),
    Family(
        "erp_agent_functions", "gauge", ("state",),
        "Functions that monitors name, over all running processes: patched (monitored), waiting (do not exist yet), "
        "failed (cannot be monitored). A function is counted in each state that it has in some process.",
    ),
    Family(
        "erp_agent_problems", "gauge", ("severity",),
        "Problems that `python -m agent status` lists: error (the monitoring does not do what it is for), warning (a "
        "part of it does not) or note (worth knowing).",
    ),
    Family("erp_agent_plan_monitors", "gauge", (), "Monitors in the compiled configuration."),
    Family(
        "erp_agent_plan_current", "gauge", (),
        "1 if the configuration is compiled as it is now; 0 if it has changed since, cannot be used, or was never "
        "compiled.",
    ),
    Family(
        "erp_agent_spool_envelopes", "gauge", ("spool", "state"),
        "Envelopes on disk: waiting (for Sentry), held (captured without a DSN), aside (refused by Sentry for good). "
        "spool is agent, or the name of the one of a Sentry client that the ERP set up.",
    ),
    Family("erp_agent_spool_bytes", "gauge", ("spool", "state"), "Bytes of these envelopes.", "bytes"),
    Family(
        "erp_agent_spool_limit_bytes", "gauge", ("spool",),
        "Bytes that waiting and held envelopes may have before the least important are dropped.", "bytes",
    ),
    Family(
        "erp_agent_spool_oldest_timestamp_seconds", "gauge", ("spool",),
        "When the oldest waiting envelope was captured, in seconds since 1970. Absent where none waits.", "seconds",
    ),
    Family(
        "erp_agent_last_delivery_timestamp_seconds", "gauge", ("spool",),
        "When a courier last delivered an envelope, or the ERP's own Sentry client took an event, in seconds since "
        "1970. Absent until then.", "seconds",
    ),
    Family("erp_agent_lost", "counter", ("reason",), "Events that were captured but could not be kept or delivered."),
)  # fmt: skip
