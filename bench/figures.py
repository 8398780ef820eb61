"""How large the history of counts is, and what reading and folding cost in seconds of CPU.

    python bench/figures.py                    1,000 operations in each minute of a day and each hour of 90 days
    python bench/figures.py --operations 200   of an ERP with fewer

The files are real. The numbers are those of operations from once an hour to a thousand times a minute, whose durations
vary as those of an ERP do; one in thirty fails in a minute, and has affected a few users.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from measure.writing import Process, affect  # noqa: E402

from agent.base import own_folders  # noqa: E402
from agent.measure import due, history, layout  # noqa: E402
from agent.measure.counts import Counts, Key  # noqa: E402
from agent.measure.figures import Figures  # noqa: E402
from agent.measure.fold import fold  # noqa: E402

HOUR = 3600.0
NOW = 1_795_003_200.0
VARIANTS = 12  # records that differ; more would only take longer to make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as state:
        write_history(state, options.operations)
    with tempfile.TemporaryDirectory() as state:
        read_processes(state, options.processes, options.operations)
    with tempfile.TemporaryDirectory() as state:
        fold_for_an_hour(state)


def write_history(state: str, operations: int) -> None:
    own_folders.make(os.path.join(state, due.FOLDER))
    chance = random.Random(1)
    minutes = [some_counts(operations, 1, chance) for _ in range(VARIANTS)]
    hours = [some_counts(operations, 60, chance) for _ in range(VARIANTS)]
    for number in range(90 * 24):
        begin = NOW - (number + 1) * HOUR
        path = history.hours_file(state, begin)
        history.append(path, history.Record(0, begin, begin + HOUR, hours[number % VARIANTS]))
    for number in range(25 * 60 - 1, -1, -1):
        until = NOW - number * 60
        record = history.Record(number + 1, until - 60, until, minutes[number % VARIANTS])
        history.append(history.minutes_file(state, until), record)
    sizes = {path.name: path.stat().st_size for path in Path(state, due.FOLDER).iterdir()}
    for kind in ("minutes", "hours"):
        print(f"{kind:8} {sum(size for name, size in sizes.items() if name.startswith(kind)) / 1e6:6.1f} MB")

    def figures() -> Figures:
        return Figures(state, lambda: NOW)

    for what, call in {
        "the last hour": lambda: figures().window(HOUR),
        "the last day": lambda: figures().window(24 * HOUR),
        "a day in slots of 5 minutes": lambda: figures().series(24 * HOUR, 300),
        "a week in slots of an hour": lambda: figures().series(7 * 24 * HOUR, HOUR),
        "90 days in slots of a day": lambda: figures().series(90 * 24 * HOUR, 24 * HOUR),
    }.items():
        print(f"reading {what}: {seconds(call):.2f} s")


def read_processes(state: str, processes: int, operations: int) -> None:
    """All rows of all processes are in use, and none has been folded; then half of the calls have been."""
    chance = random.Random(2)
    running = []
    for number in range(processes):
        process = Process(state, started=NOW - HOUR + number)
        for operation in range(operations):
            process.count(f"operation{operation}", chance.expovariate(10), 3)
        process.write()
        running.append(process)
    print(f"reading {processes} processes of {operations} operations: {seconds(lambda: window(state)):.2f} s")
    print(f"their first fold: {seconds(lambda: fold(state, lambda: NOW)):.2f} s")
    for process in running:
        for operation in range(operations):
            process.count(f"operation{operation}", chance.expovariate(10), 3)
        process.write()
    print(f"reading them after it, each row changed: {seconds(lambda: window(state)):.2f} s")
    totals = os.path.getsize(due.path_in(state)) / 1e6
    print(
        f"fold with each row changed: {seconds(lambda: fold(state, lambda: NOW + 60)):.2f} s; totals: {totals:.1f} MB"
    )


def window(state: str) -> object:
    return Figures(state, lambda: NOW).window(HOUR)


def fold_for_an_hour(state: str, processes: int = 50, operations: int = 200) -> None:
    chance = random.Random(3)
    running = [Process(state, started=NOW + number) for number in range(processes)]
    spent = 0.0
    for minute in range(60):
        for process in running:
            for operation in range(operations):
                process.count(f"operation{operation}", chance.expovariate(10), 3)
            process.write()
        spent += seconds(lambda: fold(state, lambda: NOW + minute * 60))  # noqa: B023  (called at once)
    print(f"an hour of folding {processes} processes of {operations} operations: {spent:.1f} s of CPU")


def seconds(call: object) -> float:
    began = time.process_time()
    call()  # type: ignore[operator]
    return time.process_time() - began


def some_counts(operations: int, minutes: int, chance: random.Random) -> dict[Key, Counts]:
    process = Process("")
    for number in range(operations):
        calls = max(1, round(chance.expovariate(1) * minutes * 60 / (number + 1) ** 0.7))
        median = 10 ** random.Random(number).uniform(-4, 0)
        for _ in range(min(calls, 100)):
            process.count(f"operation{number}", median * math.exp(chance.gauss(0, 0.6)), max(calls // 100, 1))
        if chance.random() < min(0.033 * minutes, 0.5):
            row = process.row(f"operation{number}")
            row[layout.FAILURES + 3] += 1
            row[layout.REPORTED] += 1
            row[layout.LAST_FAILURE] = int(NOW * 1000) - chance.randrange(60_000 * minutes)
            for _ in range(chance.randrange(1, 6)):
                affect(row, chance.random())
    return {
        Key("sales", operation, monitor, "function", "1.0"): Counts(row[: layout.INTEGERS], row.tobytes()[768:])
        for (monitor, operation, _, _), row in zip(process.lines, process.rows)
    }


if __name__ == "__main__":
    main()
