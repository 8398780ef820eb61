from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import View
from django.views.generic import TemplateView

from erp import clock
from inventory.models import StockItem
from production.models import WorkOrder
from quality.models import NonConformance
from reports.errors import UnknownReport
from reports.models import ReportRun
from reports.services import as_csv, run_report
from sales.models import Order

CATALOGUE = [
    ("stock-valuation", "Stock valuation", "What is on the shelves, at cost."),
    ("sales-by-customer", "Sales by customer", "This year's turnover beside last year's. Takes a moment."),
    ("overdue-orders", "Overdue orders", "Confirmed, and should have left us already."),
    ("production-load", "Production load", "Planned hours by work center and week."),
]


@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    company = request.company
    orders = Order.objects.for_company(company)
    context = {
        "today": clock.today(),
        "open_orders": orders.open().count(),
        "open_value": orders.open().value(),
        "overdue": orders.overdue(clock.today()).count(),
        "on_hold": orders.filter(status=Order.Status.ON_HOLD).count(),
        "low_items": [
            item for item in StockItem.objects.for_company(company).select_related("product") if item.is_low
        ],
        "jobs": WorkOrder.objects.for_company(company).to_plan().select_related("product", "work_center")[:6],
        "latest": orders.select_related("customer")[:6],
        "findings": NonConformance.objects.filter(
            inspection__work_order__company=company, disposition=NonConformance.Disposition.OPEN
        ).select_related("inspection__work_order__product")[:5],
    }
    return render(request, "reports/dashboard.html", context)


class ReportIndex(PermissionRequiredMixin, TemplateView):
    permission_required = "reports.view_reportrun"
    template_name = "reports/index.html"

    def get_context_data(self, **kwargs) -> dict:
        runs = ReportRun.objects.filter(company=self.request.company).select_related("requested_by")[:10]
        return super().get_context_data(catalogue=CATALOGUE, runs=runs, **kwargs)


class ReportPage(PermissionRequiredMixin, View):
    """One report, as a page or, with ``?format=csv``, as a file."""

    permission_required = "reports.view_reportrun"

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        try:
            report = run_report(name, request.company, requested_by=request.user)
        except UnknownReport as error:
            raise Http404(str(error)) from error
        if request.GET.get("format") == "csv":
            response = HttpResponse(as_csv(report), content_type="text/csv; charset=utf-8")
            response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
            return response
        return render(request, "reports/report.html", {"report": report, "name": name})
