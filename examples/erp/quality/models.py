from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q

from erp import clock
from erp.db import check_constraint


class Gauge(models.Model):
    code = models.CharField(max_length=10, unique=True)
    name = models.CharField(max_length=60)
    calibrated_until = models.DateField()

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Characteristic(models.Model):
    """Something measured on a product, with the value it should have and by how much it may miss it."""

    product = models.ForeignKey("sales.Product", on_delete=models.CASCADE, related_name="characteristics")
    name = models.CharField(max_length=40)
    unit = models.CharField(max_length=6, default="mm")
    nominal = models.DecimalField(max_digits=9, decimal_places=2)
    tolerance = models.DecimalField(max_digits=7, decimal_places=2)

    class Meta:
        ordering = ["product__code", "name"]
        constraints = [
            models.UniqueConstraint(fields=["product", "name"], name="one_characteristic_per_name"),
            check_constraint(Q(tolerance__gte=0), "tolerance_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.nominal} ± {self.tolerance} {self.unit}"

    def accepts(self, value: Decimal) -> bool:
        return abs(value - self.nominal) <= self.tolerance


class InspectionQuerySet(models.QuerySet):
    def for_company(self, company) -> InspectionQuerySet:
        return self.filter(work_order__company=company)

    def failed(self) -> InspectionQuerySet:
        return self.filter(passed=False)


class Inspection(models.Model):
    number = models.CharField(max_length=12, unique=True)
    work_order = models.ForeignKey(
        "production.WorkOrder", on_delete=models.PROTECT, related_name="inspections"
    )
    gauge = models.ForeignKey(Gauge, on_delete=models.PROTECT)
    inspector = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    inspected_on = models.DateField(default=clock.today)
    passed = models.BooleanField()

    objects = InspectionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return self.number


class Measurement(models.Model):
    inspection = models.ForeignKey(Inspection, on_delete=models.CASCADE, related_name="measurements")
    characteristic = models.ForeignKey(Characteristic, on_delete=models.PROTECT)
    value = models.DecimalField(max_digits=9, decimal_places=2)
    within = models.BooleanField()

    def __str__(self) -> str:
        return f"{self.characteristic.name} {self.value}"


class NonConformance(models.Model):
    class Disposition(models.TextChoices):
        OPEN = "open", "To be decided"
        REWORK = "rework", "Rework"
        SCRAP = "scrap", "Scrap"
        USE_AS_IS = "use_as_is", "Use as is"

    number = models.CharField(max_length=12, unique=True)
    inspection = models.OneToOneField(Inspection, on_delete=models.PROTECT, related_name="non_conformance")
    description = models.CharField(max_length=200)
    disposition = models.CharField(max_length=10, choices=Disposition.choices, default=Disposition.OPEN)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return self.number
