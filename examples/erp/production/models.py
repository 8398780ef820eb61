from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from erp.db import check_constraint
from erp.errors import InvalidTransition


class WorkCenter(models.Model):
    code = models.CharField(max_length=8, unique=True)
    name = models.CharField(max_length=60)
    hours_per_day = models.DecimalField(max_digits=4, decimal_places=1, default=Decimal("8.0"))
    down = models.BooleanField(default=False)
    down_reason = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ["code"]
        constraints = [
            check_constraint(Q(hours_per_day__gt=0) & Q(hours_per_day__lte=24), "work_center_hours_in_a_day")
        ]

    def __str__(self) -> str:
        return self.name


class BillOfMaterials(models.Model):
    product = models.OneToOneField("sales.Product", on_delete=models.CASCADE, related_name="bom")
    work_center = models.ForeignKey(WorkCenter, on_delete=models.PROTECT)
    hours_per_piece = models.DecimalField(max_digits=6, decimal_places=2)

    class Meta:
        verbose_name_plural = "bills of materials"
        ordering = ["product__code"]

    def __str__(self) -> str:
        return f"BOM of {self.product.code}"


class BomLine(models.Model):
    bom = models.ForeignKey(BillOfMaterials, on_delete=models.CASCADE, related_name="lines")
    component = models.ForeignKey("sales.Product", on_delete=models.PROTECT, related_name="used_in")
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["bom", "component__code"]
        constraints = [
            models.UniqueConstraint(fields=["bom", "component"], name="one_bom_line_per_component"),
            check_constraint(Q(quantity__gte=1), "bom_line_has_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.component.code}"


class WorkOrderQuerySet(models.QuerySet):
    def for_company(self, company) -> WorkOrderQuerySet:
        return self.filter(company=company)

    def to_plan(self) -> WorkOrderQuerySet:
        return self.filter(status__in=["planned", "released"]).order_by("due_date", "number")


class WorkOrder(models.Model):
    class Status(models.TextChoices):
        PLANNED = "planned", "Planned"
        RELEASED = "released", "Released"
        BLOCKED = "blocked", "Blocked"
        COMPLETED = "completed", "Completed"

    TRANSITIONS = {
        Status.PLANNED: {Status.RELEASED},
        Status.RELEASED: {Status.COMPLETED, Status.BLOCKED},
        Status.BLOCKED: {Status.RELEASED},
        Status.COMPLETED: {Status.BLOCKED},
    }

    number = models.CharField(max_length=12, unique=True)
    company = models.ForeignKey("accounts.Company", on_delete=models.PROTECT, related_name="work_orders")
    product = models.ForeignKey("sales.Product", on_delete=models.PROTECT, related_name="work_orders")
    work_center = models.ForeignKey(WorkCenter, on_delete=models.PROTECT, related_name="work_orders")
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    completed_quantity = models.PositiveIntegerField(default=0)
    hours = models.DecimalField(max_digits=8, decimal_places=2)
    due_date = models.DateField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLANNED, db_index=True)

    objects = WorkOrderQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        permissions = [("release_workorder", "Can release work orders")]
        constraints = [
            check_constraint(Q(completed_quantity__lte=F("quantity")), "completed_at_most_what_was_ordered")
        ]

    def __str__(self) -> str:
        return self.number

    def transition_to(self, status: str) -> None:
        """Move to ``status`` and save; ``InvalidTransition`` if there is no such step."""
        if status not in self.TRANSITIONS[self.Status(self.status)]:
            raise InvalidTransition(f"work order {self.number}", self.status, status)
        self.status = self.Status(status).value
        self.save(update_fields=["status"])
