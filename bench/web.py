"""The cost of the agent to a web process: the example ERP on PostgreSQL and Redis, without an agent, with this one, and
with others, in alternating rounds of one run.

    python bench/web.py                  no agent twice, which shows the noise; this agent; the Sentry SDK
    python bench/web.py --with-peers     also ddtrace, OpenTelemetry and New Relic, in environments it creates from PyPI
    python bench/web.py --steady         only the last two columns
    python bench/web.py --only agent --rounds 100
    python bench/web.py --steady --only counting         what counting adds to a request
    python bench/web.py --steady --with-peers --only traced ddtrace opentelemetry

One table has two measures. The first is under gunicorn: a server for each way to monitor, with one process of two
threads, its own database, and two clients that request the same pages and API calls in the same order, orders among
them. The servers take turns. Ratios are medians over the rounds, of the pairs in a round; the interval is the 95 %
interval of a bootstrap over the rounds. CPU is that of the server's process, of all its threads.

The second is the number of instructions in user space for the same requests in one process without a server, counted by
valgrind (web_steady.py). They repeat to a fraction of a per cent, however busy the machine is.

"no agent, again" is the noise of both. No request fails, and the thresholds of the configuration are raised so that
none is slow: nothing is reported. `web_ways.check` checks that each way monitors; one that does not is an error, not a
number. Goal: 1.01 for monitoring without tracing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tests")]

import web_steady  # noqa: E402
from full.parts import Parts  # noqa: E402
from full.people import TOKEN  # noqa: E402
from full.process import Process, free_port  # noqa: E402
from full.stack import Stack  # noqa: E402
from web_sink import Sink  # noqa: E402
from web_ways import ERP, PEERS, WAYS, Way, check, installed, launch  # noqa: E402

CLIENTS = 2
PAGES = [
    "/",
    "/orders/",
    "/orders/?status=confirmed",
    "/orders/SO-00003/",
    "/orders/new/",
    "/stock/",
    "/work-orders/plan/",
    "/accounts/me/",
]
CALLS = ["/api/orders/SO-00003/", "/api/stock/?product=CHR-ASPEN", "/api/work-orders/"]
ORDER = (
    '{"customer": "C-1009", "items": [{"product": "SHF-ELLE", "quantity": 1}, {"product": "ACC-FELT", "quantity": 2}]}'
)
SIGN_IN = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
user = get_user_model().objects.get(username="anna")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session.save()
print("session:", session.session_key)
"""

Request = tuple[str, str, "str | None", dict[str, str]]  # method, path with query, body, headers


@dataclass
class Round:
    seconds: float
    cpu: float  # seconds of the server's process
    waits: list[float] = field(default_factory=list)  # seconds, of each request


class Server:
    """gunicorn with one worker, watched in one way, and its clients. Use as a context manager."""

    def __init__(self, way: Way, stack: Stack, plan: list[Request]) -> None:
        self.way = way
        self.rounds: list[Round] = []
        self.memory = 0.0  # megabytes of the resident set, at the end
        self._home, self._plan, self._sink = Path(stack.home), plan, Sink()
        words, self._environment = launch(way, stack, self._sink)
        self._environment["WEB_SEEN"] = str(self._home / "seen")
        self._port = free_port()
        self._command = [*words, "-m", "gunicorn", "erp.wsgi", f"--bind=127.0.0.1:{self._port}", "--threads=2"]
        self._command += ["--keep-alive=60"]
        # Not on the command line: programs that start servers read it too.
        self._environment["GUNICORN_CMD_ARGS"] = f"--config={Path(__file__).with_name('web_seen.py')}"

    def __enter__(self):
        self._sink.__enter__()
        log = str(self._home / "web.log")
        self._process = Process(self.way.name, self._command, log, folder=str(ERP), environment=self._environment)
        self._process.wait_until(lambda: "Booting worker" in self._process.said())
        self._process.wait_until(lambda: bool(_children(self._process.pid)))
        self.worker = _children(self._process.pid)[-1]
        self.round()  # imports, first queries, what is compiled on first use
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._sink.__exit__()

    def round(self) -> Round:
        """Every client asks for everything once."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            cpu, began = _cpu(self.worker), time.perf_counter()
            waits = list(pool.map(lambda _: self._client(), range(CLIENTS)))
            seconds = time.perf_counter() - began
            return Round(seconds, _cpu(self.worker) - cpu, [wait for each in waits for wait in each])

    def finish(self) -> None:
        """Raises NotWatched if what was measured is not what the way's name says."""
        with open(f"/proc/{self.worker}/status") as file:
            self.memory = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))
        os.kill(self.worker, signal.SIGRTMIN)
        said = self._home / "seen"
        self._process.wait_until(said.exists)
        check(self.way, self.worker, json.loads(said.read_text()), self._environment, self._sink)

    def _client(self) -> list[float]:
        waits = []
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        for method, path, body, headers in self._plan * 2:
            began = time.perf_counter()
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            waits.append(time.perf_counter() - began)
            assert answer.status in (200, 201), (self.way.name, method, path, answer.status)
        connection.close()
        return waits


