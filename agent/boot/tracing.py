"""Decides who records the traces of this process: the agent, the Sentry SDK, or nobody."""

import sys

from ..base.clocks import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional

    from ..base.model import MonitorData, SentryData
    from ..observe.call.spans import Recorder as SpanRecorder
    from ..traces.recorder import Recorder
    from .outlet import Outlet


def by_sdk(sentry: "SentryData") -> bool:
    """Is the Sentry SDK to be set up for tracing?"""
    return sentry["tracing"] == "sdk" and bool(sentry["traces_sample_rate"])


def by_agent(sentry: "SentryData") -> bool:
    return sentry["tracing"] == "agent" and (sentry["traces_sample_rate"] > 0 or sentry["traces"]["given"])


def with_sdk(sentry: "SentryData") -> "SentryData":
    """The settings for the Sentry SDK's client, which samples only what it is to trace."""
    return sentry if by_sdk(sentry) else {**sentry, "traces_sample_rate": 0.0, "profiles_sample_rate": 0.0}


class Tracing:
    def __init__(self, outlet: "Outlet", set_up_sdk: "Callable[[str], None]") -> None:
        self._outlet = outlet
        self._set_up_sdk = set_up_sdk
        self._recorder: "Optional[Recorder]" = None
        self._follows = False
        self._counted = 0.0  # when what became of traces was written last

    def span_for(self, monitor: "MonitorData") -> "Optional[SpanRecorder]":
        """What makes the spans of a monitor's calls, if anything does."""
        sentry = self._outlet.sentry
        if sentry["tracing"] == "off":
            return None
        if self.is_the_hosts():
            if monitor["span"] == "never" or monitor["span_data"] or (sentry["dsn"] and monitor["span"] != "always"):
                return None  # the host's integrations make spans of what packs describe
            from ..sdk import tracing

            return tracing.span_of
        if monitor["span"] == "never":
            return None
        if by_agent(sentry):
            return self.begin().span_of
        if sentry["dsn"] is None or monitor["span_data"] or not (by_sdk(sentry) or monitor["span"] == "always"):
            return None
        from ..sdk import tracing

        if not tracing.is_set_up():
            tracing.start = lambda: self._set_up_sdk("")
        return tracing.span_of

    def is_the_hosts(self) -> bool:
        """Has the host set up a Sentry client that samples transactions? Then our spans are its, and ours are none."""
        if "sentry_sdk" not in sys.modules:
            return False
        from ..sdk import host

        return host.traces(self._outlet.sentry)

    def begin(self) -> "Recorder":
        """Trace each piece of work from now on."""
        self._follows = True
        if self._recorder is None:
            from ..traces.recorder import Recorder

            outlet = self._outlet
            self._recorder = Recorder(
                outlet.sentry, lambda: outlet.sink().platform, outlet.keep, self._count, self._note
            )
            self._recorder.install()
            self._send_on(hosts=False)
        return self._recorder

    def _count(self, reason: str, why: str) -> None:
        """Written at most once a second: there may be hundreds."""
        now = monotonic()
        if now - self._counted >= 1.0:
            self._counted = now
            self._outlet.health.count(reason, why)
        else:
            self._outlet.health.add(reason, why)

    def _note(self, problem: str) -> None:
        self._outlet.health.record("problem", problem)
        self._outlet.health.flush()

    def follow(self) -> None:
        """A framework is about to serve, or the settings have changed: begin, or leave it to the host's client."""
        self._follows = True
        hosts = self.is_the_hosts()
        self._send_on(hosts=hosts)
        if by_agent(self._outlet.sentry) and not hosts:
            self.begin()
        else:
            self.undo()

    def _send_on(self, *, hosts: bool) -> None:
        """Have the trace of what runs here go on in what it calls. Where the SDK traces, it sees to that itself."""
        sentry = self._outlet.sentry
        sends = sentry["tracing"] == "agent" and not hosts and (sentry["dsn"] is not None or by_agent(sentry))
        from ..traces import propagation

        release = self._outlet.sink().platform.release if sends else None
        made = propagation.Outgoing(sentry, release) if sends else None
        propagation.follow(made, strict=sentry["strict_trace_continuation"])

    def begin_alone(self, op: str, name: str) -> "Any":
        """A trace of what is neither a request nor a task; None where nothing is traced, or inside of another one."""
        if self._recorder is None and by_agent(self._outlet.sentry):
            self.follow()
        return self._recorder.begin_alone(op, name) if self._recorder is not None else None

    def end_alone(self, made: "Any", *, failed: bool) -> None:
        if self._recorder is not None:
            self._recorder.end_alone(made, failed=failed)

    def restart(self) -> None:
        """Other settings are in force."""
        self.undo()
        if self._follows:
            self.follow()

    def undo(self) -> None:
        if self._recorder is not None:
            self._recorder.undo()
            self._recorder = None

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.close()

    def after_fork(self) -> None:
        if self._recorder is not None:
            self._recorder.after_fork()
