"""One trace through several services and a worker: one id, the right parents, and the decision of the first.

front (Sentry's SDK) ─► shop (gunicorn) ─► stock (uvicorn) ─► partner (Sentry's SDK)
                            │
                            └─► a task of Celery, retried once
"""

from __future__ import annotations

import contextlib
import json

import pytest
from acceptance.running import Running, deliver, get, is_listening, wait_until
from acceptance.services import free_port
from receiver import Receiver

pytest.importorskip("sentry_sdk")
pytest.importorskip("celery")
pytest.importorskip("requests")
pytest.importorskip("uvicorn")
pytest.importorskip("gunicorn")

SETTINGS = "SECRET_KEY = 'x'\nROOT_URLCONF = 'urls'\nALLOWED_HOSTS = ['*']\nINSTALLED_APPS = []\nUSE_TZ = True\n"
#: Both Django services and the worker: which views and tasks run is a matter of who calls.
URLS = """
import os, urllib.request
from django.http import HttpResponse
from django.urls import path
import services, tasks

def order(request):
    found = services.ask_stock(os.environ["STOCK"])
    tasks.reserve.apply_async(headers={"x-tenant": "7"})
    return HttpResponse(found)

async def stock(request):
    return HttpResponse(await services.ask_partner(os.environ["PARTNER"]))

def broken(request): return HttpResponse(services.ask_stock(os.environ["STOCK"].replace("stock", "failing")))
def failing(request): return HttpResponse(services.fails())

urlpatterns = [path("order/", order), path("stock/", stock), path("broken/", broken), path("failing/", failing)]
"""
SERVICES = """
import requests, httpx, time
def busy():
    end = time.perf_counter() + 0.06
    while time.perf_counter() < end: pass
def ask_stock(url):
    busy()
    return requests.get(url, headers={"baggage": "tenant=7"}).text
async def ask_partner(url):
    busy()
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text
def fails(): raise LookupError("no stock")
def reserved(): busy()
"""
TASKS = """
import os, celery, services
app = celery.Celery("shop", broker=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
@app.task(bind=True, max_retries=2, name="shop.reserve")
def reserve(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    services.reserved()
    print("RESERVED " + self.request.headers["x-tenant"])
"""
SERVER = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.{0} import get_{0}_application
application = get_{0}_application()
"""
#: A service that Sentry's SDK traces, without the agent.
SDK = """
import os, sys, json
import sentry_sdk, requests
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from wsgiref.simple_server import make_server, WSGIRequestHandler
name, port = sys.argv[1], int(sys.argv[2])
sentry_sdk.init(os.environ["SENTRY_DSN"], traces_sample_rate=1.0, release=name, environment="sdk")
def app(environ, start_response):
    sentry_sdk.get_current_scope().set_transaction_name(name)
    if name == "front":
        said = requests.get(os.environ["SHOP"]).text
    else:
        said = json.dumps({each: environ.get("HTTP_" + each.upper()) for each in ("sentry_trace", "baggage", "traceparent")})
    start_response("200 OK", [("Content-Type", "text/plain")])
    sentry_sdk.flush()
    return [said.encode()]
class Quiet(WSGIRequestHandler):
    def log_message(self, *_): pass
make_server("127.0.0.1", port, SentryWsgiMiddleware(app), handler_class=Quiet).serve_forever()
"""
MONITORS = """
version: 1
packs: [django, celery, requests, httpx]
sentry:
  dsn: "${SENTRY_DSN:-}"
  release: shop@1
  traces_sample_rate: 0.000001
  profiles_sample_rate: 1.0
celery: {queue_wait: 1h}
monitors:
  - {target: services.ask_stock, operation: ask stock}
  - {target: services.ask_partner, operation: ask partner}
  - {target: services.fails, operation: fails}
  - {target: services.reserved, operation: reserved}
