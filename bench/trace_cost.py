"""The cost of traces: nanoseconds of a span, microseconds of a transaction, bytes of a trace in memory.

    python bench/trace_cost.py

A span: the time of a monitored call with it minus that of the same call of a monitor without, where no trace is on, and
where one is; the minimum of several rounds that take turns. A statement is a call whose span has the text of a
statement and the name of a database. A transaction: a request with 30 spans that is kept, from its end to the bytes of
the envelope.
Goals: 30 ns where no trace is on, 300 ns recorded, 200 kB for a trace of 1,000 spans.
"""

import sys
import time
import tracemalloc
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from observe.making import sentry as settings  # noqa: E402
from support import Watch, expression, monitor  # noqa: E402

from agent.base.model import Platform  # noqa: E402
from agent.observe.around import work  # noqa: E402
from agent.traces.recorder import Recorder  # noqa: E402

SOURCE = """
def function(a): return a
def statement(self, sql, params=None): return None
"""
ROUNDS, LOOPS = 100, 2_000
SQL = 'SELECT "sales_order"."id", "sales_order"."number" FROM "sales_order" WHERE "sales_order"."customer_id" = %s'
SPAN = {"op": "db", "description": expression("sql"), "data": {"db.system": expression("self.vendor")}}


def module(span_of, **more):
    made = types.ModuleType("shop")
    sys.modules["shop"] = made
    exec(SOURCE, made.__dict__)
    watch = Watch(
        monitor("shop.function", thresholds=[[5.0, "warning"]]),
        monitor("shop.statement", thresholds=[[5.0, "warning"]], **more),
    )
    watch.clock = time.perf_counter
    watch.span = span_of
    watch.apply(made)
    return made


def timed(function, *arguments, loops=2_000):
    began = time.perf_counter()
    for _ in range(loops):
        function(*arguments)
    return (time.perf_counter() - began) / loops * 1e9


def main():
    kept = []
    sentry = settings(traces_sample_rate=1.0)
    recorder = Recorder(sentry, Platform, kept.append, lambda *_: None, lambda _: None)
    recorder.install()
    plain, spans = module(None), module(recorder.span_of, span_data=SPAN)
    connection = types.SimpleNamespace(vendor="postgresql")
    calls = {"function": lambda made: (made.function, 1), "statement": lambda made: (made.statement, connection, SQL)}
    best = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            for way, made in (("bare", plain), ("no trace", spans)):
                best[name, way] = min(best.get((name, way), 1e9), timed(*call(made)))
            entered = work.enter(None)
            best[name, "trace"] = min(best.get((name, "trace"), 1e9), recorded(*call(spans)))
            entered[0].trace.sampled = False
            work.leave(entered)
    for name in calls:
        for way in ("no trace", "trace"):
            print(f"a span of a {name:10} {way:9} {best[name, way] - best[name, 'bare']:7.0f} ns")
    print(f"a transaction with 30 spans {transaction(spans, connection):20.0f} µs")
    print(f"a trace of 1,000 spans {memory(spans, connection) / 1000:27.0f} kB")


def recorded(function, *arguments):
    """As `timed`, in batches that fit into a trace."""
    lane = work.current().trace.root
    best = 1e9
    for _ in range(LOOPS // 500):
        best = min(best, timed(function, *arguments, loops=500))
        lane.spans.clear()
        lane.trace.count = 0
    return best


def transaction(made, connection):
    best = 1e9
    for _ in range(200):
        entered = work.enter(None)
        for _ in range(15):
            made.function(1)
            made.statement(connection, SQL)
        began = time.perf_counter()
        work.leave(entered)
        best = min(best, time.perf_counter() - began)
    return best * 1e6


def memory(made, connection):
    entered = work.enter(None)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1000):
        made.statement(connection, SQL.replace("id", f"id{number % 20}"))
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    work.leave(entered)
    return after - before


if __name__ == "__main__":
    main()
