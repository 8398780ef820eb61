"""From an Observation to an envelope on disk, before the call that made it returns."""

from __future__ import annotations

import re  # noqa: F401  (every report needs it; from Python 3.13 on `typing` does not bring it)
import sys
from typing import TYPE_CHECKING, Callable

from ..base import guard, imports, own_folders
from ..base.clocks import time
from ..base.interrupts import ours
from ..base.model import HELD, Envelope
from ..measure import due
from ..observe.around import context, erp_module, providers, release, traces, work
from ..observe.call import callers
from ..observe.event import event, reserve, the_erp
from ..observe.event.encode import encode
from ..observe.event.represent import type_name
from ..observe.failure import attempts
from ..observe.failure.synthetic import NO_MONITOR
from ..privacy import redact
from . import stream, wire
from .background.sweeper import Sweeper
from .groups import Groups
from .spool.opening import directory_of, open_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..base.health import Health
    from ..base.model import Event, Observation, SentryData, SpoolData
    from ..measure.tallies import Tallies
    from ..observe.expression.reasons import Failed
    from .background.sender import Sender
    from .courier.launch import Courier
    from .folding import Folding
    from .spool.names import SpoolEntry
    from .spool.spool import Spool

#: Seconds that a process which ends gives to what is on its way. The rest stays in the spool.
LAST_MOMENT = 1.0

#: Seconds between a process's first report and its first delivery, in which the host may finish its start.
GRACE = 2.0


class Maker:
    """Makes the events of a process. `packages` are the ERP's wherever they are installed."""

    def __init__(self, sentry: SentryData, packages: tuple[str, ...] = (), failed: Failed | None = None) -> None:
        self.sentry = sentry
        providers.register(sentry.get("context", ()), failed)
        redact.configure(sentry.get("scrub"))
        the_erp.follow(packages)
        self.platform = event.platform_here(sentry["release"] or release.of_checkout())

    def make(self, observation: Observation, facts: dict[str, object] | None = None) -> tuple[Event, bytes]:
        """Return the event and its JSON. `facts` are context sections that override those of the providers.

        If memory or the stack is exhausted, or an object of the host raises, the event is made without any value of the
        host, and at last without its frames. Raises MemoryError or RecursionError if there is no room even for that.
        """
        try:
            return _with_json(self._whole(observation, facts))
        except ours(MemoryError, RecursionError) as error:
            why = type(error).__name__
            reserve.release()
        except ours(Exception) as error:
            why = type(error).__name__
            guard.swallow("making an event")
        try:
            return _with_json(self._reduced(observation, why, stack=True))
        except ours(MemoryError, RecursionError):
            return _with_json(self._reduced(observation, why, stack=False))

    def make_reduced(self, observation: Observation, why: str) -> tuple[Event, bytes]:
        """As `make`, without any value of the host."""
        return _with_json(self._reduced(observation, why, stack=True))

    def _whole(self, observation: Observation, facts: dict[str, object] | None) -> Event:
        redact.configure(self.sentry.get("scrub"))
        known = context.collect()
        if facts:
            known = {**known, **facts}
        return event.build(
            erp_module.placed(observation, known, self.sentry["modules"]),
            sentry=self.sentry,
            context=known,
            own=callers.own_code,
            platform=self.platform,
        )

    def _reduced(self, observation: Observation, why: str, *, stack: bool) -> Event:
        return event.reduced(
            observation, sentry=self.sentry, own=callers.own_code, platform=self.platform, why=why, stack=stack
        )


def _attempt(observation: Observation) -> attempts.Attempt | None:
    """What an error is part of that may be tried again: then it may never have been one."""
    return attempts.current() if observation.report == "error" else None


def _with_json(made: Event) -> tuple[Event, bytes]:
    return made, encode(made)


