"""Processes of a host that go on running: servers, workers, schedulers. Each writes to a file, and ends with its test."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


class Running:
    """One process and what it starts, in a process group of its own. Use as a context manager."""

    def __init__(
        self, host, *arguments: str, agent: bool = True, cwd=None, python=sys.executable, **extra: str
    ) -> None:
        number = len(list(host.folder.glob("*.output")))
        self.output = host.folder / f"{number}.output"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [python, *arguments], cwd=cwd or host.folder, env=host.environment(agent, **extra),
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.pid = self.process.pid

    @property
    def printed(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, timeout: float = 120.0, times: int = 1) -> "list[str]":
        """Wait until the output matches that often. Return the matches."""
        found: list[str] = []

        def there() -> bool:
            found[:] = re.findall(pattern, self.printed)
            return len(found) >= times

        self.until(there, timeout, f"{times} × {pattern!r} in the output")
        return found

    def until(self, there, timeout: float = 120.0, what: str = "what was waited for") -> None:
        """Poll until `there` returns true: the process of another program has no event to wait for."""
        end = time.monotonic() + timeout
        while not there():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.printed[-3000:]}"
            assert time.monotonic() < end, f"after {timeout} s without {what}: {self.printed[-3000:]}"
            time.sleep(0.02)

    def wait(self, timeout: float = 120.0) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {timeout} s: {self.printed[-3000:]}") from None

    def stop(self, number: int = signal.SIGTERM, timeout: float = 120.0) -> int:
        """End the process by a signal and wait for it. Return its exit status."""
        self.process.send_signal(number)
        return self.wait(timeout)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def get(port: int, path: str = "/", timeout: float = 30.0, headers=None) -> "tuple[int, str]":
    """Return status and text, of error responses too. Raises OSError if there is no response."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_until(condition, timeout: float = 120.0) -> None:
    """Poll for what another process does meanwhile, which is none of a test's own."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not so after {timeout} s"
        time.sleep(0.02)


def deliver(host, sentry) -> None:
    """Deliver what the processes had no time to deliver."""
    done = host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
    assert done.returncode == 0, done.stdout + done.stderr


def children(pid: int) -> "list[int]":
    """The processes that `pid` has started, from /proc."""
    found = []
    for child in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = Path("/proc", child, "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(child))
    return sorted(found)
