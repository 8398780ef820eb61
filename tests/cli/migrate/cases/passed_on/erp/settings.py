import os

import sentry_sdk

COMMON = ("erp.sales.orders.ship", {"qualified_name": "erp.sales.orders.late"})
TRACED = [*COMMON, {"qualified_name": "erp.sales.held.Orders.find"}]
GROWN = ["erp.sales.orders.price"]
GROWN += ["erp.sales.orders.more"]
sentry_sdk.init(functions_to_trace=TRACED + [{"qualified_name": f"erp.{os.name}.f"}] + GROWN)
