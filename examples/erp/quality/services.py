"""Inspections, and what follows from one that is not passed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from django.db import transaction

from accounts import audit
from accounts.services import next_number
from erp import clock
from erp.errors import InvalidInput
from quality.errors import CalibrationExpired, UnknownCharacteristic
from quality.models import Characteristic, Gauge, Inspection, Measurement, NonConformance
from quality.signals import inspection_failed


@transaction.atomic
def record_inspection(
    work_order, readings: Mapping[str, object], *, gauge: Gauge, inspector=None
) -> Inspection:
    """Store the readings, ``{"width": 1800.4}``, and judge them.

    The inspection is passed when every reading is within tolerance. One that is not opens a non-conformance and
    blocks the work order. Raises ``CalibrationExpired``, ``UnknownCharacteristic`` or ``InvalidInput``.
    """
    if gauge.calibrated_until < clock.today():
        raise CalibrationExpired(gauge)
    measured = [
        (characteristic, value, characteristic.accepts(value))
        for characteristic, value in _match(work_order.product, readings)
    ]
    inspection = Inspection.objects.create(
        number=next_number("QI"),
        work_order=work_order,
        gauge=gauge,
        inspector=inspector,
        inspected_on=clock.today(),
        passed=all(within for _, _, within in measured),
    )
    Measurement.objects.bulk_create(
        Measurement(inspection=inspection, characteristic=characteristic, value=value, within=within)
        for characteristic, value, within in measured
    )
    audit.record("inspection", inspection, actor=inspector, passed=inspection.passed)
    if not inspection.passed:
        _open_non_conformance(inspection, [(what, value) for what, value, within in measured if not within])
    return inspection


def _open_non_conformance(
    inspection: Inspection, outside: list[tuple[Characteristic, Decimal]]
) -> NonConformance:
    report = NonConformance.objects.create(
        number=next_number("NC"),
        inspection=inspection,
        description=", ".join(
            f"{what.name} {value} instead of {what.nominal} ± {what.tolerance}" for what, value in outside
        )[:200],
    )
    inspection_failed.send(sender=Inspection, inspection=inspection)
    return report


def _match(product, readings: Mapping[str, object]) -> list[tuple[Characteristic, Decimal]]:
    """Each reading with the characteristic it is about, in order of name."""
    if not readings:
        raise InvalidInput("an inspection needs at least one reading")
    known = {characteristic.name: characteristic for characteristic in product.characteristics.all()}
    matched = []
    for name, value in sorted(readings.items()):
        if name not in known:
            raise UnknownCharacteristic(product.code, name)
        try:
            matched.append((known[name], Decimal(str(value)).quantize(Decimal("0.01"))))
        except InvalidOperation as error:
            raise InvalidInput(f"{name}: {value!r} is not a number") from error
    return matched


@transaction.atomic
def decide(report: NonConformance, disposition: str, *, by) -> NonConformance:
    """Settle what becomes of the goods; rework lets the work order go on."""
    report.disposition = NonConformance.Disposition(disposition)
    report.save(update_fields=["disposition"])
    work_order = report.inspection.work_order
    if report.disposition == NonConformance.Disposition.REWORK and work_order.status == "blocked":
        work_order.transition_to("released")
    audit.record("non-conformance decided", report, actor=by, disposition=report.disposition)
    return report
