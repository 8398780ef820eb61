from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from django.views.generic import ListView

from erp.errors import BusinessError
from production import services
from production.models import WorkCenter, WorkOrder
from production.planning import Scheduler


class WorkOrderList(PermissionRequiredMixin, ListView):
    permission_required = "production.view_workorder"
    template_name = "production/workorder_list.html"
    context_object_name = "work_orders"
    paginate_by = 50

    def get_queryset(self):
        return WorkOrder.objects.for_company(self.request.company).select_related("product", "work_center")

    def get_context_data(self, **kwargs) -> dict:
        return super().get_context_data(work_centers=WorkCenter.objects.all(), **kwargs)


@permission_required("production.view_workorder", raise_exception=True)
def work_order(request: HttpRequest, number: str) -> HttpResponse:
    job = get_object_or_404(
        WorkOrder.objects.for_company(request.company).select_related("product", "work_center"), number=number
    )
    context = {
        "job": job,
        "materials": sorted(services.explode_bom(job.product, job.quantity).items()),
        "missing": services.material_shortage(job) if job.status == WorkOrder.Status.PLANNED else {},
        "inspections": job.inspections.select_related("inspector"),
    }
    return render(request, "production/workorder_detail.html", context)


@require_POST
@permission_required("production.release_workorder", raise_exception=True)
def release(request: HttpRequest, number: str) -> HttpResponse:
    job = get_object_or_404(WorkOrder.objects.for_company(request.company), number=number)
    try:
        services.release_work_order(job, by=request.user)
        messages.success(request, f"{number} is released.")
    except BusinessError as error:
        messages.error(request, str(error))
    return redirect("production:work-order", number)


@login_required
def plan(request: HttpRequest) -> HttpResponse:
    jobs = WorkOrder.objects.for_company(request.company).to_plan().select_related("work_center", "product")
    return render(request, "production/plan.html", {"slots": Scheduler(horizon_days=40).plan(jobs)})
