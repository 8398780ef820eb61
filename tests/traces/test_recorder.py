"""What is recorded, how it is nested, and which traces are kept."""

import asyncio
import contextlib
import contextvars
import gc
import json
import os
import sys
import threading
import time

import pytest
from observe.making import sentry
from support import Watch, expression, module, monitor, no_work

from agent.base.model import Platform
from agent.observe.around import context, traces, work
from agent.observe.around.origin import Origin
from agent.traces import encoded, trace, tree
from agent.traces.recorder import Recorder

SHOP = """
import asyncio, threading
def order(): query("SELECT 1"); reserve(); return "done"
def reserve(): query("SELECT 'secret' FROM stock WHERE id = 7")
def query(sql): return len(sql)
def fails(): query("SELECT 1"); raise ValueError("x")
def nightly(): order()
async def page(): await asyncio.gather(part(1), part(2)); query("SELECT 3")
async def part(number):
    await asyncio.sleep(0); query(f"SELECT part"); await asyncio.sleep(0)
    await asyncio.sleep(0.01 * number); query(f"SELECT part")
async def overlapping():
    over = asyncio.Event()
    async def first(): await held(over.wait())
    async def second(): await held(deepest()); over.set()
    await asyncio.gather(first(), second())
async def held(waited): await waited
async def nested(): await deepest(); query("SELECT 4")
async def deepest(): query("SELECT 5")
def started():
    threads = [threading.Thread(target=reserve) for _ in range(2)]
    [each.start() for each in threads]; [each.join() for each in threads]
async def aside(): await asyncio.to_thread(reserve) if hasattr(asyncio, "to_thread") else reserve()
"""
SQL = {
    "op": "db",
    "description": expression("sql"),
    "data": {"size": expression("result"), "odd": expression("sql.no")},
}


class Recording:
    """A recorder, the shop with monitors, and what was kept."""

    def __init__(self, **changes):
        changes["traces"] = {**sentry()["traces"], **changes.get("traces", {})}
        self.envelopes, self.counts = [], []
        settings = (
            sentry(traces_sample_rate=1.0, **changes) if "traces_sample_rate" not in changes else sentry(**changes)
        )
        self.recorder = Recorder(
            settings, lambda: Platform(python="3"), self.envelopes.append, lambda *row: self.counts.append(row), print
        )
        self.recorder.install()
        names = "order reserve fails page part nested deepest started aside overlapping held".split()
        self.watch = Watch(
            *(monitor(f"shop.{name}", name=name, kind="business", detail={"process": "p"}) for name in names),
            monitor("shop.query", name="query", kind="database", span_data=SQL),
            monitor("shop.nightly", name="nightly", kind="transaction", detail={"name": "every night"}),
        )
        self.watch.clock = time.perf_counter
        self.watch.span = self.recorder.span_of
        self.shop = module(SHOP)
        self.watch.apply(self.shop)

    def kept(self):
        return [json.loads(each.data.split(b"\n")[2]) for each in self.envelopes]

    def serve(self, call, *arguments, outcome=work.WELL):
        entered = work.enter(None)
        try:
            return call(*arguments)
        finally:
            work.note(outcome)
            work.leave(entered)


@pytest.fixture
def recording():
    made = []

    def start(**changes):
        made.append(Recording(**changes))
        return made[-1]

    no_work()
    before = trace.current.set(None)
    yield start
    for each in made:
        each.recorder.undo()
        each.watch.undo()
    assert (work.opens, work.closes, traces.running) == (None, None, None)
    no_work()
    trace.current.reset(before)


def shown(transaction):
    """(depth, operation, description) in the order of their beginning."""
    parents = {span["span_id"]: span["parent_span_id"] for span in transaction["spans"]}
    root = transaction["contexts"]["trace"]["span_id"]

    def depth(span_id):
        return 0 if span_id == root else 1 + depth(parents[span_id])

    spans = sorted(transaction["spans"], key=lambda span: span["start_timestamp"])
    return [(depth(span["span_id"]), span["op"], span["description"]) for span in spans]


RESERVED = [(1, "erp.process", "reserve"), (2, "db", "SELECT %s FROM stock WHERE id = %s")]


def deeper(spans, by=1):
    return [(depth + by, *rest) for depth, *rest in spans]


