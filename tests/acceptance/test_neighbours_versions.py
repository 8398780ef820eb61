"""Hosts whose libraries are older or newer than ours were tried with, or who have none of them: `pytest -m compat`.

AGENT_TEST_VERSIONS names a folder in which the environments are kept for the next run.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.host import ROOT, Host
from receiver import Receiver

pytestmark = pytest.mark.compat

NEWEST = ("pyyaml", "jsonschema", "sentry-sdk", "packaging", "importlib-metadata", "rich")
OLDEST = ("pyyaml==5.4.1", "jsonschema==4.0.0", "sentry-sdk==1.40.0", "urllib3==1.26.11", "packaging==21.0",
          "importlib-metadata==4.0.1", "rich==12.0.0")  # fmt: skip

#: name → (Python, what is installed, what is installed after that whatever it breaks)
ENVIRONMENTS = {
    "newest": ("", NEWEST, ()),
    "urllib3 1": ("", (*NEWEST, "urllib3<2"), ()),
    "oldest": ("3.9", OLDEST, ()),  # PyYAML 5.4 has wheels for nothing later
    "urllib3 older than the SDK wants": ("3.9", OLDEST, ("urllib3==1.25.11",)),
    "no SDK, no urllib3": ("", ("pyyaml", "jsonschema", "packaging", "importlib-metadata", "rich"), ()),
    "none": ("", (), ()),
}
GOOD = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"
MAIN = """
import shop, sys, time
try: shop.f(9)
except ValueError: print('as always')
if sys.argv[1:]:
    for _ in range(100):  # until its event has been sent: the first delivery waits for two seconds
        time.sleep(0.1)
"""


@pytest.fixture(scope="session")
def environments(request, tmp_path_factory):
    kept = os.environ.get("AGENT_TEST_VERSIONS")
    if not kept and "compat" not in request.config.option.markexpr:
        pytest.skip("takes minutes and a network: run with -m compat, or name a folder in AGENT_TEST_VERSIONS")
    return Path(kept) if kept else tmp_path_factory.mktemp("versions")


@pytest.fixture(params=ENVIRONMENTS)
def shop(request, tmp_path, environments):
    version, packages, after = ENVIRONMENTS[request.param]
    home = environments / request.param.replace(" ", "-").replace(",", "")
    python = home / "bin" / "python"
    if not (home / "made").exists():
        base = ROOT / f".venv-{version}" / "bin" / "python" if version else Path(sys.executable)
        if not base.exists():
            pytest.skip(f"no Python {version} here")
        subprocess.run([base, "-m", "venv", home], check=True)
        for words in (packages, ("--no-deps", *after) if after else ()):
            if words:
                command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *words]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    pytest.skip("cannot be installed here: " + done.stderr[-300:])
        (home / "made").touch()
    host = Host(tmp_path, str(python))
    host.name = request.param
    host.write(shop__py="def f(x=1):\n    raise ValueError(x)\n", monitors__yaml=GOOD, main__py=MAIN)
    return host


def test_the_host_is_monitored_and_its_libraries_stay_its_own(shop):
    # Where the host has nothing to read the configuration with, another interpreter of the same version does.
    reads = {"AGENT_PYTHON": sys.executable} if shop.name == "none" else {}
    for _ in range(2):
        done = shop.run("main.py", **reads)
        assert (done.stdout, done.stderr) == ("as always\n", "")
    assert len(shop.events()) == 2
    libraries = (
        "import sys; print([name for name in ('yaml', 'jsonschema', 'urllib3', 'sentry_sdk') if name in sys.modules])"
    )
    shop.write(main__py=MAIN + libraries)
    assert shop.run("main.py", **reads).stdout == "as always\n[]\n"


def test_what_it_reports_is_delivered(shop):
    reads = {"AGENT_PYTHON": sys.executable} if shop.name == "none" else {}
    with Receiver() as sentry:
        done = shop.run("main.py", "wait", SENTRY_DSN=sentry.dsn, **reads)
        assert done.stdout == "as always\n"
        assert done.stderr.count("\n") <= 1 and "Traceback" not in done.stderr
        if ("urllib3" in shop.name and "no " in shop.name) or shop.name == "none":
            assert len(shop.events()) == 1, "what cannot be sent from here is kept"
        else:
            sentry.wait_for(1)
            assert done.stderr == ""
