"""A change of the overlay: made by one at a time, compiled, reported as an audit event, taken up by the processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ...base import own_folders
from ...base.errors import AgentError, ConfigError
from ...base.model import Captured, Observation
from ...config import child, overlay
from ...config.overlaid import FILE
from ...language import units
from ...observe.failure import synthetic
from ...plan import in_force
from ...plan import index as plan_index
from ..options import Configured
from ..state import processes
from ..state.other_folders import user_name
from ..state.plans import Plans
from ..state.processes import Process

_LOOK = 0.2  # seconds between two looks at the processes
_SERVER = (
    "has forked the others and serves nothing itself: those that it forks next look with their first request or task"
)


class Missing(NamedTuple):
    """A process that runs another plan, and why."""

    pid: int
    program: str
    why: str


class Taken(NamedTuple):
    """The processes that run a plan, those that do not, and servers that only look after those that they forked."""

    pids: list[int]
    missing: list[Missing]
    servers: list[Missing]


def me() -> str:
    return user_name(os.geteuid())


def duration(text: str) -> float:
    """Seconds, of an option such as `--for 10m`. Raises ConfigError."""
    try:
        return units.duration(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def apply(
    configured: Configured, change: Callable[[overlay.Overlay], overlay.Overlay]
) -> tuple[overlay.Overlay, plan_index.Index]:
    """Change the overlay and compile. Return the overlay and the plan.

    Raises ConfigError where the file forbids it or gives no plan; then the overlay is as it was.
    """
    state = configured.state
    with _alone(state):
        before = current(state)
        now = change(before)
        overlay.write(state, now)
        made = compiled(configured.config, state)
        wrong = [each for each in made.problems if isinstance(made, plan_index.Bad) or each.startswith(FILE)]
        if wrong or isinstance(made, plan_index.Bad):
            overlay.write(state, before)
            compiled(configured.config, state)
            raise ConfigError("; ".join(wrong) or "the configuration gives no plan")
    return now, made


def compiled(path: str, state: str) -> plan_index.Index | plan_index.Bad:
    """Compile and store what the processes are to take up."""
    return in_force.keep(child.compiled(path, state), path, state, plan_index.load_bad(state, path))


def check_allowed(configured: Configured) -> None:
    """Raises ConfigError where `live: off` is in the file."""
    from ...config.load import examine

    settings = examine(configured.config, os.environ).settings
    if settings is not None and "live" in settings.running and settings.running["live"].value == "off":
        where = settings.running["live"].where
        raise ConfigError(f"`live: off` at {where} forbids a change of running processes beside the file")


def wait(path: str, state: str, identity: str, timeout: float) -> Taken:
    """Wait until each process runs this plan, at most `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        plans = Plans(state, path)
        living = [each for each in processes.read(os.path.join(state, "run")) if each.alive and not each.command]
        others = [each for each in living if each.plan != identity and plans.is_older(each)]
        families = {each.family.partition("@")[0] for each in living if each.family.partition("@")[0] != str(each.pid)}
        servers = [each for each in others if str(each.pid) in families and each.facts.get("reload") != "off"]
        waited = [each for each in others if each not in servers]
        if not waited or time.monotonic() >= until:
            missing = [Missing(each.pid, each.program, _why(each)) for each in waited]
            idle = [Missing(each.pid, each.program, _SERVER) for each in servers]
            return Taken([each.pid for each in living if each not in others], missing, idle)
        time.sleep(_LOOK)


def _why(process: Process) -> str:
    if process.facts.get("reload") == "off":
        return "keeps the plan that it started with (`reload: off`): restart it"
    refused = [problem for problem in process.problems if problem.startswith("a change is not taken up")]
    if refused:
        return refused[-1]
    return "has not looked yet: it does with its next monitored call, request, task or import"


def audit(configured: Configured, command: str, message: str, values: dict[str, object]) -> None:
    """Report that somebody changed what is monitored: an event as those of the ERP."""
    from ...deliver.sink import Sink

    monitor = synthetic.monitor(
        "agent." + command, "the command line", kind="security", operation=command, severity="info",
        fingerprint=["agent", command],
    )  # fmt: skip
    monitor["detail"] = {"event_type": "monitoring_changed"}
    health = configured.health(command)
    sink = Sink(configured.sentry, configured.spool_settings, configured.state, health)
    try:
        sink.report(
            Observation(
                monitor=monitor,
                operation=command,
                function="agent." + command,
                report="audit",
                severity="info",
                message=message,
                operations=[command],
                captured=Captured(values),
                ended=time.time(),
            )
        )
    finally:
        sink.close()
        health.flush(final=True)


def current(state: str) -> overlay.Overlay:
    """What is changed now. Raises AgentError."""
    try:
        return overlay.read(state, time.time())
    except (OSError, ValueError, TypeError) as error:
        raise AgentError(f"{overlay.path_in(state)} cannot be read: {error}; remove it to begin anew") from None


@contextmanager
def _alone(state: str) -> Iterator[None]:
    from fcntl import LOCK_EX, flock

    try:
        own_folders.make(state)
        descriptor = os.open(overlay.path_in(state) + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AgentError(f"{state} cannot be written by {me()}: {error}") from None
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)
