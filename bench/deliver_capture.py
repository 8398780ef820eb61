"""The cost of a capture to its caller, compared with sentry_sdk in the same run; events a second; bytes on disk.

    python bench/deliver_capture.py [--events 150] [--rate-events 2000] [--no-fsync] [--json] [--mechanisms]

Each way runs in its own process. They take turns of some tens of events, so that noise of the machine affects all.
"agent" and "SDK" begin with the same finished event and end when it is where it belongs. For the agent that is a file,
while its thread delivers to a receiver on the loopback ("at rest": the thread has ended, as it does five seconds after
the last event, and must be started). For the SDK it is the queue of its thread, which sends to the same receiver.
"without a transport" is only the SDK's call. "whole" begins with an exception: a monitored call that fails, and
capture_exception in the same place.
Each is measured with a pause before each event, as failures happen, and in a burst; in an idle process, and beside
threads that compute. In brackets: the ratio to the SDK with its own transport, and without one.

`--mechanisms` measures instead what each part of `deliver/quick` contributes: the same writes with one of them switched
off. In brackets: the ratio to the row that has all of them.
"""

from __future__ import annotations

import argparse
import json
import logging  # noqa: F401  # as in nearly every host
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests"), os.path.join(ROOT, "bench")]

Way = Callable[[], Callable[[], None]]  # prepares one capture, and answers what is timed

_TURN = 25  # events
_PAUSE = 0.01  # seconds
_WARM_UP = 40  # events that do not count
_FIRSTS = 9  # processes of which each captures one event


def event() -> dict[str, Any]:
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


# --------------------------------------------------------------------------------------------- the ways, in a process


def open_spool(directory: str, **options: Any) -> Any:
    from agent.deliver.spool.spool import Spool

    bounds = {"max_size": 1 << 32, "max_age": 1e6, "max_files": 1 << 20, "durable": False}
    return Spool(directory, count=lambda *_: None, **{**bounds, **options})


def open_sender(spool: Any, dsn: str, **options: Any) -> Any:
    from agent.deliver.background.sender import Sender
    from agent.deliver.send.resources import to_sentry

    return Sender(to_sentry(spool, dsn, lambda *_: None), **options)


def open_courier(spool: Any, dsn: str) -> Any:
    from agent.deliver.courier import launch, settings

    bounds = {
        "directory": None, "max_size": 1 << 32, "max_age": 1e6, "max_files": 1 << 20, "max_rate": 0.0, "durable": False,
        "keep_interpreter": True, "courier": True, "host_client": False,
    }  # fmt: skip
    held = settings.here(dsn, os.path.join(spool.directory, "run"), "bench", bounds)  # type: ignore[arg-type]
    return launch.Courier(spool, held, lambda: open_sender(spool, dsn))


def keeping(spool: Any, wake: Callable[[], None] | None = None) -> Way:
    from agent.base.model import Envelope
    from agent.deliver import wire

    def prepare() -> Callable[[], None]:
        made = event()

        def capture() -> None:
            event_id = made["event_id"]
            spool.write(Envelope(event_id, "error", wire.encode(event_id, "event", json.dumps(made).encode())))
            if wake is not None:
                wake()

        return capture

    return prepare


def sdk_client(dsn: str, **options: Any) -> Any:
    import sentry_sdk

    return sentry_sdk.Client(dsn=dsn, default_integrations=False, auto_enabling_integrations=False, **options)


def with_sdk(client: Any) -> Way:
    def prepare() -> Callable[[], None]:
        made = event()
        return lambda: client.capture_event(made)

    return prepare


def nowhere() -> Any:
    import sentry_sdk

    class Nowhere(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope: object) -> None:
            pass

    return Nowhere


def whole(folder: str, dsn: str) -> Way:
    from report_cost import agents, caught

    shop = agents(folder, dsn)
    return lambda: caught(shop.deep, 12, shop.fails)


def whole_sdk(dsn: str) -> Way:
    import sentry_sdk
    from report_cost import plain

    sentry_sdk.init(dsn=dsn, default_integrations=False, auto_enabling_integrations=False)
    shop = plain(tempfile.gettempdir())

    def call() -> None:
        try:
            shop.deep(12, shop.fails)
        except ValueError:
            sentry_sdk.capture_exception()

    return lambda: call


def without(mechanism: str) -> None:
    """Switch one part of `deliver/quick` off in this process."""
    from agent.deliver.quick import holding_gil, switch_interval

    if mechanism == "holding_gil":
        holding_gil.load = lambda _: None
    else:
        switch_interval.begin = lambda: False


