"""Taking orders, from the quotation to the invoice."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.services import next_number
from erp import clock
from erp.errors import BusinessError, InvalidInput, InvalidTransition
from inventory.stock import WarehouseStock
from sales.errors import (
    CreditLimitExceeded,
    OrderOnHold,
    QuotationExpired,
    UnknownCustomer,
    UnknownProduct,
)
from sales.ledger import ledger
from sales.models import Customer, Invoice, Order, OrderLine, Product, Quotation, QuotationLine
from sales.pricing import PriceCalculator

DELIVERY_DAYS = 14


def create_order(
    customer_id: int,
    items: Sequence[Mapping[str, Any]],
    *,
    requested_by=None,
    due_date: datetime.date | None = None,
) -> Order:
    """Take an order for ``items``, a list of ``{"product": code, "quantity": pieces}``.

    The order comes back as a draft, or as rejected when its total is above ``ERP_ORDER_LIMIT``. A blocked
    customer's order is stored on hold and ``OrderOnHold`` raised with it. ``CreditLimitExceeded`` stores nothing.
    """
    wanted = _parse_items(items)
    with transaction.atomic():
        customer = _customer(customer_id)
        price = PriceCalculator(customer)
        order = Order.objects.create(
            number=next_number("SO"),
            customer=customer,
            requested_by=requested_by,
            order_date=clock.today(),
            due_date=due_date or clock.today() + datetime.timedelta(days=DELIVERY_DAYS),
        )
        lines = [
            OrderLine(
                order=order,
                position=position,
                product=product,
                quantity=quantity,
                unit_price=price(product, quantity),
            )
            for position, (product, quantity) in enumerate(wanted, start=1)
        ]
        OrderLine.objects.bulk_create(lines)
        order.total = sum(line.amount for line in lines)
        order.save(update_fields=["total"])
        audit.record("order taken", order, actor=requested_by, total=str(order.total))
        _judge(order)
    if order.status == Order.Status.ON_HOLD:
        raise OrderOnHold(order)
    return order


def _judge(order: Order) -> None:
    """Decide whether we want the order at all."""
    customer = order.customer
    if customer.blocked:
        order.transition_to(Order.Status.ON_HOLD, "customer is blocked")
    elif order.total > settings.ERP_ORDER_LIMIT:
        order.transition_to(Order.Status.REJECTED, f"above the order limit of {settings.ERP_ORDER_LIMIT}")
    else:
        check_credit(customer, order.total)


def check_credit(customer: Customer, amount) -> None:
    """``CreditLimitExceeded`` unless the customer may owe us ``amount`` more."""
    exposure = customer.exposure()
    if exposure + amount > customer.credit_limit:
        raise CreditLimitExceeded(customer, exposure=exposure, requested=amount)


@transaction.atomic
def confirm_order(order: Order, *, by=None) -> Order:
    """Promise the order: reserve its goods and send the confirmation once all is stored."""
    from sales.tasks import send_order_confirmation

    order = Order.objects.select_for_update().select_related("customer__company").get(pk=order.pk)
    if order.customer.blocked:
        raise OrderOnHold(order)
    check_credit(order.customer, order.total)
    order.transition_to(Order.Status.CONFIRMED, by=by)
    stock = WarehouseStock.default_for(order.customer.company)
    for line in order.lines.select_related("product"):
        if line.product.stocked:
            stock.reserve(line.product, line.quantity, order)
    transaction.on_commit(lambda: send_order_confirmation.delay(order.pk))
    return order


@transaction.atomic
def ship_order(order: Order, *, by=None) -> Order:
    """Take the reserved goods out of stock and hand the order over to the carrier."""
    order = Order.objects.select_for_update().select_related("customer__company").get(pk=order.pk)
    order.transition_to(Order.Status.SHIPPED, by=by)
    pieces = WarehouseStock.default_for(order.customer.company).ship(order)
    audit.record("goods left", order, actor=by, pieces=pieces)
    return order


@transaction.atomic
def release_hold(order: Order, *, by) -> Order:
    """A manager lets an order on hold go ahead as a draft."""
    order = Order.objects.select_for_update().get(pk=order.pk)
    order.transition_to(Order.Status.DRAFT, f"released by {by.get_username()}", by=by)
    return order


@transaction.atomic
def reject_order(order: Order, reason: str, *, by=None) -> Order:
    """Say no to an order; what was reserved for it becomes free."""
    order = Order.objects.select_for_update().get(pk=order.pk)
    order.transition_to(Order.Status.REJECTED, reason, by=by)
    return order


@transaction.atomic
def invoice_order(order: Order) -> Invoice:
    """Issue and post the invoice of a shipped order. If the ledger refuses, there is no invoice."""
    order = Order.objects.select_for_update().select_related("customer").get(pk=order.pk)
    issued = clock.today()
    order.transition_to(Order.Status.INVOICED)
    invoice = Invoice.objects.create(
        number=next_number("IN"),
        order=order,
        issued_on=issued,
        due_on=issued + datetime.timedelta(days=order.customer.payment_days),
        amount=order.total,
    )
    ledger.post(invoice.number, invoice.amount, f"{issued:%Y-%m}")
    return invoice


@transaction.atomic
def quote(customer_id: int, items: Sequence[Mapping[str, Any]], *, valid_days: int = 30) -> Quotation:
    """Offer ``items`` at today's prices for ``valid_days``."""
    customer = _customer(customer_id)
    price = PriceCalculator(customer)
    quotation = Quotation.objects.create(
        number=next_number("QU"),
        customer=customer,
        valid_until=clock.today() + datetime.timedelta(days=valid_days),
    )
    QuotationLine.objects.bulk_create(
        QuotationLine(
            quotation=quotation, product=product, quantity=quantity, unit_price=price(product, quantity)
        )
        for product, quantity in _parse_items(items)
    )
    return quotation


