from __future__ import annotations

import gc
import os
import sys

import pytest

# An internal error of the agent is raised in its own tests, and no test uses the real state folder or a real Sentry.
os.environ["AGENT_TESTING"] = "1"
for name in ("AGENT_CONFIG", "AGENT_DISABLED", "SENTRY_DSN", "SENTRY_ENVIRONMENT", "SENTRY_RELEASE"):
    os.environ.pop(name, None)


#: Files of acceptance tests that share an expensive fixture: one process of `pytest -n` runs all of a file.
TOGETHER = {
    "tests/acceptance/test_erp.py",
    "tests/acceptance/test_erp_full.py",
    "tests/acceptance/test_django_hosts.py",
    "tests/acceptance/test_packs_django.py",
    "tests/acceptance/test_prometheus.py",
    "tests/acceptance/test_report.py",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """For `-n auto`, half as many processes again as there are cores.

    A test that runs processes waits for them a third of the time: with one test for each core, that much was idle.
    """
    return max(2, len(os.sched_getaffinity(0)) * 3 // 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each process the next file of unit tests, or the next test of those that run processes.

    xdist itself would give the first process most of the slow ones beforehand.
    """
    from xdist.scheduler import LoadScopeScheduling

    class NextTest(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return nodeid if file.startswith("tests/acceptance/") and file not in TOGETHER else file

    return NextTest(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(hookwrapper=True)
def pytest_collection():
    """Without the garbage collector, which took a quarter to a third of the time: what is collected here stays to the end.

    For the same reason it is frozen then, so that a collection in a test looks at what the test made alone.
    """
    gc.disable()
    yield
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("slow")
        if marker is not None and not marker.kwargs.get("reason"):
            raise pytest.UsageError(f"{item.nodeid}: write @pytest.mark.slow(reason=…)")


@pytest.fixture(autouse=True)
def _expects_nothing_yet():
    """What the monitors of an earlier test expect is of another process, so that no order of the tests matters."""
    severity = sys.modules.get("agent.observe.failure.severity")
    if severity is not None:
        severity.expected_anywhere.clear()
        severity.expected_types.clear()


@pytest.fixture
def no_shop_left():
    """For a file of tests that make modules called `shop` or the like: they are gone after each."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("shop"):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    """Write monitors.yaml (and other files by name) and return the main file's path."""

    def write_files(text: str, **others: str) -> str:
        for name, content in others.items():
            (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
        path = tmp_path / "monitors.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_files


@pytest.fixture
def look(write):
    """Examine a text with an environment."""
    from agent.config.load import examine

    def examine_text(text: str, environ: dict[str, str] | None = None, **others: str):
        return examine(write(text, **others), environ or {})

    return examine_text
