"""Many events from several processes that share a spool, through a Sentry that fails a third of the time.

    python bench/deliver_soak.py [--events 200000] [--processes 8] [--failing 0.33] [--kill 0] [--seconds 0]

Every event that was acknowledged to its writer must arrive at the receiver, under its own id. With --kill SECONDS a
courier, or a writer, is killed at that interval on average; the next capture starts another courier. With --seconds
nothing is written after that time. Meanwhile it prints the memory of the writers and of the courier: it must not grow
with the number of events.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, *(os.path.join(ROOT, *folder) for folder in (["bench"], ["tests"], ["tests", "deliver"]))]

from courier import couriers, end_couriers  # noqa: E402
from deliver_capture import open_courier  # noqa: E402
from kit import envelope  # noqa: E402

from agent.deliver.send.flush import Summary, flush  # noqa: E402
from agent.deliver.send.resources import to_sentry  # noqa: E402
from agent.deliver.spool.spool import Spool  # noqa: E402

_EVERY = 5.0  # seconds between two looks at the memory of all
_COURIERS = 0.7  # of those that are killed
_BACKLOG = 3000  # envelopes that wait before writers pause: the soak is about delivery


def open_spool(directory: str, counts: Counter[str]) -> Spool:
    def count(reason: str, _: str, number: int) -> None:
        counts[reason] += number

    return Spool(directory, max_size=1 << 32, max_age=1e6, max_files=1 << 20, durable=False, count=count)


def write(directory: str, dsn: str, log: str, number: int, until: float) -> None:
    """A writer: notes each acknowledged id in its log, and at its end what it counted."""
    counts: Counter[str] = Counter()
    spool = open_spool(directory, counts)
    courier = open_courier(spool, dsn)
    with open(log, "a", buffering=1) as file:
        for done in range(number):
            one = envelope(size=random.choice((200, 800, 2000)))
            if spool.write(one):
                file.write(one.event_id + "\n")
            courier.wake()
            if done % 50 == 0:
                if until and time.time() > until:
                    break
                while len(os.listdir(os.path.join(directory, "new"))) > _BACKLOG:
                    time.sleep(0.5)
        courier.close(1.0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        file.write(json.dumps({"counts": counts, "peak": peak}) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--failing", type=float, default=0.33)
    parser.add_argument("--kill", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=0.0, help="of writing, at most; 0 for as long as it takes")
    parser.add_argument("--writer", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        directory, dsn, log, number, until = options.writer
        write(directory, dsn, log, int(number), float(until))
        return 0
    place = tempfile.mkdtemp(prefix="soak-")
    directory, port_file, arrived = (os.path.join(place, name) for name in ("spool", "port", "arrived"))
    os.makedirs(os.path.join(directory, "new"), 0o700)
    script = os.path.join(ROOT, "tests", "receiver.py")
    receiver = subprocess.Popen(
        [sys.executable, script, "--port-file", port_file, "--log", arrived, "--failing", str(options.failing)]
    )
    began = time.monotonic()
    try:
        while not os.path.exists(port_file):
            time.sleep(0.02)
        with open(port_file) as file:
            dsn = f"http://k@127.0.0.1:{file.read()}/1"
        samples: list[Sample] = []
        kills = run_writers(options, directory, dsn, place, samples)
        summary = until_delivered(open_spool(directory, Counter()), dsn)
    finally:
        end_couriers(directory)
        receiver.kill()
        receiver.wait()
    took = time.monotonic() - began
    status = judge(place, arrived, took, kills, summary)
    show(samples)
    shutil.rmtree(place)
    return status


def until_delivered(spool: Spool, dsn: str) -> Summary:
    """Wait for as long as a courier lives and delivers; deliver what it leaves."""
    until = time.monotonic() + 600
    while couriers(spool.directory) and spool.is_anything_waiting() and time.monotonic() < until:
        time.sleep(0.2)
    end_couriers(spool.directory)
    return flush(to_sentry(spool, dsn, spool._count), 600)


class Sample(NamedTuple):
    """Megabytes in memory at one moment."""

    seconds: float
    arrived: int
    writers: list[float]
    courier: float


def rss(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e6
    except (OSError, IndexError):
        return 0.0


def show(samples: list[Sample]) -> None:
    print("seconds  arrived   writers, MB (least, most)   courier, MB")
    for sample in samples[:: max(len(samples) // 12, 1)]:
        print(f"{sample.seconds:7.0f}  {sample.arrived:7d}   {min(sample.writers):8.1f} {max(sample.writers):8.1f}"
              f"            {sample.courier or float('nan'):8.1f}")  # fmt: skip


def lines(path: str) -> int:
    """Each is as long as the first. 0 where there is no such file yet."""
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        return os.stat(path).st_size // max(len(file.readline()), 1)


def run_writers(
    options: argparse.Namespace, directory: str, dsn: str, place: str, samples: list[Sample]
) -> Counter[str]:
    """How many of each kind were killed on the way."""
    share = options.events // options.processes
    running: dict[subprocess.Popen[bytes], tuple[str, int]] = {}
    started = 0
    kills: Counter[str] = Counter()
    dice = random.Random(1)
    until = str(time.time() + options.seconds if options.seconds else 0)

    def start(number: int) -> None:
        nonlocal started
        log = os.path.join(place, f"log-{started}")
        started += 1
        command = [sys.executable, os.path.abspath(__file__), "--writer", directory, dsn, log, str(number), until]
        running[subprocess.Popen(command)] = (log, number)

    for _ in range(options.processes):
        start(share)
    began = sampled = time.monotonic()
    next_kill = began + dice.expovariate(1 / options.kill) if options.kill else float("inf")
    while running:
        time.sleep(0.05)
        if time.monotonic() - sampled > _EVERY:
            sampled = time.monotonic()
            writers = [rss(each.pid) for each in running if each.poll() is None]
            if writers:
                number = lines(os.path.join(place, "arrived"))
                samples.append(
                    Sample(sampled - began, number, writers, max(map(rss, couriers(directory)), default=0.0))
                )
        if time.monotonic() > next_kill:
            next_kill = time.monotonic() + dice.expovariate(1 / options.kill)
            if dice.random() < _COURIERS:
                kills["couriers"] += len(couriers(directory))
                end_couriers(directory)
            else:
                victim = dice.choice(list(running))
                victim.kill()
                victim.wait()
                kills["writers"] += 1
                log, number = running.pop(victim)
                rest = number - lines(log)
                if rest > 0 and not (options.seconds and time.time() > float(until)):
                    start(rest)
        for process in [each for each in running if each.poll() is not None]:
            assert process.returncode == 0
            del running[process]
    return kills


def judge(place: str, arrived: str, took: float, kills: Counter[str], summary: object) -> int:
    acknowledged: set[str] = set()
    counts: Counter[str] = Counter()
    peaks = []
    for name in os.listdir(place):
        if not name.startswith("log-"):
            continue
        with open(os.path.join(place, name)) as file:
            for line in file:
                if line.startswith("{"):
                    facts = json.loads(line)
                    counts.update(facts["counts"])
                    peaks.append(facts["peak"] / 1024)
                elif len(line) == 33:
                    acknowledged.add(line.strip())
    with open(arrived) as file:
        times = Counter(json.loads(line)["id"] for line in file)
    missing = acknowledged - set(times)
    print(f"{len(acknowledged)} acknowledged, {len(times)} arrived, {len(missing)} missing, "
          f"{sum(n - 1 for n in times.values())} arrived again, killed: {dict(kills)}, {took:.0f} s, "
          f"{len(times) / took:.0f} events/s")  # fmt: skip
    print("counted:", dict(counts), "| last flush:", summary)
    print("peak memory of the writers, MB:", " ".join(f"{peak:.1f}" for peak in sorted(peaks)))
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
