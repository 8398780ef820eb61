"""What frameworks need beyond monitors: context, failures, sessions, spans, the SDK; loaded with each framework."""

import sys

from ..base import guard, imports
from ..base.interrupts import ours
from ..base.places import CLIENTS, HOOKS
from .tracing import Tracing, by_sdk, with_sdk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import Any

    from ..deliver.sessions import Sessions
    from ..observe.failure.unmonitored import Unmonitored
    from .engine import Engine

#: What the names of the agent's own modules begin with in this process.
_ROOT = (__package__ or "").partition(".")[0] + "."


class Frameworks:
    def __init__(self, engine: "Engine") -> None:
        self.sessions: "Sessions | None" = None  # where the SDK does not count them
        self._engine = engine
        self._outlet = engine.outlet
        self._unmonitored: "Unmonitored | None" = None
        self._follows_log = False
        self._follows_errors = False
        self._undo: "list[Any]" = []
        self.tracing = Tracing(self._outlet, self.set_up_sdk)

    def imported(self, name: str, module: "ModuleType") -> None:
        """Install the integration with a module that has just been run, if there is one."""
        integration = HOOKS.get(name) or CLIENTS.get(name)
        if integration is None:
            application = self._outlet.sentry["application"]
            if application is None or not application.startswith(name + "."):
                return
            integration = "integrations.web.named"
        try:
            __import__(_ROOT + integration)
            install = sys.modules[_ROOT + integration].install
            self._undo += install(name, module, self._engine)
            if name in CLIENTS:
                return
            from ..observe.failure import unmonitored  # noqa: F401  (what it fails in may be reported by no monitor)

            self._outlet.make_ready()
        except ours(Exception):
            guard.swallow("integrating with " + name)

    def integrates(self, name: str) -> bool:
        """Is a framework, or `logging`, to be integrated with?"""
        chosen = self._outlet.sentry["integrations"]
        return chosen == "auto" or name in chosen

    def set_up_sdk(self, framework: str) -> None:
        """A framework was imported: give the Sentry SDK its integration and our spool, if it is needed here.

        That is where there is a DSN and transactions are traced, or where the host itself has loaded the SDK: what
        its code sends through the SDK then arrives. All else we do ourselves, at a fraction of the SDK's cost.
        """
        if self._outlet.follow_settings():
            self.follow_log()
        sentry = self._outlet.sentry
        if sentry["dsn"] is None or sentry["integrations"] == []:
            return
        if framework and not by_sdk(sentry) and not _sdk_is_loaded():
            self._outlet.health.record("sdk", "not needed: it traces nothing")
            return
        try:
            with imports.Guarded(patient=False):
                from ..sdk import client

                outcome = client.set_up(framework, with_sdk(sentry), self._outlet.keep)
        except ours(ImportError) as error:
            outcome = f"the Sentry SDK cannot be imported: {error}"
        self._outlet.health.record("sdk", outcome)

    def work(self, framework: str) -> None:
        """A worker of this framework may begin. Asked again once settings are known that may bring a DSN."""
        self.set_up_sdk(framework)
        self.tracing.follow()

    def serve(self, framework: str) -> None:
        """A server of this framework may begin. Asked again once it does: by then settings are known that bring a DSN,
        or the host has loaded the SDK.
        """
        if framework != "web":  # of which the SDK knows nothing
            self.set_up_sdk(framework)
        self.tracing.follow()
        sentry = self._outlet.sentry
        if sentry["dsn"] is None or not self.integrates(framework) or _sdk_reports(framework):
            self.sessions = None
        elif self.sessions is None:
            from ..deliver.sessions import Sessions
            from ..observe.around import release

            version = sentry["release"] or release.of_checkout()
            if version:
                self.sessions = Sessions(self._outlet.keep, release=version, environment=sentry["environment"])

    def failed(
        self,
        what: str,
        error: BaseException,
        *,
        operation: str,
        function: str,
        severity: str = "error",
        raised: bool = True,
        handled: bool = False,
        logged: "Mapping[str, object] | None" = None,
    ) -> bool:
        """A `request` or a `task` has ended in an exception that nobody dealt with: report it, unless a monitor has.

        `function` is the dotted path of what it ran. Return whether it was reported. A client of the host's own
        reports for itself what was `raised`, and nothing else. `handled`: a response was made of it that shows it.
        `logged`: facts about the line of the log that is all that was made of it.
        """
        if raised and _sdk_is_loaded():
            from ..sdk import host

            if host.reports_logs() if logged is not None else host.is_active():
                return False
        if self._unmonitored is None:
            from ..observe.failure.unmonitored import Unmonitored

            self._unmonitored = Unmonitored(
                self._engine.report,
                self._outlet.health.count,
                stances=self._outlet.sentry["stances"],
                sample=self._outlet.sentry["sample_rate"],
            )
        return self._unmonitored.failed(
            what, error, operation=operation, function=function, severity=severity, handled=handled, logged=logged
        )

    def settings_changed(self) -> None:
        self._unmonitored = None
        self.tracing.restart()

    def follow_log(self) -> None:
        """Once the host has loaded `logging`: its errors may be failures, and with a DSN its lines are breadcrumbs."""
        sentry = self._outlet.sentry
        errors = not self._follows_errors and "*" not in sentry["ignore_loggers"]
        lines = not self._follows_log and sentry["dsn"] is not None
        if not (errors or lines) or not hasattr(sys.modules.get("logging"), "getLogger"):
            return  # getLogger comes near its end: another thread may be half-way through loading it
        self._follows_errors |= errors
        self._follows_log |= lines
        if not self.integrates("logging"):
            return
        try:
            if errors:
                from ..integrations.logged import Logged

                self._undo += Logged(self._engine).follow(sys.modules["logging"])
            if lines:
                from ..integrations import log_lines

                self._undo.append(log_lines.follow(sys.modules["logging"]))
        except ours(Exception):
            guard.swallow("following what the host logs")

    def undo(self) -> None:
        self.tracing.undo()
        for change in reversed(self._undo):
            change.undo()
        self._undo.clear()

    def close(self) -> None:
        self.tracing.close()
        if self.sessions is not None:
            self.sessions.close()

    def after_fork(self) -> None:
        self.tracing.after_fork()
        if self.sessions is not None:
            self.sessions.after_fork()


def _sdk_reports(framework: str) -> bool:
    """Does the SDK report what ends a request or a task: in a client of the host's, or integrated by us?"""
    if not _sdk_is_loaded():
        return False
    from ..sdk import client

    return client.is_integrated(framework)


def _sdk_is_loaded() -> bool:
    """The whole of it: the host may be in the middle of its import."""
    return hasattr(sys.modules.get("sentry_sdk"), "capture_event")
