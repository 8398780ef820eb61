from functools import partial

import logfire
import sentry_sdk

from erp.common.tools import sentry_monitor

held = sentry_monitor("sales", "held")
unused = sentry_monitor("sales", "unused")
fast = partial(sentry_sdk.trace, op="fast")
changed = "a"
if held:
    changed = "b"


@held
def release(order): ...


class Orders:
    @classmethod
    @fast
    def find(cls, key): ...

    @fast(name="named")
    def refund(self, order): ...

    @logfire.instrument("charge {amount=} to {customer.id}")
    def charge(self, amount, customer): ...

    @logfire.instrument("{{all}}")
    def braces(self): ...


@sentry_monitor("sales", changed)
def branch(order): ...


registered = [sentry_sdk.trace]
