"""Kills writers with SIGKILL at random moments, thousands of times, and then delivers everything.

    python bench/deliver_kill.py [--times 3000] [--durable]

Children write as fast as they can and acknowledge each write. Everything that was acknowledged must be complete on
disk, and arrive once.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "deliver")]

from kit import envelope  # noqa: E402
from receiver import Receiver  # noqa: E402

from agent.deliver.send.flush import flush  # noqa: E402
from agent.deliver.send.resources import to_sentry  # noqa: E402
from agent.deliver.spool.spool import Spool  # noqa: E402


def killed_once(spool: Spool, dice: random.Random) -> list[str]:
    """The ids that a writer was told are kept, until it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        while True:
            one = envelope(size=random.choice((10, 1000, 60_000)))
            if spool.write(one):
                os.write(writer, one.event_id.encode() + b"\n")
    os.close(writer)
    seen = b""
    wanted = dice.randrange(0, 4) * 33
    while len(seen) < wanted:
        seen += os.read(reader, 4096)
    for _ in range(dice.randrange(0, 8000)):
        pass  # a moment that no timer would hit
    os.kill(child, signal.SIGKILL)
    while part := os.read(reader, 4096):
        seen += part
    os.close(reader)
    os.waitpid(child, 0)
    return seen.decode().split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3000)
    parser.add_argument("--durable", action="store_true")
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="kill-")
    counts: Counter[str] = Counter()
    spool = Spool(
        directory,
        max_size=1 << 32,
        max_age=1e6,
        max_files=1 << 20,
        durable=options.durable,
        count=lambda reason, _, number: counts.update({reason: number}),
    )
    dice = random.Random(1)
    acknowledged = [each for _ in range(options.times) for each in killed_once(spool, dice)]
    began = time.monotonic()
    with Receiver(forget=True, log=os.path.join(directory, "arrived")) as receiver:
        summary = flush(to_sentry(spool, receiver.dsn, spool._count), 600)
    with open(os.path.join(directory, "arrived")) as file:
        arrived = Counter(line.split('"')[3] for line in file)
    missing = set(acknowledged) - set(arrived)
    twice = sum(number - 1 for number in arrived.values())
    print(f"{options.times} kills, {len(acknowledged)} acknowledged, {len(arrived)} arrived, {len(missing)} missing, "
          f"{twice} arrived again, {summary.quarantined} torn, delivered in {time.monotonic() - began:.0f} s, "
          f"counted {dict(counts)}")  # fmt: skip
    shutil.rmtree(directory)
    return int(bool(missing or twice or summary.quarantined))


if __name__ == "__main__":
    sys.exit(main())
