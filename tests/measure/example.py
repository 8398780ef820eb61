"""A day of plausible counts of an ERP, in real files: what the tests and the screenshots of all readers look at."""

import math
import os
import random
import time

from measure.writing import ENDED, Process, affect

from agent.base import own_folders
from agent.measure import history, layout
from agent.measure.counts import Counts, Key
from agent.measure.fold import fold

HOUR = 3600.0
OLD, NEW = "2026.46", "2026.47"

#: Module → operation → (calls an hour at noon, median in seconds, failures of a thousand, threshold in seconds).
OPERATIONS = {
    "sales": {
        "create_order": (900, 0.12, 4, 0.5),
        "price_order": (4000, 0.004, 0, None),
        "confirm_order": (700, 0.3, 9, 1.0),
        "cancel_order": (40, 0.08, 20, None),
        "quote": (300, 0.06, 0, None),
        "apply_discount": (1200, 0.001, 2, None),
        "import_orders": (4, 48.0, 100, 60.0),
    },
    "inventory": {
        "reserve_stock": (2500, 0.02, 12, 0.2),
        "release_stock": (600, 0.01, 0, None),
        "move_stock": (800, 0.015, 1, None),
        "count_stock": (30, 1.4, 0, 3.0),
        "reorder": (12, 0.7, 30, None),
        "reservation_sweep": (60, 0.2, 0, None),
        "label": (500, 0.003, 0, None),
    },
    "accounting": {
        "post_invoice": (650, 0.25, 6, 1.0),
        "post_payment": (480, 0.18, 3, 1.0),
        "reconcile": (20, 6.0, 40, 10.0),
        "close_period": (1, 160.0, 0, 300.0),
        "tax_of": (6000, 0.0004, 0, None),
        "dunning_run": (1, 35.0, 0, None),
        "export_ledger": (2, 22.0, 90, 30.0),
    },
    "production": {
        "plan_orders": (6, 12.0, 15, 20.0),
        "explode_bom": (220, 0.4, 5, 1.0),
        "start_order": (90, 0.05, 0, None),
        "report_output": (700, 0.03, 2, None),
        "scrap": (25, 0.03, 0, None),
        "schedule": (10, 4.0, 0, 8.0),
    },
    "quality": {
        "inspect_lot": (150, 0.09, 3, None),
        "measure": (2200, 0.002, 0, None),
        "release_lot": (60, 0.11, 10, None),
        "block_lot": (4, 0.1, 0, None),
        "certificate": (45, 0.9, 25, 2.0),
        "sample_size": (900, 0.0008, 0, None),
    },
    "people": {
        "clock_in": (400, 0.02, 1, None),
        "clock_out": (400, 0.02, 1, None),
        "payslip": (15, 1.8, 20, 3.0),
        "leave_request": (18, 0.07, 0, None),
        "roster": (8, 2.5, 0, 5.0),
        "sign_in": (350, 0.15, 60, None),
        "permissions_of": (9000, 0.0002, 0, None),
    },
}


def write_example(state, now=None, *, seed=7, living=3):
    """A day until `now` (by default this moment), and the hours of the eight days before. Return `now`.

    Nine hours ago the processes of one release ended, and those of another began; `living` of them run. The last counts
    have not been folded yet.
    """
    state = str(state)
    now = time.time() if now is None else now
    chance = random.Random(seed)
    _hours_before(state, now, chance)
    clock = now - 24 * HOUR
    changed = now - 9 * HOUR
    before = [
        Process(state, pid=ENDED + number, started=clock - 600, program=program, release=OLD, environment="production")
        for number, program in enumerate(("gunicorn", "gunicorn", "celery"))
    ]
    pids = [os.getpid(), os.getppid() or os.getpid(), 1]
    after = [
        Process(
            state,
            pid=pids[number % 3],
            started=changed + number,
            program=program,
            release=NEW,
            environment="production",
        )
        for number, program in zip(range(living), ("gunicorn", "gunicorn", "celery", "manage.py"))
    ]
    while clock < now - 60:
        step = 60.0 if clock > now - 1.5 * HOUR else 900.0
        clock = min(clock + step, now - 30)
        running = before if clock < changed else after
        for process in running:
            _count(process, clock, step / HOUR / len(running), chance)
            process.write()
        fold(state, lambda: clock)
    for process in after:
        _count(process, now, 30 / HOUR / len(after), chance)
        process.write()
    return now


def _hours_before(state, now, chance):
    own_folders.make(os.path.join(state, history.FOLDER))
    first = now // HOUR * HOUR - 8 * 24 * HOUR
    for begin in range(int(first), int(now - 25 * HOUR) + 1, int(HOUR)):
        process = Process(state, release=OLD)
        _count(process, begin + HOUR, 1.0, chance)
        counts = {
            Key(module, operation, monitor, kind, OLD): Counts(row[: layout.INTEGERS], row.tobytes()[768:])
            for (monitor, operation, module, kind), row in zip(process.lines, process.rows)
        }
        history.append(history.hours_file(state, begin), history.Record(0, begin, begin + HOUR, counts))


def _count(process, clock, hours, chance):
    """What a process counts in a part of an hour that ends at `clock`."""
    day = clock % (24 * HOUR) / HOUR
    load = 0.05 + math.exp(-(((day - 11) / 3.5) ** 2))
    release = process.facts["release"]
    for module, operations in OPERATIONS.items():
        for operation, (calls, median, failing, threshold) in operations.items():
            expected = calls * load * hours
            number = int(expected) + (chance.random() < expected % 1)
            if release == NEW and operation in ("confirm_order", "explode_bom"):
                median *= 1.8  # what a new release may do
            if release == NEW and operation == "reserve_stock":
                failing *= 3
            name = {"operation": f"{module}.{operation}", "module": module}
            weight = max(number // 8, 1)
            for _ in range(0, number, weight):
                duration = median * math.exp(chance.gauss(0.0, 0.55))
                process.count(operation, duration, weight, **name)
                if threshold is not None and duration > threshold:
                    row = process.row(operation, **name)
                    row[layout.SLOW] += weight
                    row[layout.REPORTED] += 1
                    row[layout.HELD_RATE] += weight - 1
            failures = number * failing / 1000
            for _ in range(int(failures) + (chance.random() < failures % 1)):
                row = process.row(operation, **name)
                severity = "fatal" if chance.random() < 0.05 else "error"
                row[layout.FAILURES + layout.SEVERITIES.index(severity)] += 1
                failed = int((clock - chance.random() * hours * HOUR) * 1000)
                row[layout.LAST_FAILURE] = max(row[layout.LAST_FAILURE], failed)
                row[layout.REPORTED] += 1
                affect(row, chance.randrange(40))
