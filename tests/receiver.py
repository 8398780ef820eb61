"""A Sentry on the loopback: it keeps the envelopes that it is sent, and responds as a test has programmed it.

As a script (`python tests/receiver.py --port-file F --log F`) it writes its port to one file and a JSON line for each
envelope to the other, until it is ended.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import socket
import struct
import sys
import threading
import time
import zlib
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What to do with one request. Only a 2xx makes the receiver keep the envelope."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes | None = None
    how: str = "answer"  # answer | hang | reset | half-closed | drip | drip-headers
    keep: bool | None = None  # keep the envelope although the response is an error, or the reverse


HANG = Answer(how="hang")
RESET = Answer(how="reset")
HALF_CLOSED = Answer(how="half-closed")  # the server shuts down its side of the connection without a response
DRIP = Answer(how="drip")  # a response that comes a byte at a time and does not end
DRIP_HEADERS = Answer(how="drip-headers")  # the same, and it never gets beyond its headers
FAILURES = (Answer(500), Answer(503), Answer(429, {"Retry-After": "0"}), Answer(408), RESET, HALF_CLOSED)


class Request(NamedTuple):
    path: str
    headers: Message  # names in any case
    body: bytes  # decoded


class Envelope(NamedTuple):
    headers: dict[str, Any]
    items: list[tuple[dict[str, Any], bytes]]

    @property
    def event_id(self) -> str | None:
        return self.headers.get("event_id")


def parse_envelope(body: bytes) -> Envelope:
    """Written apart from the agent's own parser, so that one mistake does not hide in both."""
    first, _, rest = body.partition(b"\n")
    items = []
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        if not line.strip():
            continue
        headers = json.loads(line)
        if "length" in headers:
            length = headers["length"]
            assert len(rest) >= length, "torn envelope"
            payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
        else:
            payload, _, rest = rest.partition(b"\n")
        items.append((headers, payload))
    return Envelope(json.loads(first), items)


