from __future__ import annotations

from celery import shared_task

from production.planning import Scheduler


@shared_task
def find_late_work_orders() -> list[str]:
    """The numbers of the jobs that will not be done in time as things stand."""
    return sorted({slot.work_order.number for slot in Scheduler(horizon_days=60).plan() if slot.late})
