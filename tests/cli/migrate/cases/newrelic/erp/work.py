import newrelic.agent
import newrelic.agent as nr
from newrelic.agent import background_task, function_trace


@function_trace(name="price", group="Sales")
def price(): ...


@background_task(name="close the month")
def close(): ...


@newrelic.agent.web_transaction(name="webhook")
def webhook(): ...


@nr.database_trace("SELECT secret FROM t")
def query(): ...


@nr.datastore_trace("Redis", "cart", "get")
def cart(): ...


@nr.external_trace("requests", "https://bank.example")
def pay():
    with nr.FunctionTrace(name="inner"):
        nr.notice_error()


def named(): ...


def traced(): ...


nr.wrap_function_trace("erp.work", "named", name="by name")
nr.wrap_function_trace(price, "named")
