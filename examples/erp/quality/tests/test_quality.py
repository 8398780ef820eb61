from __future__ import annotations

import datetime

from erp import clock
from erp.errors import InvalidInput
from erp.testing import ErpTestCase
from production.services import plan_work_order, release_work_order
from quality.errors import CalibrationExpired, UnknownCharacteristic
from quality.models import Gauge, Inspection, NonConformance
from quality.services import decide, record_inspection


class InspectionTests(ErpTestCase):
    def setUp(self) -> None:
        super().setUp()
        due_date = clock.today() + datetime.timedelta(days=14)
        job = plan_work_order(self.company, self.product("CHR-ASPEN"), 2, due_date)
        self.job = release_work_order(job)
        self.caliper = Gauge.objects.get(code="CAL-300")

    def test_readings_at_the_edge_of_the_tolerance_pass(self):
        inspection = record_inspection(self.job, {"seat height": 452, "wobble": "0.5"}, gauge=self.caliper)
        self.assertTrue(inspection.passed)
        self.assertEqual(inspection.measurements.count(), 2)

    def test_a_failed_inspection_blocks_the_job_until_it_is_decided(self):
        inspection = record_inspection(self.job, {"seat height": 452.01}, gauge=self.caliper)
        self.assertFalse(inspection.passed)
        self.job.refresh_from_db()
        self.assertEqual(self.job.status, "blocked")
        report = NonConformance.objects.get(inspection=inspection)
        decide(report, NonConformance.Disposition.REWORK, by=self.user("carla"))
        self.job.refresh_from_db()
        self.assertEqual(self.job.status, "released")

    def test_an_expired_gauge_measures_nothing(self):
        with self.assertRaises(CalibrationExpired):
            record_inspection(self.job, {"wobble": 0}, gauge=Gauge.objects.get(code="MOI-2"))
        self.assertFalse(Inspection.objects.exists())

    def test_readings_must_be_numbers_of_known_characteristics(self):
        with self.assertRaises(UnknownCharacteristic):
            record_inspection(self.job, {"colour": 1}, gauge=self.caliper)
        for readings in ({}, {"wobble": "little"}):
            with self.assertRaises(InvalidInput):
                record_inspection(self.job, readings, gauge=self.caliper)
