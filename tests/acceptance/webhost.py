"""Servers of every kind with a small application, for tests that compare what they send with and without the agent."""

import json
import signal
import socket
import sys

import pytest
from acceptance.running import Running, deliver, is_listening
from acceptance.services import free_port, uwsgi_program
from receiver import Receiver

#: What a client sends and no event may contain: a cookie, a token, a value of the query, a body, a form's field.
SECRETS = ("s3ss10n-c00k13", "t0k3n-0f-anna", "v4lu3-0f-a-query", "b0dy-0f-a-form", "1n-th3-p4th")
HEADERS = (
    f"Host: erp.example.com\r\nCookie: session={{cookie}}\r\nAuthorization: Bearer {SECRETS[1]}\r\n"
    "sentry-trace: {trace}-{span}-1\r\nConnection: close\r\n"
)
TRACE, SPAN = "771a43a4192642f0b136d5159a501700", "a5c1b0c7e1f2d3b4"

MONITORS = """
version: 1
sentry: {{dsn: "${{SENTRY_DSN:-}}", release: erp@7, environment: live, user: [id], traces_sample_rate: 1.0}}
{more}
"""


def commands(name: str, module: str, port: int) -> "tuple[str, list[str]]":
    """The program and the arguments of a server. Those that have no command are started by `serve.py`."""
    bind = f"127.0.0.1:{port}"
    gunicorn = ["-m", "gunicorn", f"{module}:application", f"--bind={bind}", "--workers=1", "--no-control-socket"]
    known = {
        "cheroot": ["-m", "cheroot", f"{module}:application", "--bind", bind],
        "hypercorn": ["-m", "hypercorn", f"{module}:application", "--bind", bind, "--workers=0"],
        "hypercorn-wsgi": ["-m", "hypercorn", f"wsgi:{module}:application", "--bind", bind, "--workers=0"],
        "uvicorn": ["-m", "uvicorn", f"{module}:application", f"--port={port}"],
        "waitress": ["-m", "waitress", f"--listen={bind}", f"{module}:application"],
    }
    if name.startswith("gunicorn-"):
        worker = name.partition("-")[2]
        threads = ["--threads=2"] if worker == "gthread" else []
        return sys.executable, [*gunicorn, f"--worker-class={worker}", *threads]
    if name.startswith("uwsgi"):
        what = f"--module={module}" if name == "uwsgi" else f"--wsgi-file={module}.py"
        return uwsgi_program(), [f"--http-socket={bind}", what, "--need-app", "--die-on-term"]
    return sys.executable, known.get(name, ["serve.py", name, module, str(port)])


SERVE = """
import importlib, signal, sys
name, module, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def stop(*_): raise SystemExit(0)
signal.signal(signal.SIGTERM, stop)
if name == "eventlet":
    import eventlet, eventlet.wsgi
    application = importlib.import_module(module).application
    eventlet.wsgi.server(eventlet.listen(("127.0.0.1", port)), application)
elif name == "gevent":
    from gevent import monkey
    monkey.patch_all()
    from gevent.pywsgi import WSGIServer
    import gevent
    server = WSGIServer(("127.0.0.1", port), importlib.import_module(module).application)
    gevent.signal_handler(signal.SIGTERM, server.stop)
    server.serve_forever()
elif name == "werkzeug":
    from werkzeug.serving import run_simple
    run_simple("127.0.0.1", port, importlib.import_module(module).application, threaded=True)
elif name == "paste":
    from paste.httpserver import serve
    serve(importlib.import_module(module).application, "127.0.0.1", port, use_threadpool=False)
elif name == "rocket3":
    from rocket3 import Rocket3
    server = Rocket3(("127.0.0.1", port), "wsgi", {"wsgi_app": importlib.import_module(module).application}, max_threads=2)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.start()
elif name == "tornado":
    import asyncio
    from tornado.wsgi import WSGIContainer
    from tornado.httpserver import HTTPServer
    async def serve():
        server = HTTPServer(WSGIContainer(importlib.import_module(module).application))
        server.listen(port, "127.0.0.1")
        ends = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.set)
        await ends.wait()
    asyncio.run(serve())
elif name == "twisted":
    from twisted.internet import reactor
    from twisted.web.server import Site
    from twisted.web.wsgi import WSGIResource
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource = WSGIResource(reactor, reactor.getThreadPool(), importlib.import_module(module).application)
    reactor.listenTCP(port, Site(resource), interface="127.0.0.1")
    reactor.run()
elif name == "unknown":
    # A server that nobody knows, with an application of a framework.
    import socketserver, wsgiref.util
    application = importlib.import_module(module).application
    class Handler(socketserver.StreamRequestHandler):
        def begins(self, status, headers, exc_info=None):
            self.head = status + "".join("\\r\\n%s: %s" % each for each in headers)
        def handle(self):
            method, path, _ = self.rfile.readline().decode().split()
            environ = {"REQUEST_METHOD": method, "SERVER_NAME": "erp", "SERVER_PORT": str(port)}
            environ["PATH_INFO"], _, environ["QUERY_STRING"] = path.partition("?")
            while (line := self.rfile.readline().decode().strip()):
                key, _, value = line.partition(": ")
                environ["HTTP_" + key.upper().replace("-", "_")] = value
            environ["CONTENT_LENGTH"] = environ.get("HTTP_CONTENT_LENGTH", "0")
            wsgiref.util.setup_testing_defaults(environ)
            environ["wsgi.input"] = self.rfile
            body = b"".join(application(environ, self.begins))
            self.wfile.write(b"HTTP/1.0 " + self.head.encode() + b"\\r\\n\\r\\n" + body)
    socketserver.TCPServer.allow_reuse_address = True
    socketserver.TCPServer(("127.0.0.1", port), Handler).serve_forever()
elif name == "aiohttp":
    from aiohttp import web
    web.run_app(importlib.import_module(module).application, host="127.0.0.1", port=port)
else:
    from wsgiref.simple_server import make_server
    make_server("127.0.0.1", port, importlib.import_module(module).application).serve_forever()
"""


