"""The cost of the agent at the start of a Python process, compared with the process without it, in alternating runs.

    python bench/startup.py                           bare against 50, 1,000 and 10,000 monitors; about two minutes
    python bench/startup.py --peers FOLDER            also other agents, each in an environment that it creates there
    valgrind --tool=callgrind python -c pass          counts instructions, which a busy machine does not disturb

Ratios are of medians in one run, because the machine's own speed changes from minute to minute. `low` is the ratio of
the tenth percentiles, which is more reliable on a busy machine. Memory is the peak of the resident set. Goals: 1.05,
1.10 and 1.15 for `python -c pass`, and half a megabyte.

Another agent is measured without its launcher: in the environment that `ddtrace-run` and the like create, compared with
the same interpreter without that. The cost of the launcher itself, once for each service, is not included.
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
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_ENABLED": "false",
    "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
    "NEW_RELIC_LICENSE_KEY": "0" * 40, "NEW_RELIC_APP_NAME": "bench", "NEW_RELIC_MONITOR_MODE": "false",
    "NEW_RELIC_LOG": "/dev/null", "ELASTIC_APM_ENABLED": "true", "ELASTIC_APM_DISABLE_SEND": "true",
    "ELASTIC_APM_CENTRAL_CONFIG": "false", "ELASTIC_APM_CLOUD_PROVIDER": "none", "ELASTIC_APM_LOG_LEVEL": "off",
}  # fmt: skip


class Peer(NamedTuple):
    packages: tuple[str, ...]
    launcher: tuple[str, ...] = ()
    sitecustomize: str = ""
    environment: tuple[tuple[str, str], ...] = ()


PEERS = {
    "sentry-sdk": Peer(
        ("sentry-sdk",),
        sitecustomize="import sentry_sdk\nsentry_sdk.init('http://key@127.0.0.1:9/1', shutdown_timeout=0)\n",
    ),
    "ddtrace-run": Peer(("ddtrace",), ("ddtrace-run",)),
    "opentelemetry-instrument": Peer(
        ("opentelemetry-distro", "opentelemetry-instrumentation-django"), ("opentelemetry-instrument",)
    ),
    "newrelic-admin": Peer(("newrelic",), ("newrelic-admin", "run-program")),
    "elasticapm-run": Peer(("elastic-apm",), ("elasticapm-run",)),
    "wrapture": Peer(
        ("wrapture", "autowrapt"),  # Python 3.12 or later
        environment=(("AUTOWRAPT_BOOTSTRAP", "wrapture"), ("WRAPTURE_CONFIG", os.devnull)),
    ),
}


class Way(NamedTuple):
    name: str
    environment: dict[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=120, help="of each kind (default: 120)")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--peers", metavar="FOLDER", help="where the environments of other agents are, or are made")
    parser.add_argument("--only", metavar="NAME", help="of the other agents")
    options = parser.parse_args()
    if options.peers:
        return _peers(Path(options.peers).resolve(), options)
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
    bare = _bare()
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
    return ways, first


def _compare(ways: list[Way], first: dict[str, float], options: argparse.Namespace, code: str) -> None:
    runs: dict[str, list[float]] = {way.name: [] for way in ways}
    for way in ways:
        _start(options.python, code, way.environment)
    for turn in range(options.runs):
        at = turn % len(ways)
        for way in ways[at:] + ways[:at]:
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


def _peers(folder: Path, options: argparse.Namespace) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, peer in PEERS.items():
        if options.only not in (None, name):
            continue
        home = folder / name
        python = home / "bin" / "python"
        why = _make(home, python, peer, options)
        if why:
            print(f"{name}: {why}")
            continue
        bare = _bare()
        under = _under(home, peer, bare)
        for program, code in PROGRAMS.items():
            runs: dict[str, list[float]] = {"bare": [], name: []}
            for turn in range(max(10, options.runs // 6) + 1):
                for way in (Way("bare", bare), Way(name, under)):
                    run = _start(str(python), code, way.environment)
                    if run is not None and turn:  # the first one writes bytecode
                        runs[way.name].append(run)
            if not all(runs.values()):
                print(f"{name} {program}: fails")
                continue
            more = _memory(str(python), code, under) - _memory(str(python), code, bare)
            print(
                f"{name:26}{program:8}{_median(runs[name]) * 1000:8.1f} ms"
                f"{_median(runs[name]) / _median(runs['bare']):8.2f}{_low(runs[name]) / _low(runs['bare']):8.2f}"
                f"{more:+8.1f} MB",
                flush=True,
            )
    return 0


def _make(home: Path, python: Path, peer: Peer, options: argparse.Namespace) -> str:
    """Why there is no such environment; "" where there is one."""
    if (home / "made").exists():
        return ""
    subprocess.run([options.python, "-m", "venv", home], check=True)
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *peer.packages, "django"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        return "cannot be installed here: " + done.stderr.strip().splitlines()[-1][:150]
    (home / "made").touch()
    return ""


def _under(home: Path, peer: Peer, bare: dict[str, str]) -> dict[str, str]:
    """The environment of a process that starts under this agent."""
    environment = {**bare, **QUIET, **dict(peer.environment)}
    if peer.sitecustomize:
        (home / "site").mkdir(exist_ok=True)
        (home / "site" / "sitecustomize.py").write_text(peer.sitecustomize)
        environment["PYTHONPATH"] = str(home / "site")
    if not peer.launcher:
        return environment
    environment["PATH"] = f"{home / 'bin'}:{environment['PATH']}"
    command = [home / "bin" / peer.launcher[0], *peer.launcher[1:], "env", "-0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)


def _bare() -> dict[str, str]:
    kept = ("AGENT_", "SENTRY_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(kept)}


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
