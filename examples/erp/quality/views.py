from __future__ import annotations

from django.contrib.auth.mixins import PermissionRequiredMixin
from django.views.generic import DetailView, ListView

from quality.models import Gauge, Inspection


class InspectionList(PermissionRequiredMixin, ListView):
    permission_required = "quality.view_inspection"
    template_name = "quality/inspection_list.html"
    context_object_name = "inspections"
    paginate_by = 50

    def get_queryset(self):
        return Inspection.objects.for_company(self.request.company).select_related(
            "work_order__product", "gauge", "inspector"
        )

    def get_context_data(self, **kwargs) -> dict:
        return super().get_context_data(gauges=Gauge.objects.all(), **kwargs)


class InspectionDetail(PermissionRequiredMixin, DetailView):
    permission_required = "quality.view_inspection"
    template_name = "quality/inspection_detail.html"
    context_object_name = "inspection"
    slug_field = slug_url_kwarg = "number"

    def get_queryset(self):
        return Inspection.objects.for_company(self.request.company).select_related(
            "work_order__product", "gauge", "inspector", "non_conformance"
        )

    def get_context_data(self, **kwargs) -> dict:
        return super().get_context_data(
            measurements=self.object.measurements.select_related("characteristic"), **kwargs
        )
