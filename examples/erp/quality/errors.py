"""What quality rejects. A failed inspection is a finding and not an error."""

from __future__ import annotations

from typing import Any

from erp.errors import BusinessError


class QualityError(BusinessError):
    code = "quality"


class CalibrationExpired(QualityError):
    """A gauge may not be used after its calibration has run out."""

    code = "calibration_expired"

    def __init__(self, gauge: Any) -> None:
        super().__init__(f"{gauge.name} was calibrated until {gauge.calibrated_until}")
        self.gauge = gauge


class UnknownCharacteristic(QualityError):
    code = "unknown_characteristic"
    status = 422

    def __init__(self, product_code: str, name: str) -> None:
        super().__init__(f"{product_code} has no characteristic {name!r}")
        self.name = name
