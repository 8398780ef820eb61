"""The cost of a scrape: reading what many processes count of many operations, and writing it in each format.

    python bench/scrape.py                                    1,000 operations, 20 processes
    python bench/scrape.py --operations 100 --processes 200

CPU seconds of this process, medians of five scrapes.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import statistics
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

from measure.writing import Process  # noqa: E402

from agent.cli.metrics import operations, protobuf, text  # noqa: E402
from agent.measure.figures import Figures  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as state:
        write(state, arguments.operations, arguments.processes)
        samples = operations.collect(Figures(state))
        plain = text.openmetrics(samples).encode()
        series = sum(not line.startswith(b"#") for line in plain.splitlines())
        print(f"{arguments.operations} operations, {arguments.processes} processes: {series:,} series")
        print("read         %6.0f ms" % cpu(lambda: operations.collect(Figures(state))))
        for name, encode in (("OpenMetrics", text.openmetrics), ("text 0.0.4", text.prometheus)):
            print("%-12s %6.0f ms, %6.0f kB" % (name, cpu(lambda e=encode: e(samples)), len(encode(samples)) / 1e3))
        print(
            "protobuf     %6.0f ms, %6.0f kB"
            % (cpu(lambda: protobuf.encode(samples)), len(protobuf.encode(samples)) / 1e3)
        )
        print(
            "gzip of text %6.0f ms, %6.0f kB"
            % (cpu(lambda: gzip.compress(plain, 1)), len(gzip.compress(plain, 1)) / 1e3)
        )


def write(state: str, number: int, processes: int) -> None:
    chance = random.Random(1)
    for each in range(processes):
        process = Process(state, started=1_790_000_000.0 + each, release="1")
        for operation in range(number):
            for _ in range(20):
                name = f"operation_{operation}"
                process.count(name, chance.lognormvariate(-3, 1.5), 5, module=f"module_{operation % 10}")
        process.write()


def cpu(work) -> float:
    found = []
    for _ in range(5):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found) * 1000


if __name__ == "__main__":
    main()
