from decimal import Decimal

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

from erp.db import check_constraint


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
        ("sales", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkCenter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=8, unique=True)),
                ("name", models.CharField(max_length=60)),
                (
                    "hours_per_day",
                    models.DecimalField(decimal_places=1, default=Decimal("8.0"), max_digits=4),
                ),
                ("down", models.BooleanField(default=False)),
                ("down_reason", models.CharField(blank=True, max_length=120)),
            ],
            options={
                "ordering": ["code"],
                "constraints": [
                    check_constraint(
                        condition=models.Q(("hours_per_day__gt", 0), ("hours_per_day__lte", 24)),
                        name="work_center_hours_in_a_day",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="BillOfMaterials",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hours_per_piece", models.DecimalField(decimal_places=2, max_digits=6)),
                (
                    "product",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="bom", to="sales.product"
                    ),
                ),
                (
                    "work_center",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="production.workcenter"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "bills of materials",
                "ordering": ["product__code"],
            },
        ),
        migrations.CreateModel(
            name="BomLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "quantity",
                    models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1)]),
                ),
                (
                    "bom",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="production.billofmaterials",
                    ),
                ),
                (
                    "component",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="used_in",
                        to="sales.product",
                    ),
                ),
            ],
            options={
                "ordering": ["bom", "component__code"],
                "constraints": [
                    models.UniqueConstraint(fields=("bom", "component"), name="one_bom_line_per_component"),
                    check_constraint(condition=models.Q(("quantity__gte", 1)), name="bom_line_has_quantity"),
                ],
            },
        ),
        migrations.CreateModel(
            name="WorkOrder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.CharField(max_length=12, unique=True)),
                (
                    "quantity",
                    models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1)]),
                ),
                ("completed_quantity", models.PositiveIntegerField(default=0)),
                ("hours", models.DecimalField(decimal_places=2, max_digits=8)),
                ("due_date", models.DateField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("planned", "Planned"),
                            ("released", "Released"),
                            ("blocked", "Blocked"),
                            ("completed", "Completed"),
                        ],
                        db_index=True,
                        default="planned",
                        max_length=10,
                    ),
                ),
                (
                    "company",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="work_orders",
                        to="accounts.company",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="work_orders",
                        to="sales.product",
                    ),
                ),
                (
                    "work_center",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="work_orders",
                        to="production.workcenter",
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
                "permissions": [("release_workorder", "Can release work orders")],
                "constraints": [
                    check_constraint(
                        condition=models.Q(("completed_quantity__lte", models.F("quantity"))),
                        name="completed_at_most_what_was_ordered",
                    )
                ],
            },
        ),
    ]
