"""What the agent costs a Python process that starts, beside the same process without it, in alternating runs.

    python bench/startup.py                           bare against 50, 1,000 and 10,000 monitors; about two minutes
    python bench/startup.py --runs 400 --with-peers   beside other agents, where they are installed in this environment

Ratios are of medians in one run, because the machine's own speed changes from minute to minute; `low` is the ratio of
the tenth percentiles, which on a busy machine says more. Memory is the peak of the resident set. Goals: 1.05, 1.10 and
1.15 for `python -c pass`, and half a megabyte.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = (50, 1_000, 10_000)
PROGRAMS = {"pass": "pass", "django": "import django.core.handlers.wsgi, django.db.models, django.forms"}
PEERS = {
    "sentry-sdk": "import sentry_sdk\nsentry_sdk.init('http://key@127.0.0.1:9/1', shutdown_timeout=0)\n",
    "ddtrace": "import ddtrace.auto\n",
    "opentelemetry": "from opentelemetry.instrumentation.auto_instrumentation import initialize\ninitialize()\n",
    "newrelic": "import newrelic.agent\nnewrelic.agent.initialize()\n",
    "elasticapm": "import elasticapm\nelasticapm.Client(disable_send=True)\n",
}
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
    "NEW_RELIC_LICENSE_KEY": "0" * 40, "NEW_RELIC_APP_NAME": "bench", "NEW_RELIC_MONITOR_MODE": "false",
}  # fmt: skip


class Way(NamedTuple):
    name: str
    environment: dict[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=120, help="of each kind (default: 120)")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--with-peers", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="agent-bench-"))
    try:
        ways, first = _ways(folder, options)
        for name, code in PROGRAMS.items():
            if name == "django" and _start(options.python, code, ways[0].environment) is None:
                print("django is not installed here")
                continue
            print(f"\npython -c '{code}'")
            _compare(ways, first, options, code)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _ways(folder: Path, options: argparse.Namespace) -> tuple[list[Way], dict[str, float]]:
    kept = ("AGENT_", "SENTRY_", "PYTHON")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(kept)}
    ways, first = [Way("bare", bare)], {}
    for number in NUMBERS:
        config = folder / str(number) / "monitors.yaml"
        config.parent.mkdir()
        lines = ["version: 1", "modules: {sales: {description: Sales}}", "monitors:"]
        lines += [
            f"  - {{target: erp.app{n // 50}.services.function_{n}, module: sales, operation: op_{n}, threshold: 2s}}"
            for n in range(number)
        ]
        config.write_text("\n".join(lines) + "\n")
        environment = {
            **bare,
            "PYTHONPATH": str(ROOT),
            "AGENT_CONFIG": str(config),
            "AGENT_STATE_DIR": str(folder / "state"),
        }
        made = _start(options.python, "pass", environment)
        first[f"{number:,} monitors"] = made if made is not None else float("nan")
        ways.append(Way(f"{number:,} monitors", environment))
    ways.append(Way("switched off", {**ways[1].environment, "AGENT_DISABLED": "1"}))
    if options.with_peers:
        for name, code in PEERS.items():
            place = folder / name
            place.mkdir()
            (place / "sitecustomize.py").write_text(code)
            environment = {**bare, **QUIET, "PYTHONPATH": str(place)}
            if _start(options.python, "import " + code.split()[1].split(".")[0], environment) is not None:
                ways.append(Way(name, environment))
            else:
                print(f"{name} is not installed here")
    return ways, first


def _compare(ways: list[Way], first: dict[str, float], options: argparse.Namespace, code: str) -> None:
    runs: dict[str, list[float]] = {way.name: [] for way in ways}
    for way in ways:
        _start(options.python, code, way.environment)
    for turn in range(options.runs):
        at = turn % len(ways)
        for way in ways[at:] + ways[:at]:
            if way.name in PEERS and turn >= max(10, options.runs // 5):
                continue
            run = _start(options.python, code, way.environment)
            if run is not None:
                runs[way.name].append(run)
    print(f"{'':18}{'median':>11}{'ratio':>8}{'low':>8}{'memory':>12}{'first run':>12}")
    bare, memory = runs["bare"], _memory(options.python, code, ways[0].environment)
    for way in ways:
        mine = runs[way.name]
        compiled = f"{first[way.name] * 1000:9.0f} ms" if way.name in first else ""
        more = _memory(options.python, code, way.environment) - memory
        print(
            f"{way.name:18}{_median(mine) * 1000:8.2f} ms{_median(mine) / _median(bare):8.3f}"
            f"{_low(mine) / _low(bare):8.3f}{more:+9.2f} MB{compiled:>12}"
        )


def _median(runs: list[float]) -> float:
    return statistics.median(runs)


def _low(runs: list[float]) -> float:
    return sorted(runs)[len(runs) // 10]


def _start(python: str, code: str, environment: dict[str, str]) -> float | None:
    """Seconds, or None where the program fails."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (1, 2)]
    try:
        began = time.perf_counter()
        pid = os.posix_spawn(python, [python, "-c", code], environment, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        return time.perf_counter() - began if status == 0 else None
    finally:
        os.close(null)


def _memory(python: str, code: str, environment: dict[str, str]) -> float:
    """Megabytes: the peak of the resident set, as the process sees it itself (that of `wait4` includes its parent)."""
    code += "\nprint(open('/proc/self/status').read())"
    found = []
    for _ in range(9):
        done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=False)
        found += [int(line.split()[1]) / 1024 for line in done.stdout.splitlines() if line.startswith("VmHWM")]
    return statistics.median(found) if found else float("nan")


if __name__ == "__main__":
    sys.exit(main())
