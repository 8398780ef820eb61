from __future__ import annotations

from django.contrib.auth.mixins import PermissionRequiredMixin
from django.db.models import F
from django.views.generic import DetailView, ListView

from inventory.models import StockItem


class StockList(PermissionRequiredMixin, ListView):
    permission_required = "inventory.view_stockitem"
    template_name = "inventory/stock_list.html"
    context_object_name = "items"

    def get_queryset(self):
        items = StockItem.objects.for_company(self.request.company).select_related("product", "warehouse")
        if self.request.GET.get("low"):
            items = items.with_available().filter(available__lt=F("reorder_point"))
        return items

    def get_context_data(self, **kwargs) -> dict:
        return super().get_context_data(only_low=bool(self.request.GET.get("low")), **kwargs)


class StockDetail(PermissionRequiredMixin, DetailView):
    permission_required = "inventory.view_stockitem"
    template_name = "inventory/stock_detail.html"
    context_object_name = "item"

    def get_queryset(self):
        return StockItem.objects.for_company(self.request.company).select_related("product", "warehouse")

    def get_context_data(self, **kwargs) -> dict:
        return super().get_context_data(
            movements=self.object.movements.all()[:50],
            reservations=self.object.reservations.select_related("order__customer").order_by("order__number"),
            **kwargs,
        )