def test_calls_are_nested_as_they_ran_and_statements_have_no_values(recording):
    made = recording()
    made.serve(made.shop.order)
    (transaction,) = made.kept()
    assert shown(transaction) == [(1, "erp.process", "order"), (2, "db", "SELECT %s"), *deeper(RESERVED)]
    statement = next(span for span in transaction["spans"] if span["op"] == "db")
    assert statement["data"] == {
        "erp.operation": "query", "erp.monitor": "query", "code.function": "shop.query", "size": 8,
    }  # fmt: skip
    assert (statement["status"], statement["origin"]) == ("ok", "auto.erp")
    assert transaction["start_timestamp"] <= statement["start_timestamp"] <= statement["timestamp"]
    assert statement["timestamp"] <= transaction["timestamp"]
    assert "secret" not in json.dumps(transaction)


def test_a_call_outside_of_any_trace_is_no_span(recording):
    made = recording()
    assert made.shop.order() == "done"
    assert made.envelopes == []


def test_a_call_of_kind_transaction_is_a_trace_where_none_is_and_else_a_span(recording):
    made = recording()
    made.shop.nightly()
    made.serve(made.shop.nightly)
    alone, inside = made.kept()
    assert (alone["transaction"], alone["contexts"]["trace"]["op"]) == ("every night", "erp.transaction")
    assert shown(alone)[0] == (1, "erp.process", "order")
    assert shown(inside)[:2] == [(1, "erp.transaction", "every night"), (2, "erp.process", "order")]


def test_a_span_that_fails_is_marked_and_so_is_the_trace(recording):
    made = recording()
    with pytest.raises(ValueError, match="x"):
        made.serve(made.shop.fails)
    (transaction,) = made.kept()
    assert {span["description"]: span["status"] for span in transaction["spans"]} == {
        "fails": "internal_error", "SELECT %s": "ok",
    }  # fmt: skip
    assert transaction["tags"]["erp.kept"] == "failed", "its error was reported"


def test_coroutines_that_run_at_the_same_time_keep_their_spans_apart(recording):
    made = recording()
    made.serve(lambda: asyncio.run(made.shop.page()))
    (transaction,) = made.kept()
    part = [(2, "erp.process", "part"), (3, "db", "SELECT part"), (3, "db", "SELECT part")]
    assert sorted(shown(transaction)) == sorted([(1, "erp.process", "page"), *part, *part, (2, "db", "SELECT %s")])
    parts = {span["span_id"] for span in transaction["spans"] if span["description"] == "part"}
    inside = [span["parent_span_id"] for span in transaction["spans"] if span["description"] == "SELECT part"]
    assert sorted(inside) == sorted([*parts, *parts])


def test_a_coroutine_that_begins_and_ends_while_another_one_waits_is_not_inside_it(recording):
    made = recording()
    made.serve(lambda: asyncio.run(made.shop.overlapping()))
    (transaction,) = made.kept()
    assert shown(transaction) == [
        (1, "erp.process", "overlapping"), (2, "erp.process", "held"), (2, "erp.process", "held"),
        (3, "erp.process", "deepest"), (4, "db", "SELECT %s"),
    ]  # fmt: skip


@pytest.mark.parametrize("call", ["started", "aside"])
def test_threads_are_inside_what_started_them(recording, call):
    made = recording()
    run = getattr(made.shop, call)
    made.serve(run if call == "started" else lambda: asyncio.run(run()))
    (transaction,) = made.kept()
    times = 2 if call == "started" else 1
    assert sorted(shown(transaction)) == sorted([(1, "erp.process", call), *deeper(RESERVED) * times])


def test_what_ends_after_its_trace_is_not_recorded_and_breaks_nothing(recording):
    made = recording()
    copied = []
    made.serve(lambda: copied.append(contextvars.copy_context()))
    assert copied[0].run(made.shop.order) == "done"
    assert [len(each["spans"]) for each in made.kept()] == [0]


def test_a_value_of_the_hosts_is_never_kept_and_its_code_never_runs(recording):
    class Loud(str):
        __slots__ = ()

        def __str__(self):
            raise AssertionError("the host's code")

        __repr__ = __hash__ = __str__

    made = recording()
    made.serve(made.shop.query, Loud("SELECT x FROM y"))
    made.serve(made.shop.query, [1, 2])
    first, second = made.kept()
    assert shown(first) == [(1, "db", "SELECT x FROM y")]
    assert shown(second) == [(1, "db", "query")], "what is no text gives way to the operation"


