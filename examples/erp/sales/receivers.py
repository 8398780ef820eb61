from __future__ import annotations

from django.dispatch import receiver

from accounts import audit
from sales.signals import order_status_changed


@receiver(order_status_changed)
def note_status_change(sender, order, previous, by=None, **kwargs) -> None:
    audit.record(f"order {order.status}", order, actor=by, previous=previous, reason=order.reason)
