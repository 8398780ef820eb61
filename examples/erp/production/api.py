"""/api/work-orders/: list, release and report done."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from erp.api import api_view, read_json
from erp.errors import InvalidInput
from production import services
from production.models import WorkOrder


def as_json(job: WorkOrder) -> dict[str, Any]:
    return {
        "number": job.number,
        "product": job.product.code,
        "quantity": job.quantity,
        "completed": job.completed_quantity,
        "work_center": job.work_center.code,
        "status": job.status,
        "due_date": job.due_date.isoformat(),
    }


@api_view("GET", permission="production.view_workorder")
def work_orders(request: HttpRequest) -> JsonResponse:
    jobs = WorkOrder.objects.for_company(request.company).select_related("product", "work_center")
    return JsonResponse({"work_orders": [as_json(job) for job in jobs[:100]]})


@api_view("POST", permission="production.release_workorder")
def release(request: HttpRequest, number: str) -> JsonResponse:
    return JsonResponse(as_json(services.release_work_order(_job(request, number), by=request.user)))


@api_view("POST", permission="production.change_workorder")
def complete(request: HttpRequest, number: str) -> JsonResponse:
    quantity = read_json(request).get("quantity")
    job = _job(request, number)
    if quantity is not None and not (isinstance(quantity, int) and 0 <= quantity <= job.quantity):
        raise InvalidInput(f"quantity must be a number from 0 to {job.quantity}")
    return JsonResponse(as_json(services.complete_work_order(job, quantity, by=request.user)))


def _job(request: HttpRequest, number: str) -> WorkOrder:
    return get_object_or_404(WorkOrder.objects.for_company(request.company), number=number)


urlpatterns = [
    path("work-orders/", work_orders, name="work-orders"),
    path("work-orders/<str:number>/release/", release, name="work-order-release"),
    path("work-orders/<str:number>/complete/", complete, name="work-order-complete"),
]
