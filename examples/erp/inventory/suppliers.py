"""What suppliers report through their gateways: lead times and price lists.

The suppliers are asked side by side, since some of them take their time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal

from django.conf import settings

from inventory.errors import SupplierTimeout, UnknownSupplierItem

PricePage = list[tuple[str, Decimal]]


class SupplierGateway:
    """An in-process gateway that answers as the suppliers' own do, from the agreements we have with them."""

    def __init__(self) -> None:
        self.lead_times = {
            "BRD-OAK": 9,
            "BRD-BIRCH": 7,
            "BRD-PINE": 5,
            "VNR-ASH": 21,
            "LAC-MATT": 4,
            "OIL-LINSEED": 6,
            "SCR-M6": 3,
            "DOW-8": 3,
            "GLU-D3": 4,
            "FAB-WOOL": 28,
            "FOAM-35": 12,
            "HNG-BRASS": 14,
            "GLS-4MM": 10,
            "PKG-LARGE": 2,
            "ACC-OILKIT": 8,
            "ACC-FELT": 5,
        }
        self.prices = {
            "BRD-OAK": Decimal("186.00"),
            "BRD-BIRCH": Decimal("121.50"),
            "BRD-PINE": Decimal("64.00"),
            "VNR-ASH": Decimal("88.00"),
            "LAC-MATT": Decimal("42.50"),
            "OIL-LINSEED": Decimal("31.00"),
            "SCR-M6": Decimal("0.85"),
            "DOW-8": Decimal("0.40"),
            "GLU-D3": Decimal("18.90"),
            "FAB-WOOL": Decimal("268.00"),
            "FOAM-35": Decimal("74.00"),
            "HNG-BRASS": Decimal("36.50"),
            "GLS-4MM": Decimal("142.00"),
            "PKG-LARGE": Decimal("22.00"),
            "ACC-OILKIT": Decimal("96.00"),
            "ACC-FELT": Decimal("12.00"),
        }
        self.latency = 0.005
        self.slow: dict[str, float] = {}

    async def lead_time(self, code: str) -> int:
        """Days until the goods are here; ``UnknownSupplierItem`` if nobody carries them."""
        await asyncio.sleep(self.slow.get(code, self.latency))
        try:
            return self.lead_times[code]
        except KeyError:
            raise UnknownSupplierItem(code) from None

    async def price_page(self, page: int, size: int) -> PricePage:
        """One page of the price list, counting from 0; empty after the last."""
        await asyncio.sleep(self.latency)
        rows = sorted(self.prices.items())
        return rows[page * size : (page + 1) * size]


gateway = SupplierGateway()


async def fetch_lead_times(codes: Iterable[str], *, timeout: float | None = None) -> dict[str, int]:
    """Days of delivery for each product code.

    Raises ``SupplierTimeout`` naming those unanswered after ``timeout`` seconds, and ``UnknownSupplierItem``.
    """
    wait = settings.ERP_SUPPLIER_TIMEOUT_SECONDS if timeout is None else timeout
    asked = {code: asyncio.ensure_future(gateway.lead_time(code)) for code in sorted(set(codes))}
    if not asked:
        return {}
    _, unanswered = await asyncio.wait(asked.values(), timeout=wait)
    for question in unanswered:
        question.cancel()
    if unanswered:
        raise SupplierTimeout([code for code, question in asked.items() if question in unanswered], wait)
    return {code: question.result() for code, question in asked.items()}


async def stream_price_pages(size: int = 5) -> AsyncIterator[PricePage]:
    """The suppliers' price list page by page, as ``(product code, price)`` rows."""
    page = 0
    while rows := await gateway.price_page(page, size):
        yield rows
        page += 1
