"""A working day at Norrland Furniture: what goes well in it, and what does not.

Every step finds or makes the things it needs, so that it can be played without the ones before it.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth import get_user_model
from django.test import override_settings

from accounts.models import AuditEntry, Company
from erp import clock
from erp.demo.runner import (
    Day,
    customer,
    items,
    latest_order,
    messages,
    product,
    sign_in,
    step,
    table_rows,
    tiles,
    visitor,
)
from inventory.errors import InsufficientStock, SupplierTimeout
from inventory.models import PurchaseOrder, StockItem
from inventory.stock import WarehouseStock
from inventory.suppliers import fetch_lead_times, gateway, stream_price_pages
from inventory.tasks import replenish_warehouse
from production.errors import BomCycle, CapacityExceeded, MachineBreakdown, MaterialShortage
from production.models import WorkCenter, WorkOrder
from production.planning import Scheduler
from production.services import complete_work_order, explode_bom, plan_work_order, release_work_order
from production.tasks import find_late_work_orders
from quality.errors import CalibrationExpired
from quality.models import Gauge, NonConformance
from quality.services import decide, record_inspection
from quality.tasks import gauges_due
from reports.tasks import build_report, verify_archive
from sales import services
from sales.errors import CreditLimitExceeded, OrderOnHold, PriceImportError, QuotationExpired, UnknownCustomer
from sales.ledger import ledger
from sales.models import Order, PriceList
from sales.outbox import outbox
from sales.pricing import PriceCalculator, import_prices
from sales.tasks import nightly_invoicing, send_order_confirmation

# --- Opening ---------------------------------------------------------------------------------------


@step("07:30", "Anna, Bo and Carla sign in")
def sign_ins(day: Day) -> None:
    for username in ("anna", "bo", "carla"):
        page = day.browser(username).get("/accounts/me/")
        user = page.wsgi_request.user
        day.say(f"{user.get_full_name()} signed in, {len(user.get_all_permissions())} permissions")


@step("07:34", "somebody guesses Bo's password")
def guessed_password(day: Day) -> None:
    for guess in range(8, 20):
        response = sign_in(visitor(), "bo", f"granskog-bo-{guess}")
    failed = AuditEntry.objects.filter(action="sign-in failed").count()
    day.say(f"sign-in of bo refused ({response.status_code}), {failed} on the audit log")


@step("07:36", "a visitor who is not signed in")
def visitor_turned_away(day: Day) -> None:
    response = visitor().get("/orders/")
    day.say(f"a visitor asking for the orders is sent to {response['Location']}")


@step("07:40", "the dashboard of the morning")
def dashboard(day: Day) -> None:
    figures = tiles(day.browser("anna").get("/"))
    day.say("dashboard: " + ", ".join(f"{figure} {caption}" for caption, figure in figures.items()))


@step("07:45", "everybody looks at their pages")
def pages(day: Day) -> None:
    job = WorkOrder.objects.order_by("number").first()
    item = StockItem.objects.get(product__code="CHR-ASPEN", warehouse__code="UME")
    order = Order.objects.for_company(item.warehouse.company).order_by("number").first()
    for username, path in (
        ("anna", "/orders/"),
        ("anna", "/orders/?status=confirmed"),
        ("anna", f"/orders/{order.number}/"),
        ("anna", "/orders/new/"),
        ("bo", "/stock/"),
        ("bo", f"/stock/{item.pk}/"),
        ("carla", "/work-orders/"),
        ("carla", f"/work-orders/{job.number}/"),
        ("carla", "/work-orders/plan/"),
        ("carla", "/inspections/"),
        ("carla", "/accounts/audit/"),
        ("anna", "/reports/"),
    ):
        response = day.browser(username).get(path)
        day.say(f"{username:<5} {response.status_code} {path}")


# --- Suppliers and prices --------------------------------------------------------------------------


@step("07:55", "suppliers answer with their lead times")
def lead_times(day: Day) -> None:
    days = asyncio.run(fetch_lead_times(["BRD-OAK", "FAB-WOOL", "SCR-M6"]))
    day.say("lead times: " + ", ".join(f"{code} {count} d" for code, count in days.items()))


@step("07:58", "the lead times over the API, with a product nobody carries")
def lead_times_api(day: Day) -> None:
    bo = day.terminal("bo")
    for codes in ("GLS-4MM,HNG-BRASS", "TEAK-XL"):
        response = bo.get(f"/api/stock/lead-times/?codes={codes}")
        body = response.json()
        outcome = body["lead_times"] if response.status_code == 200 else body["error"]["message"]
        day.say(f"lead times of {codes}: {response.status_code} {outcome}")


@step("08:00", "a supplier takes too long")
def supplier_timeout(day: Day) -> None:
    with slow_supplier("FAB-WOOL"):
        try:
            asyncio.run(fetch_lead_times(["BRD-OAK", "FAB-WOOL"], timeout=0.2))
        except SupplierTimeout as error:
            day.say(f"supplier timeout: {error}")


@step("08:03", "the suppliers' price list comes in page by page")
def price_pages(day: Day) -> None:
    async def read() -> list[int]:
        return [len(page) async for page in stream_price_pages(size=6)]

    sizes = asyncio.run(read())
    day.say(f"supplier prices: {sum(sizes)} rows on {len(sizes)} pages")


@step("08:10", "a price file with a bad row, and the corrected one")
def price_import(day: Day) -> None:
    retail = PriceList.objects.get(code="RETAIL")
    rows = [
        {"product": "STL-KVIST", "min_quantity": "10", "price": "1290,00"},
        {"product": "SHF-ELLE", "min_quantity": "20", "price": "59o,00"},
        {"product": "BNC-LADA", "min_quantity": "5", "price": "1890,00"},
    ]
    try:
        import_prices(retail, rows)
    except PriceImportError as error:
        day.say(f"price import refused: {error}")
    rows[1]["price"] = "590,00"
    day.say(f"price import: {import_prices(retail, rows)} prices")


@step("08:15", "prices for three customers")
def price_check(day: Day) -> None:
    chair = product("CHR-ASPEN")
    for name in ("Café Storsjön", "Björk Interiör", "Hotell Norrsken"):
        price = PriceCalculator.for_customer(customer(name).pk)
        quoted = ", ".join(f"{quantity} at {price(chair, quantity)}" for quantity in (1, 20, 50))
        day.say(f"{name} pays for {chair.code}: {quoted} (list discount {price.discount:.0%})")


# --- Orders ----------------------------------------------------------------------------------------


@step("08:30", "an order taken on the page and confirmed there")
def order_on_page(day: Day) -> None:
    anna = day.browser("anna")
    buyer = customer("Torget 7")
    anna.post("/orders/new/", {"customer": buyer.pk, "product": "CHR-ASPEN", "quantity": 4})
    order = latest_order()
    anna.post(f"/orders/{order.number}/confirm/")
    order.refresh_from_db()
    day.say(f"order {order.number} {order.status} for {buyer}, {order.total}")


@step("08:41", "an order over the API")
def order_over_api(day: Day) -> None:
    anna = day.terminal("anna")
    body = {"customer": "C-1003", "items": items(STL_KVIST=12, ACC_FELT=3)}
    taken = anna.post("/api/orders/", body, content_type="application/json").json()
    confirmed = anna.post(f"/api/orders/{taken['number']}/confirm/").json()
    day.say(
        f"order {confirmed['number']} {confirmed['status']} for {confirmed['customer']}, {confirmed['total']}"
    )
    listed = anna.get("/api/orders/?status=confirmed").json()["orders"]
    day.say(f"the API lists {len(listed)} confirmed orders")


@step("09:12", "an order of three lines confirmed")
def order_confirmed(day: Day) -> None:
    order = take("Björk Interiör", TBL_FJALL=2, CHR_ASPEN=8, SRV_DELIVERY=1)
    order = services.confirm_order(order, by=user("anna"))
    day.say(
        f"order {order.number} {order.status} for {order.customer}, {order.lines.count()} lines, {order.total}"
    )


@step("09:20", "an order for more than there is")
def out_of_stock(day: Day) -> None:
    order = take("Piteå Havsbad", CAB_VINTER=5)
    try:
        services.confirm_order(order, by=user("anna"))
    except InsufficientStock as error:
        day.say(f"order {order.number} cannot be confirmed: {error}")
    answer = day.terminal("anna").post(f"/api/orders/{order.number}/confirm/")
    day.say(f"the API says so too: {answer.status_code} {answer.json()['error']['code']}")


@step("09:26", "an order for a shelf that is being counted")
def stock_being_counted(day: Day) -> None:
    order = take("Galleri Kallt", SHF_ISAK=1)
    shelf = StockItem.objects.filter(product__code="SHF-ISAK", warehouse__code="UME")
    shelf.update(counting=True)
    try:
        answer = day.terminal("anna").post(f"/api/orders/{order.number}/confirm/")
        day.say(f"order {order.number} has to wait: {answer.status_code} {answer.json()['error']['message']}")
    finally:
        shelf.update(counting=False)
    order = services.confirm_order(order, by=user("anna"))
    day.say(f"order {order.number} {order.status} after the count")


@step("09:33", "an order above the order limit")
def order_rejected(day: Day) -> None:
    order = take("Hotell Norrsken", CHR_TUVA=60)
    day.say(f"order {order.number} {order.status} for {order.customer}: {order.reason}")


@step("09:40", "orders of a blocked customer, one of which a manager releases")
def customer_on_hold(day: Day) -> None:
    try:
        take("Rönnskär Bostäder", SHF_ELLE=10)
    except OrderOnHold as error:
        day.say(str(error))
    body = {"customer": "C-1021", "items": items(SHF_ELLE=2)}
    answer = day.terminal("anna").post("/api/orders/", body, content_type="application/json")
    held = latest_order()
    day.say(f"the API answers {answer.status_code} {answer.json()['error']['code']} for {held.customer}")
    day.browser("carla").post(f"/orders/{held.number}/release/")
    held.refresh_from_db()
    day.say(f"order {held.number} is a {held.status}, {held.reason}")


@step("09:52", "a customer at the credit limit")
def credit_limit(day: Day) -> None:
    try:
        take("Skogsbryn Restaurang", TBL_FJALL=5)
    except CreditLimitExceeded as error:
        day.say(f"no order: {error}")
    body = {"customer": "C-1015", "items": items(CAB_HAGE=6)}
    answer = day.terminal("anna").post("/api/orders/", body, content_type="application/json")
    day.say(f"the API answers {answer.status_code} {answer.json()['error']['code']}")


@step("10:00", "an order file with rows of all kinds")
def order_file(day: Day) -> None:
    rows = [
        {"customer": "C-1004", "product": "SHF-ELLE", "quantity": "12"},
        {"customer": "C-9999", "product": "SHF-ELLE", "quantity": "1"},
        {"customer": "C-1012", "product": "ACC-OILKIT", "quantity": "x"},
        {"customer": "C-1006", "product": "STL-KVIST", "quantity": "2"},
        {"customer": "C-1009", "product": "BNC-LADA", "quantity": "6"},
    ]
    for result in services.import_orders(rows):
        day.say(f"row {result.row}: {result.order or result.problem}")


@step("10:08", "an order for a customer nobody knows")
def unknown_customer(day: Day) -> None:
    try:
        services.create_order(0, items(CHR_ASPEN=1))
    except UnknownCustomer as error:
        day.say(f"no order: {error}")


@step("10:10", "a quotation becomes an order, another has expired")
def quotations(day: Day) -> None:
    offer = services.quote(customer("Kvarnen Konferens").pk, items(CHR_TUVA=2, TBL_MYREN=1))
    order = services.convert_quotation(offer, by=user("anna"))
    day.say(f"quotation {offer.number} became order {order.number}, {order.total}")
    offer = services.quote(customer("Malå Fjällstuga").pk, items(BNC_LADA=2), valid_days=14)
    with clock.business_date(offer.valid_until + datetime.timedelta(days=1)):
        try:
            services.convert_quotation(offer)
        except QuotationExpired as error:
            day.say(str(error))


@step("10:20", "calls of the API that are turned down")
def api_refusals(day: Day) -> None:
    order = latest_order()
    for who, client, path, body in (
        ("nobody", visitor(), "/api/orders/", {}),
        ("bo", day.terminal("bo"), "/api/orders/", {"customer": "C-1001", "items": items(CHR_ASPEN=1)}),
        ("anna", day.terminal("anna"), "/api/orders/", {"customer": "C-1001", "items": []}),
        ("anna", day.terminal("anna"), "/api/orders/", {"customer": "C-1001", "items": items(CHR_ASPEM=1)}),
        ("anna", day.terminal("anna"), f"/api/orders/{order.number}/ship/", {}),
        ("carla", day.terminal("carla"), "/api/work-orders/WO-99999/release/", {}),
    ):
        answer = client.post(path, body, content_type="application/json")
        day.say(f"{who:<6} POST {path} {answer.status_code} {answer.json()['error']['code']}")


@step("10:30", "a confirmed order is shipped, and cannot be shipped twice")
def order_shipped(day: Day) -> None:
    order = services.confirm_order(take("Lundgrens Möbler", SHF_ELLE=4, ACC_OILKIT=1), by=user("anna"))
    bo = day.browser("bo")
    bo.post(f"/orders/{order.number}/ship/")
    order.refresh_from_db()
    day.say(f"order {order.number} {order.status} to {order.customer}")
    page = bo.post(f"/orders/{order.number}/ship/", follow=True)
    day.say("; ".join(messages(page, "error")))


@step("10:38", "a confirmed order is called off and its goods become free")
def order_called_off(day: Day) -> None:
    order = services.confirm_order(take("Jokkmokks Marknad", ACC_FELT=5), by=user("anna"))
    stock = main_store()
    before = stock.available(product("ACC-FELT"))
    services.reject_order(order, "called off by the customer")
    day.say(
        f"order {order.number} called off, {stock.available(product('ACC-FELT')) - before} pieces free again"
    )


@step("10:44", "a confirmation is sent again; the mail server takes it at the third attempt")
def mail_retried(day: Day) -> None:
    order = services.confirm_order(take("Åsa Holm Arkitekter", TBL_SKARET=1), by=user("anna"))
    outbox.busy_for(2)
    result = send_order_confirmation.apply(args=[order.pk])
    day.say(f"confirmation of {order.number}: {result.state} to {result.get()}")


# --- Reports and what goes wrong on pages ----------------------------------------------------------


@step("10:50", "the slow report")
def slow_report(day: Day) -> None:
    rows = table_rows(day.browser("anna").get("/reports/sales-by-customer/?format=csv"))
    best, _, turnover, share = rows[0]
    day.say(f"sales by customer: {len(rows)} customers, best {best} with {turnover}, {share} of all")


@step("10:56", "the quick reports, as pages and as files")
def quick_reports(day: Day) -> None:
    anna = day.browser("anna")
    for name in ("stock-valuation", "overdue-orders", "production-load"):
        page = anna.get(f"/reports/{name}/")
        file = anna.get(f"/reports/{name}/?format=csv")
        day.say(
            f"{name}: {page.status_code}, and {len(table_rows(file))} rows in {file['Content-Disposition']}"
        )
    day.say(f"in the background: {build_report.apply(args=['overdue-orders', 'NF-FI']).get()} rows for NF-FI")


@step("11:00", "pages that are not for everybody")
def forbidden(day: Day) -> None:
    for username, path in (("bo", "/accounts/audit/"), ("bo", "/reports/"), ("anna", "/inspections/")):
        day.say(f"{username} may not open {path}: {day.browser(username).get(path).status_code}")


@step("11:04", "pages that are not there")
def not_found(day: Day) -> None:
    anna = day.browser("anna")
    for path in ("/orders/SO-99999/", "/reports/weather/", "/favicon.ico"):
        day.say(f"anna looks for {path}: {anna.get(path).status_code}")


@step("11:08", "the margin of an order, and of one that is delivery only")
def margin_page(day: Day) -> None:
    anna = day.browser("anna")
    for order in (take("Holmsunds Trä", ACC_OILKIT=3), take("Docksta Vandrarhem", SRV_DELIVERY=1)):
        response = anna.get(f"/orders/{order.number}/margin/")
        shown = (
            f"markup {tiles(response)['Markup on cost']}" if response.status_code == 200 else "the page broke"
        )
        day.say(f"margin of {order.number}: {response.status_code}, {shown}")


# --- Production ------------------------------------------------------------------------------------


@step("11:20", "what goes into ten tables")
def bom_explosion(day: Day) -> None:
    for code, quantity in (("TBL-FJALL", 10), ("CAB-VINTER", 2)):
        parts = explode_bom(product(code), quantity)
        day.say(f"{quantity} × {code}: " + ", ".join(f"{parts[part]} {part}" for part in sorted(parts)))


@step("11:26", "a prototype that is a part of itself")
def bom_cycle(day: Day) -> None:
    try:
        explode_bom(product("PRO-LOOM"))
    except BomCycle as error:
        day.say(f"bill of materials goes round in circles: {error}")


@step("11:30", "a work order is released and done")
def work_order_done(day: Day) -> None:
    job = release_work_order(new_job("STL-KVIST", 4), by=user("carla"))
    day.say(f"{job.number} {job.status}: {job.quantity} × {job.product.code} on {job.work_center}")
    job = complete_work_order(job, 3, by=user("carla"))
    day.say(f"{job.number} {job.status}: {job.completed_quantity} of {job.quantity} made")


@step("11:42", "the CNC mill breaks down")
def machine_breakdown(day: Day) -> None:
    job = new_job("ASM-LEG-OAK", 8)
    with broken("CNC", "spindle bearing"):
        try:
            release_work_order(job, by=user("carla"))
        except MachineBreakdown as error:
            day.say(f"{job.number} cannot start: {error}")
        answer = day.terminal("carla").post(f"/api/work-orders/{job.number}/release/")
        day.say(f"the terminal shows {answer.status_code} {answer.json()['error']['code']}")
    answer = day.terminal("carla").post(f"/api/work-orders/{job.number}/release/")
    day.say(f"after the repair: {answer.status_code} {answer.json()['status']}")


@step("11:50", "parts are missing for beds")
def material_shortage(day: Day) -> None:
    try:
        release_work_order(new_job("BED-RIPA", 6), by=user("carla"))
    except MaterialShortage as error:
        day.say(str(error))


@step("12:50", "the plan of the weeks to come, and a job too large for it")
def planning(day: Day) -> None:
    slots = Scheduler(horizon_days=40).plan()
    hours = sum(slot.hours for slot in slots)
    day.say(f"plan: {len(slots)} slots, {hours} h, last on {max(slot.day for slot in slots)}")
    day.say(f"late as things stand: {', '.join(find_late_work_orders.apply().get()) or 'none'}")
    try:
        Scheduler(horizon_days=5).plan([new_job("CHR-TUVA", 40, save=False)])
    except CapacityExceeded as error:
        day.say(str(error))


# --- Quality ---------------------------------------------------------------------------------------


@step("13:10", "an inspection that is passed")
def inspection_passed(day: Day) -> None:
    job = release_work_order(new_job("CHR-ASPEN", 2), by=user("carla"))
    readings = {"seat height": 451.2, "wobble": 0.1}
    inspection = record_inspection(job, readings, gauge=gauge("CAL-300"), inspector=user("carla"))
    day.say(f"inspection {inspection.number} of {job.number}: {verdict(inspection)}")


@step("13:20", "an inspection that is not, and what comes of it")
def inspection_failed(day: Day) -> None:
    job = release_work_order(new_job("CHR-ASPEN", 2), by=user("carla"))
    readings = {"seat height": 455.5, "wobble": 0.2}
    inspection = record_inspection(job, readings, gauge=gauge("CAL-300"), inspector=user("carla"))
    job.refresh_from_db()
    report = NonConformance.objects.get(inspection=inspection)
    day.say(f"inspection {inspection.number} of {job.number}: {verdict(inspection)}, the job is {job.status}")
    decide(report, NonConformance.Disposition.REWORK, by=user("carla"))
    job.refresh_from_db()
    day.say(f"{report.number} ({report.description}): rework, the job is {job.status} again")
    day.say(
        f"page of {inspection.number}: {day.browser('carla').get(f'/inspections/{inspection.number}/').status_code}"
    )


@step("13:28", "a gauge whose calibration has expired")
def calibration_expired(day: Day) -> None:
    job = new_job("TBL-FJALL", 1)
    try:
        record_inspection(job, {"moisture": 8.4}, gauge=gauge("MOI-2"), inspector=user("carla"))
    except CalibrationExpired as error:
        day.say(f"no inspection: {error}")
    day.say(f"to be calibrated within 120 days: {', '.join(gauges_due.apply(args=[120]).get())}")


@step("13:35", "inspections over the API")
def inspection_api(day: Day) -> None:
    carla = day.terminal("carla")
    job = new_job("TBL-FJALL", 1)
    for code, readings in (
        ("TAPE-5", {"length": 1800.4, "width": 899.8}),
        ("TAPE-5", {"length": 1802.1}),
        ("MOI-2", {"moisture": 7.9}),
        ("TAPE-5", {"height": 720}),
        ("TAPE-5", {"width": "wide"}),
    ):
        body = {"work_order": job.number, "gauge": code, "readings": readings}
        answer = carla.post("/api/inspections/", body, content_type="application/json")
        reply = answer.json()
        outcome = f"passed {reply['passed']}" if answer.status_code == 201 else reply["error"]["message"]
        day.say(f"{', '.join(readings)} by {code}: {answer.status_code} {outcome}")


# --- Afternoon rush and night ----------------------------------------------------------------------


@step("14:00", "replenishment, with one supplier not answering")
def replenishment(day: Day) -> None:
    with slow_supplier("VNR-ASH", timeout=0.2):
        numbers = replenish_warehouse.apply(args=["UME"]).get()
    for order in (
        PurchaseOrder.objects.filter(number__in=numbers).select_related("item__product").order_by("number")
    ):
        day.say(f"{order.number}: {order.quantity} × {order.item.product.code} by {order.expected_on}")
    day.say(f"{len(numbers)} purchase orders")


@step("14:30", "the afternoon rush: forty small orders")
def rush(day: Day) -> None:
    buyers = ["Lycksele Bibliotek", "Vindeln Kommun", "Byske Camping", "Älvdalens Hem", "Östbergs Inredning"]
    outcomes: dict[str, int] = {}
    for number in range(40):
        order = take(buyers[number % len(buyers)], CHR_ASPEN=1 + number % 3)
        try:
            outcome = services.confirm_order(order, by=user("anna")).status
        except InsufficientStock:
            outcome = "out of stock"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    day.say("forty orders: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))


@step("16:00", "the stock over the API")
def stock_api(day: Day) -> None:
    for item in day.terminal("bo").get("/api/stock/?product=CHR-ASPEN").json()["stock"]:
        day.say(f"{item['product']} in {item['warehouse']}: {item['on_hand']} on hand, {item['free']} free")


@step("22:00", "nightly invoicing; the ledger answers at the third attempt")
def invoicing_retried(day: Day) -> None:
    shipped("Vindeln Kommun", ACC_FELT=2)
    shipped("Piteå Havsbad", ACC_FELT=1)
    ledger.busy_for(2)
    result = nightly_invoicing.apply()
    day.say(f"nightly invoicing: {result.state}, {result.get()} invoices, {to_invoice()} orders left")


@step("22:30", "nightly invoicing with the ledger down for good")
def invoicing_failed(day: Day) -> None:
    shipped("Hotell Norrsken", ACC_FELT=2)
    ledger.busy_for(100)
    try:
        result = nightly_invoicing.apply()
    finally:
        ledger.busy_for(0)
    day.say(f"nightly invoicing: {result.state}, {type(result.result).__name__}, {to_invoice()} order left")


@step("22:45", "nightly invoicing into a month that is closed")
def invoicing_period_closed(day: Day) -> None:
    shipped("Kvarnen Konferens", ACC_FELT=1)
    period = f"{clock.today():%Y-%m}"
    ledger.closed_periods.add(period)
    try:
        result = nightly_invoicing.apply()
    finally:
        ledger.closed_periods.discard(period)
    day.say(f"nightly invoicing: {result.state}, {type(result.result).__name__}: {result.result}")


@step("23:10", "the archive does not add up")
def archive_corrupt(day: Day) -> None:
    result = verify_archive.apply(args=["NF-FI", 2026, "1250.00"])
    day.say(f"archive of NF-FI: {result.state}, {type(result.result).__name__}: {result.result}")


# --- People, things and circumstances --------------------------------------------------------------


def user(username: str):
    return get_user_model().objects.get(username=username)


def gauge(code: str) -> Gauge:
    return Gauge.objects.get(code=code)


def verdict(inspection) -> str:
    return "passed" if inspection.passed else "NOT passed"


def main_store() -> WarehouseStock:
    return WarehouseStock.default_for(Company.objects.get(code="NF-SE"))


def take(name: str, **quantities: int) -> Order:
    return services.create_order(customer(name).pk, items(**quantities), requested_by=user("anna"))


def shipped(name: str, **quantities: int) -> Order:
    return services.ship_order(
        services.confirm_order(take(name, **quantities), by=user("anna")), by=user("bo")
    )


def to_invoice() -> int:
    return Order.objects.to_invoice().count()


def new_job(code: str, quantity: int, *, save: bool = True) -> WorkOrder:
    """A work order due in two weeks; with ``save=False`` one that is only considered."""
    made = product(code)
    due_date = clock.today() + datetime.timedelta(days=14)
    if save:
        return plan_work_order(Company.objects.get(code="NF-SE"), made, quantity, due_date)
    center = made.bom.work_center
    hours = quantity * made.bom.hours_per_piece
    return WorkOrder(
        number="WO-DRAFT", product=made, work_center=center, quantity=quantity, hours=hours, due_date=due_date
    )


@contextmanager
def slow_supplier(code: str, *, timeout: float | None = None) -> Iterator[None]:
    """One product's supplier does not answer in time, and we wait no longer than ``timeout`` seconds."""
    gateway.slow[code] = 30.0
    try:
        if timeout is None:
            yield
        else:
            with override_settings(ERP_SUPPLIER_TIMEOUT_SECONDS=timeout):
                yield
    finally:
        del gateway.slow[code]


@contextmanager
def broken(code: str, reason: str) -> Iterator[None]:
    center = WorkCenter.objects.filter(code=code)
    center.update(down=True, down_reason=reason)
    try:
        yield
    finally:
        center.update(down=False, down_reason="")
