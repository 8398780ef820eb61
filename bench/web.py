"""What the agent costs a web process: the example ERP under gunicorn, on PostgreSQL and Redis, with no agent, with this
one, and with others, in alternating rounds of one run.

    python bench/web.py                  no agent twice, which shows the noise; this agent; the Sentry SDK
    python bench/web.py --with-peers     ddtrace, OpenTelemetry and New Relic too, in environments it makes from PyPI
    python bench/web.py --only agent --rounds 100

Each server has one process with two threads, a database of its own, and two clients that ask for the same pages and
API calls in the same order, orders among them; none of it fails or is slow, so nothing is reported. Ratios are medians
over the rounds, of the pairs in a round. CPU is that of the server's process, of all its threads: on a busy machine it
is steadier than time. Nothing needs a backend: see `WAYS` and `PEERS` for how each is set up. Goal: 1.01 for monitoring
without tracing.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tests")]

from full.browser import Browser  # noqa: E402
from full.parts import Parts  # noqa: E402
from full.people import PASSWORD, TOKEN  # noqa: E402
from full.process import Process, free_port  # noqa: E402
from full.stack import ERP, Stack  # noqa: E402
from receiver import Receiver  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    b'{"customer": "C-1009", "items": [{"product": "SHF-ELLE", "quantity": 1}, {"product": "ACC-FELT", "quantity": 2}]}'
)

SDK = """
from erp.settings import *
import sentry_sdk
sentry_sdk.init({arguments})
"""


class Way(NamedTuple):
    """One way to watch the ERP. `{dsn}` in a value is a Sentry that takes everything."""

    name: str
    variables: Mapping[str, str] = MappingProxyType({})
    config: str | None = None  # instead of the line `traces_sample_rate: 0.1` of monitors.yaml
    sdk: str | None = None  # the arguments of the Sentry SDK's own set-up, in settings that import the ERP's
    packages: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()  # the program of the package that starts the server


AGENT = {"PYTHONPATH": str(ROOT)}
AGENT_AND_SENTRY = {**AGENT, "SENTRY_DSN": "{dsn}"}
RATE = "traces_sample_rate: 0.1"
WAYS = [
    Way("no agent"),
    Way("no agent, again"),
    Way("agent, no DSN", AGENT),
    Way("agent, no SDK", AGENT_AND_SENTRY, "traces_sample_rate: 0.0\n  integrations: []"),
    Way("agent", AGENT_AND_SENTRY, "traces_sample_rate: 0.0"),
    Way("agent, 10 % traced", AGENT_AND_SENTRY, RATE),
    Way("sentry-sdk", {"SENTRY_DSN": "{dsn}"}, sdk=""),
    Way("sentry-sdk, 10 % traced", {"SENTRY_DSN": "{dsn}"}, sdk="traces_sample_rate=0.1"),
]
PEERS = [
    Way(
        "ddtrace-run",
        {
            "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        },
        packages=("ddtrace",),
        prefix=("ddtrace-run",),
    ),
    Way(
        "opentelemetry-instrument",
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
        packages=(
            "opentelemetry-distro", "opentelemetry-instrumentation-django", "opentelemetry-instrumentation-psycopg",
            "opentelemetry-instrumentation-redis", "opentelemetry-instrumentation-logging",
        ),
        prefix=("opentelemetry-instrument",),
    ),
    Way(
        "newrelic-admin",
        {"NEW_RELIC_LICENSE_KEY": "0" * 40, "NEW_RELIC_APP_NAME": "bench", "NEW_RELIC_DEVELOPER_MODE": "true"},
        packages=("newrelic",),
        prefix=("newrelic-admin", "run-program"),
    ),
]  # fmt: skip


@dataclass
class Round:
    seconds: float
    cpu: float  # seconds of the server's process
    waits: list[float] = field(default_factory=list)  # seconds, of each request


class Server:
    """gunicorn with one worker, watched in one way, and its clients."""

    def __init__(self, way: Way, parts: Parts, folder: Path, dsn: str, number: int) -> None:
        self.way = way
        self.rounds: list[Round] = []
        home = folder / f"{number}"
        stack = Stack(parts, str(home), f"erp{number}", {}, "prepared")
        environment = {**stack.environment, "DJANGO_SETTINGS_MODULE": "erp.settings"}
        environment.update({name: value.format(dsn=dsn) for name, value in way.variables.items()})
        environment["AGENT_STATE_DIR"] = str(home / "agent")
        if way.config is not None:
            text = (ROOT / "monitors.yaml").read_text(encoding="utf-8")
            assert RATE in text
            (home / "monitors.yaml").write_text(text.replace(RATE, way.config), encoding="utf-8")
            environment["AGENT_CONFIG"] = str(home / "monitors.yaml")
        if way.sdk is not None:
            (home / "watched_settings.py").write_text(SDK.format(arguments=way.sdk))
            environment.update(DJANGO_SETTINGS_MODULE="watched_settings", PYTHONPATH=str(home))
        python, prefix = sys.executable, list(way.prefix)
        if way.packages:
            binaries = _environment(way) / "bin"
            python, prefix[0] = str(binaries / "python"), str(binaries / prefix[0])
        self._port = free_port()
        command = [*prefix, python, "-m", "gunicorn", "erp.wsgi", f"--bind=127.0.0.1:{self._port}", "--threads=2"]
        self._process = Process(
            way.name, [*command, "--keep-alive=60"], str(home / "web.log"), folder=ERP, environment=environment
        )
        self._process.wait_until(lambda: "Booting worker" in self._process.said())
        self._process.wait_until(lambda: bool(_children(self._process.pid)))
        self.worker = _children(self._process.pid)[-1]
        self._plan = self._requests()
        self.round()  # imports, first queries, what is compiled on first use

    def stop(self) -> None:
        self._process.stop()

    def round(self) -> Round:
        """Every client asks for everything once."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            cpu, began = _cpu(self.worker), time.perf_counter()
            waits = list(pool.map(lambda _: self._client(), range(CLIENTS)))
            seconds = time.perf_counter() - began
            return Round(seconds, _cpu(self.worker) - cpu, [wait for each in waits for wait in each])

    def memory(self) -> float:
        """Megabytes of the resident set."""
        with open(f"/proc/{self.worker}/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))

    def _requests(self) -> list[tuple[str, str, bytes | None, dict[str, str]]]:
        browser = Browser(self._port, lambda _: None)
        browser.submit(browser.get("/accounts/login/", ""), "", username="anna", password=PASSWORD.format("anna"))
        token = {"Authorization": "Bearer " + TOKEN.format("anna")}
        shop_floor = {"Authorization": "Bearer " + TOKEN.format("carla")}
        requests = [("GET", path, None, {"Cookie": browser.cookies}) for path in PAGES]
        requests += [("GET", path, None, shop_floor if "work" in path else token) for path in CALLS]
        requests.append(("POST", "/api/orders/", ORDER, {**token, "Content-Type": "application/json"}))
        return requests

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="of each (default: 40)")
    parser.add_argument("--with-peers", action="store_true")
    parser.add_argument("--only", metavar="TEXT", help="the ways whose name has TEXT in it, beside no agent")
    options = parser.parse_args()
    ways = WAYS + (PEERS if options.with_peers else [])
    if options.only:
        ways = [way for way in ways if way.name == WAYS[0].name or options.only in way.name]
    for way in ways:
        if way.packages:
            _environment(way)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers end with us
    folder = Path(tempfile.mkdtemp(prefix="bench-web-"))
    servers: list[Server] = []
    try:
        with Receiver(forget=True) as sentry, Parts() as parts:
            Stack(parts, str(folder / "prepared"), "prepared", {}).prepare()
            try:
                for number, way in enumerate(ways):
                    _say(f"starting: {way.name}")
                    servers.append(Server(way, parts, folder, sentry.dsn, number))
                for turn in range(options.rounds):
                    _say(f"round {turn + 1} of {options.rounds}")
                    for at in range(len(servers)):
                        server = servers[(turn + at) % len(servers)]
                        server.rounds.append(server.round())
                _say("")
                _table(servers)
            finally:
                for server in servers:
                    server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _table(servers: list[Server]) -> None:
    bare = servers[0]
    requests = len(bare.rounds[0].waits)
    print(f"{len(bare.rounds)} rounds of {requests} requests each; Python {sys.version.split()[0]}")
    print(f"{'':26}{'CPU a request':>15}{'ratio':>8}{'requests/s':>12}{'ratio':>8}{'p50':>10}{'p99':>10}{'memory':>10}")
    memory = bare.memory()
    for server in servers:
        pairs = list(zip(server.rounds, bare.rounds))
        waits = sorted(wait for each in server.rounds for wait in each.waits)
        cpu = statistics.median(each.cpu for each in server.rounds) / requests
        rate = statistics.median(requests / each.seconds for each in server.rounds)
        print(
            f"{server.way.name:26}{cpu * 1e3:12.3f} ms{statistics.median(a.cpu / b.cpu for a, b in pairs):8.3f}"
            f"{rate:12.1f}{statistics.median(b.seconds / a.seconds for a, b in pairs):8.3f}"
            f"{statistics.median(waits) * 1e3:7.1f} ms{waits[int(len(waits) * 0.99)] * 1e3:7.1f} ms"
            f"{server.memory() - memory:+7.1f} MB"
        )


def _environment(way: Way) -> Path:
    """An environment with the way's packages, in front of those of this one. Kept in var/, and used again."""
    folder = ROOT / "var" / "bench-web" / "-".join([way.name.split()[0], *map(str, sys.version_info[:2])])
    if not (folder / "made").exists():
        _say(f"installing: {' '.join(way.packages)}")
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True, symlinks=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *way.packages], check=True)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
        (site / "the_erps.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (folder / "made").touch()
    return folder


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
