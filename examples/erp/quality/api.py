"""/api/inspections/: list and record."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from erp.api import api_view, read_json
from erp.errors import InvalidInput
from production.models import WorkOrder
from quality import services
from quality.models import Gauge, Inspection


def as_json(inspection: Inspection) -> dict[str, Any]:
    return {
        "number": inspection.number,
        "work_order": inspection.work_order.number,
        "gauge": inspection.gauge.code,
        "passed": inspection.passed,
        "inspected_on": inspection.inspected_on.isoformat(),
    }


@api_view("GET", "POST", permission="quality.view_inspection")
def inspections(request: HttpRequest) -> JsonResponse:
    if request.method == "POST":
        return record(request)
    found = Inspection.objects.for_company(request.company).select_related("work_order", "gauge")
    return JsonResponse({"inspections": [as_json(inspection) for inspection in found[:100]]})


@api_view("POST", permission="quality.add_inspection")
def record(request: HttpRequest) -> JsonResponse:
    body = read_json(request)
    if not isinstance(body.get("readings"), dict):
        raise InvalidInput("readings must be an object")
    work_order = get_object_or_404(
        WorkOrder.objects.for_company(request.company), number=body.get("work_order")
    )
    gauge = get_object_or_404(Gauge, code=body.get("gauge"))
    inspection = services.record_inspection(work_order, body["readings"], gauge=gauge, inspector=request.user)
    return JsonResponse(as_json(inspection), status=201)


urlpatterns = [path("inspections/", inspections, name="inspections")]
