"""What the shop floor rejects."""

from __future__ import annotations

from typing import Any

from erp.errors import BusinessError


class ProductionError(BusinessError):
    code = "production"


class MachineBreakdown(ProductionError):
    """The work center a job needs is down."""

    code = "machine_breakdown"

    def __init__(self, work_center: Any) -> None:
        super().__init__(f"{work_center.name} is down: {work_center.down_reason or 'no reason given'}")
        self.work_center = work_center


class BomCycle(ProductionError):
    """A product is, through its own parts, a part of itself."""

    code = "bom_cycle"
    status = 422

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__(" → ".join(path))
        self.path = path


class MaterialShortage(ProductionError):
    """Parts are missing; ``missing`` says how many of each product code."""

    code = "material_shortage"

    def __init__(self, work_order: Any, missing: dict[str, int]) -> None:
        parts = ", ".join(f"{quantity} × {code}" for code, quantity in sorted(missing.items()))
        super().__init__(f"work order {work_order.number} lacks {parts}")
        self.missing = missing

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "missing": self.missing}


class CapacityExceeded(ProductionError):
    """A job does not fit within the horizon we plan for."""

    code = "capacity"

    def __init__(self, work_order: Any, horizon_days: int) -> None:
        super().__init__(f"work order {work_order.number} does not fit within {horizon_days} days")
        self.work_order = work_order
