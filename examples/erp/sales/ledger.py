"""The general ledger, where invoices are posted. It is a system of its own with hours of its own."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings

from sales.errors import LedgerUnavailable, PeriodClosed


class Ledger:
    """An in-process ledger with the manners of the real one: it can be busy, and months can be closed."""

    def __init__(self) -> None:
        self.postings: dict[str, Decimal] = {}
        self.closed_periods: set[str] = set(settings.ERP_CLOSED_PERIODS)
        self._busy_for = 0

    def busy_for(self, calls: int) -> None:
        """Refuse the next ``calls`` postings."""
        self._busy_for = calls

    def post(self, number: str, amount: Decimal, period: str) -> None:
        """Post an invoice once; posting the same number again changes nothing."""
        if self._busy_for > 0:
            self._busy_for -= 1
            raise LedgerUnavailable("the ledger does not answer")
        if period in self.closed_periods:
            raise PeriodClosed(period)
        self.postings[number] = amount


ledger = Ledger()
