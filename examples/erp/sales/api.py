"""/api/orders/: list, take, read, confirm and ship orders."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from erp.api import api_view, read_json
from erp.errors import InvalidInput
from sales import services
from sales.models import Customer, Order


def as_json(order: Order, *, with_lines: bool = False) -> dict[str, Any]:
    data = {
        "number": order.number,
        "customer": order.customer.code,
        "status": order.status,
        "reason": order.reason,
        "total": str(order.total),
        "due_date": order.due_date.isoformat(),
    }
    if with_lines:
        data["lines"] = [
            {"product": line.product.code, "quantity": line.quantity, "unit_price": str(line.unit_price)}
            for line in order.lines.select_related("product")
        ]
    return data


@api_view("GET", "POST", permission="sales.view_order")
def orders(request: HttpRequest) -> JsonResponse:
    if request.method == "POST":
        return create(request)
    found = Order.objects.for_company(request.company).select_related("customer")
    if status := request.GET.get("status"):
        found = found.filter(status=status)
    return JsonResponse({"orders": [as_json(order) for order in found[:100]]})


@api_view("POST", permission="sales.add_order")
def create(request: HttpRequest) -> JsonResponse:
    body = read_json(request)
    items = body.get("items")
    if not isinstance(items, list):
        raise InvalidInput("items must be a list")
    customer = get_object_or_404(Customer.objects.for_company(request.company), code=body.get("customer"))
    order = services.create_order(customer.pk, items, requested_by=request.user)
    return JsonResponse(as_json(order, with_lines=True), status=201)


@api_view("GET", permission="sales.view_order")
def order(request: HttpRequest, number: str) -> JsonResponse:
    return JsonResponse(as_json(_order(request, number), with_lines=True))


@api_view("POST", permission="sales.confirm_order")
def confirm(request: HttpRequest, number: str) -> JsonResponse:
    return JsonResponse(as_json(services.confirm_order(_order(request, number), by=request.user)))


@api_view("POST", permission="sales.ship_order")
def ship(request: HttpRequest, number: str) -> JsonResponse:
    return JsonResponse(as_json(services.ship_order(_order(request, number), by=request.user)))


def _order(request: HttpRequest, number: str) -> Order:
    return get_object_or_404(
        Order.objects.for_company(request.company).select_related("customer"), number=number
    )


urlpatterns = [
    path("orders/", orders, name="orders"),
    path("orders/<str:number>/", order, name="order"),
    path("orders/<str:number>/confirm/", confirm, name="order-confirm"),
    path("orders/<str:number>/ship/", ship, name="order-ship"),
]