def decode_body(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    if encoding == "br":
        import brotli

        return brotli.decompress(body)
    return body


class Receiver:
    """Use as a context manager. Each request uses up one of `answers`; after that, `default` applies."""

    def __init__(
        self,
        answers: tuple[Answer | int, ...] = (),
        default: Answer | int = 200,
        log: str | None = None,
        certificate: str | None = None,
        failing: float = 0.0,
        forget: bool = False,
        strict: bool = True,
        delay: float = 0.0,
    ) -> None:
        """`certificate` is a file with a key and a certificate for localhost: then it speaks TLS.

        `failing` is the share of requests that fail in one way or another; each response takes `delay` seconds. With `forget` only the log is kept.
        `strict`: events and transactions must be as Sentry's Relay wants them, or the `with` block raises. Where others
        than the agent send, that is not the agent's to promise.
        """
        self._failing = failing
        self._forget = forget
        self._strict = strict
        self._delay = delay
        self.connections = 0
        self._changed = threading.Condition()
        self._answers = list(answers)
        self.default = default
        self._log = open(log, "a", buffering=1) if log else None
        self.requests: list[Request] = []
        self.envelopes: list[Envelope] = []  # the kept ones, in order of arrival
        self._over = threading.Event()  # releases those that hang
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def setup(self) -> None:
                super().setup()
                receiver.connections += 1

            def do_POST(self) -> None:
                receiver.serve(self)

            def do_CONNECT(self) -> None:
                receiver.note(Request(self.path, self.headers, b""))
                self.send_error(502)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                if not isinstance(sys.exc_info()[1], OSError):
                    super().handle_error(request, client_address)  # a client that was killed is no error

        self._server = Server(("127.0.0.1", 0), Handler)
        self._secure = certificate is not None
        if certificate is not None:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def dsn(self) -> str:
        if self._secure:
            return f"https://public@localhost:{self.port}/42"
        return f"http://public@127.0.0.1:{self.port}/42"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def release(self) -> None:
        """End the responses that hang, and let later ones hang no more."""
        self._over.set()

    def __exit__(self, kind: object, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        if self._log:
            self._log.close()
        if kind is None and self._strict:
            self._check_with_relay()

    def _check_with_relay(self) -> None:
        """Check every event and transaction. What the tests of delivery make up has no platform and is left out."""
        import relay

        for event in [*self.events, *self.transactions]:
            if "platform" in event:
                complaints = relay.complaints(event)
                assert not complaints, (event.get("sdk"), complaints)

    def program(self, *answers: Answer | int, default: Answer | int | None = None) -> None:
        """Replace what is left of the answers."""
        with self._changed:
            self._answers = list(answers)
            if default is not None:
                self.default = default

    @property
    def ids(self) -> list[str | None]:
        with self._changed:
            return [envelope.event_id for envelope in self.envelopes]

    @property
    def events(self) -> list[dict[str, Any]]:
        return self._payloads("event")

    @property
    def kept(self) -> list[dict[str, Any]]:
        """The events as Sentry keeps them: what a killed process was sending may come again under an id it has."""
        return list({event["event_id"]: event for event in self.events}.values())

    @property
    def transactions(self) -> list[dict[str, Any]]:
        return self._payloads("transaction")

    def _payloads(self, kind: str) -> list[dict[str, Any]]:
        with self._changed:
            return [
                json.loads(payload) for e in self.envelopes for headers, payload in e.items if headers["type"] == kind
            ]

    def wait_for(self, number: int, timeout: float = 120.0) -> list[Envelope]:
        """Until `number` envelopes have been kept. Raises AssertionError after `timeout` seconds."""
        return self._wait(
            lambda: len(self.envelopes) >= number, timeout, lambda: f"{len(self.envelopes)} of {number} envelopes"
        )

    def wait_for_ids(self, ids: set[str], timeout: float = 120.0) -> list[Envelope]:
        missing = lambda: ids - {e.event_id for e in self.envelopes}
        return self._wait(lambda: not missing(), timeout, lambda: f"{len(missing())} of {len(ids)} ids missing")

    def wait_for_requests(self, number: int, timeout: float = 120.0) -> list[Request]:
        self._wait(lambda: len(self.requests) >= number, timeout, lambda: f"{len(self.requests)} of {number} requests")
        return list(self.requests)

    def _wait(self, done: Any, timeout: float, what: Any) -> list[Envelope]:
        with self._changed:
            assert self._changed.wait_for(done, timeout), f"after {timeout} s: {what()}"
            return list(self.envelopes)

    def note(self, request: Request) -> Answer:
        with self._changed:
            if not self._forget:
                self.requests.append(request)
            answer = self._answers.pop(0) if self._answers else self.default
            if self._failing and random.random() < self._failing:
                answer = random.choice(FAILURES)
            answer = answer if isinstance(answer, Answer) else Answer(answer)
            kept = answer.keep if answer.keep is not None else answer.how == "answer" and 200 <= answer.status < 300
            if kept:
                envelope = self._parse(request)
                if not self._forget:
                    self.envelopes.append(envelope)
                if self._log:
                    self._log.write(
                        json.dumps({"id": envelope.event_id, "items": [h["type"] for h, _ in envelope.items]}) + "\n"
                    )
            self._changed.notify_all()
            return answer

    def _parse(self, request: Request) -> Envelope:
        if "/store/" in request.path:
            event = json.loads(request.body)
            return Envelope({"event_id": event.get("event_id")}, [({"type": "event"}, request.body)])
        return parse_envelope(request.body)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the client ended in the middle of a request")
        if not handler.path.rstrip("/").endswith(("/envelope", "/store")):
            handler.send_error(404)
            return
        body = decode_body(body, handler.headers.get("Content-Encoding") or "")
        self._over.wait(self._delay)
        answer = self.note(Request(handler.path, handler.headers, body))
        if answer.how != "answer":
            handler.close_connection = True
            getattr(self, "_" + answer.how.replace("-", "_"))(handler)
            return
        text = b'{"id":"0"}' if answer.body is None else answer.body
        if "Date" in answer.headers:  # a clock of its own
            handler.send_response_only(answer.status)
        else:
            handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def _hang(self, handler: BaseHTTPRequestHandler) -> None:
        self._over.wait()

    def _reset(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    def _half_closed(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.shutdown(socket.SHUT_WR)

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not self._over.wait(0.05):
                handler.wfile.write(b"x")

    def _drip_headers(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        with contextlib.suppress(OSError):
            while not self._over.wait(0.05):
                handler.wfile.write(b"x")


class Tunnels:
    """A forward proxy that does CONNECT. Use as a context manager; `targets` are those that clients requested."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_CONNECT(self) -> None:
                proxy.targets.append(self.path)
                host, _, port = self.path.rpartition(":")
                with socket.create_connection((host, int(port))) as there:
                    self.send_response(200)
                    self.end_headers()
                    back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
                    back.start()
                    _pump(self.connection, there)
                    back.join()
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Tunnels:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Socks:
    """A SOCKS5 proxy for one user. Use as a context manager; `requested` lists who requested which address."""

    def __init__(self, user: bytes = b"", password: bytes = b"") -> None:
        self.requested: list[tuple[bytes, bytes, bytes, int]] = []
        self._login = (user, password)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> Socks:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._speak, args=(self._server.accept()[0],), daemon=True).start()

    def _speak(self, here: socket.socket) -> None:
        with here, here.makefile("rb") as stream:
            stream.read(stream.read(2)[1])  # the version; ways to log in
            login = (b"", b"")
            if self._login[0]:
                here.sendall(b"\5\2")
                stream.read(1)
                login = (stream.read(stream.read(1)[0]), stream.read(stream.read(1)[0]))
                here.sendall(b"\1" + (b"\0" if login == self._login else b"\1"))
                if login != self._login:
                    return
            else:
                here.sendall(b"\5\0")
            kind = stream.read(4)[3]
            host = stream.read(stream.read(1)[0]) if kind == 3 else socket.inet_ntoa(stream.read(4)).encode()
            port = int.from_bytes(stream.read(2), "big")
            self.requested.append((*login, host, port))
            with socket.create_connection((host.decode(), port)) as there:
                here.sendall(b"\5\0\0\1\0\0\0\0\0\0")
                back = threading.Thread(target=_pump, args=(there, here), daemon=True)
                back.start()
                _pump(here, there)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def main() -> None:
    import argparse
    import os

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--failing", type=float, default=0.0, help="share of requests that fail")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that each response takes")
    options = parser.parse_args()
    with Receiver(log=options.log, failing=options.failing, delay=options.delay, forget=True) as receiver:
        with open(options.port_file + ".new", "w") as file:
            file.write(str(receiver.port))
        os.replace(options.port_file + ".new", options.port_file)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
