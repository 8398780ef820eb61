"""Monitored calls as spans: nested as they ran, of the transaction that is there or of one that a monitor starts."""

import json

import pytest
from acceptance.host import SDKS, sdk_name, with_sdk
from receiver import Receiver

SHOP = """
import time, threading
def start(): return order()
def order():
    query(); reserve(); hidden()
    return "done"
def reserve(): query()
def query(): time.sleep(0.12)
def hidden(): pass
def fails():
    try: broken()
    except ValueError: return 1
def broken(): raise ValueError("x")
async def astart(): return await aorder()
async def aorder(): return "done"
def threaded():
    thread = threading.Thread(target=reserve); thread.start(); thread.join()
"""
MONITORS = """
version: 1
modules: {sales: {}}
sentry: {dsn: "${SENTRY_DSN:-}", traces_sample_rate: RATE, tracing: WAY}
monitors:
  - {targets: [shop.start, shop.astart, shop.fails, shop.threaded, shop.pooled, shop.gathered], kind: transaction, name: nightly, operation: "{name}", module: sales}
  - {targets: [shop.order, shop.aorder, shop.broken, shop.reserve], kind: business, process: order_to_cash, operation: "{name}", module: sales}
  - {target: shop.query, kind: database, model: Stock, operation: select, threshold: off}
  - {target: shop.hidden, operation: hidden, span: never}
"""


#: Who traces: the agent, or the Sentry SDK.
WAYS = [("agent", None), *(("sdk", sdk) for sdk in SDKS)]


def way_name(value):
    return value if value in ("agent", "sdk") else sdk_name(value)


def sent(host, main, rate="1.0", shop=SHOP, way="agent", sdk=None):
    monitors = MONITORS.replace("RATE", rate).replace("WAY", way)
    host.write(shop__py=shop, main__py=main, monitors__yaml=monitors)
    with Receiver() as sentry:
        done = host.run("main.py", SENTRY_DSN=sentry.dsn, PYTHONPATH=with_sdk(sdk))
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        assert "agent:" not in done.stderr, done.stderr
        begun = sorted(sentry.transactions, key=lambda each: each["start_timestamp"])  # two may be on their way at once
        return done, begun, sentry.events, list(sentry.envelopes)


def tree(transaction):
    """(depth, op, description) of each span, in the order of their beginning."""
    root = transaction["contexts"]["trace"]["span_id"]
    parents = {span["span_id"]: span["parent_span_id"] for span in transaction["spans"]}

    def depth(span_id):
        return 0 if span_id == root else 1 + depth(parents[span_id])

    spans = sorted(transaction["spans"], key=lambda span: span["start_timestamp"])
    return [(depth(span["span_id"]), span["op"], span["description"]) for span in spans]


@pytest.mark.parametrize(("way", "sdk"), WAYS, ids=way_name)
def test_a_transaction_where_none_is_and_spans_as_they_ran(host, way, sdk):
    _, transactions, _, _ = sent(host, "import shop; shop.start()", way=way, sdk=sdk)
    (transaction,) = transactions
    assert transaction["transaction"] == "nightly"
    assert transaction["contexts"]["trace"]["op"] == "erp.transaction"
    assert tree(transaction) == [
        (1, "erp.process", "order"), (2, "db.select", "Stock select"), (2, "erp.process", "reserve"),
        (3, "db.select", "Stock select"),
    ]  # fmt: skip
    (first, *_) = sorted(transaction["spans"], key=lambda span: span["start_timestamp"])
    assert first["data"]["erp.module"] == "sales"
    slow = [span for span in transaction["spans"] if span["op"] == "db.select"]
    assert slow[0]["data"]["code.function"] == "order"
    assert slow[1]["data"]["code.function"] == "reserve"


@pytest.mark.parametrize(("way", "sdk"), WAYS, ids=way_name)
def test_coroutines_and_failures(host, way, sdk):
    main = "import asyncio, shop\nasyncio.run(shop.astart())\nshop.fails()\n"
    _, transactions, events, _ = sent(host, main, way=way, sdk=sdk)
    first, second = transactions
    assert tree(first) == [(1, "erp.process", "aorder")]
    (span,) = second["spans"]
    assert (
        span["tags"]["status"] == "internal_error"
        if "status" in span.get("tags", {})
        else span["status"] == "internal_error"
    )
    (event,) = events
    assert event["contexts"]["trace"]["trace_id"] == second["contexts"]["trace"]["trace_id"]
    assert event["contexts"]["trace"]["span_id"] == span["span_id"]


def test_nothing_is_loaded_or_sent_where_nothing_is_sampled(host):
    main = "import shop, sys\nshop.start()\nprint('sentry_sdk' in sys.modules)\n"
    done, transactions, _, _ = sent(host, main, rate="0.0")
    assert (done.stdout, transactions) == ("False\n", [])
    done, transactions, _, _ = sent(host, main.replace("start", "order"))
    assert (done.stdout, transactions) == ("False\n", [])


