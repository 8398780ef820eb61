"""The trace of a piece of work: the one that came with the request, or one of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.observe.around import traces, work

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


KIND = work.Kind(header=lambda headers, name: headers.get(name.replace("-", "_")))


def of(**headers):
    entered = work.enter(headers, KIND)
    try:
        return traces.current().context()
    finally:
        work.leave(entered)


@pytest.mark.parametrize(
    "headers",
    [
        {"sentry_trace": f"{TRACE}-{SPAN}"},
        {"sentry_trace": f"{TRACE}-{SPAN}-1"},
        {"traceparent": f"00-{TRACE}-{SPAN}-01"},
        {"sentry_trace": "nonsense", "traceparent": f"00-{TRACE}-{SPAN}-01"},
    ],
)
def test_a_request_that_brings_its_trace_stays_in_it(headers):
    trace = of(**headers)
    assert (trace["trace_id"], trace["parent_span_id"]) == (TRACE, SPAN)
    assert len(trace["span_id"]) == 16 and trace["span_id"] != SPAN


def test_what_is_reported_of_one_request_has_one_trace():
    entered = work.enter(None)
    first = traces.current().context()
    assert len(first["trace_id"]) == 32
    assert "parent_span_id" not in first
    assert traces.current().context() == first
    work.leave(entered)
    assert of()["trace_id"] != first["trace_id"]


@given(st.one_of(st.text(), st.none(), st.integers(), st.from_regex(r"\A[0-9a-fA-F]{30,34}-[0-9a-fA-F]{14,18}(-.)?\Z")))
def test_nothing_but_ids_gets_in(value):
    trace = of(sentry_trace=value)
    for name, length in (("trace_id", 32), ("span_id", 16), ("parent_span_id", 16)):
        text = trace.get(name, "0" * length)
        assert len(text) == length
        assert set(text) <= set("0123456789abcdef")
