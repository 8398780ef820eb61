from __future__ import annotations

import datetime

from celery import shared_task

from erp import clock
from quality.models import Gauge


@shared_task
def gauges_due(days: int = 30) -> list[str]:
    """Codes of the gauges whose calibration runs out within ``days``, or already has."""
    until = clock.today() + datetime.timedelta(days=days)
    return list(Gauge.objects.filter(calibrated_until__lte=until).values_list("code", flat=True))
