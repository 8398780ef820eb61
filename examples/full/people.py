"""The people who use the ERP, and what they do.

Each person has a random generator of their own: the same seed gives the same day if they act one after another.
"""

from __future__ import annotations

import random
import re
from typing import Callable

from .browser import Answer, Browser, Watch, form_of

PASSWORD = "granskog-{}-7"
TOKEN = "norrland-{}-demo-token"

#: As many as the ERP's own data has: `make_data --salespeople`.
SALESPEOPLE = ["elsa", "filip", "gerda", "henrik", "ingrid", "johan", "karin", "lars", "maja", "nils", "olga", "pontus"]

_CHAIR, _DELIVERY, _ARMCHAIR = "CHR-ASPEN", "SRV-DELIVERY", "CHR-TUVA"
_GOODS = ["TBL-FJALL", "TBL-FJORD", "TBL-MYREN", _CHAIR, _CHAIR, "STL-KVIST", "BNC-LADA", "SHF-ISAK", "SHF-ELLE", "SHF-ELLE",
          "CAB-HAGE", "BED-ORRE", "ACC-OILKIT", "ACC-FELT", "ACC-FELT"]  # fmt: skip


class Person:
    """Acts once for each call of `act`. `habits` are what the person does, each with how often."""

    habits: list[tuple[int, str]] = []

    def __init__(self, name: str, port: int, watch: Watch, seed: str) -> None:
        self.name = name
        self.dice = random.Random(f"{seed} {type(self).__name__} {name}")
        self.browser = Browser(port, watch, self.token())

    def token(self) -> str | None:
        return None

    def act(self) -> None:
        names = [name for _, name in self.habits]
        habit: Callable[[], None] = getattr(self, self.dice.choices(names, [often for often, _ in self.habits])[0])
        habit()

    def leave(self) -> None:
        self.browser.close()

    def sometimes(self, chance: float) -> bool:
        return self.dice.random() < chance

    def one_of(self, page: Answer, pattern: str) -> str | None:
        """One of those that the page shows, or None."""
        found = sorted(set(re.findall(pattern, page.text)))
        return self.dice.choice(found) if found else None


class Employee(Person):
    """Signs in on the page, works for a while, signs out."""

    def __init__(self, *arguments, **named) -> None:
        super().__init__(*arguments, **named)
        self._left = 0

    def act(self) -> None:
        if self._left == 0:
            self._left = self.dice.randrange(12, 40)
            self._sign_in()
        super().act()
        self._left -= 1
        if self._left == 0:
            self._sign_out()

    def leave(self) -> None:
        if self._left:
            self._left = 0
            self._sign_out()
        super().leave()

    def _sign_in(self) -> None:
        page = self.browser.get("/accounts/login/", "sign-in page")
        self.browser.submit(page, "sign in", username=self.name, password=PASSWORD.format(self.name))

    def _sign_out(self) -> None:
        page = self.browser.get("/accounts/me/", "profile")
        self.browser.submit(page, "sign out", "/accounts/logout/")


class Salesperson(Employee):
    habits = [
        (8, "look_at_orders"), (4, "look_at_dashboard"), (10, "take_order"), (3, "look_at_margin"), (2, "read_report"),
        (1, "read_slow_report"), (1, "deliver_only"), (1, "go_astray"),
    ]  # fmt: skip

    def look_at_dashboard(self) -> None:
        self.browser.get("/", "dashboard")

    def look_at_orders(self) -> None:
        status = self.dice.choice(["", "?status=draft", "?status=confirmed", "?status=shipped", "?page=2"])
        self._open_order(self.browser.get(f"/orders/{status}", "list of orders"))

    def take_order(self) -> None:
        quantity = self.dice.choice([0, 2, 3, 4, 6]) if self.sometimes(0.05) else self.dice.randrange(1, 4)
        product = self.dice.choice(_GOODS)
        if self.sometimes(0.04):
            product, quantity = _ARMCHAIR, 60
        order = self._take(product, quantity)
        if "/confirm/" in order.text and self.sometimes(0.85):
            self.browser.submit(order, "confirm an order", f"{order.path}confirm/")

    def deliver_only(self) -> None:
        order = self._take(_DELIVERY, 1)
        if re.fullmatch(r"/orders/SO-\d+/", order.path):
            self.browser.get(f"{order.path}margin/", "margin of an order")

    def look_at_margin(self) -> None:
        order = self._open_order(self.browser.get("/orders/", "list of orders"))
        if order is not None:
            self.browser.get(f"{order.path}margin/", "margin of an order")

    def read_report(self) -> None:
        name = self.dice.choice(["stock-valuation", "overdue-orders", "production-load"])
        as_file = "?format=csv" if self.sometimes(0.4) else ""
        self.browser.get("/reports/", "list of reports")
        self.browser.get(f"/reports/{name}/{as_file}", "quick report")

    def read_slow_report(self) -> None:
        self.browser.get("/reports/sales-by-customer/?format=csv", "sales by customer")

    def go_astray(self) -> None:
        path = self.dice.choice(["/inspections/", "/accounts/audit/", "/orders/SO-99999/", "/reports/weather/"])
        self.browser.get(path, "not there, or not for all")

    def _take(self, product: str, quantity: int) -> Answer:
        page = self.browser.get("/orders/new/", "order form")
        form = form_of(page)
        customers = sorted(value for value in form.choices["customer"].values() if value) if form else []
        if not customers:
            return page
        customer = self.dice.choice(customers)
        return self.browser.submit(page, "take an order", customer=customer, product=product, quantity=str(quantity))

    def _open_order(self, orders: Answer) -> Answer | None:
        number = self.one_of(orders, r"/orders/(SO-\d+)/")
        return self.browser.get(f"/orders/{number}/", "page of an order") if number else None


