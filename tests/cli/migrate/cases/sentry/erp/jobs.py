import sentry_sdk
from sentry_sdk import capture_exception, start_span, trace
from sentry_sdk.crons import monitor


def close():
    with start_span(op="close", name="the books"):
        try:
            ...
        except Exception:
            capture_exception()
    sentry_sdk.capture_exception()


class Month:
    @trace
    def open(self): ...


@sentry_sdk.trace(op="db.query", name="load balances")
def balances(): ...


@monitor(monitor_slug="nightly")
def nightly(): ...


sentry_sdk.init()
