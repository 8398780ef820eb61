"""What arrives of requests of Django that the agent traces: spans of the pack, names, data, marks, and errors' traces."""

import json

import pytest
from receiver import Receiver

pytest.importorskip("django")

MONITORS = """
version: 1
packs: [django]
sentry: {dsn: "${SENTRY_DSN:-}", traces_sample_rate: RATE, traces: {keep_slow: 300ms}}
monitors:
  - {target: main.price, module: m, kind: business, process: quoting, operation: price}
modules: {m: {}}
"""
MAIN = """
import io, sys, time
from django.conf import settings
settings.configure(
    ROOT_URLCONF="main", ALLOWED_HOSTS=["*"], MIDDLEWARE=["django.middleware.common.CommonMiddleware"], SECRET_KEY="x",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, USE_TZ=True,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": [
        ("django.template.loaders.locmem.Loader", {"page.html": "planted {{ total }}"})]}}],
)
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path

def query(value):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 'planted-{value}' WHERE 1 = %s", [7])
def price(number):
    query(number)
    if number == 13: raise LookupError("no price")
    return cache.get_or_set(f"prices:{number}", lambda: [5])
def page(request, number):
    return render(request, "page.html", {"total": price(number)})
def slow(request): time.sleep(0.35); return HttpResponse("slow")
def refused(request): return HttpResponse(status=403)
urlpatterns = [path("orders/<int:number>/", page), path("slow/", slow), path("refused/", refused)]
if __name__ == "__main__":
    sys.modules["main"] = sys.modules["__main__"]
    application = get_wsgi_application()
    connection.ensure_connection()
    def get(address, **more):
        response = application({
            "REQUEST_METHOD": "GET", "PATH_INFO": address, "SERVER_NAME": "shop", "SERVER_PORT": "80",
            "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "QUERY_STRING": "page=planted", **more,
        }, lambda *_: None)
        body = b"".join(response); response.close()
    for address in ADDRESSES: get(address)
    print("sentry_sdk" in sys.modules)
"""


def sent(host, rate, *addresses):
    host.write(main__py=MAIN.replace("ADDRESSES", repr(addresses)), monitors__yaml=MONITORS.replace("RATE", rate))
    with Receiver() as sentry:
        done = host.run("main.py", SENTRY_DSN=sentry.dsn)
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        everything = b"\n".join(request.body for request in sentry.requests)
        envelopes = list(sentry.envelopes)
        transactions = sorted(sentry.transactions, key=lambda each: each["start_timestamp"])
        assert "agent:" not in done.stderr, done.stderr
        assert done.stdout == "False\n", "the SDK is not loaded"
        return transactions, sentry.events, envelopes, everything


def operations(transaction):
    spans = sorted(transaction["spans"], key=lambda span: span["start_timestamp"])
    return [(span["op"], span["description"]) for span in spans]


def test_a_request_with_what_ran_inside(host):
    (page, missing, refused), _, envelopes, everything = sent(host, "1.0", "/orders/5/", "/nowhere/", "/refused/")
    assert (page["transaction"], page["transaction_info"]) == ("/orders/<int:number>/", {"source": "route"})
    root = page["contexts"]["trace"]
    assert (root["op"], root["status"]) == ("http.server", "ok")
    assert {"http.request.method": "GET", "http.response.status_code": 200}.items() <= root["data"].items()
    assert page["request"] == {"method": "GET", "url": "/orders/5/", "query_string": [["page", ""]]}
    assert operations(page) == [
        ("view.render", "__main__.page"), ("erp.process", "price"), ("db", "SELECT %s WHERE %s = %s"),
        ("cache.get", "prices:*"), ("cache.put", "prices:*"), ("cache.get", "prices:*"), ("template.render", "page.html"),
    ]  # fmt: skip
    hits = [span["data"].get("cache.hit") for span in page["spans"] if span["op"].startswith("cache.")]
    assert hits == [False, None, True]
    assert {span["data"].get("db.system") for span in page["spans"] if span["op"] == "db"} == {"sqlite"}
    assert (missing["transaction"], missing["transaction_info"]["source"]) == ("/nowhere/", "url")
    assert missing["contexts"]["trace"]["status"] == "not_found"
    assert refused["contexts"]["trace"]["status"] == "permission_denied"
    assert b"planted" not in everything
    assert {json.loads(json.dumps(each.headers["trace"]))["sample_rate"] for each in envelopes} == {"1.0"}


def test_of_what_is_not_sampled_the_slow_and_the_failed_are_kept_and_marked(host):
    addresses = ("/orders/5/", "/slow/", "/orders/13/")
    transactions, events, envelopes, _ = sent(host, "0.0", *addresses)
    assert [(each["transaction"], each["tags"].get("erp.kept")) for each in transactions] == [
        ("/slow/", "slow"), ("/orders/<int:number>/", "failed"),
    ]  # fmt: skip
    heads = [each.headers["trace"] for each in envelopes if each.items[0][0]["type"] == "transaction"]
    assert [head["sample_rate"] for head in heads] == ["1.0", "1.0"]
    failed = transactions[1]
    (head,) = [each.headers["trace"] for each in envelopes if each.items[0][0]["type"] == "event"]
    assert (head["trace_id"], head["public_key"]) == (failed["contexts"]["trace"]["trace_id"], "public")
    assert head["transaction"] == "/orders/<int:number>/", (
        "Sentry decides about an event by what its trace's head states"
    )
    assert failed["contexts"]["trace"]["status"] == "internal_error"
    (event,) = events
    (span,) = [span for span in failed["spans"] if span["description"] == "price"]
    assert event["contexts"]["trace"]["trace_id"] == failed["contexts"]["trace"]["trace_id"] == span["trace_id"]
    assert event["contexts"]["trace"]["span_id"] == span["span_id"]
    status = json.loads(host.agent("status", "--format", "json").stdout)
    counts = {(each["reason"], each["what"]): each["number"] for each in status["processes"][0]["counts"]}
    assert (counts["trace-kept", "slow"], counts["trace-kept", "failed"]) == (1, 1)
    assert "traces: 0 sampled, 1 slow, 1 failed" in " ".join(host.agent("status", "--processes").stdout.split())
