from __future__ import annotations

from celery import shared_task
from django.core.mail import EmailMessage

from accounts import audit
from sales import services
from sales.errors import LedgerUnavailable, MailServerBusy
from sales.models import Order
from sales.outbox import outbox


@shared_task(bind=True, autoretry_for=(MailServerBusy,), max_retries=3, retry_backoff=5, retry_jitter=False)
def send_order_confirmation(self, order_id: int) -> str:
    """Mail the customer what we promised. Answers the address, empty if there is none."""
    order = Order.objects.select_related("customer").get(pk=order_id)
    if not order.customer.email:
        return ""
    outbox.send(
        EmailMessage(
            subject=f"Order {order.number} is confirmed",
            body=services.confirmation_text(order),
            to=[order.customer.email],
            headers={"Message-ID": f"<{order.number}@norrland.example>"},
        )
    )
    Order.objects.filter(pk=order.pk).update(confirmation_sent=True)
    return order.customer.email


@shared_task(
    bind=True, autoretry_for=(LedgerUnavailable,), max_retries=3, retry_backoff=30, retry_jitter=False
)
def nightly_invoicing(self) -> int:
    """Invoice every shipped order; returns how many.

    Each invoice is its own transaction, so a retry goes on where the ledger stopped answering.
    """
    invoices = [services.invoice_order(order) for order in Order.objects.to_invoice().order_by("number")]
    audit.record("nightly invoicing", invoices=[invoice.number for invoice in invoices])
    return len(invoices)
