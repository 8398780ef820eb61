"""Many events from several processes that share a spool, through a Sentry that fails a third of the time.

    python bench/deliver_soak.py [--events 200000] [--processes 8] [--failing 0.33] [--kill 0]

Every event that was acknowledged to its writer has to be at the receiver, under its own id. With --kill SECONDS the
process that delivers is killed every so often, and another one started in its place. Prints the peak memory of the
writers at a tenth of the way and at its end: it must not grow with the number of events.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "deliver")]

from kit import envelope  # noqa: E402

from agent.deliver.sender import Sender  # noqa: E402
from agent.deliver.spool import Spool  # noqa: E402

_BACKLOG = 3000  # envelopes that wait before writers pause: the soak is about delivery


def open_spool(directory: str, counts: Counter[str]) -> Spool:
    def count(reason: str, _: str, number: int) -> None:
        counts[reason] += number

    return Spool(directory, max_size=1 << 32, max_age=1e6, max_files=1 << 20, durable=False, count=count)


def write(directory: str, dsn: str, log: str, number: int) -> None:
    """A writer: notes each acknowledged id in its log, and at its end what it counted."""
    counts: Counter[str] = Counter()
    spool = open_spool(directory, counts)
    sender = Sender(spool, dsn, count=spool._count)
    peaks = []
    with open(log, "a", buffering=1) as file:
        for done in range(number):
            one = envelope(size=random.choice((200, 800, 2000)))
            if spool.write(one):
                file.write(one.event_id + "\n")
            sender.wake()
            if done % 50 == 0:
                while len(os.listdir(os.path.join(directory, "new"))) > _BACKLOG:
                    time.sleep(0.2)
            if done % max(number // 10, 1) == 0:
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        sender.close(1.0)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        file.write(json.dumps({"counts": counts, "peaks": peaks}) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--failing", type=float, default=0.33)
    parser.add_argument("--kill", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--writer", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        directory, dsn, log, number = options.writer
        write(directory, dsn, log, int(number))
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
        kills = run_writers(options, directory, dsn, place)
        counts: Counter[str] = Counter()
        summary = Sender(open_spool(directory, counts), dsn, count=lambda *_: None).flush(600)
    finally:
        receiver.kill()
        receiver.wait()
    took = time.monotonic() - began
    status = judge(place, arrived, took, kills, summary)
    shutil.rmtree(place)
    return status


def run_writers(options: argparse.Namespace, directory: str, dsn: str, place: str) -> int:
    """How many were killed on the way."""
    share = options.events // options.processes
    running: dict[subprocess.Popen[bytes], tuple[str, int]] = {}
    started = kills = 0

    def start(number: int) -> None:
        nonlocal started
        log = os.path.join(place, f"log-{started}")
        started += 1
        command = [sys.executable, os.path.abspath(__file__), "--writer", directory, dsn, log, str(number)]
        running[subprocess.Popen(command)] = (log, number)

    for _ in range(options.processes):
        start(share)
    last = time.monotonic()
    while running:
        time.sleep(0.05)
        if options.kill and time.monotonic() - last > options.kill:
            last = time.monotonic()
            victim = next((each for each in running if each.pid == holder(directory)), None)
            if victim is not None:
                os.kill(victim.pid, signal.SIGKILL)
                victim.wait()
                kills += 1
                log, number = running.pop(victim)
                with open(log) as file:
                    rest = number - sum(1 for _ in file)
                if rest > 0:
                    start(rest)
        for process in [each for each in running if each.poll() is not None]:
            assert process.returncode == 0
            del running[process]
    return kills


def holder(directory: str) -> int:
    """The process that holds the folder's lock; 0 if none does or nobody can tell."""
    try:
        inode = os.stat(os.path.join(directory, "lock")).st_ino
        with open("/proc/locks") as file:
            for line in file:
                fields = line.split()
                if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
                    return int(fields[4])
    except OSError:
        pass
    return 0


def judge(place: str, arrived: str, took: float, kills: int, summary: object) -> int:
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
                    peaks.append(facts["peaks"])
                elif len(line) == 33:
                    acknowledged.add(line.strip())
    with open(arrived) as file:
        times = Counter(json.loads(line)["id"] for line in file)
    missing = acknowledged - set(times)
    print(f"{len(acknowledged)} acknowledged, {len(times)} arrived, {len(missing)} missing, "
          f"{sum(n - 1 for n in times.values())} arrived again, {kills} senders killed, {took:.0f} s, "
          f"{len(times) / took:.0f} events/s")  # fmt: skip
    print("counted:", dict(counts), "| last flush:", summary)
    for each in peaks:
        print("peak memory of a writer, MB:", " ".join(f"{peak / 1024:.1f}" for peak in each))
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
