from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.db.models import F, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from django.views.generic import DetailView, FormView, ListView

from accounts.models import AuditEntry
from erp.errors import BusinessError
from sales import services
from sales.errors import OrderOnHold
from sales.forms import OrderForm
from sales.models import Order


class OrderList(LoginRequiredMixin, ListView):
    template_name = "sales/order_list.html"
    context_object_name = "orders"
    paginate_by = 25

    def get_queryset(self):
        orders = Order.objects.for_company(self.request.company).select_related("customer")
        status = self.request.GET.get("status")
        return orders.filter(status=status) if status in Order.Status.values else orders

    def get_context_data(self, **kwargs) -> dict:
        return super().get_context_data(
            statuses=Order.Status.choices, status=self.request.GET.get("status", ""), **kwargs
        )


class OrderDetail(PermissionRequiredMixin, DetailView):
    permission_required = "sales.view_order"
    template_name = "sales/order_detail.html"
    context_object_name = "order"
    slug_field = slug_url_kwarg = "number"

    def get_queryset(self):
        return Order.objects.for_company(self.request.company).select_related("customer", "requested_by")

    def get_context_data(self, **kwargs) -> dict:
        return super().get_context_data(
            lines=self.object.lines.select_related("product"),
            history=AuditEntry.objects.about(self.object).select_related("actor"),
            **kwargs,
        )


class OrderCreate(PermissionRequiredMixin, FormView):
    permission_required = "sales.add_order"
    template_name = "sales/order_form.html"
    form_class = OrderForm

    def get_form_kwargs(self) -> dict:
        return {**super().get_form_kwargs(), "company": self.request.company}

    def form_valid(self, form: OrderForm) -> HttpResponse:
        item = {"product": form.cleaned_data["product"].code, "quantity": form.cleaned_data["quantity"]}
        try:
            order = services.create_order(
                form.cleaned_data["customer"].pk, [item], requested_by=self.request.user
            )
        except OrderOnHold as error:
            order = error.order
            messages.warning(self.request, str(error))
        except BusinessError as error:
            form.add_error(None, str(error))
            return self.form_invalid(form)
        return redirect(order)


def _change(request: HttpRequest, number: str, service, done: str) -> HttpResponse:
    """Apply a service to an order and come back to its page with what happened."""
    order = get_object_or_404(Order.objects.for_company(request.company), number=number)
    try:
        service(order, by=request.user)
        messages.success(request, f"{number} {done}.")
    except BusinessError as error:
        messages.error(request, str(error))
    return redirect(order)


@require_POST
@permission_required("sales.confirm_order", raise_exception=True)
def confirm(request: HttpRequest, number: str) -> HttpResponse:
    return _change(request, number, services.confirm_order, "is confirmed")


@require_POST
@permission_required("sales.ship_order", raise_exception=True)
def ship(request: HttpRequest, number: str) -> HttpResponse:
    return _change(request, number, services.ship_order, "is on its way")


@require_POST
@permission_required("sales.release_hold", raise_exception=True)
def release(request: HttpRequest, number: str) -> HttpResponse:
    return _change(request, number, services.release_hold, "is released")


@login_required
def order_margin(request: HttpRequest, number: str) -> HttpResponse:
    """What we earn on an order: revenue, cost, and the markup on cost."""
    order = get_object_or_404(Order.objects.for_company(request.company), number=number)
    cost = order.lines.aggregate(cost=Sum(F("quantity") * F("product__cost")))["cost"]
    margin = order.total - cost
    return render(
        request,
        "sales/order_margin.html",
        {"order": order, "cost": cost, "margin": margin, "markup": margin / cost * 100},
    )
