"""The business date. Due dates, price validity and overdue lists go by it and never by the wall clock."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings
from django.utils import timezone

_fixed: ContextVar[datetime.date | None] = ContextVar("business_date", default=None)


def today() -> datetime.date:
    """The date we book on: the fixed one if there is one, else today where the company is."""
    return _fixed.get() or settings.ERP_BOOKING_DATE or timezone.localdate()


@contextmanager
def business_date(date: datetime.date) -> Iterator[None]:
    """Book on ``date``: for catching up after a closed day, for demonstrations and for tests."""
    token = _fixed.set(date)
    try:
        yield
    finally:
        _fixed.reset(token)
