"""What sales rejects."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from erp.errors import BusinessError


class SalesError(BusinessError):
    code = "sales"


class UnknownCustomer(SalesError):
    code = "unknown_customer"
    status = 404

    def __init__(self, customer_id: object) -> None:
        super().__init__(f"there is no customer {customer_id}")


class UnknownProduct(SalesError):
    code = "unknown_product"
    status = 404

    def __init__(self, product_code: str) -> None:
        super().__init__(f"there is no product {product_code!r} for sale")
        self.product_code = product_code


class OrderOnHold(SalesError):
    """The customer is blocked. The order is kept, on hold, until a manager releases it."""

    code = "on_hold"

    def __init__(self, order: Any) -> None:
        super().__init__(f"order {order.number} is on hold: {order.customer} is blocked")
        self.order = order


class CreditLimitExceeded(SalesError):
    """With this order the customer would owe more than agreed. Nothing was stored."""

    code = "credit_limit"
    status = 422

    def __init__(self, customer: Any, *, exposure: Decimal, requested: Decimal) -> None:
        self.customer = customer
        self.limit = customer.credit_limit
        self.exposure = exposure
        self.requested = requested
        super().__init__(
            f"{customer} would owe {exposure + requested}, above the credit limit of {self.limit}"
        )

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "limit": str(self.limit), "exposure": str(self.exposure)}


class QuotationExpired(SalesError):
    code = "quotation_expired"

    def __init__(self, quotation: Any) -> None:
        super().__init__(f"quotation {quotation.number} was valid until {quotation.valid_until}")


class PriceImportError(SalesError):
    """A row of a price file is wrong; none of the file was imported."""

    code = "price_import"
    status = 422

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(f"row {row}: {problem}")
        self.row = row
        self.problem = problem


class LedgerUnavailable(SalesError):
    """The general ledger does not answer. It usually does a little later."""

    code = "ledger_unavailable"
    status = 503


class PeriodClosed(SalesError):
    """The ledger has closed the month; posting to it again will not help."""

    code = "period_closed"

    def __init__(self, period: str) -> None:
        super().__init__(f"period {period} is closed")
        self.period = period


class MailServerBusy(SalesError):
    code = "mail_busy"
    status = 503
