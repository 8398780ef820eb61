import erp.common as common
from erp.common import guard, measured, watched

MODULE = "sales"
PREFIX = "order_"


@watched(MODULE, operation="create_" + "order")
async def create(order): ...


@common.watched("sales", f"{PREFIX}ship")
def ship(order): ...


@measured
def price(order): ...


@guard
def elsewhere(order): ...


if MODULE:

    @watched("sales", "cancel")
    def cancel(order): ...

else:

    @watched("sales", "cancel_none")
    def cancel(order): ...


def late(order): ...


def partner(order): ...
