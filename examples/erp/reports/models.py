from __future__ import annotations

from django.conf import settings
from django.db import models

from erp import clock


class ReportRun(models.Model):
    """A report somebody had made, so that auditors can see who knew what."""

    name = models.CharField(max_length=40)
    company = models.ForeignKey("accounts.Company", on_delete=models.CASCADE, related_name="report_runs")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    made_on = models.DateField(default=clock.today)
    row_count = models.PositiveIntegerField()
    total = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} of {self.made_on}"
