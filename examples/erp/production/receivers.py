from __future__ import annotations

from django.dispatch import receiver

from production.models import WorkOrder
from quality.signals import inspection_failed


@receiver(inspection_failed)
def block_work_order(sender, inspection, **kwargs) -> None:
    """Nothing of a job that failed its inspection goes any further."""
    if inspection.work_order.status in (WorkOrder.Status.RELEASED, WorkOrder.Status.COMPLETED):
        inspection.work_order.transition_to(WorkOrder.Status.BLOCKED)
