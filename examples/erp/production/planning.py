"""Capacity planning: which job runs on which machine on which day."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from erp import clock
from production.errors import CapacityExceeded
from production.models import WorkCenter, WorkOrder


class Scheduler:
    """Fills working days forward, the most urgent job first, one job after another on each work center."""

    @dataclass(frozen=True)
    class Slot:
        """Some hours of a work center on a day, given to a work order."""

        day: datetime.date
        work_center: WorkCenter
        work_order: WorkOrder
        hours: Decimal

        @property
        def late(self) -> bool:
            return self.day > self.work_order.due_date

        def overlaps(self, other: Scheduler.Slot) -> bool:
            """Whether both want the same machine on the same day."""
            return (self.day, self.work_center) == (other.day, other.work_center)

    def __init__(self, start: datetime.date | None = None, horizon_days: int = 20) -> None:
        self.start = start or clock.today()
        self.horizon_days = horizon_days
        self._used: dict[tuple[int, datetime.date], Decimal] = {}

    def plan(self, work_orders: Iterable[WorkOrder] | None = None) -> list[Slot]:
        """Slots for all jobs; ``CapacityExceeded`` for the first that does not fit. Broken machines are skipped."""
        if work_orders is None:
            work_orders = WorkOrder.objects.to_plan().select_related("work_center", "product")
        slots: list[Scheduler.Slot] = []
        for work_order in work_orders:
            if not work_order.work_center.down:
                slots.extend(self._place(work_order))
        return slots

    def _place(self, work_order: WorkOrder) -> list[Slot]:
        slots = []
        left = work_order.hours
        for day in self.working_days(self.start, self.horizon_days):
            hours = min(left, self._free(work_order.work_center, day))
            if hours > 0:
                self._used[work_order.work_center_id, day] = (
                    self._used.get((work_order.work_center_id, day), Decimal(0)) + hours
                )
                slots.append(self.Slot(day, work_order.work_center, work_order, hours))
                left -= hours
            if left <= 0:
                return slots
        raise CapacityExceeded(work_order, self.horizon_days)

    def _free(self, work_center: WorkCenter, day: datetime.date) -> Decimal:
        return work_center.hours_per_day - self._used.get((work_center.pk, day), Decimal(0))

    @staticmethod
    def working_days(start: datetime.date, count: int) -> list[datetime.date]:
        """The next ``count`` days from ``start`` on that are not at a weekend."""
        days: list[datetime.date] = []
        day = start
        while len(days) < count:
            if day.weekday() < 5:
                days.append(day)
            day += datetime.timedelta(days=1)
        return days
