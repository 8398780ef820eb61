"""What the warehouse and its suppliers reject."""

from __future__ import annotations

from typing import Any

from erp.errors import BusinessError


class InventoryError(BusinessError):
    code = "inventory"


class InsufficientStock(InventoryError):
    """Fewer pieces are free than were requested."""

    code = "insufficient_stock"

    def __init__(self, product_code: str, requested: int, available: int) -> None:
        super().__init__(product_code, requested, available)
        self.product_code = product_code
        self.requested = requested
        self.available = available

    def __str__(self) -> str:
        return f"{self.product_code}: {self.requested} requested, {self.available} available"

    def as_dict(self) -> dict[str, Any]:
        return {
            **super().as_dict(),
            "product": self.product_code,
            "requested": self.requested,
            "available": self.available,
        }


class StockLocked(InventoryError):
    """The shelf is being counted; nothing moves until the count is closed."""

    code = "stock_locked"
    status = 423

    def __init__(self, product_code: str, warehouse: str) -> None:
        super().__init__(f"{product_code} is being counted in {warehouse}")
        self.product_code = product_code
        self.warehouse = warehouse


class SupplierError(InventoryError):
    code = "supplier"
    status = 502


class SupplierTimeout(SupplierError):
    """A supplier's gateway took longer than we are willing to wait."""

    code = "supplier_timeout"
    status = 504

    def __init__(self, codes: list[str], seconds: float) -> None:
        super().__init__(f"no answer within {seconds} s about {', '.join(codes)}")
        self.codes = codes
        self.seconds = seconds


class UnknownSupplierItem(SupplierError):
    code = "unknown_supplier_item"
    status = 404

    def __init__(self, product_code: str) -> None:
        super().__init__(f"no supplier carries {product_code!r}")
        self.product_code = product_code