def test_a_long_text_is_cut(recording):
    made = recording()
    made.serve(made.shop.query, "SELECT " + "a, " * 100_000)
    (transaction,) = made.kept()
    assert len(transaction["spans"][0]["description"]) <= 2_000


def test_beyond_the_bound_equal_spans_are_one_with_their_number(recording):
    made = recording(traces={"max_spans": 3})
    made.serve(lambda: [made.shop.query(f"SELECT {(number % 2 and 'a') or 'b'}") for number in range(11)])
    (transaction,) = made.kept()
    assert len(transaction["spans"]) == 5
    folded = {
        span["description"]: span["data"]["erp.folded"] for span in transaction["spans"] if "erp.folded" in span["data"]
    }
    assert folded == {"SELECT a (4 times)": 4, "SELECT b (4 times)": 4}


def test_the_kinds_of_folded_spans_are_bounded_too(recording):
    made = recording(traces={"max_spans": 1})
    made.serve(lambda: [made.shop.query("SELECT " + chr(0x4E00 + number)) for number in range(1_000)])
    (transaction,) = made.kept()
    assert len(transaction["spans"]) == 1 + 200 + 1
    assert sum(span["data"].get("erp.folded", 0) for span in transaction["spans"]) == 999


# ------------------------------------------------------------------------------------------------------- what is kept


def test_what_is_neither_sampled_nor_slow_nor_failed_is_forgotten(recording):
    made = recording(traces_sample_rate=0.0)
    made.serve(made.shop.order)
    assert (made.envelopes, made.counts) == ([], [])


@pytest.mark.parametrize(
    ("settings", "outcome", "kept"),
    [
        ({"keep_slow": 0.0}, work.WELL, "slow"),
        ({"keep_slow": None}, work.CRASHED, "failed"),
        ({"keep_slow": None}, work.ERRORED, "failed"),
        ({"keep_slow": 0.0}, work.CRASHED, "failed"),
        ({"keep_slow": None, "keep_failed": False}, work.CRASHED, None),
        ({"keep_slow": 60.0}, work.WELL, None),
    ],
)
def test_slow_and_failed_ones_are_kept_though_nothing_is_sampled(recording, settings, outcome, kept):
    made = recording(traces_sample_rate=0.0, traces=settings, dsn="http://public@sentry.test/1")
    made.serve(made.shop.order, outcome=outcome)
    assert [each["tags"].get("erp.kept") for each in made.kept()] == ([kept] if kept else [])
    assert made.counts == ([("trace-kept", kept)] if kept else [])


def test_a_monitors_threshold_makes_a_trace_slow(recording):
    made = recording(traces_sample_rate=0.0)
    made.serve(lambda: traces.note(slow=True))
    assert [each["tags"]["erp.kept"] for each in made.kept()] == ["slow"]


def test_these_have_a_rate(recording):
    made = recording(traces_sample_rate=0.0, traces={"keep_slow": 0.0, "rate_limit": (3.0, 3600.0)})
    for _ in range(10):
        made.serve(made.shop.order)
    assert len(made.envelopes) == 3
    assert made.counts.count(("trace-rate", "slow")) == 7


def test_what_is_sampled_has_no_rate(recording):
    made = recording(traces={"rate_limit": (1.0, 3600.0)})
    for _ in range(10):
        made.serve(made.shop.order)
    assert len(made.envelopes) == 10


def test_a_forked_child_leaves_the_trace_to_its_parent(recording):
    made = recording()

    def fork():
        made.shop.reserve()
        child = os.fork()
        if not child:
            made.recorder.after_fork()
            made.shop.order()
            work.leave(entered)
            os._exit(len(made.envelopes))
        assert os.waitpid(child, 0)[1] == 0

    entered = work.enter(None)
    fork()
    work.leave(entered)
    (transaction,) = made.kept()
    assert shown(transaction) == RESERVED


def test_one_piece_of_work_inside_another_is_a_trace_of_its_own(recording):
    made = recording()
    made.serve(lambda: (made.shop.reserve(), made.serve(made.shop.order), made.shop.reserve()))
    inner, outer = made.kept()
    assert [depth for depth, *_ in shown(inner)] == [1, 2, 2, 3]
    assert shown(outer) == RESERVED * 2


