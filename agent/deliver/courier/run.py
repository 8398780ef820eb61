"""The life of a courier: delivers what is in the spool, waits for more, and ends when nothing has come for a while.

It finds new envelopes by the time of the folder that they appear in, without a message. Before it ends it gives its
lock back and looks once more, so that no envelope is written unseen between its last look and its end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from ...base import clocks
from ...base.health import Health
from ..folding import Folding
from ..history.forgetting import Expiry
from ..http import route as routes
from ..send.delivery import Delivery
from ..send.lock import DeliveryLock
from ..send.resources import to_sentry
from ..spool import files
from ..spool.opening import history_of, open_in
from ..spool.spool import NO_HISTORY
from . import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..spool.spool import Spool
    from .settings import Settings

_LINGER = 20.0  # seconds without anything to deliver, after which it ends
_LOOK = 0.1  # seconds between looks at the time of a folder
_BREATH = 0.2  # seconds between looks into the folder: a stream of events is no stream of looks
_RECLAIM = 1.0  # seconds between looks whether who holds an envelope back is still alive
_PATIENCE = 300.0  # seconds: where Sentry asks for more, it ends, and the next one begins after that
_IN_VAIN = 3600.0  # seconds without a single success, after which it ends as well; `_LINGER` if it lacks urllib3
_NOTE = 1.0  # seconds between notes of how it is getting on
_START = 2.0  # seconds in which its settings must be there


def main(directory: str, descriptor: int, *, able: bool = True) -> None:
    """`descriptor` holds the lock of this spool's courier. It is not `able` where its interpreter lacks urllib3."""
    _come_alone(descriptor)
    courier = _Courier(directory, descriptor, in_vain=_IN_VAIN if able else _LINGER)
    try:
        courier.live()
    finally:
        courier.health.flush(final=True)


