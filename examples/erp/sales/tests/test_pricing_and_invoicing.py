from __future__ import annotations

from decimal import Decimal

from erp.testing import ErpTestCase
from sales import services
from sales.errors import LedgerUnavailable, PeriodClosed, PriceImportError
from sales.ledger import ledger
from sales.models import Invoice, Order, PriceBreak, PriceList
from sales.outbox import outbox
from sales.pricing import PriceCalculator, import_prices
from sales.tasks import nightly_invoicing, send_order_confirmation


class PriceTests(ErpTestCase):
    def test_a_break_wins_over_the_discount(self):
        price = PriceCalculator(self.customer("Björk Interiör"))
        chair = self.product("CHR-ASPEN")
        self.assertEqual(
            [price(chair, quantity) for quantity in (1, 9, 10, 39, 40)],
            [Decimal(p) for p in ("1663.20", "1663.20", "1590.00", "1590.00", "1450.00")],
        )

    def test_prices_are_rounded_half_up(self):
        self.assertEqual(PriceCalculator.round_price(Decimal("10.005")), Decimal("10.01"))

    def test_all_breaks_are_read_with_one_query(self):
        price = PriceCalculator.for_customer(self.customer("Björk Interiör").pk)
        products = [self.product(code) for code in ("CHR-ASPEN", "TBL-FJALL", "STL-KVIST")]
        with self.assertNumQueries(1):
            for product in products:
                price(product, 50)

    def test_a_bad_row_keeps_the_whole_price_file_out(self):
        retail = PriceList.objects.get(code="RETAIL")
        before = PriceBreak.objects.count()
        rows = [
            {"product": "SHF-ELLE", "price": "600"},
            {"product": "SHF-ELLE", "min_quantity": "0x", "price": "5"},
        ]
        with self.assertRaises(PriceImportError) as caught:
            import_prices(retail, rows)
        self.assertEqual(caught.exception.row, 2)
        self.assertEqual(PriceBreak.objects.count(), before)


class NightTests(ErpTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(ledger.busy_for, 0)
        self.addCleanup(ledger.closed_periods.clear)
        order = services.create_order(self.customer("Torget 7").pk, [{"product": "CHR-ASPEN", "quantity": 1}])
        self.order = services.ship_order(services.confirm_order(order))

    def test_shipped_orders_are_invoiced_once(self):
        self.assertEqual(nightly_invoicing.apply().get(), 1)
        self.assertEqual(nightly_invoicing.apply().get(), 0)
        invoice = Invoice.objects.get(order=self.order)
        self.assertEqual(invoice.amount, self.order.total)
        self.assertEqual(ledger.postings[invoice.number], invoice.amount)

    def test_a_busy_ledger_is_tried_again(self):
        ledger.busy_for(3)
        self.assertEqual(nightly_invoicing.apply().get(), 1)

    def test_a_ledger_that_stays_away_leaves_no_invoice(self):
        ledger.busy_for(4)
        result = nightly_invoicing.apply()
        self.assertIsInstance(result.result, LedgerUnavailable)
        self.assertEqual(list(Order.objects.to_invoice()), [self.order])
        self.assertFalse(Invoice.objects.exists())

    def test_a_closed_period_is_not_tried_again(self):
        ledger.closed_periods.add("2026-03")
        self.assertIsInstance(nightly_invoicing.apply().result, PeriodClosed)

    def test_mail_is_tried_again_when_the_server_is_busy(self):
        outbox.busy_for(2)
        self.assertEqual(send_order_confirmation.apply(args=[self.order.pk]).get(), "order@c-1008.example")
