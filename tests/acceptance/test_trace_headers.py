"""Headers of traces in real processes: when clients are patched, and whose headers go out where Sentry's SDK is there too."""

from __future__ import annotations

import json

import pytest

from agent.deliver import wire

SERVER = """
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
seen = []
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        seen.append([[name.lower(), value] for name, value in self.headers.items()])
        self.send_response(204); self.end_headers()
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"
"""
SHOP = """
import urllib.request
def nightly(url): return urllib.request.urlopen(url).status
def quiet(): pass
"""
MONITORS = """
version: 1
sentry: {{dsn: "${{SENTRY_DSN:-}}", traces_sample_rate: {rate}, tracing: {tracing}}}
monitors: [{{target: shop.nightly, kind: transaction, name: nightly}}, {{target: shop.quiet, operation: quiet}}]
"""
DSN = "http://key@127.0.0.1:9/1"


def headers(host, main, *, rate="1.0", tracing="agent", **extra):
    host.write(
        server__py=SERVER, shop__py=SHOP, main__py=main, monitors__yaml=MONITORS.format(rate=rate, tracing=tracing)
    )
    done = host.run("main.py", **{"SENTRY_DSN": DSN, **extra})
    assert "agent:" not in done.stderr, done.stderr
    return json.loads(done.stdout)


def values(seen, name):
    return [value for each, value in seen if each == name]


@pytest.mark.parametrize("before", ["", "import http.client, urllib.request\n"], ids=["later", "before"])
def test_a_client_is_patched_whether_it_was_imported_before_or_later(host, before):
    seen, outside = headers(host, f"{before}import server, json, shop\nshop.nightly(server.url)\nimport urllib.request\n"
                            "urllib.request.urlopen(server.url)\nprint(json.dumps(server.seen))\n")  # fmt: skip
    (trace,) = values(seen, "sentry-trace")
    assert trace.endswith("-1")
    (baggage,) = values(seen, "baggage")
    assert "sentry-transaction=nightly" in baggage
    assert "sentry-public_key=key" in baggage
    assert values(outside, "sentry-trace") == [], "outside of a trace nothing goes out"


@pytest.mark.parametrize("how", [{"SENTRY_DSN": ""}, {"tracing": "off"}], ids=["no DSN", "off"])
def test_without_tracing_nothing_goes_out(host, how):
    rate = "0.0" if "SENTRY_DSN" in how else "1.0"
    (seen,) = headers(
        host, "import server, json, shop\nshop.nightly(server.url)\nprint(json.dumps(server.seen))\n", rate=rate, **how
    )
    assert {name for name, _ in seen} == {"accept-encoding", "host", "user-agent", "connection"}


@pytest.mark.parametrize(("came", "decision"), [("", None), ("-1", "1"), ("-0", "0")], ids=["open", "sampled", "not"])
def test_where_nothing_is_traced_the_decision_is_left_to_others(host, came, decision):
    """A request of any WSGI server, with the default settings: its trace goes on all the same."""
    main = (
        "import server, json, shop, urllib.request, threading\n"
        "from wsgiref.simple_server import make_server, WSGIRequestHandler\n"
        "class Quiet(WSGIRequestHandler):\n    def log_message(self, *_): pass\n"
        "def app(environ, start):\n    shop.quiet(); urllib.request.urlopen(server.url)\n"
        "    start('204 ok', []); return []\n"
        "own = make_server('127.0.0.1', 0, app, handler_class=Quiet)\n"
        "threading.Thread(target=own.handle_request, daemon=True).start()\n"
        f"headers = {{'sentry-trace': 'a' * 32 + '-' + 'b' * 16 + {came!r}, 'traceparent': '00-' + 'a' * 32 + '-' + 'b' * 16 + '-01'}}\n"
        "url = f'http://127.0.0.1:{own.server_port}/'\n"
        "urllib.request.urlopen(urllib.request.Request(url, headers=headers)).read()\nprint(json.dumps(server.seen))\n"
    )
    (seen,) = headers(host, main, rate="0.0")
    (trace,) = values(seen, "sentry-trace")
    assert trace.split("-")[0] == "a" * 32
    assert trace.split("-")[1] != "b" * 16
    assert trace.split("-")[2:] == ([] if decision is None else [decision])
    (parent,) = values(seen, "traceparent")
    assert parent == f"00-{'a' * 32}-{trace.split('-')[1]}-0{decision or 0}"
    assert values(seen, "baggage") == [], "a head without a context keeps none"


def test_where_the_host_has_the_sdk_its_headers_go_out_and_once(host):
    pytest.importorskip("sentry_sdk")
    seen, hosts = headers(
        host,
        "import server, json, sentry_sdk\n"
        "sentry_sdk.init('http://other@127.0.0.1:9/2', traces_sample_rate=1.0, release='hosts', shutdown_timeout=0)\n"
        "import shop\nwith sentry_sdk.start_transaction(name='hosts') as trace: shop.nightly(server.url)\n"
        "print(json.dumps([server.seen[0], trace.trace_id]))\nimport os, sys; sys.stdout.flush(); os._exit(0)\n",
    )
    (trace,) = values(seen, "sentry-trace")
    assert trace.startswith(hosts)
    (baggage,) = values(seen, "baggage")
    assert "sentry-release=hosts" in baggage
    assert baggage.count("sentry-trace_id") == 1


def test_the_import_of_a_client_alone_begins_nothing(host):
    main = (
        "import sys, json, http.client, urllib.request\n"
        "print(json.dumps(sorted(name for name in sys.modules if name.startswith('_erp_agent.'))))\n"
    )
    headers(host, main)  # compiles the plan
    loaded = headers(host, main)
    assert not any(".boot.engine" in name or ".traces" in name or ".integrations" in name for name in loaded), loaded


def test_under_gevent_no_trace_is_profiled_and_status_shows_why(host):
    pytest.importorskip("gevent")
    host.write(
        shop__py="import time\ndef nightly(): time.sleep(0.1)\n",
        main__py="from gevent import monkey; monkey.patch_all()\nimport shop\nshop.nightly()\nshop.nightly()\n",
        monitors__yaml=MONITORS.format(rate="1.0, profiles_sample_rate: 1.0", tracing="agent").replace(
            "shop.quiet", "shop.x"
        ),
    )
    host.run("main.py", SENTRY_DSN=DSN)
    kinds = [item.type for data in host.envelopes() for item in wire.decode(data).items]
    assert kinds.count("transaction") == 2
    assert "profile" not in kinds
    problems = [line for process in host.status() for line in process["problems"]]
    assert sum("gevent or eventlet have patched threads" in str(line) for line in problems) == 1, problems
