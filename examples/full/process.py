"""Background programs, which end when requested."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager


class Failed(Exception):
    """A program did not start, or ended of its own accord. The text says which, and its last words."""


class Process:
    """One program, its output in a file.

    It gets a session of its own: Ctrl-C at the terminal reaches us alone, and we decide in which order things end.
    """

    def __init__(self, name: str, command: list[str], log: str, *, folder: str, environment=None, user=None) -> None:
        self.name = name
        self.log = log
        # Only root may become somebody else, and only then is the argument passed.
        become = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **become,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def children(self) -> list[int]:
        """The processes that it has started itself and that run the same program."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as file:
            return [pid for pid in map(int, file.read().split()) if _command(pid) == _command(self.pid)]

    def wait_until(self, ready, timeout: float = 60.0) -> None:
        """Until `ready()` is true; `Failed` if the program ends before, or takes longer than `timeout` seconds."""
        until = time.monotonic() + timeout
        while not ready():
            if self._process.poll() is not None:
                raise Failed(f"{self.name} ended with status {self._process.returncode}:\n{self._last_words()}")
            if time.monotonic() > until:
                raise Failed(f"{self.name} was not ready within {timeout:.0f} s:\n{self._last_words()}")
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGTERM, timeout: float = 20.0) -> None:
        """Ask it to end, and wait; what is left of it after `timeout` seconds is killed."""
        if self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self._process.wait()

    def _last_words(self) -> str:
        lines = self.said().strip().splitlines()[-12:]
        return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"


def finish(command: list[str], **how) -> subprocess.CompletedProcess:
    """Run a command to its end, with its output as text. Whatever interrupts us ends it, and waits for that.

    `subprocess.run` leaves what Ctrl-C has interrupted after a quarter of a second, whether or not it has ended.
    """
    process = None
    try:
        with held_signals():
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)
        output, errors = process.communicate()
    except BaseException:
        if process is not None:
            process.kill()
            process.wait()
        raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@contextmanager
def held_signals():
    """What would end us waits until a process that is being started is known to whoever is to stop it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {each: signal.signal(each, lambda number, _: came.append(number)) for each in _ENDING}
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        for each in came:
            signal.raise_signal(each)


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _command(pid: int) -> bytes:
    """What it was started with: a fork has the same."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
