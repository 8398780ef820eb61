"""Other agents and green threads, real ones, from PyPI in an environment of the test's own: `pytest -m compat`.

AGENT_TEST_PEERS names an environment that has them already; otherwise one is made, which takes minutes and a network.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.host import ROOT, Host
from receiver import Receiver

pytestmark = pytest.mark.compat

PACKAGES = ["ddtrace", "opentelemetry-distro", "opentelemetry-instrumentation", "newrelic", "gevent", "eventlet", "coverage",
            "pyyaml", "jsonschema", "sentry-sdk", "packaging", "rich", "importlib-metadata"]  # fmt: skip
SHOP = "def f(x=1):\n    raise ValueError(x)\n"
GOOD = (
    "version: 1\nmodules: {m: {description: M}}\ndefaults: {rate_limit: 1000/s}\n"
    "monitors:\n  - {target: shop.f, module: m, operation: op}\n"
)
QUIET = {
    "DD_TRACE_ENABLED": "false", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
    "NEW_RELIC_LICENSE_KEY": "0" * 40, "NEW_RELIC_APP_NAME": "test", "NEW_RELIC_MONITOR_MODE": "false",
    "NEW_RELIC_LOG": "/dev/null",
}  # fmt: skip


@pytest.fixture(scope="session")
def peers(request, tmp_path_factory):
    named = os.environ.get("AGENT_TEST_PEERS")
    if named:
        return Path(named) / "bin"
    if "compat" not in request.config.option.markexpr:
        pytest.skip("takes minutes and a network: run with -m compat, or name an environment in AGENT_TEST_PEERS")
    folder = tmp_path_factory.mktemp("peers")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    done = subprocess.run(
        [folder / "bin" / "pip", "install", "-q", *PACKAGES], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("the packages cannot be installed here: " + done.stderr[-300:])
    return folder / "bin"


@pytest.fixture
def shop(tmp_path, peers):
    host = Host(tmp_path, str(peers / "python"))
    host.write(shop__py=SHOP, monitors__yaml=GOOD,
               main__py="import shop\ntry: shop.f(9)\nexcept ValueError: print('as always')\n")  # fmt: skip
    host.run("-c", "pass")
    return host


AGENTS = [("ddtrace-run",), ("opentelemetry-instrument",), ("newrelic-admin", "run-program")]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda words: words[0])
def test_another_agent_around_ours(shop, peers, agent):
    """`other-agent python main.py` with our folder on PYTHONPATH: the other puts itself in front."""
    if agent[0].startswith("opentelemetry"):
        pytest.xfail("its sitecustomize runs no other one: our folder has to be in front, see the next test")
    done = shop_run(shop, [str(peers / agent[0]), *agent[1:], shop.python, "main.py"])
    assert "as always" in done.stdout
    assert "agent:" not in done.stderr
    assert len(shop.events()) == 1


@pytest.mark.parametrize("agent", AGENTS, ids=lambda words: words[0])
def test_another_agent_inside_ours(shop, peers, agent):
    """Our folder in front of the other's: ours hands over to it, and both are there."""
    code = {
        "ddtrace-run": "'ddtrace' in sys.modules", "opentelemetry-instrument": "'opentelemetry' in sys.modules",
        "newrelic-admin": "'newrelic' in sys.modules",
    }[agent[0]]  # fmt: skip
    shop.write(main__py=f"import shop, sys\ntry: shop.f(9)\nexcept ValueError: print('as always', {code})\n")
    inner = f'PYTHONPATH={ROOT}:"$PYTHONPATH" exec {shop.python} main.py'
    done = shop_run(shop, [str(peers / agent[0]), *agent[1:], "sh", "-c", inner], PYTHONPATH="")
    assert "as always True" in done.stdout, done.stderr
    assert "agent:" not in done.stderr
    assert len(shop.events()) == 1


@pytest.mark.parametrize("moment", ["before a report", "after a report"])
@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_green_threads(shop, kind, moment):
    """No warning, no recursion, no hang, and every event is kept; also where the first report came before the patch."""
    patch = {
        "gevent": "import gevent.monkey; gevent.monkey.patch_all()\nfrom gevent import spawn, sleep\nwait = lambda g: g.join()\n",
        "eventlet": "import eventlet; eventlet.monkey_patch()\nfrom eventlet import spawn, sleep\nwait = lambda g: g.wait()\n",
    }[kind]
    early = "import shop\ntry: shop.f('early')\nexcept ValueError: pass\n" if moment == "after a report" else ""
    shop.write(
        main__py=early + patch + "import shop\ndef work(n):\n  for i in range(5):\n    try: shop.f(n)\n"
        "    except ValueError: pass\n    sleep(0.01)\n"
        "for each in [spawn(work, n) for n in range(10)]: wait(each)\nsleep(3)\nprint('done')\n"
    )
    with Receiver() as sentry:
        done = shop.run("-W", "default", "-W", "ignore::DeprecationWarning", "main.py", SENTRY_DSN=sentry.dsn)
        assert done.stdout == "done\n"
        said = done.stderr
        assert "MonkeyPatchWarning" not in said and "Recursion" not in said and "agent:" not in said
        (process,) = [each for each in shop.status() if each["program"] == "main.py"]
        counts = {row["reason"]: row["number"] for row in process["counts"]}
        assert counts["captured"] + counts.get("rate", 0) == 50 + bool(early)
        assert len(sentry.events) + len(shop.events()) == counts["captured"]
        assert len(sentry.events) > 10


def test_gevent_that_patches_before_the_program(shop):
    with Receiver() as sentry:
        done = shop.run("-m", "gevent.monkey", "main.py", SENTRY_DSN=sentry.dsn)
        assert (done.stdout, done.stderr) == ("as always\n", "")
        sentry.wait_for(1)


def test_coverage_measures_and_we_monitor(shop, tmp_path):
    shop.run("-m", "coverage", "run", "main.py")
    report = shop.run("-m", "coverage", "report", "-m").stdout
    assert "shop.py" in report and "100%" in report
    assert len(shop.events()) == 1


def shop_run(shop, command, **extra):
    return subprocess.run(command, cwd=shop.folder, env=shop.environment(**QUIET, **extra), capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
