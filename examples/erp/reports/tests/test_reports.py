from __future__ import annotations

from decimal import Decimal

from erp.testing import ErpTestCase
from reports import builders
from reports.errors import ArchiveCorrupt, UnknownReport
from reports.models import ReportRun
from reports.services import run_report
from reports.tasks import verify_archive


class ReportTests(ErpTestCase):
    def test_every_report_can_be_opened_and_saved(self):
        anna = self.browser("anna")
        for name in builders.BUILDERS:
            with self.subTest(report=name):
                self.assertEqual(anna.get(f"/reports/{name}/").status_code, 200)
                file = anna.get(f"/reports/{name}/?format=csv")
                self.assertTrue(file["Content-Type"].startswith("text/csv"))
        self.assertEqual(ReportRun.objects.count(), 2 * len(builders.BUILDERS))

    def test_the_valuation_adds_up_over_the_warehouses(self):
        report = builders.stock_valuation(self.company)
        warehouses = self.company.warehouses.all()
        self.assertEqual(report.total, sum(type(self.stock)(warehouse).value for warehouse in warehouses))

    def test_overdue_orders_come_oldest_first(self):
        days_late = [int(row[3]) for row in builders.overdue_orders(self.company).rows]
        self.assertEqual(days_late, sorted(days_late, reverse=True))
        self.assertGreater(days_late[-1], 0)

    def test_money_is_printed_in_groups(self):
        self.assertEqual(builders.helper_format_row("A", 3, Decimal("1234567.5")), ["A", "3", "1 234 567.50"])

    def test_an_unknown_report_is_not_found(self):
        with self.assertRaises(UnknownReport):
            run_report("weather", self.company)
        self.assertEqual(self.browser("anna").get("/reports/weather/").status_code, 404)

    def test_an_archive_that_does_not_add_up_is_an_error(self):
        self.assertIsInstance(verify_archive.apply(args=["NF-SE", 2026, "1.00"]).result, ArchiveCorrupt)
        self.assertEqual(verify_archive.apply(args=["NF-SE", 2026, "0.00"]).get(), "0.00")
