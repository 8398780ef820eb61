"""The server that the ways of bench/web.py send to: it accepts everything and counts it."""

import json
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from receiver import decode_body, parse_envelope


class Sink:
    """Use as a context manager. `took` counts paths of requests, and of envelopes the types of their items."""

    def __init__(self):
        self.took = Counter()
        took = self.took

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self._body()
                took[self.path] += 1
                if self.path.endswith("/envelope/"):
                    body = decode_body(body, self.headers.get("Content-Encoding") or "")
                    took.update(headers["type"] for headers, _ in parse_envelope(body).items)
                self._answer(200)

            do_PUT = do_POST  # noqa: N815

            def do_GET(self):
                self._answer(404)

            def _body(self):
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _answer(self, status):
                text = json.dumps({}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                del request, address  # a client that was stopped is no error

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