@transaction.atomic
def convert_quotation(quotation: Quotation, *, by=None) -> Order:
    """Turn a quotation into an order at the prices that were quoted."""
    quotation = Quotation.objects.select_for_update().select_related("customer").get(pk=quotation.pk)
    if quotation.order_id:
        raise InvalidTransition(f"quotation {quotation.number}", "ordered", "an order again")
    if clock.today() > quotation.valid_until:
        raise QuotationExpired(quotation)
    lines = list(quotation.lines.select_related("product").order_by("pk"))
    total = sum(line.quantity * line.unit_price for line in lines)
    check_credit(quotation.customer, total)
    order = Order.objects.create(
        number=next_number("SO"),
        customer=quotation.customer,
        requested_by=by,
        order_date=clock.today(),
        due_date=clock.today() + datetime.timedelta(days=DELIVERY_DAYS),
        total=total,
    )
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order,
            position=position,
            product=line.product,
            quantity=line.quantity,
            unit_price=line.unit_price,
        )
        for position, line in enumerate(lines, start=1)
    )
    quotation.order = order
    quotation.save(update_fields=["order"])
    return order


@dataclass(frozen=True)
class ImportedRow:
    """What became of one row of an order file: an order, or the problem that kept it from being one."""

    row: int
    order: Order | None = None
    problem: str = ""


def import_orders(rows: Iterable[Mapping[str, str]]) -> Iterator[ImportedRow]:
    """Take one order for each ``{"customer", "product", "quantity"}`` row, as the rows come.

    A row that is refused is reported and does not stop the ones after it.
    """
    for number, row in enumerate(rows, start=1):
        try:
            customer = Customer.objects.get(code=row["customer"])
            order = create_order(customer.pk, [{"product": row["product"], "quantity": row["quantity"]}])
        except Customer.DoesNotExist:
            yield ImportedRow(number, problem=f"there is no customer {row['customer']}")
        except KeyError as error:
            yield ImportedRow(number, problem=f"the column {error} is missing")
        except BusinessError as error:
            yield ImportedRow(number, problem=str(error))
        else:
            yield ImportedRow(number, order=order)


def confirmation_text(order: Order) -> str:
    """The body of the confirmation mail."""
    lines = "\n".join(
        f"  {line.quantity:>4} {line.product.name}, {line.unit_price} each"
        for line in order.lines.select_related("product")
    )
    return f"Thank you for your order {order.number}.\n\n{lines}\n\nTotal {order.total}, with you by {order.due_date}.\n"


def _customer(customer_id: int) -> Customer:
    try:
        return Customer.objects.select_related("company", "price_list").get(pk=customer_id)
    except Customer.DoesNotExist as error:
        raise UnknownCustomer(customer_id) from error


def _parse_items(items: Sequence[Mapping[str, Any]]) -> list[tuple[Product, int]]:
    if not items:
        raise InvalidInput("an order needs at least one item")
    try:
        wanted = [(str(item["product"]), int(item["quantity"])) for item in items]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput("each item needs a product and a whole quantity") from error
    if any(quantity < 1 for _, quantity in wanted):
        raise InvalidInput("quantities must be above zero")
    products = Product.objects.for_sale().in_bulk([code for code, _ in wanted], field_name="code")
    for code, _ in wanted:
        if code not in products:
            raise UnknownProduct(code)
    return [(products[code], quantity) for code, quantity in wanted]
