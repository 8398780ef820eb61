"""The ways to monitor the example ERP that bench/web.py compares: how each is set up, and how it is checked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from full.stack import Stack
    from web_sink import Sink

ROOT = Path(__file__).resolve().parents[1]
ERP = ROOT / "examples" / "erp"

PATIENCE = 1000

#: On top of the ERP's own. A connection that is left after a minute would be made anew by chance in one of two rounds.
SETTINGS = """
from erp.settings import *
DATABASES["default"]["CONN_MAX_AGE"] = None
"""
SDK = """
import sentry_sdk
sentry_sdk.init({arguments})
"""


class Way(NamedTuple):
    """One way to watch the ERP. `{sink}` in a value is the address of a server that takes everything."""

    name: str
    variables: Mapping[str, str] = MappingProxyType({})
    sentry: Mapping[str, Any] | None = None  # instead of what monitors.yaml says in that section; None: no agent
    sdk: str | None = None  # the arguments of the Sentry SDK's own set-up, in settings that import the ERP's
    packages: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()  # the program of the package that starts the server
    sampled: int = 10  # of so many requests that are counted, one has a trace that its head has sampled
    sends: str | None = None  # what must arrive at the sink: a type of items, or the end of a path
    is_counted: bool = True  # whether it works on valgrind's processor
    metrics: str = "on"  # whether the agent counts
    every_pack: bool = False  # whether its configuration has all packs, not only those that the example names


AGENT = {"PYTHONPATH": str(ROOT)}
SENTRY = {"SENTRY_DSN": "http://public@{sink}/42"}
WAYS = [
    Way("no agent"),
    Way("no agent, again"),
    Way("agent, no DSN", AGENT, {"traces_sample_rate": 0.0}),
    Way("agent, no SDK", {**AGENT, **SENTRY}, {"traces_sample_rate": 0.0, "integrations": []}),
    Way("agent, counting", {**AGENT, **SENTRY}, {"traces_sample_rate": 0.0}),
    Way("agent, not counting", {**AGENT, **SENTRY}, {"traces_sample_rate": 0.0}, metrics="off"),
    Way("agent, not tracing", {**AGENT, **SENTRY}, {"tracing": "off"}),
    Way("agent, 10 % traced", {**AGENT, **SENTRY}, {"traces_sample_rate": 0.1}, sends="transaction"),
    Way("agent, all traced", {**AGENT, **SENTRY}, {"traces_sample_rate": 1.0}, sampled=1, sends="transaction"),
    Way("sentry-sdk", SENTRY, sdk=""),
    Way("sentry-sdk, 10 % traced", SENTRY, sdk="traces_sample_rate=0.1", sends="transaction"),
    Way("sentry-sdk, all traced", SENTRY, sdk="traces_sample_rate=1.0", sampled=1, sends="transaction"),
]
PEERS = [
    Way(
        "ddtrace-run",
        {
            "DD_TRACE_AGENT_URL": "http://{sink}",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        },
        packages=("ddtrace",),
        prefix=("ddtrace-run",),
        sends="/traces",
    ),
    Way(
        "opentelemetry-instrument",
        {
            "PYTHONPATH": str(ERP),  # it reads the settings before the ERP's own folder is on the path
            "OTEL_TRACES_EXPORTER": "none",  # spans are made and go nowhere: what it costs to send them comes on top
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        },
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
        is_counted=False,  # it records no transaction there
    ),
]  # fmt: skip


class NotWatched(Exception):
    """A way does not do what its row would say."""


def launch(way: Way, stack: Stack, sink: Sink) -> tuple[list[str], dict[str, str]]:
    """The words in front of what Python is to run, `python` among them, and the variables.

    In the agent's configuration each threshold is PATIENCE times as long: a busy machine, or a simulated processor,
    makes no call slow.
    """
    home = Path(stack.home)
    settings = SETTINGS + (SDK.format(arguments=way.sdk) if way.sdk is not None else "")
    (home / "watched_settings.py").write_text(settings)
    environment = {**stack.environment, "DJANGO_SETTINGS_MODULE": "watched_settings", "PYTHONPATH": str(home)}
    for name, form in way.variables.items():
        value = form.format(sink=sink.address)
        environment[name] = f"{value}:{home}" if name == "PYTHONPATH" else value
    environment["AGENT_STATE_DIR"] = str(home / "agent")
    if way.sentry is not None:
        environment["AGENT_CONFIG"] = str(home / "monitors.yaml")
        (home / "monitors.yaml").write_text(yaml.safe_dump(_monitors(way)))
        # The plan is compiled now: on valgrind's processor it would not be in time for what is measured.
        subprocess.run([sys.executable, "-c", "pass"], cwd=ERP, env=environment, check=True)
    if not way.packages:
        return [sys.executable], environment
    binaries = installed(way) / "bin"
    return [str(binaries / way.prefix[0]), *way.prefix[1:], str(binaries / "python")], environment


def _monitors(way: Way) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "monitors.yaml").read_text(encoding="utf-8"))
    config["sentry"].update(way.sentry or {})
    config["sentry"]["traces"] = {"keep_slow": f"{2 * PATIENCE}s"}  # it is on, as the thresholds are
    config["defaults"] = {**config.get("defaults", {}), "metrics": way.metrics}
    packs = [(pack, {}) if isinstance(pack, str) else next(iter(pack.items())) for pack in config["packs"]]
    if way.every_pack:
        named = {name for name, _ in packs}
        shipped = sorted(path.stem for path in (ROOT / "agent" / "packs").glob("*.yaml"))
        packs += [(name, {}) for name in shipped if name not in named]
    config["packs"] = [
        {name: {**changes, "monitors": {**_thresholds(name), **changes.get("monitors", {})}}} for name, changes in packs
    ]
    _lengthen(config)
    return config


def _thresholds(pack: str) -> dict[str, Any]:
    monitors = yaml.safe_load((ROOT / "agent" / "packs" / f"{pack}.yaml").read_text(encoding="utf-8")).get(
        "monitors", ()
    )
    return {each["name"]: {"threshold": each["threshold"]} for each in monitors if "threshold" in each}


def _lengthen(part: Any) -> None:
    """In place: `threshold: 250ms` becomes `threshold: 250000ms`."""
    for key, value in list(part.items() if isinstance(part, dict) else enumerate(part)):
        if key == "threshold":
            part[key] = _longer(value)
        elif key == "thresholds":
            part[key] = {step: _longer(each) for step, each in value.items()}
        elif isinstance(value, (dict, list)):
            _lengthen(value)


def _longer(duration: Any) -> Any:
    if duration is False:  # how YAML reads `off`
        return duration
    return re.sub(r"^\d+(\.\d+)?", lambda number: f"{float(number[0]) * PATIENCE:.0f}", str(duration))


def check(way: Way, pid: int, seen: Mapping[str, Any], environment: Mapping[str, str], sink: Sink) -> None:
    """Raises NotWatched. `seen` is what the process itself says (web_seen.py)."""
    if seen["agent"] != (way.sentry is not None):
        raise NotWatched(f"{way.name}: the agent is {'there' if seen['agent'] else 'not there'}")
    if way.sentry is not None:
        _check_agent(way, pid, environment)
        if way.sentry.get("integrations") == [] and seen["sentry"]:
            raise NotWatched(f"{way.name}: the Sentry SDK is there")
    if way.sdk is not None and not seen["sentry"]:
        raise NotWatched(f"{way.name}: the Sentry SDK has no client")
    for peer in ("newrelic", "opentelemetry"):
        if seen[peer] != way.name.startswith(peer):
            raise NotWatched(f"{way.name}: {peer} is {'at work' if seen[peer] else 'not at work'}")
    if way.sends and not any(kind.endswith(way.sends) for kind in sink.took):
        raise NotWatched(f"{way.name}: nothing of {way.sends} arrived, only {dict(sink.took)}")
    if sink.took["event"]:
        raise NotWatched(f"{way.name}: {sink.took['event']} events were reported, which cost more than watching")


def _check_agent(way: Way, pid: int, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "agent", "status", "--format", "json"]
    variables = {**environment, "PYTHONPATH": str(ROOT)}
    # Exit status 1: some target failed or is not found, which need not be one of those asked for here.
    said = json.loads(subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, check=False).stdout)
    # A note is no fault: on a busy machine it may be that the disk is slow.
    problems = [each for each in said["problems"] if each["severity"] != "note"]
    if problems:
        raise NotWatched(f"{way.name}: {problems}")
    process = next((each for each in said["processes"] if each["pid"] == pid), None)
    if process is None:
        raise NotWatched(f"{way.name}: status knows nothing of the process")
    names = {each["monitor"] for each in process["patched"]}
    if not names > {"django.request", "django.query", "create_order"}:
        raise NotWatched(f"{way.name}: only {sorted(names)} are watched")
    told = [count for count in process["counts"] if count["reason"] == "captured"]
    if told:
        raise NotWatched(f"{way.name}: {told} were reported, which costs more than watching")


def installed(way: Way) -> Path:
    """An environment with the way's packages, in front of those of this one. Kept in var/, and used again."""
    words = "\n".join(way.packages)
    folder = ROOT / "var" / "bench-web" / "-".join([way.name.split()[0], *map(str, sys.version_info[:2])])
    made = folder / "made"
    if not made.exists() or made.read_text() != words:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True, symlinks=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *way.packages], check=True)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
        (site / "the_erps.pth").write_text(sysconfig.get_path("purelib") + "\n")
        made.write_text(words)
    return folder
