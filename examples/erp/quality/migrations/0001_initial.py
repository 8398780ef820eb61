import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import erp.clock
from erp.db import check_constraint


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("production", "0001_initial"),
        ("sales", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Gauge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=10, unique=True)),
                ("name", models.CharField(max_length=60)),
                ("calibrated_until", models.DateField()),
            ],
            options={
                "ordering": ["code"],
            },
        ),
        migrations.CreateModel(
            name="Characteristic",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=40)),
                ("unit", models.CharField(default="mm", max_length=6)),
                ("nominal", models.DecimalField(decimal_places=2, max_digits=9)),
                ("tolerance", models.DecimalField(decimal_places=2, max_digits=7)),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="characteristics",
                        to="sales.product",
                    ),
                ),
            ],
            options={
                "ordering": ["product__code", "name"],
            },
        ),
        migrations.CreateModel(
            name="Inspection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.CharField(max_length=12, unique=True)),
                ("inspected_on", models.DateField(default=erp.clock.today)),
                ("passed", models.BooleanField()),
                ("gauge", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="quality.gauge")),
                (
                    "inspector",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "work_order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="inspections",
                        to="production.workorder",
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="Measurement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("value", models.DecimalField(decimal_places=2, max_digits=9)),
                ("within", models.BooleanField()),
                (
                    "characteristic",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="quality.characteristic"
                    ),
                ),
                (
                    "inspection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="measurements",
                        to="quality.inspection",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="NonConformance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.CharField(max_length=12, unique=True)),
                ("description", models.CharField(max_length=200)),
                (
                    "disposition",
                    models.CharField(
                        choices=[
                            ("open", "To be decided"),
                            ("rework", "Rework"),
                            ("scrap", "Scrap"),
                            ("use_as_is", "Use as is"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                (
                    "inspection",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="non_conformance",
                        to="quality.inspection",
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.AddConstraint(
            model_name="characteristic",
            constraint=models.UniqueConstraint(
                fields=("product", "name"), name="one_characteristic_per_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="characteristic",
            constraint=check_constraint(
                condition=models.Q(("tolerance__gte", 0)), name="tolerance_not_negative"
            ),
        ),
    ]
