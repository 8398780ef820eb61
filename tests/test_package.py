"""What is installed from a wheel or an sdist is everything that a checkout has."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from agent.boot.lookout import OURS

pytestmark = pytest.mark.slow(reason="builds a wheel and an sdist")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    )  # fmt: skip
    if done.returncode and "network" in (done.stdout + done.stderr).lower():
        pytest.skip("the build back-end cannot be fetched here")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def test_the_wheel_contains_everything(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in ROOT.joinpath("agent").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    assert "agent/schema/monitors.schema.json" in names
    assert "agent/site/sitecustomize.py" in names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "sitecustomize"))]


def test_the_sdist_contains_everything(built):
    (sdist,) = built.glob("*.tar.gz")
    names = {name.partition("/")[2] for name in tarfile.open(sdist).getnames()}
    for wanted in ("agent/packs/django.yaml", "schema/monitors.schema.json", "sitecustomize.py", "monitors.yaml", "LICENSE",
                   "tests/test_package.py", "examples/erp/manage.py", "Makefile", ".ci/run", "README.md", "CHANGELOG.md"):  # fmt: skip
        assert wanted in names, wanted
    assert not [name for name in names if "__pycache__" in name or name.endswith(".sqlite3")]
    # Nothing in it makes the unpacked folder look like one that the host has other things in.
    assert {name.partition("/")[0] for name in names if name} >= {"PKG-INFO"}
    assert {top for name in names if "." not in (top := name.partition("/")[0]) and top} <= OURS


def test_an_installed_wheel_monitors_through_its_own_folder(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "monitors.yaml").write_text(
        "version: 1\nmodules: {m: {description: M}}\npacks: [django]\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"
    )
    (tmp_path / "shop.py").write_text("def f(): raise ValueError(1)\n")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AGENT", "SENTRY"))
    }
    environment.update(
        AGENT_STATE_DIR=str(tmp_path / "state"), AGENT_CONFIG=str(tmp_path / "monitors.yaml"), AGENT_TESTING="1"
    )

    def run(*arguments, path):
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": path},
        )

    folder = run("-m", "agent", "path", path=str(site)).stdout.strip()
    assert folder == str(site / "agent" / "site")
    code = "import shop\ntry: shop.f()\nexcept ValueError: print('fine')"
    done = run("-c", code, path=folder)
    assert (done.stdout, done.stderr) == ("fine\n", "")
    (tmp_path / "link").symlink_to(folder)  # as in the image that docs/install.md describes
    done = run("-c", code, path=str(tmp_path / "link"))
    assert (done.stdout, done.stderr) == ("fine\n", "")
    assert "2 events" in run("-m", "agent", "events", path=str(site)).stdout
    assert "ValueError" in run("-m", "agent", "events", path=str(site)).stdout
    assert run("-m", "agent", "validate", path=str(site)).returncode == 0


def test_an_installed_wheel_has_the_console_script(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        (entries,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "erp-agent = erp_agent_command:main" in archive.read(entries).decode()
    code = "import sys; from erp_agent_command import main; sys.argv = ['bin/erp-agent', 'path']; sys.exit(main())"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AGENT"))}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{tmp_path}/agent/site\n", "")
