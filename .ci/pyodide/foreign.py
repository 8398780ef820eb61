"""A plugin of pytest: monitors each function of a foreign package in this process, and writes each test's outcome.

--monitored PACKAGE   with a threshold, which each call is measured against
--outcomes FILE       one line a test, in the order of their names
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "var" / "pyodide" / "foreign"), str(ROOT / "tests")]

outcomes: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--monitored", metavar="PACKAGE")
    parser.addoption("--outcomes", metavar="FILE")


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--monitored")
    if not name:
        return
    from support import Watch, monitor

    package = importlib.import_module(name)
    below = [each.name for each in pkgutil.walk_packages(package.__path__, name + ".") if ".tests" not in each.name]
    modules = [importlib.import_module(each) for each in (name, *below)]
    targets = [f"{module.__name__}{end}" for module in modules for end in (".*", "._*", ".*.*", ".*._*")]
    watch = Watch(monitor(*targets, thresholds=[(60.0, "warning")]))
    watch.clock = time.perf_counter
    for module in modules:
        watch.apply(module)
    patched = [line for line in watch.records if line[0] == "patched"]
    print(f"{len(patched)} functions of {name} are monitored")
    assert len(patched) > 50, watch.records


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    file = session.config.getoption("--outcomes")
    if file:
        lines = [f"{outcome} {name}\n" for name, outcome in sorted(outcomes.items())]
        Path(file).write_text("".join(lines), encoding="utf-8")
