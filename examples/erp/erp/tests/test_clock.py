from __future__ import annotations

import datetime

from django.test import SimpleTestCase, override_settings
from django.utils import timezone

from erp import clock


class ClockTests(SimpleTestCase):
    def test_we_book_on_today_unless_a_date_is_given(self):
        self.assertEqual(clock.today(), timezone.localdate())
        given, inner = datetime.date(2026, 3, 9), datetime.date(2026, 3, 10)
        with override_settings(ERP_BOOKING_DATE=given):
            self.assertEqual(clock.today(), given)
            with clock.business_date(inner):
                self.assertEqual(clock.today(), inner)
