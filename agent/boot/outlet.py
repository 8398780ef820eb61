"""Where the reports of a process go: the settings in force, the folders of the user that it runs as, and the sink."""

import os
import sys

from ..base import guard, imports
from ..base.interrupts import ours
from ..base.places import user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..base.health import Health
    from ..base.model import Envelope, SentryData, SpoolData
    from ..deliver.sink import Sink
    from ..plan.index import Index

#: What the names of the agent's own modules begin with in this process.
_ROOT = (__package__ or "").partition(".")[0] + "."


class Outlet:
    def __init__(self, index: "Index", state: str, health: "Health", sink: "Sink | None" = None) -> None:
        """`sink` stays in use whatever the settings are: that of an ERP's tests."""
        self.sentry: "SentryData" = index.sentry
        self.spool: "SpoolData" = index.spool
        self.packages = tuple(index.packages)  # the ERP's, wherever they are installed
        self.state = state
        self.health = health
        self._index = index
        self._user = user  # that the process had when it started
        self._of_others: "dict[int, tuple[str, Sink | None]]" = {}  # what it wrote to as another user
        self._fixed = sink
        self._sink: "Sink | None" = None
        self._settings_read = sink is not None  # Django's
        health.follow = self.follow_user

    def follow_user(self) -> str:
        """Where this process writes. It may have changed its user: a server that root starts, its workers."""
        user = _user()
        if user != self._user:
            from ..base import own_folders

            before, self._user = self._user, user
            self._of_others[before] = (self.state, self._sink)
            self.state, self._sink = self._of_others.get(user) or (
                own_folders.state_folder(self._index.path, self.state),
                None,
            )
            self.spool = {**self._index.spool, "directory": own_folders.spool_folder(self._index.spool["directory"])}
            self.health.move(os.path.join(self.state, "run"))
        return self.state

    def follow_settings(self) -> bool:
        """Once Django has read its settings: use what they have of Sentry. Return whether they bring a DSN."""
        if self._settings_read or "django.conf" not in sys.modules:
            return False
        from ..integrations.django import settings
        from ..observe.event import the_erp

        found = settings.read()
        if found is None:
            return False
        self._settings_read = True
        if self.sentry.get("in_app_include") is None:
            self.packages = tuple(dict.fromkeys((*self.packages, *found.packages)))
            the_erp.follow(self.packages)
        if found.problem:
            self.health.record("problem", found.problem)
        before, dsn = self.sentry["dsn"], found.dsn_for(self.sentry["dsn"])
        if dsn == before:
            return False
        self.sentry = {**self.sentry, "dsn": dsn}
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()
        return dsn is not None

    def follow(self, index: "Index") -> bool:
        """Use the settings of another plan from now on. Return whether they differ."""
        before, self._index = self._index, index
        settings = (index.sentry, index.spool, tuple(index.packages))
        if settings == (before.sentry, before.spool, tuple(before.packages)):
            return False
        sink, self._sink = self._sink, None
        self.sentry, self.spool, self.packages = settings
        self._user, self._of_others, self._settings_read = user, {}, self._fixed is not None
        self.follow_settings()
        if sink is not None:
            sink.close(0.0)
        return True

    def sink(self) -> "Sink":
        """Where reports go; made once something can be reported."""
        if self._fixed is not None:
            return self._fixed
        self.follow_user()
        if not self._settings_read:
            self.follow_settings()
        sink = self._sink
        if sink is None:
            with imports.Guarded():
                from ..deliver.sink import Sink

                sink = self._sink = Sink(
                    self.sentry,
                    self.spool,
                    self.state,
                    self.health,
                    self.packages,
                    hand_over=_hand_over,
                    share=_share,
                    errored=_count_error,
                )
                for _, other in self._of_others.values():
                    if other is not None:
                        sink.spool.take_over(other.spool)
        return sink

    def make_ready(self) -> None:
        """Once something can be reported: all that the first report needs is there before it is needed.

        By then there may be no descriptor left to read a module with, no memory, no such file any more, another root
        folder or another user; and a child must not be forked in the middle of an import.
        """
        try:
            self.sink()
        except ours(Exception):
            guard.swallow("making ready to report")

    def keep(self, envelope: "Envelope") -> None:
        """An envelope that is none of ours, on disk when this returns."""
        self.sink().keep_envelope(envelope)

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()

    def after_fork(self) -> None:
        if self._sink is not None:
            self._sink.after_fork()


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _hand_over(event: "Mapping[str, Any]", error: "BaseException | None") -> "str | None":
    from ..sdk import host

    return host.hand_over(event, error)


def _share(dsn: str, event_id: str, error: "BaseException | None") -> None:
    from ..sdk import host

    host.share(dsn, event_id, error)


def _count_error() -> None:
    client = sys.modules.get(_ROOT + "sdk.client")
    if client is not None:  # there is a client of ours
        client.count_error()
