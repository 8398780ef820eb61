"""Kills writers and couriers with SIGKILL at random moments, thousands of times; everything must arrive.

    python bench/deliver_kill.py [--times 3000] [--couriers 0.3] [--durable]

Children write as fast as they can and acknowledge each write. After the given share of them the courier that delivers
meanwhile is killed as well; with 0 nothing is delivered before the end. Everything that was acknowledged must arrive.
What a courier was sending when it was killed may arrive again, under the same id; nothing arrives that nobody wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, *(os.path.join(ROOT, *folder) for folder in (["bench"], ["tests"], ["tests", "deliver"]))]

from courier import couriers, end_couriers  # noqa: E402
from deliver_capture import open_courier  # noqa: E402
from deliver_soak import until_delivered  # noqa: E402
from kit import envelope  # noqa: E402

from agent.deliver.spool.spool import Spool  # noqa: E402


def killed_once(spool: Spool, dsn: str | None, dice: random.Random) -> tuple[list[str], list[str]]:
    """The ids that a writer began with, and those that it was told are kept, until it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        courier = open_courier(spool, dsn) if dsn is not None else None
        while True:
            one = envelope(size=random.choice((10, 1000, 60_000)))
            os.write(writer, b"?" + one.event_id.encode())
            if spool.write(one):
                os.write(writer, b"!" + one.event_id.encode())
            if courier is not None:
                courier.wake()
    os.close(writer)
    seen = b""
    wanted = dice.randrange(0, 4) * 66
    while len(seen) < wanted:
        seen += os.read(reader, 4096)
    for _ in range(dice.randrange(0, 8000)):
        pass  # a moment that no timer would hit
    os.kill(child, signal.SIGKILL)
    while part := os.read(reader, 4096):
        seen += part
    os.close(reader)
    os.waitpid(child, 0)
    words = [seen[at : at + 33].decode() for at in range(0, len(seen), 33)]
    return [word[1:] for word in words if word[0] == "?"], [word[1:] for word in words if word[0] == "!"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3000)
    parser.add_argument("--couriers", type=float, default=0.3, metavar="SHARE")
    parser.add_argument("--durable", action="store_true")
    options = parser.parse_args()
    place = tempfile.mkdtemp(prefix="kill-")
    directory, port_file, log = (os.path.join(place, name) for name in ("spool", "port", "arrived"))
    counts: Counter[str] = Counter()
    spool = Spool(
        directory,
        max_size=1 << 32,
        max_age=1e6,
        max_files=1 << 20,
        durable=options.durable,
        count=lambda reason, _, number: counts.update({reason: number}),
    )
    script = os.path.join(ROOT, "tests", "receiver.py")
    receiver = subprocess.Popen([sys.executable, script, "--port-file", port_file, "--log", log])
    try:
        while not os.path.exists(port_file):
            time.sleep(0.02)
        with open(port_file) as file:
            dsn = f"http://k@127.0.0.1:{file.read()}/1"
        dice = random.Random(1)
        begun, acknowledged, killed = set(), set(), 0
        for _ in range(options.times):
            began, kept = killed_once(spool, dsn if options.couriers else None, dice)
            begun.update(began)
            acknowledged.update(kept)
            if dice.random() < options.couriers:
                killed += len(couriers(directory))
                end_couriers(directory)
        summary = until_delivered(spool, dsn)
    finally:
        end_couriers(directory)
        receiver.kill()
        receiver.wait()
    with open(log) as file:
        arrived = Counter(json.loads(line)["id"] for line in file)
    missing, strange = acknowledged - set(arrived), set(arrived) - begun
    twice = sum(number - 1 for number in arrived.values())
    print(f"{options.times} writers and {killed} couriers killed, {len(acknowledged)} acknowledged, "
          f"{len(arrived)} arrived, {len(missing)} missing, {twice} arrived again, {len(strange)} that nobody wrote, "
          f"{summary.quarantined} torn, counted {dict(counts)}")  # fmt: skip
    shutil.rmtree(place)
    return int(bool(missing or strange or twice > killed or summary.quarantined))


if __name__ == "__main__":
    sys.exit(main())
