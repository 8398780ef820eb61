"""Counts of a small ERP and the state folder of an agent, for tests of what is exposed of them."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from contextlib import contextmanager

from deliver.kit import envelope

from agent.base.health import Health
from agent.cli import options
from agent.cli.metrics import health, operations
from agent.cli.metrics.serve import Server
from agent.deliver.sink import open_spool
from agent.measure import layout
from agent.measure.figures import Counts, Key

SALES = [Key("sales", name, f"sales {name}", "function", "shop@1") for name in ("create_order", "invoice")]
STOCK = [Key("inventory", "reserve", "reserve", "database", release) for release in ("shop@1", "shop@2")]


def counts(
    seed: int = 0, calls: int = 200, median: float = 0.05, failures: dict[str, int] | None = None, **others: int
) -> Counts:
    """`calls` durations around `median` seconds; `others` are numbers by names in `layout`."""
    chance = random.Random(seed)
    integers = [0] * layout.INTEGERS
    for _ in range(calls):
        duration = median * chance.lognormvariate(0, 1)
        integers[min(layout.BUCKETS - 1, int(duration * duration * layout.SCALE).bit_length())] += 1
        integers[layout.TOTAL] += int(duration * 1e9)
        integers[layout.LONGEST] = max(integers[layout.LONGEST], int(duration * 1e9))
    for name, number in others.items():
        integers[getattr(layout, name)] = number
    for index, severity in enumerate(layout.SEVERITIES):
        integers[layout.FAILURES + index] = (failures or {}).get(severity, 0)
    return Counts(integers, bytes(chance.choice((0, 1, 2)) for _ in range(layout.REGISTERS)))


def times(number: int, one: Counts) -> Counts:
    return sum([one] * number, Counts())


#: What is counted between two scrapes. Each reason and severity occurs.
STEP = {
    SALES[0]: counts(1, 500, 0.2, dict.fromkeys(layout.SEVERITIES, 3), LAST_FAILURE=1_790_000_000_000, SLOW=20, HELD_RATE=3, REPORTED=30, RULES=4, EXPECTED=6),
    SALES[1]: counts(2, 100, 2.0, HELD_SAMPLE=2, HELD_OTHER=1, UNTIMED=50),
    STOCK[0]: counts(3, 50, 0.001),
    STOCK[1]: counts(4, 800, 0.001, {"error": 8}, LAST_FAILURE=1_790_000_001_000),
}  # fmt: skip


class Growing:
    """Figures in which STEP is counted once more before each reading."""

    def __init__(self, step: dict[Key, Counts] = STEP) -> None:
        self._step = step
        self.steps = 0

    def totals(self) -> dict[Key, Counts]:
        self.steps += 1
        return {key: times(self.steps, counted) for key, counted in self._step.items()}

    def window(self, seconds: float) -> dict[Key, Counts]:
        return self._step


class Here:
    """A configuration, a process that runs (this one), and a spool in which something waits, is held and set aside."""

    def __init__(self, folder: str) -> None:
        self.config = os.path.join(folder, "monitors.yaml")
        with open(self.config, "w", encoding="utf-8") as stream:
            stream.write(
                "version: 1\nsentry: {environment: test, release: shop@2}\nmodules: {sales: {}}\n"
                "monitors:\n- {target: shop.order, name: order, module: sales}\n"
            )
        self.configured = options.configured_by(self.config)
        self.state = self.configured.state

    def fill(self) -> Here:
        process = Health(os.path.join(self.state, "run"), self.config)
        process.record("patched", "order", "shop.order", "")
        process.record("failed", "order", "shop.gone", "no such function")
        process.record("problem", "something differs")
        process.count("spool-full", "error", 3)
        process.failed("rule-failed", "order", "rules[0]", "NameError")
        process.flush(final=True)
        for held in (False, True):
            open_spool(self.configured.spool_settings, self.state, process, held=held).write(envelope())
        spool = self.configured.spool()
        spool.write(envelope())
        spool.quarantine(spool.entries()[-1], "refused")
        with open(os.path.join(spool.directory, "courier"), "w", encoding="ascii") as stream:
            json.dump({"last": int(time.time())}, stream)
        os.chmod(os.path.join(spool.directory, "courier"), 0o600)
        return self

    def health(self) -> health.Health:
        return health.Health(self.config, self.state)

    def collector(self, figures=None):
        figures, own = figures or Growing(), self.health()
        return lambda: {**operations.collect(figures), **own.collect()}


@contextmanager
def serving(collect, labels=None, **options):
    """A server for scrapers, in a thread of this process."""
    with Server("127.0.0.1", 0, collect, labels or {}, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