def way_called(name: str, folder: str, dsn: str) -> Way:
    name, *off = name.split(" without ")
    for mechanism in off:
        without(mechanism)
    if name == "agent":
        spool = open_spool(folder)
        return keeping(spool, open_courier(spool, dsn).wake)
    if name == "agent, durable":
        spool = open_spool(folder, durable=True)
        return keeping(spool, open_courier(spool, dsn).wake)
    if name == "agent, thread":
        spool = open_spool(folder)
        return keeping(spool, open_sender(spool, dsn).wake)
    if name == "agent, no DSN":
        return keeping(open_spool(folder, held=True))
    if name == "whole, agent":
        return whole(folder, dsn)
    if name == "whole, SDK":
        return whole_sdk(dsn)
    if name == "SDK":
        return with_sdk(sdk_client(dsn))
    return with_sdk(sdk_client(dsn, transport=nowhere()))


def child(name: str, folder: str, dsn: str) -> None:
    """Takes a turn for each line `NUMBER PAUSE THREADS`, and answers the seconds that each capture took."""
    prepare = way_called(name, folder, dsn)
    for line in sys.stdin:
        number, pause, threads = line.split()
        print(json.dumps(turn(prepare, int(number), float(pause), int(threads))), flush=True)
    os._exit(0)


def turn(prepare: Way, number: int, pause: float, threads: int) -> list[float]:
    over = False

    def compute() -> None:
        while not over:
            sum(range(200))

    others = [threading.Thread(target=compute, daemon=True) for _ in range(threads)]
    for each in others:
        each.start()
    times = []
    for _ in range(number):
        capture = prepare()
        time.sleep(pause)
        began = time.perf_counter()
        capture()
        times.append(time.perf_counter() - began)
    over = True
    for each in others:
        each.join()
    return times


# ------------------------------------------------------------------------------------------------------- what is told


