"""The reports. Each builder takes a company and returns a ``Report``; the public ones are in ``BUILDERS``."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Callable

from django.conf import settings
from django.db.models import F, Sum

from erp import clock
from inventory.models import StockItem
from production.models import WorkOrder
from production.planning import Scheduler
from sales.models import Customer, Order


@dataclass
class Report:
    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    total: Decimal | None = None


def stock_valuation(company) -> Report:
    """What is on the shelves, at cost."""
    items = (
        StockItem.objects.for_company(company)
        .filter(on_hand__gt=0)
        .annotate(value=F("on_hand") * F("product__cost"))
        .select_related("product", "warehouse")
    )
    report = Report("Stock valuation", ["Product", "Name", "Warehouse", "On hand", "Value"])
    for item in items:
        report.rows.append(
            helper_format_row(
                item.product.code, item.product.name, item.warehouse.code, item.on_hand, item.value
            )
        )
    report.total = sum((item.value for item in items), Decimal("0.00"))
    return report


def sales_by_customer(company) -> Report:
    """Turnover of each customer with this year's share and, from the archive, last year's turnover.

    The archive responds slowly, which makes this the one report to run while fetching coffee.
    """
    archived = _turnover_from_archive(company)
    turnover = {customer: _turnover(customer) for customer in Customer.objects.for_company(company)}
    total = sum(turnover.values(), Decimal("0.00"))
    report = Report("Sales by customer", ["Customer", "Last year", "This year", "Share"], total=total)
    for customer, amount in sorted(turnover.items(), key=lambda pair: (-pair[1], pair[0].name)):
        report.rows.append(
            helper_format_row(customer.name, archived[customer.code], amount, _share(amount, total))
        )
    return report


def overdue_orders(company) -> Report:
    """Confirmed orders that should have left us already."""
    today = clock.today()
    orders = Order.objects.for_company(company).overdue(today).select_related("customer").order_by("due_date")
    report = Report("Overdue orders", ["Order", "Customer", "Due", "Days late", "Total"])
    for order in orders:
        days = (today - order.due_date).days
        report.rows.append(
            helper_format_row(order.number, order.customer.name, order.due_date, days, order.total)
        )
    report.total = sum((order.total for order in orders), Decimal("0.00"))
    return report


def production_load(company) -> Report:
    """Planned hours of each work center by week."""
    jobs = WorkOrder.objects.for_company(company).to_plan().select_related("work_center", "product")
    hours: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for slot in Scheduler(horizon_days=60).plan(jobs):
        year, week, _ = slot.day.isocalendar()
        hours[slot.work_center.name, f"{year}-W{week:02d}"] += slot.hours
    report = Report(
        "Production load", ["Work center", "Week", "Hours"], total=sum(hours.values(), Decimal("0.00"))
    )
    report.rows = [
        helper_format_row(center, week, amount) for (center, week), amount in sorted(hours.items())
    ]
    return report


BUILDERS: dict[str, Callable[[Any], Report]] = {
    "stock-valuation": stock_valuation,
    "sales-by-customer": sales_by_customer,
    "overdue-orders": overdue_orders,
    "production-load": production_load,
}


def helper_format_row(*values: object) -> list[str]:
    """The values as they are printed: money with two decimals and thin groups, everything else as it is."""
    return [
        f"{value:,.2f}".replace(",", " ") if isinstance(value, Decimal) else str(value) for value in values
    ]


def _turnover(customer: Customer) -> Decimal:
    """Orders of the customer that left us or will, without those rejected or still being talked about."""
    lines = customer.orders.filter(status__in=["confirmed", "shipped", "invoiced"])
    return lines.aggregate(value=Sum(F("lines__quantity") * F("lines__unit_price")))["value"] or Decimal(
        "0.00"
    )


def _turnover_from_archive(company) -> dict[str, Decimal]:
    """Last year's turnover by customer code, summed from the archive's daily records."""
    time.sleep(settings.ERP_SLOW_REPORT_SECONDS)
    turnover: dict[str, Decimal] = {}
    for code in Customer.objects.for_company(company).values_list("code", flat=True):
        turnover[code] = sum((amount for _, amount in _archived_days(code)), Decimal("0.00"))
    return turnover


def _archived_days(customer_code: str):
    """The archive's records for a customer, ``(day of the year, amount)``: one for each day with a sale."""
    state = sum(ord(character) * (position + 7) for position, character in enumerate(customer_code))
    for day in range(1, 366):
        state = (state * 1103515245 + 12345) % 2**31
        if state % 29 == 0:
            yield day, Decimal(state % 900_000) / 100


def _share(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole:.1%}" if whole else "–"
