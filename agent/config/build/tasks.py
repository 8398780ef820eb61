"""The sections `tasks` and `celery`: their checks, and their plain form with every default applied."""

from __future__ import annotations

from typing import Any

from ...base.model import CeleryData, TasksData
from ...language import units
from ..findings import Findings
from ..read.document import Placed
from .inherit import ladder
from .merge import Settings
from .values import check_duration_or_ladder, check_unit


def check(section: Placed, findings: Findings) -> None:
    """Report what the schema cannot check."""
    for key in ("queue_wait", "pool_full", "worker_stalled"):
        check_duration_or_ladder(section.at(key), findings)
    check_unit(section.at("memory_recycles"), units.escalation_rate, "bad-rate", findings, off=True)
    for key in ("check_in_margin", "check_in_max_runtime"):
        check_unit(section.at(key), units.duration, "bad-duration", findings)
    for _, queue in section.at("queues").fields():
        check_duration_or_ladder(queue, findings)


def data(settings: Settings) -> TasksData | None:
    """What counts for every queue; None where nothing is to be reported."""
    found = _shared({key: placed.value for key, placed in settings.tasks.items()})
    return found if _is_wanted(found) else None


def celerys(settings: Settings) -> CeleryData | None:
    """The same for Celery, whose own section comes first; None where nothing is to be reported."""
    given = {key: placed.value for key, placed in (*settings.tasks.items(), *settings.celery.items())}
    often = given.get("memory_recycles")
    found: CeleryData = {
        **_shared(given),
        "pool_full": ladder(given.get("pool_full")),
        "worker_stalled": ladder(given.get("worker_stalled")),
        "memory_recycles": None if units.is_off(often) else units.escalation_rate(often),
    }
    wanted = any(found[key] for key in ("pool_full", "worker_stalled", "memory_recycles"))
    return found if wanted or _is_wanted(found) else None


def _shared(given: dict[str, Any]) -> TasksData:
    return {
        "queue_wait": ladder(given.get("queue_wait")),
        "queues": {name: ladder(each) for name, each in given.get("queues", {}).items()},
        "check_ins": list(given.get("check_ins", [])),
        "margin": units.duration(given["check_in_margin"]) if "check_in_margin" in given else None,
        "max_runtime": units.duration(given["check_in_max_runtime"]) if "check_in_max_runtime" in given else None,
    }


def _is_wanted(found: TasksData) -> bool:
    return bool(found["queue_wait"] or found["check_ins"] or any(found["queues"].values()))
