"""What capturing costs, beside sentry_sdk.capture_event in the same run; events a second; bytes on disk.

    python bench/deliver_capture.py [--events 2000] [--rate-events 3000] [--no-fsync] [--json]

Both make their envelope from the same finished event and end when it is where it has to be: ours in a file, the SDK's
in the queue of its thread. The two take turns, so that a noisy machine is noisy for both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

import sentry_sdk  # noqa: E402

from agent.deliver import hurry, wire  # noqa: E402
from agent.deliver.sender import Sender  # noqa: E402
from agent.deliver.spool import Spool  # noqa: E402
from agent.model import Envelope  # noqa: E402


def event() -> dict:
    frames = [
        {"filename": f"erp/sales/{n}.py", "function": f"step_{n}", "lineno": n, "in_app": True,
         "context_line": "    total = sum(line.amount for line in order.lines)"}
        for n in range(12)
    ]  # fmt: skip
    return {
        "event_id": os.urandom(16).hex(),
        "timestamp": time.time(),
        "level": "error",
        "platform": "python",
        "tags": {"erp.module": "sales", "erp.operation": "create order"},
        "exception": {"values": [{"type": "ValueError", "value": "no stock", "stacktrace": {"frames": frames}}]},
    }


def open_spool(directory: str, *, durable: bool) -> Spool:
    options = {"max_size": 1 << 32, "max_age": 1e6, "max_files": 1 << 20}
    return Spool(directory, durable=durable, count=lambda *_: None, **options)


def keep(spool: Spool, made: dict) -> None:
    event_id = made["event_id"]
    data = wire.encode(event_id, "event", json.dumps(made).encode())
    spool.write(Envelope(event_id, "error", data))


def client(dsn: str, **options: object) -> sentry_sdk.Client:
    return sentry_sdk.Client(dsn=dsn, default_integrations=False, auto_enabling_integrations=False, **options)


def percentiles(times: list[float]) -> dict[str, float]:
    times = sorted(times)
    return {f"p{share}": times[len(times) * share // 100] * 1e6 for share in (50, 90, 99)}


def capture(number: int, port: int, *, fsync: bool) -> dict[str, dict[str, float]]:
    """Microseconds."""
    directory = tempfile.mkdtemp(prefix="bench-spool-")
    plain = open_spool(os.path.join(directory, "plain"), durable=False)
    durable = open_spool(os.path.join(directory, "durable"), durable=True)
    sending_spool = open_spool(os.path.join(directory, "sending"), durable=False)
    sender = Sender(sending_spool, f"http://k@127.0.0.1:{port}/1", count=lambda *_: None)
    sdk = client(f"http://k@127.0.0.1:{port}/1")
    ways = {
        "write": lambda made: keep(plain, made),
        "write, fsync": lambda made: keep(durable, made),
        "write, with the sender at work": lambda made: (keep(sending_spool, made), sender.wake()),
        "sentry_sdk capture_event": sdk.capture_event,
    }
    if not fsync:
        del ways["write, fsync"]
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(number + 20):
        for name, way in ways.items():
            made = event()
            began = time.perf_counter()
            way(made)
            took = time.perf_counter() - began
            if round_ >= 20:
                times[name].append(took)
    sender.close(30)
    sdk.close(timeout=2)
    result = {name: percentiles(each) for name, each in times.items()}
    files = os.listdir(os.path.join(plain.directory, "new"))
    sizes = [os.stat(os.path.join(plain.directory, "new", name)) for name in files]
    result["disk per event"] = {
        "bytes": statistics.mean(each.st_size for each in sizes),
        "allocated": statistics.mean(each.st_blocks * 512 for each in sizes),
    }
    shutil.rmtree(directory)
    return result


class _Nowhere(sentry_sdk.transport.Transport):
    """The SDK's capture alone: its own transport's thread would be one of the busy ones."""

    def capture_envelope(self, envelope: object) -> None:
        pass


def crowded(number: int, threads: int) -> dict[str, dict[str, float]]:
    """Microseconds, while so many other threads compute without a pause."""
    directory = tempfile.mkdtemp(prefix="bench-spool-")
    spool = open_spool(directory, durable=False)
    sdk = client("http://k@127.0.0.1:9/1", transport=_Nowhere)
    begin = hurry.begin
    ways = {
        "write": lambda made: keep(spool, made),
        "write, at Python's own pace": lambda made: keep(spool, made),
        "sentry_sdk capture_event": sdk.capture_event,
    }
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(200))

    for _ in range(threads):
        threading.Thread(target=compute, daemon=True).start()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(number):
        for name, way in ways.items():
            hurry.begin = begin if name == "write" else lambda: False
            made = event()
            time.sleep(0.001)  # come back when it is our turn, as a call of the host's does
            began = time.perf_counter()
            way(made)
            times[name].append(time.perf_counter() - began)
    hurry.begin = begin
    over.set()
    shutil.rmtree(directory)
    return {name: percentiles(each) for name, each in times.items()}


def rate(number: int, port: int, log: str) -> dict[str, dict[str, float]]:
    """Events a second from the first capture until the receiver has the last, and how many it got."""
    results = {}
    for name in ("spool and sender", "sentry_sdk"):
        before = lines(log)
        began = time.perf_counter()
        if name == "sentry_sdk":
            sdk = client(f"http://k@127.0.0.1:{port}/1")
            for _ in range(number):
                sdk.capture_event(event())
            captured = time.perf_counter() - began
            sdk.close(timeout=60)
        else:
            directory = tempfile.mkdtemp(prefix="bench-spool-")
            spool = open_spool(directory, durable=False)
            sender = Sender(spool, f"http://k@127.0.0.1:{port}/1", count=lambda *_: None)
            for _ in range(number):
                keep(spool, event())
                sender.wake()
            captured = time.perf_counter() - began
            sender.close(120)
            shutil.rmtree(directory)
        took = time.perf_counter() - began
        arrived = lines(log) - before
        results[name] = {"captured/s": number / captured, "arrived/s": arrived / took, "arrived": arrived, "of": number}
    return results


def show(times: dict[str, dict[str, float]]) -> None:
    base = times["sentry_sdk capture_event"]
    for name, facts in times.items():
        if "p50" in facts:
            words = ["%s %7.0f µs (%.2f)" % (share, facts[share], facts[share] / base[share]) for share in base]
            print("%-34s %s" % (name, "   ".join(words)))


def lines(path: str) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--rate-events", type=int, default=3000)
    parser.add_argument("--no-fsync", action="store_true", help="syncing disturbs the other ways on some disks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    place = tempfile.mkdtemp(prefix="bench-receiver-")
    port_file, log = os.path.join(place, "port"), os.path.join(place, "log")
    script = os.path.join(ROOT, "tests", "receiver.py")
    receiver = subprocess.Popen([sys.executable, script, "--port-file", port_file, "--log", log])
    try:
        while not os.path.exists(port_file):
            time.sleep(0.02)
        with open(port_file) as file:
            port = int(file.read())
        captured = capture(options.events, port, fsync=not options.no_fsync)
        beside = {threads: crowded(options.events // 10, threads) for threads in (1, 4)}
        rates = rate(options.rate_events, port, log)
    finally:
        receiver.kill()
        receiver.wait()
        shutil.rmtree(place)
    if options.json:
        print(json.dumps({"capture": captured, "busy threads": beside, "rate": rates}, indent=2))
        return
    show(captured)
    for threads, times in beside.items():
        print(f"beside {threads} busy threads:")
        show(times)
    disk = captured["disk per event"]
    print("disk per event: %.0f bytes, %.0f allocated" % (disk["bytes"], disk["allocated"]))
    for name, facts in rates.items():
        print("%-20s %6.0f captured/s  %6.0f arrived/s  %d of %d arrived" % (
            name, facts["captured/s"], facts["arrived/s"], facts["arrived"], facts["of"]))  # fmt: skip


if __name__ == "__main__":
    main()