HOST = """
import sentry_sdk, sys, os
kept = []
class Keep(sentry_sdk.transport.Transport):
    def capture_envelope(self, envelope): kept.append(envelope)
    def capture_event(self, event): pass
sentry_sdk.init(dsn="http://host@127.0.0.1:9/1", transport=Keep, traces_sample_rate=1.0, **OPTIONS)
import shop
START
sentry_sdk.flush()
found = [s["description"] for e in kept for i in e.items if i.type == "transaction" for s in i.payload.json["spans"]]
import json
found += [s["name"] for e in kept for i in e.items if i.type == "span" for s in json.loads(i.payload.get_bytes())["items"]]
print(sorted(found))
"""


@pytest.mark.parametrize(("sdk", "streaming"), [*((sdk, False) for sdk in SDKS), (None, True)])
def test_without_a_dsn_of_ours_spans_belong_to_the_hosts_transactions(host, sdk, streaming):
    consts = pytest.importorskip("sentry_sdk.consts")
    if streaming and "trace_lifecycle" not in consts.DEFAULT_OPTIONS:
        pytest.skip("this SDK does not stream spans")
    options = "{'trace_lifecycle': 'stream'}" if streaming else "{}"
    start = "with sentry_sdk.traces.start_span(name='host'): shop.order()" if streaming else (
        "with sentry_sdk.start_transaction(op='x', name='host'): shop.order()")  # fmt: skip
    host.write(
        shop__py=SHOP, monitors__yaml=MONITORS.replace("RATE", "1.0").replace("WAY", "agent"),
        main__py=HOST.replace("OPTIONS", options).replace("START", start),
    )  # fmt: skip
    done = host.run("main.py", PYTHONPATH=with_sdk(sdk))
    found = json.loads(done.stdout.replace("'", '"'))
    expected = ["Stock select", "Stock select", "order", "reserve"]
    assert found == sorted([*expected, "host"] if streaming else expected)


@pytest.mark.parametrize(("way", "sdk"), WAYS, ids=way_name)
def test_threads_and_tasks_are_inside_what_started_them(host, way, sdk):
    main = """
import asyncio, concurrent.futures, shop
shop.threaded()
shop.pooled()
asyncio.run(shop.gathered())
"""
    more = """
def pooled():
    with concurrent.futures.ThreadPoolExecutor(1) as pool: pool.submit(reserve).result()
async def gathered():
    await asyncio.gather(aorder(), aorder()); await asyncio.get_running_loop().run_in_executor(None, bound())
def bound():
    import contextvars
    context = contextvars.copy_context(); return lambda: context.run(reserve)
"""
    shop = SHOP + "import asyncio, concurrent.futures\n" + more
    _, transactions, _, _ = sent(host, main, shop=shop, way=way, sdk=sdk)
    inside = [(1, "erp.process", "reserve"), (2, "db.select", "Stock select")]
    threaded, pooled, gathered = transactions
    assert tree(threaded) == inside
    assert tree(pooled) == inside
    assert tree(gathered) == [(1, "erp.process", "aorder")] * 2 + inside


DJANGO = """
import io, sys
from django.conf import settings
settings.configure(
    ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path
application = get_wsgi_application()
import sentry_sdk
def view(request):
    with connection.cursor() as cursor: cursor.execute("SELECT 40 + 2")
    sentry_sdk.capture_message("seen")
    return HttpResponse()
urlpatterns = [path("", view)]
connection.ensure_connection()
made, make = [], sentry_sdk.tracing.Span.__init__
def counted(self, *arguments, **named): made.append(self); make(self, *arguments, **named)
sentry_sdk.tracing.Span.__init__ = counted
response = application({
    "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "shop", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
    "wsgi.input": io.BytesIO(), "HTTP_SENTRY_TRACE": f"{1:032x}-{2:016x}-SAMPLED",
}, lambda *_: None)
list(response); response.close()
print(sorted({type(span).__name__ for span in made}))
"""


def test_a_request_that_is_sampled_has_spans_of_django(host):
    pytest.importorskip("django")
    _, (transaction,), (event,), _ = sent(host, DJANGO.replace("SAMPLED", "1"), "0.1", way="sdk")
    assert {"db", "middleware.django", "event.django"} <= {span["op"] for span in transaction["spans"]}
    assert statements(event) == ["SELECT %s + %s"]


def test_a_request_that_is_not_sampled_pays_for_no_span_and_keeps_its_breadcrumbs(host):
    pytest.importorskip("django")
    done, transactions, (event,), _ = sent(host, DJANGO.replace("SAMPLED", "0"), "0.1", way="sdk")
    assert (done.stdout.strip(), transactions) == ("['Transaction']", [])
    assert statements(event) == ["SELECT %s + %s"]


def statements(event):
    return [crumb["message"] for crumb in event["breadcrumbs"]["values"] if crumb.get("category") == "query"]
