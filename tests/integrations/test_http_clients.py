"""Requests of real HTTP clients carry the trace, and nothing that the host passed in has changed."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import threading
import traceback
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from observe.making import sentry

from agent.hook.code import inject
from agent.integrations import http_clients
from agent.observe.around.origin import Origin
from agent.traces import propagation

TRACE, SPAN = "0123456789abcdef0123456789abcdef", "0123456789abcdef"
HEADER = f"{TRACE}-{SPAN}"


class Server:
    """Keeps the headers of each request: (name in lower case, value), in their order."""

    def __init__(self):
        self.requests = requests = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                requests.append([*((name.lower(), value) for name, value in self.headers.items()), ("", body)])
                self.send_response(302 if self.path == "/moved" else 200)
                if self.path == "/moved":
                    self.send_header("Location", "/found")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def values(self, name):
        return [value for each, value in self.requests[-1] if each == name]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture(params=[True, False], ids=["injected", "trampoline"])
def traced(request, monkeypatch):
    """Have the clients patched; returns a function that changes where a request is in a trace."""
    if not request.param:
        monkeypatch.setattr(inject, "AVAILABLE", False)
    elif not inject.AVAILABLE:
        pytest.skip("nothing can be injected in this Python")
    layers = []
    for name in http_clients.INSTALL:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        layers += http_clients.install(name, module, None)
    place = (Origin(TRACE), SPAN)

    def trace(here=place, **settings):
        data = sentry(dsn="https://key@o7.ingest.sentry.io/1", **settings)
        monkeypatch.setattr(propagation, "here", lambda: here)
        propagation.follow(propagation.Outgoing(data, "shop@1"))

    trace()
    yield trace
    propagation.follow(None)
    for layer in layers:
        assert layer.undo()


def with_urllib(url, headers):
    urllib.request.urlopen(urllib.request.Request(url, headers=headers)).read()


def with_http_client(url, headers):
    connection = http.client.HTTPConnection(url.partition("://")[2].partition("/")[0])
    connection.request("POST", "/" + url.partition("://")[2].partition("/")[2], body=b"body", headers=headers)
    connection.getresponse().read()
    connection.close()


def with_requests(url, headers):
    pytest.importorskip("requests").post(url, headers=headers, data=b"body")


def with_urllib3(url, headers):
    with pytest.importorskip("urllib3").PoolManager(headers=headers) as pool:
        pool.request("GET", url)


def with_httpx(url, headers):
    with pytest.importorskip("httpx").Client(follow_redirects=True) as client:
        client.get(url, headers=headers)


def with_httpx_async(url, headers):
    async def get():
        async with httpx.AsyncClient(follow_redirects=True) as client:
            await client.post(url, headers=headers, content=b"body")

    httpx = pytest.importorskip("httpx")
    asyncio.run(get())


def with_aiohttp(url, headers):
    async def get():
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
            await response.read()

    aiohttp = pytest.importorskip("aiohttp")
    asyncio.run(get())


CLIENTS = [with_urllib, with_http_client, with_requests, with_urllib3, with_httpx, with_httpx_async, with_aiohttp]


@pytest.mark.parametrize("call", CLIENTS)
def test_a_request_carries_the_trace_and_is_otherwise_the_same(server, traced, call):
    headers = {"X-Shop": "7", "baggage": "tenant=7"}
    traced(None)
    call(server.url + "/", headers)
    plain = server.requests[-1]
    traced()
    call(server.url + "/", headers)
    assert headers == {"X-Shop": "7", "baggage": "tenant=7"}
    assert server.values("sentry-trace") == [HEADER]
    (baggage,) = server.values("baggage")
    assert baggage.startswith(f"tenant=7,sentry-trace_id={TRACE},")
    assert "sentry-public_key=key" in baggage
    assert server.values("traceparent") == []
    ours = ("sentry-trace", "baggage")
    rest = [(name, value) for name, value in server.requests[-1] if name not in ours]
    assert rest == [(name, value) for name, value in plain if name not in ours]


@pytest.mark.parametrize("call", CLIENTS)
def test_who_has_set_the_header_keeps_it(server, traced, call):
    traced(propagate_traceparent=True)
    call(server.url + "/", {"Sentry-Trace": "c" * 32 + "-" + SPAN})
    assert server.values("sentry-trace") == ["c" * 32 + "-" + SPAN]
    assert server.values("baggage") == server.values("traceparent") == []
    theirs = f"00-{'d' * 32}-{SPAN}-01"
    call(server.url + "/", {"Traceparent": theirs})
    assert (server.values("traceparent"), server.values("sentry-trace")) == ([theirs], [HEADER])


@pytest.mark.parametrize("call", CLIENTS)
def test_only_targets_get_it(server, traced, call):
    traced(trace_propagation_targets=[rf"^http://127\.0\.0\.1:{server.port}/orders\?"])
    call(server.url + "/orders?id=7", {})
    assert server.values("sentry-trace") == [HEADER]
    call(server.url + "/stock?then=/orders?", {})
    assert server.values("sentry-trace") == []


@pytest.mark.parametrize("call", CLIENTS)
def test_a_redirect_is_a_request_of_its_own(server, traced, call):
    traced(propagate_traceparent=True)
    seen = len(server.requests)
    call(server.url + "/moved", {"baggage": "a=b"})
    for request in server.requests[seen:]:
        names = [name for name, _ in request]
        assert [names.count(each) for each in ("sentry-trace", "baggage", "traceparent")] == [1, 1, 1]
        assert dict(request)["baggage"].count("sentry-trace_id") == 1


def test_a_connection_that_is_used_again_sends_each_header_once(server, traced):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for _ in range(2):
        connection.request("GET", "/")
        connection.getresponse().read()
        assert server.values("sentry-trace") == [HEADER]
    connection.close()


def test_several_headers_of_the_hosts_become_one_with_ours(server, traced):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.putrequest("GET", "/")
    for name, *values in (("baggage", "a=b"), ("X-Shop", "7"), ("Baggage", "c=d", "e=f"), ("X-Last", "8")):
        connection.putheader(name, *values)
    connection.endheaders()
    connection.getresponse().read()
    connection.close()
    (baggage,) = server.values("baggage")
    assert baggage.startswith("a=b,c=d")
    assert f"e=f,sentry-trace_id={TRACE}" in baggage
    assert (server.values("x-shop"), server.values("x-last")) == (["7"], ["8"])
    assert server.values("sentry-trace") == [HEADER]


def test_a_request_of_httpcores_that_is_sent_again_is_as_it_was(server, traced):
    httpcore = pytest.importorskip("httpcore")
    request = httpcore.Request("GET", server.url + "/", headers=[(b"host", b"127.0.0.1"), (b"baggage", b"a=b")])
    given = request.headers
    with httpcore.ConnectionPool() as pool:
        for _ in range(2):
            pool.handle_request(request).read()
            assert request.headers is given
            assert given == [(b"host", b"127.0.0.1"), (b"baggage", b"a=b")]
            assert server.values("sentry-trace") == [HEADER]


@pytest.mark.parametrize("call", [with_requests, with_httpx, with_httpx_async, with_aiohttp])
def test_an_error_passes_as_it_is(server, traced, call):
    with pytest.raises(Exception) as raised:
        call("http://127.0.0.1:1/", {})
    frames = "".join(traceback.format_exception(raised.type, raised.value, raised.tb))
    assert "http_clients.py" not in frames.replace("test_http_clients.py", "")
    assert "/hook/code/" not in frames


@pytest.mark.parametrize(
    ("request_line", "connection", "url"),
    [
        (b"GET /x?y HTTP/1.1", ("shop", 80, 80, None), "http://shop/x?y"),
        (b"GET /x HTTP/1.1", ("shop", 8443, 443, None), "https://shop:8443/x"),
        (b"GET http://shop/x HTTP/1.1", ("proxy", 3128, 80, None), "http://shop/x"),
        (b"GET /x HTTP/1.1", ("proxy", 3128, 443, "shop"), "https://shop/x"),
        (b"GET /x HTTP/1.1", ("::1", 80, 80, None), "http://[::1]/x"),
    ],
)
def test_the_address_is_that_of_the_service_and_not_of_a_proxy(request_line, connection, url):
    host, port, default, tunnel = connection
    made = http.client.HTTPConnection("x")
    made.host, made.port, made.default_port, made._tunnel_host, made._tunnel_port = host, port, default, tunnel, 443
    assert http_clients.address(made, request_line) == url


@pytest.mark.parametrize(
    ("authorization", "target", "kept"),
    [("AWS4-HMAC-SHA256 Credential=x, SignedHeaders=baggage;host, Signature=y", "/", True), ("", "/", False),
     ("", "/?X-Amz-SignedHeaders=baggage%3Bhost", True), ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=y", "/", False)],
)  # fmt: skip
def test_a_header_that_a_signature_covers_stays(server, traced, authorization, target, kept):
    with_urllib(server.url + target, {"baggage": "a=b", **({"Authorization": authorization} if authorization else {})})
    assert (server.values("baggage") == ["a=b"]) == kept
    assert server.values("sentry-trace") == [HEADER]
