import contextlib
import sys

from sales.services import create_order

for customer, items in ((1, []), (2, ["desk"]), (1, ["lamp"] * 100)):
    with contextlib.suppress(ValueError):
        create_order(customer, items, password="hunter2")
if sys.argv[1:] == ["--wait"]:  # one that goes on, until its input ends
    print("ready", flush=True)
    for line in sys.stdin:
        create_order(3, ["chair"])
