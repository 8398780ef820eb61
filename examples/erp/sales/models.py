from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from erp import clock
from erp.db import check_constraint
from erp.errors import InvalidTransition
from sales.managers import CustomerQuerySet, OrderQuerySet, ProductManager


class Product(models.Model):
    class Kind(models.TextChoices):
        MANUFACTURED = "manufactured", "Manufactured"
        PURCHASED = "purchased", "Purchased"
        SERVICE = "service", "Service"

    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    list_price = models.DecimalField(max_digits=12, decimal_places=2, validators=[MinValueValidator(0)])
    cost = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal("0.00"))
    unit = models.CharField(max_length=6, default="pcs")
    sellable = models.BooleanField(default=True)
    active = models.BooleanField(default=True)

    objects = ProductManager()

    class Meta:
        ordering = ["code"]
        constraints = [check_constraint(Q(list_price__gte=0) & Q(cost__gte=0), "product_prices_not_negative")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"

    @property
    def stocked(self) -> bool:
        return self.kind != self.Kind.SERVICE


class PriceList(models.Model):
    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=80)
    discount_percent = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal("0.00"))

    def __str__(self) -> str:
        return self.name


class PriceBreak(models.Model):
    """From ``min_quantity`` pieces on, a product costs ``price`` each on this list."""

    price_list = models.ForeignKey(PriceList, on_delete=models.CASCADE, related_name="breaks")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="price_breaks")
    min_quantity = models.PositiveIntegerField(default=1)
    price = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        ordering = ["price_list", "product", "min_quantity"]
        constraints = [
            models.UniqueConstraint(
                fields=["price_list", "product", "min_quantity"], name="one_price_per_break"
            ),
            check_constraint(Q(min_quantity__gte=1) & Q(price__gte=0), "price_break_sane"),
        ]

    def __str__(self) -> str:
        return f"{self.product.code} from {self.min_quantity}: {self.price}"


class Customer(models.Model):
    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        BLOCKED = "blocked", "Blocked"

    company = models.ForeignKey("accounts.Company", on_delete=models.PROTECT, related_name="customers")
    code = models.CharField(max_length=12, unique=True)
    name = models.CharField(max_length=80)
    email = models.EmailField(blank=True)
    city = models.CharField(max_length=60, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    credit_limit = models.DecimalField(max_digits=12, decimal_places=2)
    payment_days = models.PositiveSmallIntegerField(default=30)
    price_list = models.ForeignKey(PriceList, on_delete=models.SET_NULL, null=True, blank=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [check_constraint(Q(credit_limit__gte=0), "credit_limit_not_negative")]

    def __str__(self) -> str:
        return self.name

    @property
    def blocked(self) -> bool:
        return self.status == self.Status.BLOCKED

    def exposure(self) -> Decimal:
        """What the customer owes or will owe: orders accepted but not invoiced, and unpaid invoices."""
        accepted = self.orders.filter(status__in=[Order.Status.CONFIRMED, Order.Status.SHIPPED]).value()
        unpaid = Invoice.objects.filter(order__customer=self, paid_on__isnull=True).aggregate(
            value=models.Sum("amount")
        )["value"]
        return accepted + (unpaid or Decimal("0.00"))


class Order(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        CONFIRMED = "confirmed", "Confirmed"
        REJECTED = "rejected", "Rejected"
        ON_HOLD = "on_hold", "On hold"
        SHIPPED = "shipped", "Shipped"
        INVOICED = "invoiced", "Invoiced"

    TRANSITIONS = {
        Status.DRAFT: {Status.CONFIRMED, Status.REJECTED, Status.ON_HOLD},
        Status.ON_HOLD: {Status.DRAFT, Status.REJECTED},
        Status.CONFIRMED: {Status.SHIPPED, Status.REJECTED},
        Status.SHIPPED: {Status.INVOICED},
        Status.REJECTED: set(),
        Status.INVOICED: set(),
    }

    number = models.CharField(max_length=12, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT, db_index=True)
    reason = models.CharField(max_length=200, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    order_date = models.DateField(default=clock.today)
    due_date = models.DateField()
    total = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal("0.00"))
    confirmation_sent = models.BooleanField(default=False)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        permissions = [
            ("confirm_order", "Can confirm orders"),
            ("ship_order", "Can ship orders"),
            ("release_hold", "Can release orders on hold"),
        ]
        constraints = [
            check_constraint(Q(total__gte=0), "order_total_not_negative"),
            check_constraint(Q(due_date__gte=F("order_date")), "order_due_after_ordered"),
        ]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        return reverse("sales:order", args=[self.number])

    def transition_to(self, status: str, reason: str = "", *, by=None) -> None:
        """Move to ``status`` and save; ``InvalidTransition`` if the state machine has no such step."""
        from sales.signals import order_status_changed

        if status not in self.TRANSITIONS[self.Status(self.status)]:
            raise InvalidTransition(f"order {self.number}", self.status, status)
        previous, self.status, self.reason = self.status, self.Status(status).value, reason
        self.save(update_fields=["status", "reason"])
        order_status_changed.send(sender=type(self), order=self, previous=previous, by=by)


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveSmallIntegerField()
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        ordering = ["order", "position"]
        constraints = [
            models.UniqueConstraint(fields=["order", "position"], name="one_line_per_position"),
            check_constraint(Q(quantity__gte=1), "order_line_has_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product.code}"

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


class Quotation(models.Model):
    number = models.CharField(max_length=12, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="quotations")
    valid_until = models.DateField()
    order = models.OneToOneField(Order, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return self.number


class QuotationLine(models.Model):
    quotation = models.ForeignKey(Quotation, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product.code}"


class Invoice(models.Model):
    number = models.CharField(max_length=12, unique=True)
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="invoice")
    issued_on = models.DateField(default=clock.today)
    due_on = models.DateField()
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    paid_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return self.number
