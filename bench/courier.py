"""From the capture of an event to its acceptance, for each way in which a process can end; and many short processes.

    python bench/courier.py                    the ways, 20 processes each: p50, p99 and the longest, in ms
    python bench/courier.py --storm 300        1,000 short processes a minute; Sentry is away in the second

The Sentry is a loopback one, which accepts at once. The time of the capture is the event's own; the time of acceptance
is when the loopback Sentry has read the request. Nothing may be lost, and no id may come twice.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from receiver import Receiver  # noqa: E402

CONFIG = (
    "version: 1\nmodules: {m: {}}\ndefaults: {rate_limit: off}\n"
    "monitors: [{target: shop.fails, module: m, operation: op}]\n"
)
CAPTURE = "import os, shop\ntry: shop.fails('x')\nexcept ValueError: pass\n"
WAYS = {
    "the end of a script": CAPTURE,
    "os._exit": CAPTURE + "os._exit(0)\n",
    "SIGKILL": CAPTURE + "os.kill(os.getpid(), 9)\n",
    "a crash in C": CAPTURE + "import ctypes\nctypes.string_at(0)\n",
    "a forked child": "import os\nif os.fork(): os.wait()\nelse:\n    import shop\n    try: shop.fails('x')\n"
    "    except ValueError: os._exit(0)\n",
    "it goes on": CAPTURE + "import time\ntime.sleep(1)\n",
    "it computes in C, and holds the GIL": CAPTURE + "import ctypes\nctypes.PyDLL(None).sleep(1)\n",
}


class Timed(Receiver):
    """Notes when each request was read."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def note(self, request):
        answer = super().note(request)
        if answer.status == 200:
            self.times.append(time.time())
        return answer


class Shop:
    def __init__(self, folder: str, dsn: str) -> None:
        self.folder = Path(folder)
        (self.folder / "monitors.yaml").write_text(CONFIG)
        (self.folder / "shop.py").write_text("def fails(text):\n    raise ValueError(text)\n")
        self.environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "AGENT_CONFIG": str(self.folder / "monitors.yaml"),
            "AGENT_STATE_DIR": str(self.folder / "state"), "SENTRY_DSN": dsn,
        }  # fmt: skip
        self.start("-c", "pass").wait()

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=self.folder, env=self.environment, stderr=subprocess.DEVNULL
        )


def delays(sentry: Timed) -> list[float]:
    return [accepted - event["timestamp"] for accepted, event in zip(sentry.times, sentry.events)]


def shown(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{statistics.median(ordered) * 1e3:8.0f} {p99 * 1e3:8.0f} {ordered[-1] * 1e3:8.0f}"


def ways(number: int) -> None:
    print(f"{'':40}{'p50 ms':>8} {'p99 ms':>8} {'most ms':>8}")
    for name, code in WAYS.items():
        for first in (True, False):
            rounds = number if not first else max(number // 4, 3)
            seconds: list[float] = []
            while len(seconds) < rounds:
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Timed() as sentry:
                    shop = Shop(folder, sentry.dsn)
                    for turn in range(1 if first else rounds):
                        shop.start("-c", code).wait()
                        sentry.wait_for(turn + 1, timeout=60)
                    seconds += delays(sentry)
                    end_couriers(folder)
            label = name + (", no courier yet" if first else "")
            print(f"{label:40}{shown(seconds)}", flush=True)


def end_couriers(folder: str) -> None:
    for pid in couriers(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def storm(seconds: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Timed() as sentry:
        shop = Shop(folder, sentry.dsn)
        began, started = time.monotonic(), 0
        running: list[subprocess.Popen] = []
        most = 0
        away = False
        while (passed := time.monotonic() - began) < seconds:
            if away != (60 <= passed < 120):
                away = not away
                sentry.program(default=503 if away else 200)
            while started < passed * 1000 / 60:
                running.append(shop.start("-c", CAPTURE))
                started += 1
            running = [process for process in running if process.poll() is None]
            most = max(most, len(couriers(folder)))
            time.sleep(0.02)
        for process in running:
            process.wait()
        sentry.program(default=200)
        sentry.wait_for(started, timeout=300)
        ids = sentry.ids
        print(f"{started} processes in {seconds} s; accepted {len(sentry.kept)}, ids twice {len(ids) - len(set(ids))}")
        print(f"couriers at a time, at most: {most}")
        print(f"{'from capture to acceptance':40}{shown(delays(sentry))}   ms: p50, p99, most")
        end_couriers(folder)


def couriers(folder: str) -> list[int]:
    """The processes that deliver spools below `folder`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = file.read_bytes()
            if b"erp_agent_courier.py\0" + folder.encode() in line:
                found.append(int(file.parent.name))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--number", type=int, default=20, help="processes for each way (default: 20)")
    parser.add_argument("--storm", type=int, metavar="SECONDS", help="1,000 short processes a minute for so long")
    arguments = parser.parse_args()
    if arguments.storm:
        storm(arguments.storm)
    else:
        ways(arguments.number)


if __name__ == "__main__":
    main()