"""


def spans_of(transaction):
    return {transaction["contexts"]["trace"]["span_id"], *(span["span_id"] for span in transaction["spans"])}


@contextlib.contextmanager
def services(host, sentry, redis):
    host.write(
        settings__py=SETTINGS, urls__py=URLS, services__py=SERVICES, tasks__py=TASKS, sdk__py=SDK, monitors__yaml=MONITORS,
        wsgi__py=SERVER.format("wsgi"), asgi__py=SERVER.format("asgi"),
    )  # fmt: skip
    front, shop, stock, partner = ports = [free_port() for _ in range(4)]
    extra = {
        "SENTRY_DSN": sentry.dsn, "BROKER": redis.url(5), "SHOP": f"http://127.0.0.1:{shop}/order/",
        "STOCK": f"http://127.0.0.1:{stock}/stock/", "PARTNER": f"http://127.0.0.1:{partner}/",
    }  # fmt: skip
    commands = [
        ("sdk.py", "front", str(front)), ("sdk.py", "partner", str(partner)),
        ("-m", "gunicorn", "-b", f"127.0.0.1:{shop}", "wsgi"), ("-m", "uvicorn", "--port", str(stock), "asgi:application"),
        ("-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "INFO", "--without-mingle", "--without-gossip"),
    ]  # fmt: skip
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(Running(host, *command, agent=command[0] != "sdk.py", **extra)) for command in commands
        ]
        wait_until(lambda: all(map(is_listening, ports)))
        running[-1].wait_for("ready")
        yield front, shop, running[-1]
        for each in running:
            assert "agent:" not in each.printed, each.printed


def test_a_trace_goes_through_services_of_both_and_a_task(host, redis_server):
    with Receiver(strict=False) as sentry, services(host, sentry, redis_server) as (front, shop, worker):
        _, said = get(front)
        worker.wait_for("RESERVED 7", 30)
        wanted = {"front", "/order/", "/stock/", "partner", "shop.reserve"}
        wait_until(
            lambda: wanted <= {each["transaction"] for each in sentry.transactions} and deliver(host, sentry) is None
        )
        found = {}
        for envelope in sentry.envelopes:
            for item, payload in envelope.items:
                if item["type"] == "transaction":
                    made = json.loads(payload)
                    found.setdefault(made["transaction"], []).append((made, envelope.headers["trace"]))
        ((head, context),) = found["front"]
        trace = head["contexts"]["trace"]["trace_id"]
        for made, sent in [pair for pairs in found.values() for pair in pairs]:
            assert made["contexts"]["trace"]["trace_id"] == trace, made["transaction"]
            assert {name: sent[name] for name in context} == context, "the head's context is in every envelope"
        ((order, _),) = found["/order/"]
        ((stock, _),) = found["/stock/"]
        ((partner, _),) = found["partner"]
        first, second = sorted((made for made, _ in found["shop.reserve"]), key=lambda made: made["start_timestamp"])
        parents = [made["contexts"]["trace"]["parent_span_id"] for made in (order, stock, partner, first, second)]
        for parent, made in zip(parents, (head, order, stock, order, first)):
            assert parent in spans_of(made), made["transaction"]
        for made in (first, second):
            assert made["contexts"]["trace"]["data"]["messaging.message.receive.latency"] >= 0
        brought = json.loads(said)
        assert brought["sentry_trace"].startswith(trace)
        assert brought["sentry_trace"].endswith("-1")
        assert "tenant" not in brought["baggage"], "members that came in are not ours to send on"
        assert brought["traceparent"] is None

        # Each of ours was profiled: the workers of gunicorn and uvicorn, and Celery's.
        profiles = {}
        for envelope in sentry.envelopes:
            for item, payload in envelope.items:
                if item["type"] == "profile":
                    profile = json.loads(payload)
                    profiles.setdefault(profile["transaction"]["id"], profile)
                    assert profile["transaction"]["id"] == envelope.event_id
        for made in (order, stock, second):
            profile = profiles[made["event_id"]]
            assert made["contexts"]["profile"]["profile_id"] == profile["event_id"]
            (busy,) = {
                frame["function"]: frame for frame in profile["profile"]["frames"] if frame["function"] == "busy"
            }.values()
            assert (busy["module"], busy["in_app"]) == ("services", True)
            assert profile["transaction"]["active_thread_id"] in profile["profile"]["thread_metadata"]

        # A request that is not sampled: the reports of both services are in one trace all the same.
        assert get(shop, "/broken/")[0] == 200
        deliver(host, sentry)
        (failure,) = [each for each in sentry.events if each["tags"]["erp.operation"] == "fails"]
        (seen,) = [each for each in sentry.events if each["tags"]["erp.operation"] == "requests.send"]
        of_failure, of_call = failure["contexts"]["trace"], seen["contexts"]["trace"]
        assert of_failure["trace_id"] == of_call["trace_id"] != trace
