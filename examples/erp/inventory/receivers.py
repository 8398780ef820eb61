from __future__ import annotations

from django.dispatch import receiver

from inventory.stock import WarehouseStock
from sales.signals import order_status_changed


@receiver(order_status_changed)
def free_stock_of_rejected_orders(sender, order, previous, **kwargs) -> None:
    if order.status == "rejected" and previous == "confirmed":
        WarehouseStock.default_for(order.customer.company).release(order)