class Clerk(Employee):
    """The warehouse: ships what is confirmed."""

    habits = [(4, "look_at_stock"), (6, "ship"), (2, "ask_lead_times"), (1, "go_astray")]

    def look_at_stock(self) -> None:
        page = self.browser.get("/stock/" + self.dice.choice(["", "?low=1"]), "list of stock")
        item = self.one_of(page, r"/stock/(\d+)/")
        if item:
            self.browser.get(f"/stock/{item}/", "page of a shelf")

    def ship(self) -> None:
        page = self.browser.get("/orders/?status=confirmed", "list of orders")
        number = self.one_of(page, r"/orders/(SO-\d+)/")
        if number:
            order = self.browser.get(f"/orders/{number}/", "page of an order")
            self.browser.submit(order, "ship an order", f"{order.path}ship/")

    def ask_lead_times(self) -> None:
        codes = self.dice.choice(["BRD-OAK,FAB-WOOL", "GLS-4MM,HNG-BRASS,SCR-M6", "TEAK-XL"])
        self.browser.get(f"/api/stock/lead-times/?codes={codes}", "lead times (API)")

    def go_astray(self) -> None:
        self.browser.get(self.dice.choice(["/accounts/audit/", "/reports/"]), "not there, or not for all")


class Head(Employee):
    """Runs production and quality, and lets orders go that are on hold."""

    habits = [
        (4, "look_at_jobs"),
        (2, "look_at_plan"),
        (2, "look_at_inspections"),
        (2, "release_order"),
        (1, "read_audit_log"),
    ]

    def look_at_jobs(self) -> None:
        page = self.browser.get("/work-orders/", "list of work orders")
        number = self.one_of(page, r"/work-orders/(WO-\d+)/")
        if number:
            self.browser.get(f"/work-orders/{number}/", "page of a work order")

    def look_at_plan(self) -> None:
        self.browser.get("/work-orders/plan/", "capacity plan")

    def look_at_inspections(self) -> None:
        self.browser.get("/inspections/", "list of inspections")

    def release_order(self) -> None:
        page = self.browser.get("/orders/?status=on_hold", "list of orders")
        number = self.one_of(page, r"/orders/(SO-\d+)/")
        if number:
            order = self.browser.get(f"/orders/{number}/", "page of an order")
            self.browser.submit(order, "release an order", f"{order.path}release/")

    def read_audit_log(self) -> None:
        self.browser.get("/accounts/audit/", "audit log")


class Administrator(Employee):
    """Works in Django's admin: plans jobs, reports machines down and up, starts and ends the count of a shelf."""

    habits = [(4, "plan_job"), (2, "machine"), (2, "count_shelf")]

    def __init__(self, *arguments, **named) -> None:
        super().__init__(*arguments, **named)
        self._planned = 0

    def plan_job(self) -> None:
        self._planned += 1
        page = self.browser.get("/admin/production/workorder/add/", "admin")
        form = form_of(page, "/admin/production/workorder/add/")
        if form is None:
            return
        # The drawing office's prototype slips in once: its parts list goes round in circles.
        code = (
            "PRO-LOOM"
            if self._planned == 2
            else self.dice.choice(["CHR-ASPEN", "TBL-FJALL", "STL-KVIST", "ASM-LEG-OAK"])
        )
        choose = lambda name, begins: next(
            value for text, value in form.choices[name].items() if text.startswith(begins)
        )
        center = "CNC" if code == "ASM-LEG-OAK" else "Assembly"
        self.browser.submit(
            page, "plan a work order (admin)", form.action, number=f"WO-{9000 + self._planned}", status="planned",
            company=choose("company", "Norrland Furniture AB"), product=choose("product", code),
            work_center=choose("work_center", center), quantity="2", completed_quantity="0", hours="2.5",
            due_date="2026-04-01",
        )  # fmt: skip

    def machine(self) -> None:
        """Down if it runs, and running again at the next visit."""
        page = self._open("/admin/production/workcenter/", "CNC mill")
        form = page and form_of(page, page.path)
        if form:
            down = "down" not in form.fields
            changes = {"down": "on" if down else None, "down_reason": "spindle bearing" if down else ""}
            self.browser.submit(page, "machine down or up (admin)", form.action, **changes)

    def count_shelf(self) -> None:
        page = self._open("/admin/inventory/stockitem/?warehouse__id__exact=1&all=", "CHR-ASPEN Aspen chair")
        form = page and form_of(page, page.path)
        if form:
            counting = "counting" not in form.fields
            self.browser.submit(page, "count a shelf (admin)", form.action, counting="on" if counting else None)

    def _open(self, path: str, text: str) -> Answer | None:
        page = self.browser.get(path, "admin")
        row = next((row for row in page.text.split("<tr") if text in row), "")
        link = re.search(r'href="([^"]+/change/)', row)
        return self.browser.get(link.group(1), "admin") if link else None