def test_an_error_names_the_span_that_it_happened_in(recording):
    made = recording()
    seen = []
    made.shop.query = lambda sql: seen.append(traces.provide()["trace"])
    made.serve(made.shop.order)
    (transaction,) = made.kept()
    ids = {span["description"]: span["span_id"] for span in transaction["spans"]}
    assert [each["span_id"] for each in seen] == [ids["order"], ids["reserve"]]
    assert {each["trace_id"] for each in seen} == {transaction["contexts"]["trace"]["trace_id"]}


def test_a_generator_is_no_span_and_what_it_runs_is_where_it_was_read(recording):
    made = recording()
    space = {"query": made.shop.query}
    exec("def rows():\n    query('SELECT a')\n    yield 1\n    query('SELECT b')\n", space)
    made.serve(lambda: list(space["rows"]()))
    (transaction,) = made.kept()
    assert shown(transaction) == [(1, "db", "SELECT a"), (1, "db", "SELECT b")]


def test_a_thread_that_the_host_started_outside_has_no_trace(recording):
    made = recording()
    made.serve(made.shop.order)
    thread = threading.Thread(target=made.shop.order)
    thread.start()
    thread.join()
    assert len(made.envelopes) == 1


# --------------------------------------------------------------------------------------------------------- the tree


class What:
    def __init__(self, name, quiet=(), has_lane=False):
        self.monitor, self.quiet, self.has_lane = name, frozenset(quiet), has_lane


def placed(spans, within=None):
    """Which span each is in, by their monitors; all are in the coroutine `within`, if there is one."""
    made = trace.Trace("op", "name", Origin("0" * 31 + "1"), 1000)
    made.count = len(spans)
    made.root.spans = [(start, end, each, False, None, ()) for start, end, each in spans]
    if within is not None:
        inner = trace.Lane(made, made.root)
        inner.spans, made.root.spans = made.root.spans, [(0, 9, within, False, inner, ())]
    found = tree.spans_of(made)
    names = {span_id: each.monitor for span_id, _, _, _, each, _, _ in found}
    names[made.span_id] = ""
    return {each.monitor: names[parent] for _, parent, _, _, each, _, _ in found}


def test_times_decide_what_is_inside():
    a, b, c, d = map(What, "abcd")
    # In the order of their ends.
    assert placed([(2, 3, c), (1, 4, b), (5, 6, d), (0, 9, a)]) == {"a": "", "b": "a", "c": "b", "d": "a"}
    assert placed([(1, 1, b), (1, 1, a)]) == {"a": "", "b": "a"}, (
        "no time has passed: the one that ended later is around"
    )
    assert placed([(0, 2, a), (1, 3, b)]) == {"a": "", "b": ""}, "neither is inside the other"


def test_the_same_work_seen_once_more_is_no_span():
    outer, inner, below = What("django.query"), What("psycopg.execute", ["django.query"]), What("socket")
    assert placed([(2, 3, below), (1, 4, inner), (0, 5, outer)]) == {"django.query": "", "socket": "django.query"}


def test_nothing_beside_a_coroutine_is_inside_it_and_its_work_seen_once_more_is_no_span():
    inner, below = What("asyncpg.fetch", ["sqlalchemy"]), What("socket")
    assert placed([(2, 3, below), (1, 4, What("a", has_lane=True))]) == {"a": "", "socket": ""}
    assert placed([(2, 3, below), (1, 4, inner)], within=What("sqlalchemy", has_lane=True)) == {
        "sqlalchemy": "", "socket": "sqlalchemy",
    }  # fmt: skip


def traces_in_memory():
    return {id(each): each for each in gc.get_objects() if type(each) is trace.Trace}


def driven(coroutine):
    with contextlib.suppress(StopIteration):
        coroutine.send(None)


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets_that_are_started_inside_belong_to_the_trace_and_see_no_other_context(recording, library):
    pytest.importorskip(f"{library}.green{'let' if library == 'gevent' else 'thread'}")
    greenlets = pytest.importorskip(library)
    mine = contextvars.ContextVar("mine", default="untouched")
    seen = []

    def work_of(made):
        seen.append(mine.get())
        made.shop.reserve()

    def page(made):
        mine.set("the page's")
        spawned = [greenlets.spawn(work_of, made) for _ in range(2)]
        for each in spawned:
            each.join() if library == "gevent" else each.wait()

    made = recording()
    made.serve(page, made)
    assert shown(made.kept()[0]) == RESERVED * 2
    assert seen == ["untouched"] * 2
    made.recorder.undo()
    spawned = greenlets.spawn(trace.current.get)
    assert (spawned.get() if library == "gevent" else spawned.wait()) is None


