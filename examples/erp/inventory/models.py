from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from erp import clock
from erp.db import check_constraint


class Warehouse(models.Model):
    company = models.ForeignKey("accounts.Company", on_delete=models.PROTECT, related_name="warehouses")
    code = models.CharField(max_length=6, unique=True)
    name = models.CharField(max_length=60)
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["code"]
        constraints = [
            models.UniqueConstraint(
                fields=["company"], condition=Q(is_default=True), name="one_default_warehouse_per_company"
            )
        ]

    def __str__(self) -> str:
        return self.name


class StockItemQuerySet(models.QuerySet):
    def for_company(self, company) -> StockItemQuerySet:
        return self.filter(warehouse__company=company)

    def with_available(self) -> StockItemQuerySet:
        return self.annotate(available=F("on_hand") - F("reserved"))

    def to_replenish(self) -> StockItemQuerySet:
        """Purchased goods whose free stock, counting what is already on order, is below the reorder point."""
        on_order = Coalesce(
            models.Sum("purchase_orders__quantity", filter=Q(purchase_orders__status="open")), 0
        )
        return (
            self.with_available()
            .annotate(on_order=on_order)
            .filter(product__kind="purchased", reorder_quantity__gt=0)
            .filter(available__lt=F("reorder_point") - F("on_order"))
        )


class StockItem(models.Model):
    """One product in one warehouse, counted in whole units."""

    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="items")
    product = models.ForeignKey("sales.Product", on_delete=models.PROTECT, related_name="stock")
    on_hand = models.IntegerField(default=0)
    reserved = models.IntegerField(default=0)
    reorder_point = models.PositiveIntegerField(default=0)
    reorder_quantity = models.PositiveIntegerField(default=0)
    counting = models.BooleanField(default=False, help_text="A stock count is under way; nothing may move.")

    objects = StockItemQuerySet.as_manager()

    class Meta:
        ordering = ["warehouse", "product__code"]
        constraints = [
            models.UniqueConstraint(fields=["warehouse", "product"], name="one_stock_item_per_product"),
            check_constraint(Q(reserved__gte=0) & Q(on_hand__gte=F("reserved")), "stock_covers_reservations"),
        ]

    def __str__(self) -> str:
        return f"{self.product.code} in {self.warehouse.code}"

    @property
    def free(self) -> int:
        return self.on_hand - self.reserved

    @property
    def is_low(self) -> bool:
        return self.free < self.reorder_point


class StockMovement(models.Model):
    class Kind(models.TextChoices):
        RECEIPT = "receipt", "Receipt"
        SHIPMENT = "shipment", "Shipment"
        CONSUMPTION = "consumption", "Consumption"
        PRODUCTION = "production", "Production"
        COUNT = "count", "Count"

    item = models.ForeignKey(StockItem, on_delete=models.PROTECT, related_name="movements")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    quantity = models.IntegerField(help_text="Positive into the warehouse, negative out of it.")
    reference = models.CharField(max_length=20, blank=True)
    booked_on = models.DateField(default=clock.today)

    class Meta:
        ordering = ["-id"]
        constraints = [check_constraint(~Q(quantity=0), "movement_moves_something")]

    def __str__(self) -> str:
        return f"{self.quantity:+d} {self.item}"


class Reservation(models.Model):
    item = models.ForeignKey(StockItem, on_delete=models.CASCADE, related_name="reservations")
    order = models.ForeignKey("sales.Order", on_delete=models.CASCADE, related_name="reservations")
    quantity = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "order"], name="one_reservation_per_item")]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.item} for {self.order}"


class PurchaseOrder(models.Model):
    class Status(models.TextChoices):
        OPEN = "open", "Open"
        RECEIVED = "received", "Received"

    number = models.CharField(max_length=12, unique=True)
    item = models.ForeignKey(StockItem, on_delete=models.PROTECT, related_name="purchase_orders")
    quantity = models.PositiveIntegerField()
    expected_on = models.DateField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return self.number
