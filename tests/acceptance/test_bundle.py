"""One folder with the agent and its libraries, used by an environment in which nothing is installed."""

import json
import subprocess
import sys

import pytest
from acceptance.host import Host
from acceptance.running import Running
from receiver import Receiver

MONITORS = "version: 1\nmodules: {sales: {}}\nmonitors:\n  - {target: shop.order, module: sales, operation: order}\n"
MAIN = """\
import importlib.metadata, importlib.util, contextlib, shop
with contextlib.suppress(ValueError): shop.order()
for name in ("yaml", "urllib3", "sentry_sdk", "libraries", "schema"):
    assert importlib.util.find_spec(name) is None, name
print(sorted(each.metadata["Name"] for each in importlib.metadata.distributions()))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(venv)], check=True)
    host = Host(folder, python=str(venv / "bin/python"))
    host.write(monitors__yaml=MONITORS, shop__py="def order(): raise ValueError('order')\n", main__py=MAIN)
    done = Host(folder / "maker").agent("bundle", str(folder / "made"), "--python", str(venv))
    if "pip could not install" in done.stderr and "connection" in done.stderr.lower():
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    assert f"export PYTHONPATH={folder / 'made'}" in done.stdout
    host.bundle = folder / "made"
    yield host
    host.end_couriers()


def test_events_of_a_bare_environment_arrive_and_its_packages_stay_its_own(bundle):
    with Receiver() as receiver:
        watched = {"PYTHONPATH": str(bundle.bundle), "SENTRY_DSN": receiver.dsn}
        for _ in range(2):  # the plan is compiled, and then read
            done = bundle.run("main.py", **watched)
            assert (done.stdout, done.stderr) == ("[]\n", "")
        first, second = receiver.wait_for(2) and receiver.events
        assert first["tags"]["erp.operation"] == second["tags"]["erp.operation"] == "order"
        # About one process: others of this machine may be found too.
        with Running(
            bundle,
            "-c",
            "import shop\nprint('up', flush=True)\nimport time\nwhile True: time.sleep(9)",
            python=bundle.python,
            **watched,
        ) as erp:
            erp.wait_for("up")
            words = ("-m", "agent", "doctor", "--offline", "--format", "json", "--pid", str(erp.pid))
            doctor = json.loads(bundle.run(*words, check=False, **watched).stdout)
    (libraries,) = [each for each in doctor["findings"] if each["group"] == "libraries"]
    assert libraries["state"] == "ok", libraries


def test_a_folder_that_is_no_bundle_is_left_alone(bundle):
    maker = Host(bundle.folder / "other")
    for folder, why in ((maker.folder.parent, "is no bundle"), (bundle.bundle, "--replace")):
        done = maker.agent("bundle", str(folder))
        assert done.returncode == 2, done.stdout
        assert why in done.stderr
    done = maker.agent("bundle", str(bundle.folder / "new"), "--python", "/nowhere/python")
    assert "there is no interpreter /nowhere/python" in done.stderr
    assert not (bundle.folder / "new").exists()
