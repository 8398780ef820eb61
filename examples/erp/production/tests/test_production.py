from __future__ import annotations

import datetime

from erp import clock
from erp.testing import ErpTestCase
from production.errors import BomCycle, CapacityExceeded, MachineBreakdown, MaterialShortage
from production.models import WorkCenter
from production.planning import Scheduler
from production.services import complete_work_order, explode_bom, plan_work_order, release_work_order


class ProductionTests(ErpTestCase):
    def plan(self, code: str, quantity: int):
        due_date = clock.today() + datetime.timedelta(days=14)
        return plan_work_order(self.company, self.product(code), quantity, due_date)

    def test_a_bom_is_exploded_through_all_levels(self):
        self.assertEqual(
            explode_bom(self.product("TBL-FJALL"), 2),
            {"BRD-OAK": 20, "GLU-D3": 4, "LAC-MATT": 10, "PKG-LARGE": 4, "SCR-M6": 32},
        )

    def test_a_cycle_is_reported_with_its_path(self):
        with self.assertRaises(BomCycle) as caught:
            explode_bom(self.product("PRO-LOOM"))
        self.assertEqual(caught.exception.path, ("PRO-LOOM", "PRO-LOOM-HINGE", "PRO-LOOM"))

    def test_a_broken_machine_starts_nothing(self):
        job = self.plan("ASM-LEG-OAK", 4)
        WorkCenter.objects.filter(code="CNC").update(down=True)
        with self.assertRaises(MachineBreakdown):
            release_work_order(job)
        job.refresh_from_db()
        self.assertEqual(job.status, "planned")

    def test_missing_parts_are_named(self):
        with self.assertRaises(MaterialShortage) as caught:
            release_work_order(self.plan("BED-RIPA", 6))
        self.assertEqual(caught.exception.missing["ASM-FRAME-BED"], 8)

    def test_a_finished_job_moves_parts_and_product(self):
        seats = self.stock.available(self.product("ASM-SEAT"))
        stools = self.stock.available(self.product("STL-KVIST"))
        job = complete_work_order(release_work_order(self.plan("STL-KVIST", 4)), 3)
        self.assertEqual(job.completed_quantity, 3)
        self.assertEqual(self.stock.available(self.product("ASM-SEAT")), seats - 4)
        self.assertEqual(self.stock.available(self.product("STL-KVIST")), stools + 3)

    def test_no_machine_works_more_hours_than_it_has(self):
        slots = Scheduler(horizon_days=40).plan()
        used: dict = {}
        for slot in slots:
            key = (slot.work_center.pk, slot.day)
            used[key] = used.get(key, 0) + slot.hours
            self.assertLess(slot.day.weekday(), 5)
            self.assertLessEqual(used[key], slot.work_center.hours_per_day)

    def test_a_job_beyond_the_horizon_is_an_error(self):
        with self.assertRaises(CapacityExceeded):
            Scheduler(horizon_days=2).plan([self.plan("CHR-TUVA", 20)])
