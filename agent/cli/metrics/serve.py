"""A web server for scrapers: GET /metrics, and nothing else."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Mapping

from ...base.errors import AgentError
from .. import server
from ..terminal import err, one_line
from . import negotiation
from .families import Samples

_DEADLINE = 20.0  # seconds for a whole connection; Prometheus itself gives up after 10
_SMALL = 1400  # bytes: one packet, which compression does not make fewer


class Server(server.Server):
    """`collect` is called by one thread at a time. Raises AgentError if it cannot listen."""

    request = "a scrape"

    def __init__(
        self,
        host: str,
        port: int,
        collect: Callable[[], Samples],
        labels: Mapping[str, str],
        deadline: float = _DEADLINE,
    ) -> None:
        self.labels = labels
        self._collect = collect
        self._collecting = threading.Lock()
        super().__init__(host, port, _Handler, deadline=deadline, options="--serve or --host")

    @property
    def url(self) -> str:
        return self.url_of("/metrics")

    def samples(self) -> Samples:
        with self._collecting:
            return self._collect()


class _Handler(server.Handler):
    server: Server

    def get(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self._reply(404, "text/plain; charset=utf-8", "The metrics are at /metrics.\n")
            return
        chosen = negotiation.chosen(self.headers.get("Accept", ""))
        try:
            body = chosen.encode(self.server.samples(), self.server.labels)
        except Exception as error:
            what = one_line(error if isinstance(error, AgentError) else repr(error))
            err(f"agent: a scrape failed: {what}")
            self._reply(500, "text/plain; charset=utf-8", f"{what}\n")
            return
        self._reply(200, chosen.content_type, body)

    def _reply(self, status: int, content_type: str, body: bytes | str) -> None:
        data = body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body
        headers = {"Vary": "Accept, Accept-Encoding"}
        if len(data) > _SMALL and "gzip" in self.headers.get("Accept-Encoding", ""):
            data = gzip.compress(data, 1)
            headers["Content-Encoding"] = "gzip"
        self.reply(status, content_type, data, headers)
