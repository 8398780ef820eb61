from __future__ import annotations

import datetime
from decimal import Decimal

from django.core import mail

from erp import clock
from erp.errors import InvalidInput, InvalidTransition
from erp.testing import ErpTestCase
from inventory.errors import InsufficientStock
from sales import services
from sales.errors import CreditLimitExceeded, OrderOnHold, QuotationExpired, UnknownProduct
from sales.models import Order


def chairs(quantity):
    return [{"product": "CHR-ASPEN", "quantity": quantity}]


class OrderTests(ErpTestCase):
    def take(self, name="Torget 7", items=None) -> Order:
        return services.create_order(
            self.customer(name).pk, items or chairs(4), requested_by=self.user("anna")
        )

    def test_a_new_order_is_a_draft_at_the_customers_prices(self):
        order = self.take()
        self.assertEqual(order.status, "draft")
        self.assertEqual(order.total, 4 * Decimal("1663.20"))

    def test_a_blocked_customers_order_is_kept_on_hold(self):
        with self.assertRaises(OrderOnHold) as caught:
            self.take("Rönnskär Bostäder")
        self.assertEqual(Order.objects.get(pk=caught.exception.order.pk).status, "on_hold")

    def test_an_order_above_the_limit_comes_back_rejected(self):
        order = self.take("Hotell Norrsken", [{"product": "CHR-TUVA", "quantity": 60}])
        self.assertEqual(order.status, "rejected")
        self.assertIn("order limit", order.reason)

    def test_credit_counts_what_is_owed_already_and_stores_nothing(self):
        services.confirm_order(self.take("Skogsbryn Restaurang", chairs(15)))
        before = Order.objects.count()
        with self.assertRaises(CreditLimitExceeded) as caught:
            self.take("Skogsbryn Restaurang", chairs(10))
        self.assertGreaterEqual(caught.exception.exposure, 15 * Decimal("1890"))
        self.assertEqual(Order.objects.count(), before)

    def test_input_that_makes_no_sense_is_refused(self):
        for items in ([], [{"product": "CHR-ASPEN"}], chairs(0), chairs("some")):
            with self.subTest(items=items), self.assertRaises(InvalidInput):
                services.create_order(self.customer("Torget 7").pk, items)
        with self.assertRaises(UnknownProduct):
            self.take(items=[{"product": "BRD-OAK", "quantity": 1}])

    def test_confirming_reserves_and_mails_once_stored(self):
        before = self.stock.available(self.product("CHR-ASPEN"))
        with self.captureOnCommitCallbacks(execute=True):
            order = services.confirm_order(self.take())
        self.assertEqual(self.stock.available(self.product("CHR-ASPEN")), before - 4)
        self.assertEqual([message.subject for message in mail.outbox], [f"Order {order.number} is confirmed"])
        order.refresh_from_db()
        self.assertTrue(order.confirmation_sent)

    def test_an_order_that_cannot_be_served_stays_a_draft_with_nothing_reserved(self):
        order = self.take(items=[*chairs(2), {"product": "CAB-VINTER", "quantity": 5}])
        before = self.stock.available(self.product("CHR-ASPEN"))
        with self.assertRaises(InsufficientStock):
            services.confirm_order(order)
        order.refresh_from_db()
        self.assertEqual(order.status, "draft")
        self.assertEqual(self.stock.available(self.product("CHR-ASPEN")), before)

    def test_services_need_no_stock(self):
        order = self.take(items=[{"product": "SRV-DELIVERY", "quantity": 1}])
        self.assertEqual(services.confirm_order(order).status, "confirmed")

    def test_only_confirmed_orders_ship(self):
        with self.assertRaises(InvalidTransition):
            services.ship_order(self.take())

    def test_a_rejected_order_gives_its_goods_back(self):
        before = self.stock.available(self.product("CHR-ASPEN"))
        services.reject_order(services.confirm_order(self.take()), "called off")
        self.assertEqual(self.stock.available(self.product("CHR-ASPEN")), before)

    def test_a_quotation_keeps_its_prices_and_is_ordered_once(self):
        offer = services.quote(self.customer("Torget 7").pk, chairs(4))
        self.product("CHR-ASPEN").price_breaks.all().delete()
        order = services.convert_quotation(offer)
        self.assertEqual(order.total, 4 * Decimal("1663.20"))
        with self.assertRaises(InvalidTransition):
            services.convert_quotation(offer)

    def test_a_quotation_expires(self):
        offer = services.quote(self.customer("Torget 7").pk, chairs(4), valid_days=3)
        with (
            clock.business_date(clock.today() + datetime.timedelta(days=4)),
            self.assertRaises(QuotationExpired),
        ):
            services.convert_quotation(offer)

    def test_an_order_file_is_read_row_by_row(self):
        def rows():
            yield {"customer": "C-1004", "product": "SHF-ELLE", "quantity": "2"}
            yield {"customer": "C-0000", "product": "SHF-ELLE", "quantity": "2"}
            raise AssertionError("read ahead")

        results = services.import_orders(rows())
        self.assertIsNotNone(next(results).order)
        self.assertEqual(next(results).problem, "there is no customer C-0000")

    def test_orders_of_another_company_are_not_found(self):
        order = self.take("Kahvila Pohjola", chairs(1))
        self.assertEqual(self.browser("anna").get(f"/orders/{order.number}/").status_code, 404)

    def test_the_page_takes_and_confirms_an_order(self):
        anna = self.browser("anna")
        form = {"customer": self.customer("Torget 7").pk, "product": "CHR-ASPEN", "quantity": 2}
        page = anna.post("/orders/new/", form, follow=True)
        order = page.context["order"]
        anna.post(f"/orders/{order.number}/confirm/")
        order.refresh_from_db()
        self.assertEqual(order.status, "confirmed")

    def test_the_api_explains_a_refusal(self):
        body = {"customer": "C-1022", "items": [{"product": "CAB-VINTER", "quantity": 5}]}
        number = self.api("anna").post("/api/orders/", body, content_type="application/json").json()["number"]
        answer = self.api("anna").post(f"/api/orders/{number}/confirm/")
        self.assertEqual(answer.status_code, 409)
        error = answer.json()["error"]
        self.assertEqual(
            (error["code"], error["requested"], error["available"]), ("insufficient_stock", 5, 2)
        )
