"""/api/stock/ and the suppliers' lead times."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

from erp.api import api_view
from inventory.models import StockItem
from inventory.suppliers import fetch_lead_times


@api_view("GET", permission="inventory.view_stockitem")
def stock(request: HttpRequest) -> JsonResponse:
    items = StockItem.objects.for_company(request.company).select_related("product", "warehouse")
    if product := request.GET.get("product"):
        items = items.filter(product__code=product)
    return JsonResponse(
        {
            "stock": [
                {
                    "product": item.product.code,
                    "warehouse": item.warehouse.code,
                    "on_hand": item.on_hand,
                    "reserved": item.reserved,
                    "free": item.free,
                    "counting": item.counting,
                }
                for item in items
            ]
        }
    )


@api_view("GET", permission="inventory.view_stockitem")
async def lead_times(request: HttpRequest) -> JsonResponse:
    codes = [code for code in request.GET.get("codes", "").split(",") if code]
    return JsonResponse({"lead_times": await fetch_lead_times(codes)})


urlpatterns = [
    path("stock/", stock, name="stock"),
    path("stock/lead-times/", lead_times, name="lead-times"),
]
