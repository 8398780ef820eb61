"""The lines for systemd, Kubernetes and supervisor on the pages are right, as the programs that read them see it."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time

import pages
import pytest

EACH = [(page, block) for page in pages.PAGES for block in pages.blocks(page.read_text("utf-8"))]
UNITS = [(page.name, block) for page, block in EACH if "[Service]" in block.text]
PODS = [(page.name, block) for page, block in EACH if re.search(r"^ *containers:", block.text, re.MULTILINE)]


def name(value):
    return value if isinstance(value, str) else f"line-{value.line}"


@pytest.mark.parametrize(("page", "block"), UNITS, ids=name)
def test_units_are_right(page, block, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "erp.service"
    text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", block.text)  # the ERP is not installed here
    unit.write_text(text if "ExecStart=" in text else text + "ExecStart=/bin/true\n")  # a part for `systemctl edit`
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), block.text


@pytest.mark.parametrize(("page", "block"), PODS, ids=name)
def test_pods_are_right(page, block):
    validate = pytest.importorskip("kubernetes_validate", reason="`.ci/run` installs kubernetes-validate")
    yaml = pytest.importorskip("yaml")
    data = yaml.safe_load(block.text)
    spec = data["spec"] if "spec" in data else data
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "erp"}, "spec": spec}
    validate.validate(pod, validate.latest_version(), strict=True)


def test_what_supervisor_starts_is_monitored(tmp_path):
    supervisord = shutil.which("supervisord", path=f"{os.path.dirname(sys.executable)}:{os.defpath}")
    if supervisord is None:
        pytest.skip("`.ci/run` installs supervisor")
    (line,) = re.findall(r"`(environment=PYTHONPATH=.*?)`", (pages.ROOT / "docs" / "install.md").read_text("utf-8"))
    shutil.copytree(pages.ROOT / "tests" / "data" / "small_erp", tmp_path / "erp")
    line = line.replace('PYTHONPATH="…"', f'PYTHONPATH="{pages.ROOT}"')
    line = line.replace(
        'AGENT_CONFIG="…"', f'AGENT_CONFIG="{tmp_path}/erp/monitors.yaml",AGENT_STATE_DIR="{tmp_path}/state"'
    )
    assert "…" not in line
    settings = tmp_path / "supervisord.conf"
    settings.write_text(
        textwrap.dedent(
            f"""\
            [supervisord]
            nodaemon=true
            logfile={tmp_path}/log
            pidfile={tmp_path}/pid
            [program:erp]
            command={sys.executable} run.py
            directory={tmp_path}/erp
            autorestart=false
            startsecs=0
            {line}
            """
        )
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AGENT_", "PYTHON", "SENTRY_"))}
    process = subprocess.Popen([supervisord, "-c", settings], env=clean, stdout=subprocess.DEVNULL, cwd=tmp_path)
    try:
        end = time.monotonic() + 120
        while len(list(tmp_path.glob("state/*/spool/held/*"))) < 3:
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait()