class Process:
    """One way, and the turns it takes; in a folder of its own, or in one that others have used."""

    def __init__(self, name: str, place: str, dsn: str, folder: str = "") -> None:
        folder = folder or tempfile.mkdtemp(prefix="spool-", dir=place)
        command = [sys.executable, "-W", "ignore", os.path.abspath(__file__), "--way", name, folder, dsn]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def turn(self, number: int, pause: float, threads: int) -> list[float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{number} {pause} {threads}\n")
        self._process.stdin.flush()
        return [float(each) for each in json.loads(self._process.stdout.readline())]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def percentiles(times: Iterable[float]) -> dict[str, float]:
    """Microseconds."""
    ordered = sorted(times)
    return {f"p{share}": ordered[len(ordered) * share // 100] * 1e6 for share in (50, 90, 99)}


def compared(names: list[str], number: int, pause: float, threads: int, place: str, dsn: str) -> dict[str, Any]:
    processes = {name: Process(name, place, dsn) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for process in processes.values():
        process.turn(_WARM_UP, _PAUSE, 0)
    for _ in range(number // _TURN):
        for name, process in processes.items():
            times[name] += process.turn(_TURN, pause, threads)
    for process in processes.values():
        process.end()
    return {name: percentiles(each) for name, each in times.items()}


def first_events(names: list[str], place: str, dsn: str) -> dict[str, Any]:
    """The first event of a process that has imported all it needs, in an installation that is not new."""
    times: dict[str, list[float]] = {name: [] for name in names}
    folders = {name: tempfile.mkdtemp(dir=place) for name in names}
    for round_ in range(_FIRSTS + 1):
        for name in names:
            process = Process(name, place, dsn, folders[name])
            took = process.turn(1, 0.0, 0)
            times[name] += took if round_ else []  # the first one compiles
            process.end()
    return {name: percentiles(each) for name, each in times.items()}


def disk(number: int, place: str) -> dict[str, float]:
    folder = tempfile.mkdtemp(dir=place)
    prepare = keeping(open_spool(folder))
    for _ in range(number):
        prepare()()
    sizes = [os.stat(os.path.join(folder, "new", name)) for name in os.listdir(os.path.join(folder, "new"))]
    return {
        "bytes": statistics.mean(each.st_size for each in sizes),
        "allocated": statistics.mean(each.st_blocks * 512 for each in sizes),
    }


def rate(number: int, place: str, dsn: str, log: str) -> dict[str, dict[str, float]]:
    """Events a second from the first capture until the receiver has the last, and how many it got."""
    results = {}
    for name in ("agent", "SDK"):
        before = lines(log)
        began = time.perf_counter()
        if name == "SDK":
            sdk = sdk_client(dsn)
            for _ in range(number):
                sdk.capture_event(event())
            captured = time.perf_counter() - began
            sdk.close(timeout=60)
        else:
            spool = open_spool(tempfile.mkdtemp(dir=place))
            sender = open_sender(spool, dsn)
            prepare = keeping(spool, sender.wake)
            for _ in range(number):
                prepare()()
            captured = time.perf_counter() - began
            sender.close(120)
        took = time.perf_counter() - began
        arrived = lines(log) - before
        results[name] = {"captured/s": number / captured, "arrived/s": arrived / took, "arrived": arrived, "of": number}
    return results


def lines(path: str) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def show(title: str, rows: dict[str, dict[str, float]]) -> None:
    print(title)
    for name, facts in rows.items():
        peers = [rows[peer] for peer in (("whole, SDK",) if name.startswith("whole") else _PEERS) if peer in rows]
        peers = peers or [rows[name.partition(" without ")[0]]]
        words = []
        for share, value in facts.items():
            ratios = ", ".join(f"{value / peer[share]:.2f}" for peer in peers)
            words.append(f"{share} {value:7.0f} µs ({ratios})")
        print(f"  {name:{max(26, *map(len, rows))}}" + "   ".join(words))


_PEERS = ("SDK", "SDK, without a transport")
_WHOLE = ["whole, agent", "whole, SDK"]


#: `switch_interval` applies only where `holding_gil` does not: without a DSN, or where it is switched off.
_MECHANISMS = [
    "agent", "agent without holding_gil", "agent without holding_gil without switch_interval",
    "agent, no DSN", "agent, no DSN without switch_interval",
]  # fmt: skip


def measure_mechanisms(options: argparse.Namespace, place: str, dsn: str) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for what, pause in (("with pauses", _PAUSE), ("in a burst", 0.0)):
        for threads in (0, 1, 4):
            title = f"{what}, beside {threads} busy threads" if threads else what
            tables[title] = compared(_MECHANISMS, options.events, pause, threads, place, dsn)
    return {"capture": tables}


def measure(options: argparse.Namespace, place: str, dsn: str, log: str) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for what, pause in (("with pauses", _PAUSE), ("in a burst", 0.0)):
        for threads in (0, 1, 4):
            names = ["agent", "agent, thread", "agent, no DSN", *_PEERS, *_WHOLE]
            if not threads and not options.no_fsync:
                names.append("agent, durable")
            title = f"{what}, beside {threads} busy threads" if threads else what
            tables[title] = compared(names, options.events, pause, threads, place, dsn)
    tables["the first event of a process"] = first_events(["agent", "agent, no DSN", *_PEERS, *_WHOLE], place, dsn)
    return {"capture": tables, "disk": disk(200, place), "rate": rate(options.rate_events, place, dsn, log)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=150, help="of each way and circumstance")
    parser.add_argument("--rate-events", type=int, default=2000)
    parser.add_argument("--no-fsync", action="store_true", help="syncing disturbs the other ways on some disks")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mechanisms", action="store_true", help="what each part of deliver/quick contributes")
    parser.add_argument("--way", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        child(*options.way)
    place = tempfile.mkdtemp(prefix="bench-capture-")
    port_file, log = os.path.join(place, "port"), os.path.join(place, "log")
    script = os.path.join(ROOT, "tests", "receiver.py")
    command = [sys.executable, script, "--port-file", port_file, "--log", log]
    receiver = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # it tells of requests that a way's end cut short
    try:
        while not os.path.exists(port_file):
            time.sleep(0.02)
        with open(port_file) as file:
            dsn = f"http://k@127.0.0.1:{int(file.read())}/1"
        found = measure_mechanisms(options, place, dsn) if options.mechanisms else measure(options, place, dsn, log)
    finally:
        receiver.kill()
        receiver.wait()
        shutil.rmtree(place, ignore_errors=True)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for title, rows in found["capture"].items():
        show(title, rows)
    if options.mechanisms:
        return
    print("disk per event: {bytes:.0f} bytes, {allocated:.0f} allocated".format(**found["disk"]))
    for name, facts in found["rate"].items():
        print("{0:6} {captured/s:6.0f} captured/s  {arrived/s:6.0f} arrived/s  {arrived} of {of} arrived".format(
            name, **facts))  # fmt: skip


if __name__ == "__main__":
    main()