@dataclass
class Row:
    way: Way
    server: Server | None = None
    instructions: float | None = None  # of a request


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="of each server (default: 40)")
    parser.add_argument("--with-peers", action="store_true")
    parser.add_argument("--steady", action="store_true", help="count instructions only")
    parser.add_argument(
        "--only", metavar="TEXT", nargs="+", help="the ways whose name has one of these in it, beside no agent"
    )
    options = parser.parse_args()
    ways = WAYS + (PEERS if options.with_peers else [])
    if options.only:
        ways = [way for way in ways if way is WAYS[0] or any(each in way.name for each in options.only)]
    if options.steady and not web_steady.available():
        parser.error("--steady needs valgrind (apt-get install valgrind)")
    for way in ways:
        if way.packages:
            _say(f"installing, if need be: {' '.join(way.packages)}")
            installed(way)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers end with us
    folder = Path(tempfile.mkdtemp(prefix="bench-web-"))
    rows = [Row(way) for way in ways]
    try:
        with Parts() as parts:
            prepared = Stack(parts, str(folder / "prepared"), "prepared", {})
            prepared.prepare()
            plan = _plan(prepared.manage("shell", "-c", SIGN_IN).rpartition("session: ")[2].strip())
            if not options.steady:
                stacks = [Stack(parts, str(folder / f"{at}"), f"erp{at}", {}, "prepared") for at in range(len(rows))]
                _serve(rows, stacks, plan, options.rounds)
            if web_steady.available():
                _count(rows, parts, folder, plan)
        _say("")
        _table(rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _plan(session: str) -> list[Request]:
    token = {"Authorization": "Bearer " + TOKEN.format("anna")}
    shop_floor = {"Authorization": "Bearer " + TOKEN.format("carla")}
    plan: list[Request] = [("GET", path, None, {"Cookie": f"sessionid={session}"}) for path in PAGES]
    plan += [("GET", path, None, shop_floor if "work" in path else token) for path in CALLS]
    plan.append(("POST", "/api/orders/", ORDER, {**token, "Content-Type": "application/json"}))
    return plan


def _serve(rows: list[Row], stacks: list[Stack], plan: list[Request], rounds: int) -> None:
    with ExitStack() as running:
        servers = []
        for row, stack in zip(rows, stacks):
            _say(f"starting: {row.way.name}")
            row.server = running.enter_context(Server(row.way, stack, plan))
            servers.append(row.server)
        for turn in range(rounds):
            _say(f"round {turn + 1} of {rounds}")
            for at in range(len(servers)):
                server = servers[(turn + at) % len(servers)]
                server.rounds.append(server.round())
        for server in servers:
            server.finish()


def _count(rows: list[Row], parts: Parts, folder: Path, plan: list[Request]) -> None:
    stacks = [Stack(parts, str(folder / f"steady{at}"), f"steady{at}", {}, "prepared") for at in range(len(rows))]

    def count(at: int) -> None:
        if not rows[at].way.is_counted:
            return
        _say(f"counting instructions: {rows[at].way.name}")
        # The second bare one has other hashes: what chance there is left.
        rows[at].instructions = web_steady.instructions(rows[at].way, stacks[at], plan, 2 if at == 1 else 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(count, range(len(rows))))


def _table(rows: list[Row]) -> None:
    bare = rows[0]
    if bare.server is not None:
        requests = len(bare.server.rounds[0].waits)
        print(f"{len(bare.server.rounds)} rounds of {requests} requests each; ", end="")
    print(f"Python {sys.version.split()[0]}")
    title = f"{'':26}"
    if bare.server is not None:
        title += f"{'CPU a request':>15}{'ratio':>8}{'95 %':>14}{'requests/s':>12}{'ratio':>8}{'p50':>10}{'p99':>10}"
        title += f"{'memory':>10}"
    if bare.instructions is not None:
        title += f"{'instructions':>14}{'ratio':>8}"
    print(title)
    for row in rows:
        line = f"{row.way.name:26}"
        if row.server is not None and bare.server is not None:
            line += _served(row.server, bare.server)
        if row.instructions is not None and bare.instructions is not None:
            line += f"{row.instructions / 1e6:12.2f} M{row.instructions / bare.instructions:8.3f}"
        print(line)
    counting, without = (_instructions(rows, name) for name in ("agent, counting", "agent, not counting"))
    if counting and without and bare.instructions:
        print(f"counting: {(counting - without) / bare.instructions:+.2%} of the instructions without an agent")


def _instructions(rows: list[Row], name: str) -> float | None:
    return next((row.instructions for row in rows if row.way.name == name), None)


def _served(server: Server, bare: Server) -> str:
    requests = len(bare.rounds[0].waits)
    pairs = list(zip(server.rounds, bare.rounds))
    waits = sorted(wait for each in server.rounds for wait in each.waits)
    cpu = statistics.median(each.cpu for each in server.rounds) / requests
    ratios = [one.cpu / other.cpu for one, other in pairs]
    low, high = _interval(ratios)
    rate = statistics.median(requests / each.seconds for each in server.rounds)
    return (
        f"{cpu * 1e3:12.3f} ms{statistics.median(ratios):8.3f}{f'{low:.3f}–{high:.3f}':>14}"
        f"{rate:12.1f}{statistics.median(other.seconds / one.seconds for one, other in pairs):8.3f}"
        f"{statistics.median(waits) * 1e3:7.1f} ms{waits[int(len(waits) * 0.99)] * 1e3:7.1f} ms"
        f"{server.memory - bare.memory:+7.1f} MB"
    )


def _interval(values: list[float]) -> tuple[float, float]:
    """What 95 of 100 medians lie in, when as many values are drawn from these again and again."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[-51]


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def _cpu(pid: int) -> float:
    """Seconds of CPU that all threads of a process have used, ended ones too: Linux's clock of another process."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line}\x1b[K", end="" if line else "\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
