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
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, timeout: float = 60.0, times: int = 1) -> "list[str]":
        """Until the output matches that often; answers the matches."""
        found: list[str] = []

        def there() -> bool:
            found[:] = re.findall(pattern, self.said)
            return len(found) >= times

        self.until(there, timeout, f"{times} × {pattern!r} in the output")
        return found

    def until(self, there, timeout: float = 60.0, what: str = "what was waited for") -> None:
        """A process of somebody else's has no event to wait on: it is asked again and again."""
        end = time.monotonic() + timeout
        while not there():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said[-3000:]}"
            assert time.monotonic() < end, f"after {timeout} s without {what}: {self.said[-3000:]}"
            time.sleep(0.02)

    def wait(self, timeout: float = 60.0) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {timeout} s: {self.said[-3000:]}") from None

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60.0) -> int:
        """A clean end, waited for."""
        self.process.send_signal(number)
        return self.wait(timeout)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def get(port: int, path: str = "/", timeout: float = 30.0, headers=None) -> "tuple[int, str]":
    """Status and text, of answers that are errors too. Raises OSError where there is no answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def deliver(host, sentry) -> None:
    """What the processes had no moment for goes out now."""
    done = host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
    assert done.returncode == 0, done.stdout + done.stderr


def children(pid: int) -> "list[int]":
    """The processes that `pid` has started, from /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return sorted(found)
