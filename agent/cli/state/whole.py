"""All that commands know of a configuration on this machine at one time: its files, its processes, its delivery."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cached_property

from ...base import places
from ...base.errors import AgentError
from ...config import overlay
from ...measure.figures import Figures
from ...plan import borrowed
from ...plan import index as plan_index
from ...plan.in_force import last_good_for
from .. import options
from . import delivery, other_folders, processes
from .plans import Plans
from .processes import Process

_LATELY = 3600.0  # seconds in which the counts of an ended process still matter


class Whole:
    """`at` is the time of reading, in seconds since the epoch. What cannot be read is described by a text."""

    def __init__(
        self, path: str, *, ended: bool = False, plans: Plans | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """`path` is the configuration. With `ended`, `shown` holds all processes that have ended, too.

        `plans` are those of the same state folder, where they were read before.
        """
        self.path = path
        self.state = places.state_folder(os.environ, path)
        self.at = clock()
        self.unreadable = ""  # why the state folder's processes are not known
        try:
            found = processes.read(os.path.join(self.state, "run"))
        except AgentError as error:
            found, self.unreadable = [], str(error)
        self.processes = found  # commands of the agent included
        self.shown = processes.of_the_host(found, all_=ended)
        self.living = [process for process in self.shown if process.alive]
        self.plans = plans or Plans(self.state, path)
        self.index = self.plans.of(self.shown)
        self.older = [process for process in self.shown if self.plans.is_older(process)]
        self.figures = Figures(self.state, clock)

    @property
    def counting(self) -> list[Process]:
        """The processes whose counts matter now: those that are shown, and those that have ended lately."""
        return [
            process
            for process in self.processes
            if process in self.shown or process.alive or process.counted > self.at - _LATELY
        ]

    @property
    def last_good_until(self) -> float | None:
        """Until when the last good plan is in force, where the file gives none."""
        return self.rejected.since + last_good_for(os.environ.get("AGENT_LAST_GOOD")) if self.rejected else None

    @cached_property
    def borrowed(self) -> dict[str, str]:
        """Environments of shown processes that lack libraries → the interpreter that compiles and delivers for them."""
        found = {}
        for process in self.shown:
            version = process.version
            other = borrowed.of(self.state, version, process.prefix) if version and process.prefix else None
            if other is not None:
                found[process.prefix] = other
        return found

    @cached_property
    def rejected(self) -> plan_index.Bad | None:
        """Why the file gives no plan; None where it does, as far as a process has tried."""
        bad = plan_index.load_bad(self.state, self.path)
        if bad is None or not places.unchanged(bad.header, environment=False):
            return None  # the file has been corrected
        return bad

    @cached_property
    def changed(self) -> overlay.Overlay:
        """What people changed for a time beside the file."""
        try:
            return overlay.read(self.state, self.at)
        except (OSError, ValueError, TypeError):
            return overlay.Overlay()

    @cached_property
    def settings(self) -> options.Configured | None:
        """Those that the processes use; without a plan, those of the file. None where neither gives any."""
        if self.index is not None:
            return options.Configured(self.path, self.state, *self.index.settings())
        try:
            return options.configured_by(self.path)
        except AgentError as error:
            self.unusable = str(error)
            return None

    unusable = ""  # why there are no settings

    @cached_property
    def deliveries(self) -> list[delivery.Delivery]:
        """The agent's own, then those of the ERP's own clients. Empty where there are no settings."""
        try:
            return delivery.read(self.settings) if self.settings is not None else []
        except (OSError, AgentError) as error:
            self.unusable = str(error)
            return []

    @property
    def hands_over(self) -> bool:
        """Without a DSN of the agent's: does a Sentry client of the ERP's own take the events, as far as is known?"""
        own = [each for each in self.deliveries if not each.is_client]
        if any(each.sentry for each in own):
            return False
        takes = any(process.clients or process.count("handed-over") for process in self.shown)
        return takes or any(each.handed_to for each in own)

    @cached_property
    def elsewhere(self) -> list[other_folders.Other]:
        """Other state folders of this configuration that this user may read."""
        return other_folders.readable(self.path, self.state)

    def lost(self) -> dict[str, int]:
        """Lost events by reason, since the oldest process that is remembered."""
        return processes.all_lost(self.processes)

    def restarts_needed(self) -> list[Process]:
        """Running processes with an older plan that do not take up a newer one by themselves."""
        return [each for each in self.older if each.alive and each.facts.get("reload") == "off"]
