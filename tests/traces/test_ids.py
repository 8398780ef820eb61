"""Ids that are given away while their span goes on, to what is called and to events; and what of a trace is kept."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time

import pytest
from observe.making import sentry
from receiver import parse_envelope
from support import Watch, module, monitor

from agent.base.model import Platform
from agent.observe.around import traces
from agent.traces import propagation
from agent.traces.recorder import Recorder

SOURCE = """
import threading
def nightly(action): return action()
def order(action): return action()
def send(action): return action()
def again(action): return action()
async def aorder(action): return await action()
async def asend(action): return await action()
"""
TRACES = {"given": True, "keep_slow": None, "keep_failed": False, "rate_limit": None, "max_spans": 1000}


class Traced:
    """The functions of `shop`, monitored; `nightly` is a trace. `kept` has the envelopes."""

    def __init__(self, **settings):
        self.kept, self.notes = [], []
        chosen = {"traces": TRACES, "traces_sample_rate": 1.0, **settings}
        data = sentry(tracing="agent", dsn="https://key@o1.example/1", **chosen)
        counted = lambda reason, why, number=1: None
        self.recorder = Recorder(data, lambda: Platform(release="shop@1"), self.kept.append, counted, self.notes.append)
        self.recorder.install()
        propagation.follow(propagation.Outgoing(data, "shop@1"))
        self.shop = module(SOURCE)
        self.watch = Watch(
            monitor("shop.nightly", kind="transaction", operation="nightly"),
            monitor("shop.order", operation="order"), monitor("shop.send", operation="send"),
            monitor("shop.again", operation="again", quiet_inside=["shop.send"]),
            monitor("shop.aorder", operation="aorder"), monitor("shop.asend", operation="asend"),
        )  # fmt: skip
        self.watch.span, self.watch.clock = self.recorder.span_of, time.perf_counter
        self.watch.apply(self.shop)

    def run(self, action):
        """Return the transaction, and operation → ids of its spans."""
        self.shop.nightly(action)
        (envelope,) = self.kept
        items = parse_envelope(envelope.data)
        made = json.loads(items.items[0][1])
        spans = {}
        for span in made["spans"]:
            spans.setdefault(span["data"]["erp.operation"], []).append(span["span_id"])
        return made, spans, items

    def undo(self):
        self.watch.undo()
        self.recorder.undo()
        propagation.follow(None)


@pytest.fixture
def traced():
    made = Traced()
    yield made
    made.undo()


def here():
    """The id that what is called from here has as its parent."""
    return propagation.headers(lambda _: "")["sentry-trace"].split("-")[1]


def test_each_call_of_a_loop_has_an_id_of_its_own(traced):
    given = []
    _, spans, _ = traced.run(lambda: [traced.shop.send(lambda: given.extend([here(), here()])) for _ in range(5)])
    assert given[::2] == given[1::2] == spans["send"]
    assert len(set(spans["send"])) == 5


def test_what_is_called_around_spans_belongs_to_what_is_around(traced):
    given = {}

    def send():
        given["send"] = here()

    def order():
        given["order"] = here()
        traced.shop.send(send)
        given["order again"] = here()

    def nightly():
        given["nightly"] = here()
        traced.shop.order(order)
        given["nightly again"] = here()

    made, spans, _ = traced.run(nightly)
    assert given["nightly"] == given["nightly again"] == made["contexts"]["trace"]["span_id"]
    assert [given["order"]] == [given["order again"]] == spans["order"]
    assert [given["send"]] == spans["send"]


def test_a_call_that_raises_has_the_id_that_it_gave_away(traced):
    given = []

    def fails():
        given.append(here())
        raise KeyError

    def nightly():
        with pytest.raises(KeyError):
            traced.shop.send(fails)
        traced.shop.send(lambda: given.append(here()))

    _, spans, _ = traced.run(nightly)
    assert given == spans["send"]


def test_a_transaction_inside_another_is_a_span_with_an_id_of_its_own(traced):
    given = []
    _, spans, _ = traced.run(lambda: [traced.shop.nightly(lambda: given.append(here())) for _ in range(2)])
    assert given == spans["nightly"]


def test_a_span_that_is_not_shown_gives_no_id_away(traced):
    given = []
    _, spans, _ = traced.run(lambda: traced.shop.send(lambda: traced.shop.again(lambda: given.append(here()))))
    assert "again" not in spans
    assert given == spans["send"]


def test_coroutines_that_take_turns_have_ids_of_their_own(traced):
    given = {}

    async def send(number):
        given.setdefault(number, []).append(here())
        await asyncio.sleep(0)
        given[number].append(here())

    async def order(number):
        given["order", number] = here()
        await traced.shop.asend(lambda: send(number))

    async def all_of_them():
        await asyncio.gather(*(traced.shop.aorder(lambda number=number: order(number)) for number in range(3)))

    made, spans, _ = traced.run(lambda: asyncio.run(all_of_them()))
    assert all(first == second for first, second in (given[number] for number in range(3)))
    assert {given[number][0] for number in range(3)} == set(spans["asend"])
    assert {given["order", number] for number in range(3)} == set(spans["aorder"])
    parents = {span["span_id"]: span["parent_span_id"] for span in made["spans"]}
    assert all(parents[given[number][0]] == given["order", number] for number in range(3))


def test_the_context_of_what_is_kept_is_what_went_out(traced):
    sent = []
    made, _, items = traced.run(lambda: sent.append(propagation.headers(lambda _: "")))
    known = {pair.partition("=")[0]: pair.partition("=")[2] for pair in sent[0]["baggage"].split(",")}
    assert {f"sentry-{name}" for name in items.headers["trace"]} == set(known)
    assert items.headers["trace"]["transaction"] == "nightly" == known["sentry-transaction"]
    assert items.headers["trace"]["sampled"] == known["sentry-sampled"] == "true"
    assert items.headers["trace"]["trace_id"] == made["contexts"]["trace"]["trace_id"]


def test_a_trace_that_was_not_sampled_stands_for_itself_alone():
    made = Traced(traces_sample_rate=1e-12, traces={**TRACES, "keep_slow": 0.0})
    try:
        sent = []
        _, _, items = made.run(lambda: sent.append(propagation.headers(lambda _: "")))
    finally:
        made.undo()
    assert sent[0]["sentry-trace"].endswith("-0")
    assert "sentry-sampled=false" in sent[0]["baggage"]
    assert (items.headers["trace"]["sample_rate"], items.headers["trace"]["sampled"]) == ("1.0", "true")


@pytest.mark.parametrize(("rate", "why"), [(0.0, "sample"), (1.0, "sample"), (1.0, "slow")])
def test_a_profile_is_in_the_envelope_of_its_transaction(rate, why):
    changes = {} if why == "sample" else {"traces_sample_rate": 0.0, "traces": {**TRACES, "keep_slow": 0.0}}
    made = Traced(profiles_sample_rate=rate, **changes)
    gate = threading.Event()

    def until_sampled():
        trace = traces.current()
        while trace.profile is not None and len(trace.profile.samples) < 3:
            gate.wait(0.002)

    try:
        transaction, _, items = made.run(until_sampled)
    finally:
        made.undo()
    assert transaction["contexts"]["trace"]["data"]["erp.kept"] == why
    profiles = [json.loads(payload) for header, payload in items.items if header["type"] == "profile"]
    if not rate:
        assert profiles == []
        assert "profile" not in transaction["contexts"]
        return
    (profile,) = profiles
    assert transaction["contexts"]["profile"]["profile_id"] == profile["event_id"]
    assert profile["transaction"]["id"] == transaction["event_id"]
    assert profile["transaction"]["trace_id"] == transaction["contexts"]["trace"]["trace_id"]
    assert profile["transaction"]["active_thread_id"] == str(threading.get_ident())
    names = {frame["function"] for frame in profile["profile"]["frames"]}
    assert {"nightly", "until_sampled" if sys.version_info < (3, 11) else until_sampled.__qualname__} <= names
    assert made.recorder.profiles.sampler.profiles == {}


@pytest.mark.parametrize(
    ("others", "profiled"), [({}, False), ({"keep_slow": 60.0}, True), ({"keep_failed": True}, True)]
)
def test_a_trace_that_was_not_sampled_is_profiled_only_where_it_may_be_kept(others, profiled):
    made = Traced(profiles_sample_rate=1.0, traces_sample_rate=1e-12, traces={**TRACES, **others})
    seen = []
    try:
        made.shop.nightly(lambda: seen.append(traces.current().profile is not None))
    finally:
        made.undo()
    assert (seen, made.kept) == ([profiled], [])
