"""What a warehouse holds, promises and lets go. Every change of stock goes through ``WarehouseStock``."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum

from inventory.errors import InsufficientStock, StockLocked
from inventory.models import Reservation, StockItem, StockMovement, Warehouse


class WarehouseStock:
    """The stock of one warehouse.

    Quantities change by ``UPDATE ... SET x = x + n WHERE`` the result is allowed, so that two clerks cannot both
    promise the last chair, also on databases that have no row locks.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    @classmethod
    def default_for(cls, company) -> WarehouseStock:
        """The stock of the warehouse a company ships from."""
        return cls(Warehouse.objects.get(company=company, is_default=True))

    @property
    def value(self) -> Decimal:
        """What everything on hand has cost us."""
        total = self.warehouse.items.aggregate(value=Sum(F("on_hand") * F("product__cost")))["value"]
        return total or Decimal("0.00")

    def available(self, product) -> int:
        """Pieces on hand that are not promised to anybody; 0 for a product this warehouse does not keep."""
        item = self.warehouse.items.filter(product=product).first()
        return item.free if item else 0

    @transaction.atomic
    def reserve(self, product, quantity: int, order) -> Reservation:
        """Promise ``quantity`` pieces to an order; ``InsufficientStock`` or ``StockLocked`` if we cannot."""
        item = self._lock(product, quantity)
        promised = StockItem.objects.filter(pk=item.pk, on_hand__gte=F("reserved") + quantity).update(
            reserved=F("reserved") + quantity
        )
        if not promised:
            raise InsufficientStock(product.code, quantity, item.free)
        reservation, created = Reservation.objects.get_or_create(
            item=item, order=order, defaults={"quantity": quantity}
        )
        if not created:
            Reservation.objects.filter(pk=reservation.pk).update(quantity=F("quantity") + quantity)
            reservation.refresh_from_db()
        return reservation

    @transaction.atomic
    def release(self, order) -> int:
        """Take back everything promised to an order; returns how many pieces became free."""
        pieces = 0
        for reservation in self._reservations(order):
            StockItem.objects.filter(pk=reservation.item_id).update(
                reserved=F("reserved") - reservation.quantity
            )
            pieces += reservation.quantity
            reservation.delete()
        return pieces

    @transaction.atomic
    def ship(self, order) -> int:
        """Let go of what was promised to an order; returns how many pieces left."""
        pieces = 0
        for reservation in self._reservations(order):
            item = self._lock(reservation.item.product, reservation.quantity)
            StockItem.objects.filter(pk=item.pk).update(
                on_hand=F("on_hand") - reservation.quantity, reserved=F("reserved") - reservation.quantity
            )
            self._book(item, StockMovement.Kind.SHIPMENT, -reservation.quantity, order.number)
            pieces += reservation.quantity
            reservation.delete()
        return pieces

    @transaction.atomic
    def receive(
        self, product, quantity: int, reference: str, kind: str = StockMovement.Kind.RECEIPT
    ) -> StockItem:
        """Put ``quantity`` pieces on the shelf, making room for a product that was not kept here before."""
        item, _ = StockItem.objects.get_or_create(warehouse=self.warehouse, product=product)
        item = self._lock(product, quantity)
        StockItem.objects.filter(pk=item.pk).update(on_hand=F("on_hand") + quantity)
        self._book(item, kind, quantity, reference)
        item.refresh_from_db()
        return item

    @transaction.atomic
    def consume(self, product, quantity: int, reference: str) -> StockItem:
        """Take free pieces for production; promised ones stay where they are."""
        item = self._lock(product, quantity)
        taken = StockItem.objects.filter(pk=item.pk, on_hand__gte=F("reserved") + quantity).update(
            on_hand=F("on_hand") - quantity
        )
        if not taken:
            raise InsufficientStock(product.code, quantity, item.free)
        self._book(item, StockMovement.Kind.CONSUMPTION, -quantity, reference)
        item.refresh_from_db()
        return item

    def _lock(self, product, quantity: int) -> StockItem:
        """The product's item, locked where the database can, and not while it is being counted."""
        item = self.warehouse.items.select_for_update(of=("self",)).filter(product=product).first()
        if item is None:
            raise InsufficientStock(product.code, quantity, 0)
        if item.counting:
            raise StockLocked(product.code, self.warehouse.code)
        return item

    def _reservations(self, order):
        return (
            Reservation.objects.filter(order=order, item__warehouse=self.warehouse)
            .select_related("item__product")
            .order_by("item__product__code")
        )

    @staticmethod
    def _book(item: StockItem, kind: str, quantity: int, reference: str) -> None:
        StockMovement.objects.create(item=item, kind=kind, quantity=quantity, reference=reference)