def exchange(port: int, method: str, path: str, number: int, body: str = "", cookie: str = SECRETS[0]) -> bytes:
    """The response as it came, without its date. Each request has a trace of its own."""
    head = HEADERS.format(trace=f"{TRACE[:-2]}{number:02x}", span=SPAN, cookie=cookie)
    if body:
        head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
        while True:
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                received += b"<reset>"
                break
            if not part:
                break
            received += part
    return b"\r\n".join(line for line in received.split(b"\r\n") if not line.lower().startswith(b"date:"))


class Served:
    """What clients and Sentry got of one run."""

    def __init__(self, responses: "list[bytes]", status: int, printed: str, sentry: "Receiver | None") -> None:
        self.responses, self.status, self.printed = responses, status, printed
        if sentry is None:
            return
        self.events = sentry.events
        self.transactions = sentry.transactions
        self.raw = b"".join(data for each in sentry.envelopes for _, data in each.items)
        held = [
            json.loads(data) for each in sentry.envelopes for head, data in each.items if head["type"] == "sessions"
        ]
        buckets = [bucket for each in held for bucket in each["aggregates"]]
        self.health = {how: sum(each.get(how, 0) for each in buckets) for how in ("exited", "errored", "crashed")}

    @property
    def bodies(self) -> "list[str]":
        return [each.partition(b"\r\n\r\n")[2].decode() for each in self.responses]


def serve(host, name: str, module: str, requests, *, agent: bool = True, talk=None, **extra: str) -> Served:
    """Start the server, send it each of `requests` (method, path, body), end it by a signal."""
    host.write(serve__py=SERVE)
    port = free_port()
    python, arguments = commands(name, module, port)
    if name.startswith("uwsgi"):
        extra["UWSGI_VIRTUALENV"] = sys.prefix
    with Receiver() as sentry:
        # Sentry is there once the server has ended: what that was still sending would come a second time.
        extra.setdefault("SENTRY_DSN", "http://public@127.0.0.1:9/42")  # where nothing listens
        extra["PYTHONHASHSEED"] = "1"  # sets are written in the same order
        with Running(host, *arguments, python=python, agent=agent, **extra) as server:
            server.until(lambda: is_listening(port), what="a port")
            responses = [exchange(port, *each[:2], number, *each[2:]) for number, each in enumerate(requests)]
            if talk is not None:
                talk(port)
            status = server.stop(
                signal.SIGINT if name in ("cheroot", "uvicorn", "waitress") else signal.SIGTERM, timeout=25
            )
        if not agent:
            return Served(responses, status, server.printed, None)
        deliver(host, sentry)
    return Served(responses, status, server.printed, sentry)


def talk(port, leaves, fails):
    """Two connections to websockets, by their paths: the client leaves one, the other fails."""
    client = pytest.importorskip("websockets.sync.client")
    exceptions = pytest.importorskip("websockets.exceptions")
    with client.connect(f"ws://127.0.0.1:{port}{leaves}") as connection:
        connection.send("hello")
        assert connection.recv() == "HELLO"
    with client.connect(f"ws://127.0.0.1:{port}{fails}") as connection:
        connection.send("crash")
        with pytest.raises(exceptions.ConnectionClosed):
            connection.recv()
