"""The section `celery`: its checks, and its plain form with every default applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...language import units
from .checks import check_ladder_at, check_unit
from .inherit import ladder

if TYPE_CHECKING:
    from ...base.model import CeleryData
    from ..findings import Findings
    from ..read.document import Document
    from ..read.node import Key
    from .merge import Settings


def check(document: Document, section: object, findings: Findings) -> None:
    """What the schema cannot say about it."""
    if not isinstance(section, dict):
        return
    for key in ("queue_wait", "pool_full", "worker_stalled"):
        _check_wait(document, ("celery", key), section, findings)
    path = ("celery", "memory_recycles")
    check_unit(document, path, section, units.escalation_rate, "bad-rate", findings, switch=True)
    for key in ("check_in_margin", "check_in_max_runtime"):
        check_unit(document, ("celery", key), section, units.duration, "bad-duration", findings)
    queues = section.get("queues")
    for name in queues if isinstance(queues, dict) else ():
        _check_wait(document, ("celery", "queues", name), section["queues"], findings)


def data(settings: Settings) -> CeleryData | None:
    """None where nothing is to be told."""
    given = {key: placed.value for key, placed in settings.celery.items()}
    often = given.get("memory_recycles")
    found: CeleryData = {
        "queue_wait": ladder(given.get("queue_wait")),
        "queues": {name: ladder(each) for name, each in given.get("queues", {}).items()},
        "pool_full": ladder(given.get("pool_full")),
        "worker_stalled": ladder(given.get("worker_stalled")),
        "memory_recycles": None if units.is_off(often) else units.escalation_rate(often),
        "check_ins": list(given.get("check_ins", [])),
        "margin": units.duration(given["check_in_margin"]) if "check_in_margin" in given else None,
        "max_runtime": units.duration(given["check_in_max_runtime"]) if "check_in_max_runtime" in given else None,
    }
    asked = any(found[key] for key in ("queue_wait", "pool_full", "worker_stalled", "memory_recycles", "check_ins"))
    return found if asked or any(found["queues"].values()) else None


def _check_wait(document: Document, path: tuple[Key, ...], mapping: dict[str, Any], findings: Findings) -> None:
    if isinstance(mapping.get(str(path[-1])), dict):
        check_ladder_at(document, path, mapping, findings)
    else:
        check_unit(document, path, mapping, units.duration, "bad-duration", findings, switch=True)
