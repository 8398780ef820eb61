from __future__ import annotations

import asyncio
from unittest import mock

from django.db import IntegrityError, transaction

from erp.testing import ErpTestCase
from inventory.errors import InsufficientStock, StockLocked, SupplierTimeout, UnknownSupplierItem
from inventory.models import PurchaseOrder, Reservation, StockItem, StockMovement
from inventory.suppliers import fetch_lead_times, gateway, stream_price_pages
from inventory.tasks import replenish_warehouse
from sales import services


class StockTests(ErpTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cabinet = self.product("CAB-VINTER")
        self.order = services.create_order(
            self.customer("Piteå Havsbad").pk, [{"product": "CAB-VINTER", "quantity": 1}]
        )

    def test_the_last_pieces_are_promised_once(self):
        self.stock.reserve(self.cabinet, 2, self.order)
        with self.assertRaises(InsufficientStock) as caught:
            self.stock.reserve(self.cabinet, 1, self.order)
        self.assertEqual(str(caught.exception), "CAB-VINTER: 1 requested, 0 available")

    def test_reservations_for_one_order_add_up(self):
        self.stock.reserve(self.cabinet, 1, self.order)
        self.stock.reserve(self.cabinet, 1, self.order)
        self.assertEqual(Reservation.objects.get(order=self.order).quantity, 2)

    def test_nothing_moves_while_a_shelf_is_counted(self):
        StockItem.objects.filter(product=self.cabinet).update(counting=True)
        for move in (
            lambda: self.stock.reserve(self.cabinet, 1, self.order),
            lambda: self.stock.receive(self.cabinet, 1, "PO-1"),
            lambda: self.stock.consume(self.cabinet, 1, "WO-1"),
        ):
            with self.assertRaises(StockLocked):
                move()

    def test_shipping_books_a_movement(self):
        self.stock.reserve(self.cabinet, 2, self.order)
        self.assertEqual(self.stock.ship(self.order), 2)
        item = StockItem.objects.get(warehouse__code="UME", product=self.cabinet)
        self.assertEqual((item.on_hand, item.reserved), (0, 0))
        movement = StockMovement.objects.filter(item=item).first()
        self.assertEqual((movement.kind, movement.quantity), ("shipment", -2))

    def test_production_does_not_take_what_is_promised(self):
        self.stock.reserve(self.cabinet, 2, self.order)
        with self.assertRaises(InsufficientStock):
            self.stock.consume(self.cabinet, 1, "WO-00001")

    def test_the_database_itself_refuses_to_promise_too_much(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            StockItem.objects.filter(product=self.cabinet).update(reserved=999)


class SupplierTests(ErpTestCase):
    def test_lead_times_are_asked_side_by_side(self):
        with mock.patch.object(gateway, "latency", 0.05):
            answer = asyncio.run(fetch_lead_times(gateway.lead_times, timeout=0.4))
        self.assertEqual(answer, dict(sorted(gateway.lead_times.items())))

    def test_a_timeout_names_those_who_did_not_answer(self):
        with mock.patch.dict(gateway.slow, {"FAB-WOOL": 5.0}), self.assertRaises(SupplierTimeout) as caught:
            asyncio.run(fetch_lead_times(["BRD-OAK", "FAB-WOOL"], timeout=0.05))
        self.assertEqual(caught.exception.codes, ["FAB-WOOL"])

    def test_what_nobody_carries_is_an_error(self):
        with self.assertRaises(UnknownSupplierItem):
            asyncio.run(fetch_lead_times(["TEAK-XL"]))

    def test_the_api_passes_lead_times_on(self):
        bo = self.api("bo")
        self.assertEqual(bo.get("/api/stock/lead-times/?codes=SCR-M6").json(), {"lead_times": {"SCR-M6": 3}})
        self.assertEqual(bo.get("/api/stock/lead-times/?codes=TEAK-XL").status_code, 404)
        self.assertEqual(self.client.get("/api/stock/lead-times/?codes=SCR-M6").status_code, 401)

    def test_the_api_passes_lead_times_on_to_who_is_signed_in_on_the_page(self):
        answer = self.browser("bo").get("/api/stock/lead-times/?codes=SCR-M6")
        self.assertEqual(answer.status_code, 200)

    def test_price_pages_end_with_the_last_row(self):
        async def read():
            return [row async for page in stream_price_pages(size=4) for row in page]

        self.assertEqual(dict(asyncio.run(read())), gateway.prices)

    def test_replenishment_orders_what_is_low_once(self):
        numbers = replenish_warehouse.apply(args=["UME"]).get()
        ordered = PurchaseOrder.objects.filter(number__in=numbers).order_by("number")
        self.assertEqual([order.item.product.code for order in ordered], ["HNG-BRASS", "VNR-ASH"])
        self.assertEqual(replenish_warehouse.apply(args=["UME"]).get(), [])