class Terminal(Person):
    """A program with the token of a person."""

    def token(self) -> str | None:
        return TOKEN.format(self.name)


class Shop(Terminal):
    """A shop's own system that orders over the API."""

    habits = [(6, "order"), (3, "look"), (1, "mistake")]

    def order(self) -> None:
        customer = f"C-{1001 + self.dice.randrange(22)}"
        items = [{"product": product, "quantity": self.dice.randrange(1, 4)} for product in self.dice.sample(_GOODS, 2)]
        taken = self.browser.post("/api/orders/", "order (API)", {"customer": customer, "items": items})
        if taken.status == 201:
            number = taken.json()["number"]
            self.browser.post(f"/api/orders/{number}/confirm/", "confirm an order (API)")
            self.browser.get(f"/api/orders/{number}/", "read an order (API)")

    def look(self) -> None:
        self.browser.get("/api/orders/?status=confirmed", "list of orders (API)")

    def mistake(self) -> None:
        body = self.dice.choice(
            [
                {"customer": "C-1001", "items": []},
                {"customer": "C-1001", "items": [{"product": "CHR-ASPEM", "quantity": 1}]},
                {"customer": "C-4711", "items": [{"product": _CHAIR, "quantity": 1}]},
            ]
        )
        self.browser.post("/api/orders/", "order (API)", body)


class ShopFloor(Terminal):
    """The terminal beside the machines: releases jobs, reports them done, records inspections."""

    habits = [(4, "release"), (3, "complete"), (5, "inspect")]

    def release(self) -> None:
        self._change("planned", "release")

    def complete(self) -> None:
        self._change("released", "complete")

    def inspect(self) -> None:
        job = self._one_job(lambda job: job["product"] in ("TBL-FJALL", _CHAIR))
        if job is None:
            return
        gauge, readings = self._readings(job["product"])
        body = {"work_order": job["number"], "gauge": gauge, "readings": readings}
        self.browser.post("/api/inspections/", "record an inspection (API)", body)

    def _readings(self, product: str) -> tuple[str, dict[str, float]]:
        good = not self.sometimes(0.25)
        if product == _CHAIR:
            return "CAL-300", {"seat height": 450.8 if good else 455.5, "wobble": 0.1}
        if self.sometimes(0.2):
            return "MOI-2", {"moisture": 8.4}
        return "TAPE-5", {"length": 1800.4 if good else 1803.0, "width": 899.8}

    def _change(self, status: str, step: str) -> None:
        job = self._one_job(lambda job: job["status"] == status)
        if job is not None:
            self.browser.post(f"/api/work-orders/{job['number']}/{step}/", f"{step} a work order (API)")

    def _one_job(self, wanted: Callable[[dict], bool]) -> dict | None:
        answer = self.browser.get("/api/work-orders/", "list of work orders (API)")
        jobs = [job for job in answer.json()["work_orders"] if wanted(job)] if answer.status == 200 else []
        return self.dice.choice(jobs) if jobs else None


class Stranger(Person):
    """Tries what strangers try."""

    habits = [(2, "guess_password"), (2, "guess_token"), (3, "look_around")]

    def guess_password(self) -> None:
        page = self.browser.get("/accounts/login/", "sign-in page")
        name = self.dice.choice(["bo", "anna", "admin", "root"])
        self.browser.submit(
            page, "sign in with a wrong password", username=name, password=f"granskog-{self.dice.random()}"
        )

    def guess_token(self) -> None:
        thief = Browser(self.browser.port, self.browser.watch, token=f"norrland-{self.dice.random()}")
        thief.get("/api/orders/", "wrong token (API)")
        thief.close()

    def look_around(self) -> None:
        path = self.dice.choice(["/orders/", "/reports/stock-valuation/", "/wp-login.php", "/.env", "/accounts/audit/"])
        self.browser.get(path, "stranger looks around")


def everybody(port: int, watch: Watch, *, salespeople: int, seed: str = "1952") -> list[Person]:
    """A company at work: so many salespeople, and one or two of each of the others."""
    named: list[tuple[type[Person], str]] = [(Salesperson, name) for name in ["anna", *SALESPEOPLE[:salespeople]]]
    named += [(Clerk, "bo"), (Head, "carla"), (Administrator, "admin")]
    named += [(Shop, name) for name in ["anna", *SALESPEOPLE[: salespeople // 6]]]
    named += [(ShopFloor, "carla"), (Stranger, "somebody")]
    return [kind(name, port, watch, seed) for kind, name in named]
