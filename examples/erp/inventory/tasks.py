from __future__ import annotations

import datetime

from asgiref.sync import async_to_sync
from celery import shared_task
from django.db import transaction

from accounts import audit
from accounts.services import next_number
from erp import clock
from inventory.errors import SupplierTimeout
from inventory.models import PurchaseOrder, StockItem, Warehouse
from inventory.suppliers import fetch_lead_times

# What we plan with when a supplier does not respond.
CAUTIOUS_LEAD_TIME = 30


@shared_task
def replenish_warehouse(warehouse_code: str) -> list[str]:
    """Order what has fallen below its reorder point; returns the numbers of the purchase orders."""
    warehouse = Warehouse.objects.get(code=warehouse_code)
    low = list(
        StockItem.objects.to_replenish()
        .filter(warehouse=warehouse)
        .select_related("product")
        .order_by("product__code")
    )
    lead_times = _lead_times([item.product.code for item in low])
    numbers = []
    with transaction.atomic():
        for item in low:
            days = lead_times.get(item.product.code, CAUTIOUS_LEAD_TIME)
            order = PurchaseOrder.objects.create(
                number=next_number("PO"),
                item=item,
                quantity=item.reorder_quantity,
                expected_on=clock.today() + datetime.timedelta(days=days),
            )
            numbers.append(order.number)
        audit.record("replenishment", warehouse, orders=numbers)
    return numbers


def _lead_times(codes: list[str]) -> dict[str, int]:
    try:
        return async_to_sync(fetch_lead_times)(codes)
    except SupplierTimeout as error:
        answered = [code for code in codes if code not in error.codes]
        return async_to_sync(fetch_lead_times)(answered)
