from agent import monitor_quality_operation, sentry_security_monitor
from core import monitoring
from core.monitoring import *
from core.monitoring import sentry_monitor as monitored

from . import errors
from .errors import OnHold

MODULE = "sales"


@monitored(MODULE, "create_order", threshold=2, severity="critical", expect=[OnHold, errors.OnHold, ValueError])
def create_order(order):
    ...


@monitored(module="sales", operation="ship {order} for ${PRICE}", capture={"number": "order.number"}, tags={"tier": 1})
async def ship(order):
    @monitored
    def inside(): ...


class Orders:
    @staticmethod
    @sentry_database_monitor(model="Order", operation="load")
    def load(key): ...

    @sentry_monitor("sales")
    @sentry_database_monitor("Order")
    def save(self): ...

    class Archive:
        @monitoring.sentry_business_logic_monitor(process="order_to_cash")
        def close(self): ...


@sentry_transaction(name="nightly", op="task")
def nightly(): ...


@sentry_transaction(name="nightly", op="other")
def nightly_again(): ...


@sentry_api_monitor(endpoint="GET /orders/{id}")
def order_view(request, id): ...


@sentry_security_monitor(event_type="login_failed")
def sign_in(user): ...


@sentry_security_monitor("login_failed", audit=True)
def sign_out(user): ...


@monitor_sales_operation
def quote(): ...


@monitor_sales_operation
def offer(): ...


@monitor_inventory_operation("reserve")
def reserve(): ...


@monitor_production_operation(operation=f"plan_{MODULE}")
def plan(): ...


@monitor_quality_operation("inspect", sampling=0.5)
def inspect(): ...


@monitored
class Service: ...


checked = sentry_monitor("sales")(quote)


class _Stock:
    @monitor_inventory_operation("count")
    def __count(self): ...


if __name__ == "__main__":
    @monitored
    def main(): ...
