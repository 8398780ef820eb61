"""For an ERP's own tests: what would have been reported?

    from agent.testing import reporting

    def test_a_rejected_order_is_reported():
        with reporting("monitors.yaml") as reported:
            place_order(customer_on_hold)
        (event,) = reported.of("create_order")
        assert event["level"] == "warning"

While it is on, the monitors of that file (and the decorators of `agent`) are in force, no limit drops
anything, and nothing is written to disk or sent. Afterwards every function is as it was. In pytest, `reported` is a
fixture for the file that AGENT_CONFIG names: `pytest_plugins = ["agent.testing"]`.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from . import api, decorate
from .base.errors import ConfigError
from .base.health import Health
from .boot import bootstrap, running
from .boot.engine import Engine
from .boot.lookout import listen
from .hook.imports import finder
from .observe.call.limits import Limiter
from .plan import index as cache
from .plan import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .base.model import Envelope, Observation, PlanData
    from .deliver.sink import Maker

__all__ = ["Reported", "reporting"]


class Reported:
    """The events, as they would have left: scrubbed, in order. Each is the dictionary that Sentry would get."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        #: What was seen and not reported: "expected", "control-flow", … → how often.
        self.counted: dict[str, int] = {}
        #: What became of each target: ("patched" | "failed" | "waiting", monitor, dotted path, note).
        self.targets: list[tuple[str, ...]] = []

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["tags"].get("erp.operation") == operation]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self._of_report("error")

    @property
    def slow(self) -> list[dict[str, Any]]:
        return self._of_report("slow")

    @property
    def rules(self) -> list[dict[str, Any]]:
        return self._of_report("rule")

    @property
    def audits(self) -> list[dict[str, Any]]:
        return self._of_report("audit")

    def clear(self) -> None:
        self.events.clear()

    def _of_report(self, report: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["tags"].get("erp.report") == report]


@contextmanager
def reporting(config: str | os.PathLike[str] | None = None) -> Iterator[Reported]:
    """Put the monitors of `config` in force; without it, only decorators and calls in the source count.

    Raises ConfigError where `python -m agent validate` would find problems.
    """
    running.engine()  # an agent of this process that is only looking out so far begins now, so that it can rest
    resting = bootstrap.current
    if resting is not None:
        _rest(resting)
    reported = Reported()
    agent, engine = _agent(os.path.abspath(os.fspath(config)) if config is not None else None, reported)
    layers: list[Any] = []
    before, running.instead = running.instead, engine
    limits, api._limits = api._limits, {name: Limiter(None) for name in ("error", "rule", "slow")}
    try:
        agent.install()
        layers += filter(None, [each.apply(engine) for each in decorate.declared()])
        yield reported
    finally:
        for layer in reversed(layers):
            layer.undo()
        agent.uninstall()
        running.instead, api._limits = before, limits
        if resting is not None:
            resting.install()


def _rest(agent: bootstrap.Agent) -> None:
    listen(None)
    if agent.finder is not None:
        finder.uninstall(agent.finder)
    agent.engine().undo()


def _agent(config: str | None, reported: Reported) -> tuple[bootstrap.Agent, Engine]:
    plan = _plan(config)
    for monitor in plan["monitors"]:
        monitor["rate_limit"], monitor["sample"] = None, 1.0
    plan["sentry"]["dsn"], plan["sentry"]["sample_rate"] = None, 1.0
    index = cast("cache.Index", cache.decode(write.encode(plan, []), plan["path"]))
    agent = bootstrap.Agent(index, "")
    sink = cast("Any", _Keeping(index, reported))
    engine = agent._engine = Engine(index, "", health=_Counting(reported), sink=sink)
    return agent, engine


def _plan(config: str | None) -> PlanData:
    from .config import load

    if config is None:
        return {
            "path": "", "files": [], "environment": {}, "monitors": [], "disabled": [],
            "sentry": {
                "dsn": None, "environment": "test", "release": None, "sample_rate": 1.0, "traces_sample_rate": 0.0,
                "profiles_sample_rate": 0.0, "trace_propagation_targets": None, "propagate_traceparent": False,
                "strict_trace_continuation": False, "org_id": None, "tracing": "off",
                "traces": {
                    "given": False, "keep_slow": None, "keep_failed": False, "rate_limit": None, "max_spans": 1,
                },
                "debug": False, "metrics": False, "user": ["id"],
                "stances": {"modules": {}, "everywhere": [], "unattended": []}, "modules": {}, "ignore_loggers": [],
                "in_app_include": None, "integrations": [], "tags": {}, "scrub": None, "context": [],
                "tasks": None, "celery": None, "project": None, "application": None,
            },
            "spool": {
                "directory": None, "max_size": 1 << 20, "max_age": 3600.0, "max_files": 1000, "max_rate": 0.0,
                "durable": False, "keep_interpreter": False, "courier": False, "host_client": False,
                "history_age": 0.0, "history_size": 0,
            },
            "processes": None, "follows": False, "expires": 0.0, "renew": 0.0,
        }  # fmt: skip
    loaded = load.load(config, os.environ)
    wrong = [problem for problem in loaded.problems if problem.severity == "error"]
    if wrong or loaded.plan is None:
        lines = [f"{each.file}:{each.line}: {each.path}: {each.message}" for each in wrong]
        raise ConfigError("\n".join(lines) or f"{config} gives no plan")
    return loaded.plan


class _Keeping:
    """A sink that keeps events in memory."""

    def __init__(self, index: cache.Index, reported: Reported) -> None:
        self._index = index
        self._reported = reported
        self._maker: Maker | None = None

    def report(self, observation: Observation, facts: dict[str, object] | None = None) -> str:
        if self._maker is None:
            from .deliver.sink import Maker

            self._maker = Maker(self._index.sentry, tuple(self._index.packages))
        made = cast("dict[str, Any]", self._maker.make(observation, facts)[0])
        self._reported.events.append(made)
        return str(made["event_id"])

    def keep_envelope(self, envelope: Envelope, *, slow: bool = False) -> None:
        pass

    def close(self) -> None:
        pass

    def after_fork(self) -> None:
        pass


class _Counting(Health):
    """Writes no file."""

    def __init__(self, reported: Reported) -> None:
        super().__init__("", "")
        self._reported = reported

    def record(self, *line: Any) -> None:
        if line[0] in ("patched", "failed", "waiting"):
            self._reported.targets.append(line)

    def count(self, reason: str, what: str = "", number: int = 1) -> None:
        del what
        self._reported.counted[reason] = self._reported.counted.get(reason, 0) + number

    def flush(self, final: bool = False, calls: Any = None) -> bool:
        del final, calls
        return True


if "pytest" in sys.modules:
    import pytest

    @pytest.fixture(name="reported")
    def _reported() -> Iterator[Reported]:
        with reporting(os.environ.get("AGENT_CONFIG") or None) as found:
            yield found
