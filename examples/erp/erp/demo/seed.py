"""Fills an empty database with the demonstration company. Running it again changes nothing."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from accounts.models import Company, Employee
from accounts.services import issue_token, next_number, sync_roles
from erp import clock
from erp.demo import catalogue
from inventory.models import StockItem, Warehouse
from inventory.stock import WarehouseStock
from production.models import BillOfMaterials, BomLine, WorkCenter, WorkOrder
from production.services import plan_work_order
from quality.models import Characteristic, Gauge
from sales.models import Customer, Order, OrderLine, PriceBreak, PriceList, Product
from sales.pricing import PriceCalculator

SEED = 1952


@transaction.atomic
def seed(salespeople: int = 0) -> dict[str, int]:
    """Create what is missing, with so many more salespeople; returns how many of each thing there are."""
    with clock.business_date(catalogue.DEMO_DAY):
        sync_roles()
        companies = _companies()
        _users(companies["NF-SE"], salespeople)
        products = _products()
        _customers(companies)
        _stock(companies, products)
        _production(companies["NF-SE"], products)
        _quality(products)
        _past_orders()
    return {
        "users": get_user_model().objects.count(),
        "customers": Customer.objects.count(),
        "products": Product.objects.count(),
        "stock items": StockItem.objects.count(),
        "work orders": WorkOrder.objects.count(),
        "orders": Order.objects.count(),
    }


def _companies() -> dict[str, Company]:
    return {
        code: Company.objects.get_or_create(code=code, defaults={"name": name, "currency": currency})[0]
        for code, name, currency in catalogue.COMPANIES
    }


def _users(company: Company, salespeople: int) -> None:
    users = get_user_model().objects
    more = [
        (first_name.lower(), first_name, last_name, "Sales", ["Sales"])
        for first_name, last_name in catalogue.SALESPEOPLE[:salespeople]
    ]
    for username, first_name, last_name, title, groups in catalogue.USERS + more:
        user = users.filter(username=username).first()
        if user is None:
            user = users.create_user(
                username,
                f"{username}@norrland.example",
                catalogue.PASSWORD.format(username=username),
                first_name=first_name,
                last_name=last_name,
            )
        user.groups.set(Group.objects.filter(name__in=groups))
        Employee.objects.get_or_create(user=user, defaults={"company": company, "title": title})
        issue_token(user, f"{first_name}'s terminal", catalogue.TOKEN.format(username=username))
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", "admin@norrland.example", catalogue.PASSWORD.format(username="admin"))


def _products() -> dict[str, Product]:
    products = {}
    for code, name, kind, list_price, cost, sellable in catalogue.PRODUCTS:
        products[code], _ = Product.objects.get_or_create(
            code=code,
            defaults={
                "name": name,
                "kind": kind,
                "list_price": Decimal(list_price),
                "cost": Decimal(cost),
                "sellable": sellable,
            },
        )
    return products


def _customers(companies: dict[str, Company]) -> None:
    lists = {}
    for code, name, discount in catalogue.PRICE_LISTS:
        lists[code], _ = PriceList.objects.get_or_create(
            code=code, defaults={"name": name, "discount_percent": Decimal(discount)}
        )
    for list_code, product_code, min_quantity, price in catalogue.PRICE_BREAKS:
        PriceBreak.objects.get_or_create(
            price_list=lists[list_code],
            product=Product.objects.get(code=product_code),
            min_quantity=min_quantity,
            defaults={"price": Decimal(price)},
        )
    for code, name, city, company, status, credit_limit, price_list in catalogue.CUSTOMERS:
        Customer.objects.get_or_create(
            code=code,
            defaults={
                "company": companies[company],
                "name": name,
                "city": city,
                "email": f"order@{code.lower()}.example",
                "status": status,
                "credit_limit": Decimal(credit_limit),
                "price_list": lists.get(price_list),
            },
        )


def _stock(companies: dict[str, Company], products: dict[str, Product]) -> None:
    dice = random.Random(SEED)
    for code, name, company, is_default in catalogue.WAREHOUSES:
        warehouse, created = Warehouse.objects.get_or_create(
            code=code, defaults={"name": name, "company": companies[company], "is_default": is_default}
        )
        if not created:
            continue
        stock = WarehouseStock(warehouse)
        for product in products.values():
            if not product.stocked or product.code.startswith("PRO-"):
                continue
            on_hand = dice.randrange(8, 40)
            if code == "UME":
                on_hand = catalogue.STOCK.get(product.code, on_hand)
            item = stock.receive(product, on_hand, "OPENING")
            if product.kind == Product.Kind.PURCHASED:
                item.reorder_point, item.reorder_quantity = 10, 50
                item.save(update_fields=["reorder_point", "reorder_quantity"])


def _production(company: Company, products: dict[str, Product]) -> None:
    centers = {}
    for code, name, hours in catalogue.WORK_CENTERS:
        centers[code], _ = WorkCenter.objects.get_or_create(
            code=code, defaults={"name": name, "hours_per_day": Decimal(hours)}
        )
    for code, (center, hours, parts) in catalogue.BOMS.items():
        bom, _ = BillOfMaterials.objects.get_or_create(
            product=products[code],
            defaults={"work_center": centers[center], "hours_per_piece": Decimal(hours)},
        )
        for part, quantity in parts.items():
            BomLine.objects.get_or_create(bom=bom, component=products[part], defaults={"quantity": quantity})
    if not WorkOrder.objects.exists():
        for code, quantity, days in catalogue.WORK_ORDERS:
            due_date = clock.today() + datetime.timedelta(days=days)
            plan_work_order(company, products[code], quantity, due_date)


def _quality(products: dict[str, Product]) -> None:
    for code, name, calibrated_until in catalogue.GAUGES:
        Gauge.objects.get_or_create(code=code, defaults={"name": name, "calibrated_until": calibrated_until})
    for code, name, unit, nominal, tolerance in catalogue.CHARACTERISTICS:
        Characteristic.objects.get_or_create(
            product=products[code],
            name=name,
            defaults={"unit": unit, "nominal": Decimal(nominal), "tolerance": Decimal(tolerance)},
        )


def _past_orders() -> None:
    """A dozen confirmed orders of the last weeks, some of them late by now."""
    if Order.objects.exists():
        return
    dice = random.Random(SEED)
    customers = list(Customer.objects.active().select_related("company", "price_list").order_by("code"))
    for days_ago in (40, 33, 30, 26, 21, 18, 14, 12, 9, 6, 4, 2):
        customer = dice.choice(customers)
        product = Product.objects.get(code=dice.choice(["SHF-ELLE", "STL-KVIST", "ACC-OILKIT", "ACC-FELT"]))
        quantity = dice.randrange(1, 5)
        ordered = clock.today() - datetime.timedelta(days=days_ago)
        price = PriceCalculator(customer)(product, quantity)
        order = Order.objects.create(
            number=next_number("SO"),
            customer=customer,
            order_date=ordered,
            due_date=ordered + datetime.timedelta(days=14),
            total=price * quantity,
        )
        OrderLine.objects.create(
            order=order, position=1, product=product, quantity=quantity, unit_price=price
        )
        order.transition_to(Order.Status.CONFIRMED)
        WarehouseStock.default_for(customer.company).reserve(product, quantity, order)
