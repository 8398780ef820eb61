"""Prices: what a customer pays for a quantity, and how new prices come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from django.db import transaction

from sales.errors import PriceImportError, UnknownCustomer
from sales.models import Customer, PriceBreak, PriceList, Product


class PriceCalculator:
    """Answers what one customer pays per piece: ``calculator(product, quantity)``.

    A quantity break on the customer's price list wins; otherwise the list's discount comes off the list price.
    """

    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self._breaks: dict[int, list[tuple[int, Decimal]]] | None = None

    @classmethod
    def for_customer(cls, customer_id: int) -> PriceCalculator:
        try:
            return cls(Customer.objects.select_related("price_list").get(pk=customer_id))
        except Customer.DoesNotExist as error:
            raise UnknownCustomer(customer_id) from error

    @staticmethod
    def round_price(amount: Decimal) -> Decimal:
        """To whole öre, half up, as printed on invoices."""
        return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)

    @property
    def discount(self) -> Decimal:
        """The discount of the customer's price list as a fraction, such as 0.10."""
        price_list = self.customer.price_list
        return price_list.discount_percent / 100 if price_list else Decimal("0")

    def __call__(self, product: Product, quantity: int) -> Decimal:
        best = None
        for min_quantity, price in self._breaks_of(product):
            if quantity >= min_quantity:
                best = price
        if best is not None:
            return best
        return self.round_price(product.list_price * (1 - self.discount))

    def _breaks_of(self, product: Product) -> list[tuple[int, Decimal]]:
        """The product's breaks by rising quantity. All of the list's are read at the first question."""
        if self._breaks is None:
            self._breaks = {}
            rows = PriceBreak.objects.filter(price_list=self.customer.price_list_id).order_by("min_quantity")
            for product_id, min_quantity, price in rows.values_list("product_id", "min_quantity", "price"):
                self._breaks.setdefault(product_id, []).append((min_quantity, price))
        return self._breaks.get(product.pk, [])


@transaction.atomic
def import_prices(price_list: PriceList, rows: Iterable[Mapping[str, str]]) -> int:
    """Import ``{"product", "min_quantity", "price"}`` rows; answers how many. All or nothing.

    Raises ``PriceImportError`` for the first row that is wrong, counting from 1.
    """
    imported = 0
    for number, row in enumerate(rows, start=1):
        product, min_quantity, price = _parse_price_row(number, row)
        PriceBreak.objects.update_or_create(
            price_list=price_list, product=product, min_quantity=min_quantity, defaults={"price": price}
        )
        imported += 1
    return imported


def _parse_price_row(number: int, row: Mapping[str, str]) -> tuple[Product, int, Decimal]:
    try:
        product = Product.objects.get(code=row["product"])
        min_quantity = int(row.get("min_quantity") or 1)
        price = Decimal(row["price"].replace(",", "."))
    except KeyError as error:
        raise PriceImportError(number, f"the column {error} is missing") from error
    except Product.DoesNotExist as error:
        raise PriceImportError(number, f"there is no product {row['product']!r}") from error
    except (ValueError, InvalidOperation) as error:
        raise PriceImportError(
            number, f"cannot read {row.get('min_quantity')!r} at {row['price']!r}"
        ) from error
    if min_quantity < 1 or price <= 0:
        raise PriceImportError(number, "quantity and price must be above zero")
    return product, min_quantity, price
