from __future__ import annotations

import datetime
from decimal import Decimal

from django.db import models
from django.db.models import Sum


class CustomerQuerySet(models.QuerySet):
    def active(self) -> CustomerQuerySet:
        return self.filter(status="active")

    def for_company(self, company) -> CustomerQuerySet:
        return self.filter(company=company)


class ProductManager(models.Manager):
    def for_sale(self) -> models.QuerySet:
        return self.filter(active=True, sellable=True)

    def manufactured(self) -> models.QuerySet:
        return self.filter(kind="manufactured")


class OrderQuerySet(models.QuerySet):
    def for_company(self, company) -> OrderQuerySet:
        return self.filter(customer__company=company)

    def open(self) -> OrderQuerySet:
        """Accepted by us and not yet with the customer."""
        return self.filter(status="confirmed")

    def overdue(self, on: datetime.date) -> OrderQuerySet:
        return self.open().filter(due_date__lt=on)

    def to_invoice(self) -> OrderQuerySet:
        return self.filter(status="shipped", invoice__isnull=True)

    def value(self) -> Decimal:
        return self.aggregate(value=Sum("total"))["value"] or Decimal("0.00")
