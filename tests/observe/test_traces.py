"""The trace of a piece of work: the one that came with the request, or one of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.observe.around import traces, work

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def doing():
    entered = work.enter(None)
    yield entered[0]
    work.leave(entered)


def of(**headers):
    return traces.current(lambda name: headers.get(name.replace("-", "_")))


@pytest.mark.parametrize(
    "headers",
    [
        {"sentry_trace": f"{TRACE}-{SPAN}"},
        {"sentry_trace": f"{TRACE}-{SPAN}-1"},
        {"traceparent": f"00-{TRACE}-{SPAN}-01"},
        {"sentry_trace": "nonsense", "traceparent": f"00-{TRACE}-{SPAN}-01"},
    ],
)
def test_a_request_that_brings_its_trace_stays_in_it(doing, headers):
    trace = of(**headers)
    assert (trace["trace_id"], trace["parent_span_id"]) == (TRACE, SPAN)
    assert len(trace["span_id"]) == 16 and trace["span_id"] != SPAN


def test_what_is_reported_of_one_request_has_one_trace(doing):
    first = of()
    assert len(first["trace_id"]) == 32
    assert "parent_span_id" not in first
    assert of() == first
    again = work.enter(None)
    assert of()["trace_id"] != first["trace_id"]
    work.leave(again)


@given(st.one_of(st.text(), st.none(), st.integers(), st.from_regex(r"\A[0-9a-fA-F]{30,34}-[0-9a-fA-F]{14,18}(-.)?\Z")))
def test_nothing_but_ids_gets_in(value):
    entered = work.enter(None)
    try:
        trace = traces.current(lambda name: value if name == "sentry-trace" else None)
    finally:
        work.leave(entered)
    for name, length in (("trace_id", 32), ("span_id", 16), ("parent_span_id", 16)):
        text = trace.get(name, "0" * length)
        assert len(text) == length
        assert set(text) <= set("0123456789abcdef")