def test_what_outlives_its_trace_begins_traces_of_its_own(recording):
    made = recording()
    copied = []
    made.serve(lambda: copied.append(contextvars.copy_context()))
    copied[0].run(no_work)
    copied[0].run(made.shop.nightly)
    assert [each["transaction"] for each in made.kept()] == ["unknown", "every night"]
    assert shown(made.kept()[1])[0] == (1, "erp.process", "order")


def test_each_span_of_a_slow_trace_shows_why_it_is_there(recording):
    made = recording(traces={"keep_slow": 0.0, "max_spans": 2})
    made.serve(made.shop.order)
    (kept,) = made.kept()
    assert {span["data"].get("erp.kept") for span in kept["spans"]} == {"slow"}
    assert len(kept["spans"]) == 4, "two spans, and those of each kind beyond"


def test_a_task_shows_how_long_it_waited(recording):
    made = recording()
    made.serve(lambda: traces.note(due=traces.running().epoch - 60))
    made.serve(lambda: traces.note(due=traces.running().epoch + 60))
    data = [each["contexts"]["trace"]["data"] for each in made.kept()]
    assert data[0]["messaging.message.receive.latency"] in (59_999, 60_000)
    assert data[1]["messaging.message.receive.latency"] == 0, "the clock of the sender is ahead"


@pytest.mark.parametrize("rate", [0.0, 1.0], ids=["forgotten", "kept"])
def test_a_trace_that_has_ended_is_gone_without_garbage_collection(recording, rate):
    made = recording(traces_sample_rate=rate)
    gc.collect()
    gc.disable()
    others = traces_in_memory()
    try:
        made.serve(made.shop.order)
        made.serve(made.shop.started)
        # Without a loop, which leaves garbage of its own.
        made.serve(driven, made.shop.nested())
        left = traces_in_memory().keys() - others
    finally:
        gc.enable()
    assert not left
    assert len(made.envelopes) == 3 * rate


def test_facts_of_the_host_are_shown_and_none_of_its_code_runs(recording, monkeypatch):
    class Loud:
        def __str__(self):
            raise AssertionError

        __repr__ = __hash__ = __eq__ = __str__

    facts = {
        "tags": {"plant": Loud(), "shift": "night", "password": "hunter2"},
        "job": {"who": Loud(), "steps": [1, 2], "mail": "anna@example.com", 7: "seven"},
        "machine": {"name": "press", "on": True},
        "nothing": {},
    }
    monkeypatch.setitem(context.registered, "shop", lambda: facts)
    made = recording(tags={"site": "north"})
    made.serve(made.shop.reserve)
    made.serve(made.shop.reserve)
    one, other = made.kept()
    assert one["tags"] == other["tags"]
    assert one["tags"].pop("plant").endswith("Loud>")
    assert one["tags"] == {"shift": "night", "password": "[Filtered]", "site": "north"}
    for each in (one, other):
        assert each["contexts"]["machine"] == {"name": "press", "on": True}
        assert each["contexts"]["job"]["steps"] == [1, 2]
        assert each["contexts"]["job"]["mail"] == "[email]"
        assert "nothing" not in each["contexts"]


def test_cleaned_json_is_forgotten_with_what_counts_as_private(monkeypatch):
    from agent.privacy import redact

    encoded.known_spans["x"] = "y"
    for forget in redact.forgetful:
        forget()
    assert encoded.known_spans == {}


@pytest.mark.slow(reason="measures memory")
def test_the_memory_of_a_trace_of_a_thousand_spans(recording):
    tracemalloc = pytest.importorskip("tracemalloc")
    made = recording()
    entered = work.enter(None)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1_000):
        made.shop.query(
            f"SELECT column_{number % 100} FROM a_table_with_a_long_name WHERE id = %s AND other = %s" + " " * 200
        )
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    work.leave(entered)
    assert used < 200_000 or sys.version_info < (3, 10)
