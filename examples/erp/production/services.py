"""Work orders and what goes into them."""

from __future__ import annotations

import datetime
from collections import Counter

from django.db import transaction

from accounts import audit
from accounts.services import next_number
from inventory.models import StockMovement
from inventory.stock import WarehouseStock
from production.errors import BomCycle, MachineBreakdown, MaterialShortage
from production.models import BillOfMaterials, WorkOrder
from sales.models import Product


def explode_bom(product: Product, quantity: int = 1, _path: tuple[str, ...] = ()) -> Counter[str]:
    """Everything bought that goes into ``quantity`` pieces, through all levels, as pieces by product code.

    Raises ``BomCycle`` when a product turns out to be a part of itself.
    """
    path = (*_path, product.code)
    if product.code in _path:
        raise BomCycle(path)
    lines = _bom_lines(product)
    if not lines:
        return Counter({product.code: quantity})
    needed: Counter[str] = Counter()
    for line in lines:
        needed += explode_bom(line.component, quantity * line.quantity, path)
    return needed


def _bom_lines(product: Product) -> list:
    bom = BillOfMaterials.objects.filter(product=product).first()
    return list(bom.lines.select_related("component")) if bom else []


@transaction.atomic
def plan_work_order(company, product: Product, quantity: int, due_date: datetime.date) -> WorkOrder:
    """Put a job for ``quantity`` pieces on the list of its work center."""
    bom = product.bom
    return WorkOrder.objects.create(
        number=next_number("WO"),
        company=company,
        product=product,
        work_center=bom.work_center,
        quantity=quantity,
        hours=quantity * bom.hours_per_piece,
        due_date=due_date,
    )


@transaction.atomic
def release_work_order(work_order: WorkOrder, *, by=None) -> WorkOrder:
    """Let the shop floor start: the machine must run and the parts must be there.

    Raises ``MachineBreakdown``, ``MaterialShortage`` or ``InvalidTransition``.
    """
    work_order = (
        WorkOrder.objects.select_for_update().select_related("work_center", "product").get(pk=work_order.pk)
    )
    if work_order.work_center.down:
        raise MachineBreakdown(work_order.work_center)
    missing = material_shortage(work_order)
    if missing:
        raise MaterialShortage(work_order, missing)
    work_order.transition_to(WorkOrder.Status.RELEASED)
    audit.record("work order released", work_order, actor=by)
    return work_order


def material_shortage(work_order: WorkOrder) -> dict[str, int]:
    """Pieces missing of each direct part, by product code; empty when all is there."""
    stock = WarehouseStock.default_for(work_order.company)
    missing = {}
    for line in _bom_lines(work_order.product):
        lacking = line.quantity * work_order.quantity - stock.available(line.component)
        if lacking > 0:
            missing[line.component.code] = lacking
    return missing


@transaction.atomic
def complete_work_order(work_order: WorkOrder, quantity: int | None = None, *, by=None) -> WorkOrder:
    """Report a job done: its parts leave the stock, and what it made goes in.

    ``quantity`` is how many pieces came out, all of them when not given.
    """
    work_order = (
        WorkOrder.objects.select_for_update().select_related("company", "product").get(pk=work_order.pk)
    )
    made = work_order.quantity if quantity is None else quantity
    work_order.transition_to(WorkOrder.Status.COMPLETED)
    stock = WarehouseStock.default_for(work_order.company)
    for line in _bom_lines(work_order.product):
        stock.consume(line.component, line.quantity * work_order.quantity, work_order.number)
    if made:
        stock.receive(work_order.product, made, work_order.number, StockMovement.Kind.PRODUCTION)
    work_order.completed_quantity = made
    work_order.save(update_fields=["completed_quantity"])
    audit.record("work order completed", work_order, actor=by, made=made)
    return work_order