def _come_alone(descriptor: int) -> None:
    """Keep nothing of the process that started this one: no descriptor, no folder, no terminal."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 1 << 16)
    os.set_inheritable(descriptor, False)
    os.chdir("/")
    os.umask(0o077)
    for file, text in (("/proc/self/comm", "erp-courier"), ("/proc/self/oom_score_adj", "500")):
        try:
            with open(file, "w", encoding="ascii") as stream:
                stream.write(text)
        except OSError:
            pass  # no Linux


def watch(directory: str, descriptor: int, show: Callable[[dict[str, Any]], None]) -> None:
    """Deliver for as long as the process lives: `spool flush --watch`. `show` is called with each change of `noted`."""
    courier = _Courier(directory, descriptor, show)
    try:
        courier.live()
    finally:
        courier.health.flush(final=True)


class _Courier:
    def __init__(
        self,
        directory: str,
        descriptor: int,
        show: Callable[[dict[str, Any]], None] | None = None,
        in_vain: float = _IN_VAIN,
    ) -> None:
        """With `show`, it does not end by itself."""
        self._in_vain = in_vain
        self._directory = directory
        self._descriptor = descriptor
        self._show = show
        os.utime(descriptor)  # it has begun: see `launch`
        self._settings, self._mark = _first_settings(directory)
        self.health = Health(self._settings.run, self._settings.config, command="courier")
        self._spool: Spool = open_in(directory, self._settings.spool, self.health.count)
        self._expiry = Expiry(self._spool)
        self._folding = Folding(self.health)
        self._since = clocks.time()
        self._delivered = 0  # by the deliveries before this one
        self._seen_delivered = 0  # when `_last` was set
        self._noted = 0.0  # when
        before = noted(directory)
        self._last = before.get("last")  # when an envelope was last delivered, if the couriers before this one did
        self._facts: dict[str, Any] = {}
        # What the last courier noted of Sentry's patience is about the settings that it had.
        self._delivery = self._begin(eager=before.get("settings") != list(self._mark))

    def live(self) -> None:
        while True:
            wait = self._deliver_until_idle()
            self._note(wait, last=True)
            os.close(self._descriptor)
            if wait or not self._delivers or not self._spool.is_anything_waiting():
                return
            lock = DeliveryLock(self._directory, "courier")
            if not lock.take():
                return  # another one was started for it
            self._descriptor = lock.number

    @property
    def _delivers(self) -> bool:
        """False: nobody has a DSN. It lives for the counts."""
        return self._settings.dsn != ""

    @property
    def _linger(self) -> float:
        return _LINGER if self._delivers else 2 * _RECLAIM

    def _deliver_until_idle(self) -> float:
        """Seconds for which Sentry asks for patience, where they are too many to wait for; else 0."""
        idle_since = succeeded = clocks.monotonic()
        delivered = self._delivery.delivered
        reclaimed = 0.0
        while True:
            self._follow_settings()
            seen = self._seen()
            wait = None
            if self._delivers:
                wait = self._delivery.run()
            else:
                self._spool.sweep_if_due()
                self._expiry.turn()
            counting = self._folding.turn()
            now = clocks.monotonic()
            trying = False
            if now - reclaimed > _RECLAIM:
                trying = self._spool.reclaim()
                reclaimed = now
            self.health.flush()
            self._note(wait or 0.0)
            if wait is not None or trying or counting:
                idle_since = now
            if wait is None or self._delivery.delivered != delivered:
                succeeded, delivered = now, self._delivery.delivered
            if self._show is not None or counting:
                idle_since = now
            elif wait is not None and (is_in_vain(wait, self._delivery) or now - succeeded > self._in_vain):
                return max(wait, 0.1)
            elif wait is None and now - idle_since > self._linger:
                return 0.0
            self._pause(seen, wait, idle_since + self._linger)

    def _pause(self, seen: tuple[int, ...], wait: float | None, until: float) -> None:
        """Until there is something new, `wait` is over, or it is time to look at other things."""
        began = clocks.monotonic()
        until = min(until, began + _RECLAIM, began + wait if wait is not None else until)
        while (left := until - clocks.monotonic()) > 0:
            time.sleep(min(_LOOK if self._delivers else _RECLAIM, left))
            if clocks.monotonic() - began >= _BREATH and self._seen() != seen:
                return

    def _seen(self) -> tuple[int, ...]:
        """What changes when an envelope, or other settings, have been written."""
        times = []
        for name in ("new", "held", "settings"):
            try:
                times.append(os.stat(os.path.join(self._directory, name)).st_mtime_ns)
            except OSError:
                times.append(0)
        return tuple(times)

    def _follow_settings(self) -> None:
        if not self._is_outdated():
            return
        mark = settings.changed(self._directory)
        found = settings.read(self._directory)
        if found is None:
            self._mark = mark or self._mark  # nothing of ours: go on with what was there
        else:
            self._settings, self._mark = found
            self._delivered += self._delivery.delivered
            self._delivery.disconnect()
            self._delivery = self._begin(eager=True)

    def _begin(self, *, eager: bool) -> Delivery:
        """Deliver as the settings ask for. With `eager`, ignore the back-off from an earlier destination."""
        for name in settings.VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(self._settings.environment)
        route = routes.found(self._directory) if self._settings.dsn is None else None
        dsn = self._settings.dsn or (route.dsn if route is not None else "")
        self._spool.history = history_of(self._settings.spool) if self._settings.dsn is not None else NO_HISTORY
        resources = to_sentry(self._spool, dsn, self.health.count, route)._replace(between=self._between)
        # Whoever writes an envelope has written its settings before: with others, this one must not be sent.
        return Delivery(resources, should_stop=self._is_outdated, eager=eager)

    def _is_outdated(self) -> bool:
        return settings.changed(self._directory) not in (self._mark, None)

    def _between(self) -> None:
        """Before each envelope: a long backlog is no reason to be silent."""
        if clocks.time() - self._noted >= _NOTE:
            self._note(0.0)
            self.health.flush()

    def _note(self, wait: float, *, last: bool = False) -> None:
        """Write how it is getting on, for `spool status`; and until when Sentry is to be left alone, for the next."""
        now = clocks.time()
        delivered = self._delivered + self._delivery.delivered
        if delivered > self._seen_delivered:
            self._seen_delivered, self._last = delivered, round(now)
        facts = {
            "pid": os.getpid(),
            "since": self._since,
            "delivered": delivered,
            "last": self._last,
            "next": round(now + wait) if wait else None,
            "trouble": self._delivery.reason,
            "settings": self._mark,
        }
        if facts != self._facts and (last or now - self._noted >= _NOTE):
            self._noted, self._facts = now, facts
            text = json.dumps(facts).encode("ascii")
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))
            if self._show is not None:
                self._show(facts)
        if last and wait:
            os.utime(self._descriptor, (now + wait, now + wait))


def is_in_vain(wait: float, delivery: Delivery) -> bool:
    """Is the next try so far away, in `wait` seconds, or so sure to fail that no courier is to wait for it?"""
    return wait > _PATIENCE or delivery.is_refused


def noted(directory: str) -> dict[str, Any]:
    """Return what a courier last wrote of itself: pid, since, delivered, last, next, trouble; or nothing."""
    try:
        found = json.loads(files.read_own(os.path.join(directory, "courier")) or b"{}")
    except (OSError, ValueError, files.UnreadableError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_settings(directory: str) -> tuple[Settings, tuple[int, int]]:
    """Whoever starts a courier may be writing them just now. Raises SystemExit."""
    until = clocks.monotonic() + _START
    while (found := settings.read(directory)) is None:
        if clocks.monotonic() > until:
            sys.exit(f"there are no settings of a courier in {directory}")
        time.sleep(_LOOK)
    return found
