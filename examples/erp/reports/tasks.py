from __future__ import annotations

from celery import shared_task
from django.db.models import Sum

from accounts.models import Company
from reports.errors import ArchiveCorrupt
from reports.services import run_report
from sales.models import Invoice


@shared_task
def build_report(name: str, company_code: str) -> int:
    """Build a report in the background; returns how many rows it has."""
    return len(run_report(name, Company.objects.get(code=company_code)).rows)


@shared_task
def verify_archive(company_code: str, year: int, expected_total: str) -> str:
    """Compare a year's invoices with the total the archive has for it. ``ArchiveCorrupt`` when they differ."""
    invoices = Invoice.objects.filter(order__customer__company__code=company_code, issued_on__year=year)
    total = invoices.aggregate(total=Sum("amount"))["total"] or 0
    if f"{total:.2f}" != expected_total:
        raise ArchiveCorrupt(f"invoices of {year} come to {total:.2f}, the archive has {expected_total}")
    return expected_total
