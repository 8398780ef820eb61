"""Runs real hosts: a folder with source files and a monitors.yaml, and Python processes in it, with and without the agent."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import relay

from agent.base import places
from agent.deliver import wire

ROOT = Path(__file__).resolve().parents[2]

#: Further versions of the Sentry SDK, unpacked into folders: AGENT_TEST_SDKS=/path/1.40.0:/path/2.0.1
SDKS = [None, *filter(None, os.environ.get("AGENT_TEST_SDKS", "").split(":"))]

#: For what root does as another user, who must be able to read the agent as it can an installation.
READABLE_BY_OTHERS = pytest.mark.skipif(
    not all(folder.stat().st_mode & 0o001 for folder in (ROOT / "agent" / "boot").parents),
    reason=f"other users cannot read this checkout: {ROOT}",
)


def with_sdk(sdk: "str | None") -> str:
    """A PYTHONPATH for the agent and one of SDKS."""
    return os.pathsep.join(filter(None, [str(ROOT), sdk]))


def sdk_name(sdk: "str | None") -> str:
    return Path(sdk).name if sdk else "installed"


class Host:
    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder / "host"
        self.folder.mkdir(parents=True)
        self.config = self.folder / "monitors.yaml"
        self.state_base = folder / "state"
        self.python = python

    def write(self, **files: str) -> None:
        """File names have their dots as double underscores: main__py."""
        for name, text in files.items():
            path = self.folder / name.replace("___", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def environment(self, agent: bool = True, **extra: str) -> "dict[str, str]":
        base = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AGENT_", "SENTRY_", "PYTHON", "COV", "PYTEST"))
        }
        base.update(AGENT_TESTING="1", AGENT_CONFIG=str(self.config), AGENT_STATE_DIR=str(self.state_base))
        if agent:
            base["PYTHONPATH"] = str(ROOT)
        base.update(extra)
        return {name: value for name, value in base.items() if value is not None}

    def run(self, *arguments: str, agent: bool = True, check: bool = True, cwd=None, timeout=180, **extra: str):
        done = subprocess.run(
            [self.python, *arguments],
            cwd=cwd or self.folder,
            env=self.environment(agent, **extra),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done

    def agent(self, *arguments: str, **extra: str):
        return self.run("-m", "agent", *arguments, cwd=ROOT, check=False, **extra)

    @property
    def state(self) -> Path:
        return Path(places.state_folder({"AGENT_STATE_DIR": str(self.state_base)}, str(self.config)))

    def envelopes(self) -> "list[bytes]":
        found = [*(self.state / "spool").glob("new/*"), *(self.state / "spool").glob("held/*")]
        return [path.read_bytes() for path in sorted(found, key=lambda path: path.name)]

    def events(self) -> "list[dict]":
        found = []
        for data in self.envelopes():
            found += [json.loads(item.payload) for item in wire.decode(data).items if item.type == "event"]
        for event in found:
            assert not relay.complaints(event), relay.complaints(event)
        return found

    def couriers(self) -> "list[int]":
        """The processes that deliver spools of this host, from /proc."""
        if not any(self.state_base.glob("*/spool/courier")):
            return []  # there was none
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                line = Path("/proc", pid, "cmdline").read_bytes()
                if b"erp_agent_courier" in line and str(self.state_base).encode() in line:
                    found.append(int(pid))
        return found

    def end_couriers(self) -> None:
        for pid in self.couriers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def clean(self) -> None:
        """End what would go on, and remove what users without a home have kept."""
        self.end_couriers()  # one whose Sentry never responds would live for an hour
        for path in Path("/var/tmp").glob(f"erp-sentry-agent-*/{self.state.name}*"):
            shutil.rmtree(path, ignore_errors=True)

    def status(self) -> "list[dict]":
        done = self.agent("status", "--all", "--format", "json")
        return json.loads(done.stdout)["processes"]


def other_pythons() -> "list[str]":
    """Interpreters of other versions with what the agent needs: the environments that .ci/run makes beside its own."""
    here = ".venv-%d.%d" % sys.version_info[:2]
    found = [path for path in sorted(ROOT.glob(".venv-3.*/bin/python")) if path.parts[-3] != here]
    return [str(path) for path in found]


def readable_python() -> str:
    """A Python of this version that other users can run: root's own home is closed to them."""
    name = "python%d.%d" % sys.version_info[:2]
    for python in filter(None, (sys.executable, shutil.which(name, path="/usr/bin:/usr/local/bin"))):
        library = subprocess.run(
            [python, "-c", "import os; print(os.__file__)"], capture_output=True, text=True, check=True
        )
        if all(os.stat(folder).st_mode & 1 for folder in Path(os.path.realpath(library.stdout.strip())).parents):
            return python
    return pytest.skip("no Python of this version that other users can read")


def summary(event: dict) -> tuple:
    return (event["tags"]["erp.report"], event["tags"]["erp.operation"], event["level"])