class Sink:
    def __init__(
        self,
        sentry: SentryData,
        spool: SpoolData,
        state: str,
        health: Health,
        packages: tuple[str, ...] = (),
        *,
        hand_over: Callable[[Mapping[str, Any], BaseException | None], str | None] | None = None,
        share: Callable[[str, str, BaseException | None], None] | None = None,
        errored: Callable[[], None] | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        """`errored` is called once an error is on disk.

        `hand_over` passes an event to the host's own Sentry client. It returns where that sends to, "" if the client
        dropped the event, None if there is no client.
        `share` is called with the DSN that an error will be sent to, the event's id and the exception, where the host
        has loaded the Sentry SDK.
        """
        self._to_host, self._share, self._errored = hand_over, share, errored
        self._state = state
        self._maker = Maker(sentry, packages, health.failed)
        self.platform = self._maker.platform
        self.health = health
        self._counted = 0  # sum of all counts when a thread of ours last wrote them
        self.spool = open_spool(spool, state, health, held=not sentry["dsn"])
        self._one_disk = not spool["directory"]  # spool and counters are on one disk
        dsn = self._dsn = sentry["dsn"]
        self.sender = self._courier(dsn, spool) if dsn else None
        self._worker: Courier | Sweeper = self.sender or Sweeper(self.spool, self._write_counts)
        self._bounds = spool
        self._folder: Courier | None = self.sender  # has counts folded
        self._folding: Folding | None = None  # by a thread of ours
        self._groups = Groups(state, clock)
        self.spool.sweeper = self._worker.wake
        if sentry["metrics"] and dsn:
            from . import metrics  # noqa: F401  (for `keep_metrics`)
        reserve.keep()

    def report(self, observation: Observation, facts: dict[str, object] | None = None) -> str | None:
        """Return the id of the event; HELD if equal ones were reported; None if none could be made, which is counted.

        `facts`: see `Maker.make`.

        An exception of the host that interrupts this (a time limit) is raised again once a reduced event is kept: a
        value of the host may have taken too long.
        """
        safe: list[bool] = []
        try:
            return self._report(lambda: self._maker.make(observation, facts), observation, safe)
        except ours(Exception):
            raise
        except BaseException as error:
            struck = error
        try:
            if not safe:
                why = type_name(type(struck))
                self._report(lambda: self._maker.make_reduced(observation, why), observation, safe)
            raise struck
        finally:
            del struck  # its traceback refers to this frame

    def show(self, observation: Observation) -> None:
        """Show what a live monitor sees to who watches it."""
        try:
            if not stream.write(self._state, observation, self._maker.make):
                self.health.count("unwatched", observation.monitor["name"])
        except ours(OSError):
            self.health.count("not-made", observation.monitor["name"])

    def _report(
        self, make: Callable[[], tuple[Event, bytes]], observation: Observation, safe: list[bool]
    ) -> str | None:
        try:
            made, data = make()
            if observation.report in observation.monitor["repeat_interval"] and (
                _attempt(observation) is None or observation.monitor["where"] == NO_MONITOR  # a job that is over
            ):
                suppressed = self._suppressed(made, observation)
                if suppressed is None:
                    self.health.count("rate", observation.monitor["name"])
                    return HELD
                if suppressed != observation.suppressed:
                    data = encode(event.with_suppressed(made, suppressed))
            return self._keep(made, data, observation, safe)
        except ours(MemoryError, RecursionError):
            self.health.count("not-made", observation.monitor["name"])
            return None
        finally:
            reserve.keep()

    def _suppressed(self, made: Event, observation: Observation) -> int | None:
        try:
            return self._groups.admit(made, observation)
        except ours(MemoryError, RecursionError):
            return observation.suppressed
        except ours(Exception):
            guard.swallow("looking for equal events")
            return observation.suppressed

    def _keep(self, made: Event, data: bytes, observation: Observation, safe: list[bool]) -> str:
        event_id = str(made["event_id"])
        envelope = Envelope(event_id, "error", wire.encode(event_id, "event", data, traces.envelope_headers()))
        attempt = _attempt(observation)
        name = observation.monitor["name"]
        hands_over = self._hands_over()
        entries: list[SpoolEntry] = []
        try:
            if attempt is not None:
                held = attempt.held
                if self.sender is not None:
                    self.sender.announce()
                # If the process dies before the attempt ends, a sweep of another one releases it.
                self.spool.write(
                    envelope,
                    trying=self.sender is not None,
                    named=lambda entry: held.setdefault(entry, name),
                    safe=safe,
                )
                if self.sender is not None:
                    self.sender.wake()  # a courier decides, should this process be killed
            else:
                slow = observation.report == "slow"
                self.keep_envelope(envelope, slow=slow, safe=safe, named=entries.append if hands_over else None)
        finally:
            if True in safe:  # not of one that is lost already, which is counted
                self.health.add("captured", name)
        if self._dsn and observation.report == "error" and self._share is not None and "sentry_sdk" in sys.modules:
            self._shared(self._share, self._dsn, event_id, observation.exception)
        if attempt is None and hands_over:
            self._hand_over(made, name, entries, observation.exception)
        elif attempt is None and observation.report == "error":
            work.note(work.ERRORED)
            if self._errored is not None:
                self._errored()
        self._flush_counts()
        return event_id

    def keep_envelope(
        self,
        envelope: Envelope,
        *,
        slow: bool = False,
        safe: list[bool] | None = None,
        named: Callable[[SpoolEntry], object] | None = None,
    ) -> None:
        """Write it to disk. A full spool drops what is `slow` first. `safe` and `named`: see `Spool.write`."""
        if self.sender is not None:
            self.sender.announce()
        try:
            self.spool.write(envelope, slow=slow, safe=safe, named=named)
        finally:
            if self.sender is not None:
                self.sender.wake()

    def keep_metrics(self, tallies: Tallies) -> None:
        """Write what was counted since the last time. Without a DSN it is only shown by `status`."""
        if self.sender is None:
            return
        from . import metrics

        for envelope in metrics.envelopes(tallies.changes(), self._maker.sentry, self.platform, time()):
            self.keep_envelope(envelope)

    def fold(self, *, ending: bool = False) -> None:
        """Have counts folded that have waited for a minute. A process that ends leaves it to another one."""
        if not due.is_due(self._state, time()):
            return
        if self._folder is None:
            own_folders.make(self.spool.directory)
            with imports.Guarded():
                self._folder = self._courier("", self._bounds)
        if not ending or (self._bounds["courier"] and not self._folder.trouble):
            self._folder.wake()

    def _courier(self, dsn: str, spool: SpoolData) -> Courier:
        from .courier import launch, settings

        held = settings.here(dsn, self.health.directory, self.health.config, spool)

        def make() -> Sender | Sweeper:
            worker = self._worker
            return worker if isinstance(worker, Sweeper) else _sender(self.spool, dsn, self.health, self._write_counts)

        return launch.Courier(self.spool, held, make, allowed=spool["courier"])

    def _flush_counts(self) -> None:
        if self.health.due():
            return
        if self._one_disk:
            self.spool.quick.run(0, lambda calls: self.health.flush(calls=calls))
        else:
            self.health.flush()

    def _write_counts(self) -> None:
        """For a thread of ours: make its counts visible in `status` before the next report, which may never follow."""
        counted = sum(self.health.counts.values())
        if counted != self._counted and self.health.flush():
            self._counted = counted
        if due.is_due(self._state, time()):
            self._fold()

    def _fold(self) -> None:
        if self._folding is None:
            with imports.Guarded():
                from .folding import Folding

                self._folding = Folding(self.health)
        self._folding.turn()

    def _hands_over(self) -> bool:
        """Without a DSN, events go to the host's own client, if there is one."""
        return self.sender is None and self._to_host is not None and "sentry_sdk" in sys.modules

    def _hand_over(
        self, made: Mapping[str, Any], monitor: str, entries: list[SpoolEntry], error: BaseException | None = None
    ) -> None:
        """What the host's client takes is never sent by us: its copy, if `entries` has one, goes to the history."""
        try:
            where = self._to_host(made, error) if self._to_host is not None else None
            if where is None:
                return
            self.health.count("handed-over" if where else "not-taken", monitor)
            if where:
                from . import handed

                for entry in entries:
                    handed.keep(self.spool, entry, made, where)
        except ours(Exception):
            guard.swallow("handing an event to the host's Sentry client")

    def _shared(
        self,
        share: Callable[[str, str, BaseException | None], None],
        dsn: str,
        event_id: str,
        error: BaseException | None,
    ) -> None:
        try:
            share(dsn, event_id, error)
        except ours(Exception):
            guard.swallow("looking for a Sentry client of the host's")

    def settle(self, attempt: attempts.Attempt, *, again: bool) -> None:
        """End an attempt: if another follows, its errors are dropped and counted, else they may be sent."""
        if again:
            attempt.drop()
        for entry, monitor in attempt.held.items():
            if again:
                if self.spool.remove(entry):
                    self.health.count("tried-again", monitor)
            elif self.sender is not None:
                self.spool.release(entry)
            elif self._hands_over():
                from . import handed

                made = handed.event_of(self.spool, entry)
                if made is not None:
                    self._hand_over(made, monitor, [entry])
        if self.sender is not None and not again:
            self.sender.wake()

    def close(self, timeout: float = LAST_MOMENT) -> None:
        self._worker.close(timeout)

    def after_fork(self) -> None:
        """In the child: forget the state of the parent."""
        self.spool.after_fork()
        self._worker.after_fork()


def _sender(spool: Spool, dsn: str, health: Health, write_counts: Callable[[], None]) -> Sender:
    # A third of the cost of a first report; not imported in a process that sends nothing.
    from .background.sender import Sender
    from .send.resources import to_sentry

    return Sender(to_sentry(spool, dsn, health.count), write_counts=write_counts, grace=GRACE)


def open_spool(settings: SpoolData, state: str, health: Health, *, held: bool = False) -> Spool:
    """With `held`, for a process without a DSN, envelopes are sent only after `spool release`."""
    return open_in(directory_of(settings, state), settings, health.count, held=held)
