"""Headers of traces: what is continued, what is not, and what goes out; beside what sentry-sdk makes of the same."""

from __future__ import annotations

import functools
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.observe.around import origin as origins
from agent.observe.around import traces, work
from agent.traces import propagation

TRACE, SPAN = "0123456789abcdef0123456789abcdef", "0123456789abcdef"
OTHER = "f" * 32


def incoming(organisation="", *, strict=False, **headers):
    held = {name.replace("_", "-"): value for name, value in headers.items()}
    return origins.incoming(held.get, organisation, strict=strict)


@functools.cache
def sdks():
    return pytest.importorskip("sentry_sdk.tracing_utils")


def sentry(**changes):
    return {
        "dsn": "https://key@o7.ingest.sentry.io/1", "environment": "production", "traces_sample_rate": 0.25,
        "propagate_traceparent": False, "org_id": None, "trace_propagation_targets": None, **changes,
    }  # fmt: skip


def sent(origin, span_id=SPAN, transaction="", existing=None, **changes):
    held = existing or {}
    out = propagation.Outgoing(sentry(**changes), "shop@1")
    out.context(origin, transaction)
    return out.headers(origin, span_id, lambda name: held.get(name, ""))


@pytest.mark.parametrize(
    ("header", "decision"), [(f"{TRACE}-{SPAN}-1", True), (f"{TRACE}-{SPAN}-0", False), (f" {TRACE}-{SPAN}\t", None)]
)
def test_a_trace_of_sentrys_is_continued_with_the_decision_of_its_head(header, decision):
    found = incoming(sentry_trace=header)
    assert (found.trace_id, found.parent_id, found.sampled) == (TRACE, SPAN, decision)
    assert found.context == {}, "a head without a context keeps none"
    assert not found.w3c


@pytest.mark.parametrize(
    "header",
    [
        "", " ", ",", "0", "1", "-1", TRACE, f"{TRACE}-", f"{TRACE}-{SPAN}-2", f"{TRACE}-{SPAN}-1-1", f"{TRACE}{SPAN}",
        f"{TRACE.upper()}-{SPAN}", f"{TRACE}-{'0' * 16}-1", f"{'0' * 32}-{SPAN}-1", f"{TRACE}-{SPAN}-1\n", "\0" + TRACE,
        f"{TRACE}-{SPAN}-1" + " " * 10_000, "é" * 49, f"{TRACE[:-1]}١-{SPAN}-1", b"bytes", 7, None, [f"{TRACE}-{SPAN}-1"],
    ],
)  # fmt: skip
def test_what_is_not_in_order_begins_a_trace(header):
    found = incoming(sentry_trace=header)
    assert found is None or (header.strip(" \n") == f"{TRACE}-{SPAN}-1" and found.trace_id == TRACE)


def test_of_several_headers_the_first_counts():
    found = incoming(sentry_trace=f" , {TRACE}-{SPAN}-1,{OTHER}-{SPAN}-0")
    assert (found.trace_id, found.sampled) == (TRACE, True)


def test_the_context_of_the_head_is_kept_as_it_came():
    came = "vendor=a;b, sentry-trace_id=" + TRACE + ",sentry-public_key=k,sentry-sample_rate=0.7,sentry-sampled=true,"
    came += "sentry-sample_rand=0.123456,sentry-release=shop%401.0,sentry-own-name=Am%C3%A9lie;x=y , other=1"
    found = incoming(sentry_trace=f"{TRACE}-{SPAN}-1", baggage=came)
    assert found.context == {
        "trace_id": TRACE, "public_key": "k", "sample_rate": "0.7", "sampled": "true", "sample_rand": "0.123456",
        "release": "shop@1.0", "own-name": "Amélie",
    }  # fmt: skip
    assert found.rand == 0.123456
    out = sent(found, transaction="/here")["baggage"]
    assert "transaction" not in out, "a context does not change after its first propagation"
    assert incoming(sentry_trace=f"{TRACE}-{SPAN}-1", baggage=out).context == found.context
    assert "vendor" not in out, "members of others are not ours to send on"


def test_a_context_of_another_trace_is_not_used():
    found = incoming(sentry_trace=f"{TRACE}-{SPAN}-1", baggage=f"sentry-trace_id={OTHER},sentry-public_key=k")
    assert found.context == {}
    assert "baggage" not in sent(found)


def test_a_huge_baggage_is_read_as_far_as_the_standard_goes():
    many = ",".join(f"sentry-k{number}={'v' * 100}" for number in range(100_000))
    found = incoming(sentry_trace=f"{TRACE}-{SPAN}", baggage=f"sentry-trace_id={TRACE}," + many)
    assert 10 < len(found.context) <= origins.MOST_MEMBERS
    assert set(map(len, found.context.values())) == {100, 32, 8}, "no value is cut"


@pytest.mark.parametrize(
    ("ours", "theirs", "strict", "continued"),
    [
        ("1", "1", False, True), ("1", "", False, True), ("", "1", False, True), ("", "", False, True), ("2", "1", False, False),
        ("1", "1", True, True), ("1", "", True, False), ("", "1", True, False), ("", "", True, True), ("2", "1", True, False),
    ],
)  # fmt: skip
def test_traces_of_other_organisations(ours, theirs, strict, continued):
    held = {"baggage": f"sentry-org_id={theirs}" if theirs else None}
    both = {"sentry_trace": f"{TRACE}-{SPAN}-1", "traceparent": f"00-{TRACE}-{SPAN}-01"}
    assert (incoming(ours, strict=strict, **both, **held) is not None) == continued


def test_the_organisation_is_read_from_the_dsn():
    assert origins.organisation_of("o4507.ingest.us.sentry.io") == "4507"
    assert origins.organisation_of("sentry.example.com") == origins.organisation_of("o.example.com") == ""
    assert propagation.Outgoing(sentry(), None).organisation == "7"
    assert propagation.Outgoing(sentry(org_id="9"), None).organisation == "9"


# --------------------------------------------------------------------------------------------------------------- W3C


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f"cc-{TRACE}-{SPAN}-09-what-the-future-brings",
        f"cc-{TRACE}-{SPAN}-01",
    ],
)
def test_a_trace_of_the_w3cs_is_continued_and_the_decision_is_ours(header):
    found = incoming(traceparent=header, tracestate="vendor=1, other=2")
    assert (found.trace_id, found.parent_id, found.sampled) == (TRACE, SPAN, None)
    assert found.context is None, "as far as Sentry goes, we are the head"
    out = sent(found, "b" * 16)
    assert out["traceparent"] == f"00-{TRACE}-{'b' * 16}-00"
    assert out["tracestate"] == "vendor=1, other=2"
    found.decide(1.0)
    assert sent(found, "b" * 16)["traceparent"] == f"00-{TRACE}-{'b' * 16}-01"


@pytest.mark.parametrize(
    "header",
    [
        f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN}-01-", f"00-{TRACE}-{SPAN}-1", f"0-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}-01,00-{OTHER}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01.more", "", "00", 4, b"",
    ],
)  # fmt: skip
def test_a_broken_traceparent_begins_a_trace(header):
    assert incoming(traceparent=header, tracestate="vendor=1") is None


def test_sentrys_header_comes_first_and_the_other_goes_on_where_it_is_the_same_trace():
    same = incoming(sentry_trace=f"{TRACE}-{SPAN}-0", traceparent=f"00-{TRACE}-{'a' * 16}-01", tracestate="v=1")
    assert (same.parent_id, same.sampled, same.w3c, same.tracestate) == (SPAN, False, True, "v=1")
    another = incoming(sentry_trace=f"{TRACE}-{SPAN}-1", traceparent=f"00-{OTHER}-{SPAN}-01", tracestate="v=1")
    assert (another.trace_id, another.w3c, another.tracestate) == (TRACE, False, "")
    broken = incoming(sentry_trace="nonsense", traceparent=f"00-{OTHER}-{SPAN}-01")
    assert broken.trace_id == OTHER


@pytest.mark.parametrize("state", ["v=\0", "v=é", "v=1" * 400, 7, None, "v=1\r\nX-Evil: 1"])
def test_a_tracestate_that_is_not_in_order_goes_nowhere(state):
    found = incoming(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate=state)
    assert found.tracestate == ""
    assert set(sent(found)) == {"sentry-trace", "baggage", "traceparent"}


# ---------------------------------------------------------------------------------------------------------- sampling


def test_each_process_decides_alike_from_the_id():
    decisions = {incoming(traceparent=f"00-{TRACE}-{SPAN}-01").decide(0.3) for _ in range(3)}
    assert decisions == {origins.rand_of(TRACE) < 0.3}
    ids = random.Random(7)
    shares = sum(origins.rand_of(f"{ids.getrandbits(128):032x}") < 0.1 for _ in range(20_000)) / 20_000
    assert origins.rand_of("f" * 32) < 1.0
    assert origins.rand_of("0" * 31 + "1") == 0.0
    assert 0.09 < shares < 0.11


def test_the_decision_of_the_head_counts_and_not_our_rate():
    assert incoming(sentry_trace=f"{TRACE}-{SPAN}-1").decide(1e-9)
    assert not incoming(sentry_trace=f"{TRACE}-{SPAN}-0").decide(1.0)


def test_without_a_rate_nothing_is_sampled_and_the_decision_passes_through():
    for decision in ("-1", "-0", ""):
        found = incoming(sentry_trace=f"{TRACE}-{SPAN}{decision}")
        assert not found.decide(0.0)
        assert sent(found)["sentry-trace"] == f"{TRACE}-{SPAN}{decision}"


def test_the_envelope_of_what_is_reported_has_the_context_of_its_trace_where_it_is_sent_on():
    entered = work.enter(None)
    try:
        propagation.follow(propagation.Outgoing(sentry(), "shop@1"))
        ids = traces.current()
        found = traces.envelope_headers()["trace"]
        assert (found["trace_id"], found["public_key"], found["release"]) == (ids.trace_id, "key", "shop@1")
        assert ids.origin.context == found, "what went out with a request is the same"
        propagation.follow(propagation.Outgoing(sentry(dsn=None), "shop@1"))
        ids.origin.context = None
        assert traces.envelope_headers() == {}, "without a key Sentry could not use it"
        propagation.follow(None)
        assert traces.envelope_headers() == {}
    finally:
        propagation.follow(None)
        work.leave(entered)
    propagation.follow(propagation.Outgoing(sentry(), "shop@1"))
    assert traces.envelope_headers() == {}, "outside of any piece of work"
    propagation.follow(None)


def test_a_head_that_left_the_decision_to_us_has_it_in_its_context():
    found = incoming(sentry_trace=f"{TRACE}-{SPAN}", baggage=f"sentry-trace_id={TRACE},sentry-public_key=k")
    assert found.decide(1.0)
    assert found.context["sample_rate"] == "1.0"
    assert found.context["sampled"] == "true"
    assert sent(found)["sentry-trace"] == f"{TRACE}-{SPAN}-1"


_IDS = st.integers(1, 2**128 - 1).map("{:032x}".format)


@given(_IDS, st.booleans(), st.floats(0, 1).map(repr) | st.sampled_from(["0", "1", "1.0", "0.9999999", "1e-7"]))
def test_a_missing_number_is_one_that_leads_to_the_decision(trace_id, decision, rate):
    found = incoming(
        sentry_trace=f"{trace_id}-{SPAN}-{int(decision)}",
        baggage=f"sentry-trace_id={trace_id},sentry-sample_rate={rate}",
    )
    if "sample_rand" in found.context:
        assert found.context["sample_rand"] == "%.6f" % found.rand
        assert 0.0 <= found.rand < 1.0
        assert (float(found.context["sample_rand"]) < float(rate)) == decision
    else:
        assert float(rate) == (0.0 if decision else 1.0) or 0.999999 < float(rate) < 1.0


@pytest.mark.parametrize("rand", ["1.0", "2", "-0.1", "nan", "inf", "0x1", "", "1e999", "--1", "١"])
def test_a_number_that_is_none_is_replaced(rand):
    held = f"sentry-trace_id={TRACE},sentry-sample_rand={rand},sentry-public_key=k"
    found = incoming(sentry_trace=f"{TRACE}-{SPAN}", baggage=held)
    assert found.rand == origins.rand_of(TRACE)
    assert found.context["sample_rand"] == "%.6f" % found.rand


# ------------------------------------------------------------------------------------------------------------ going out


def test_the_head_says_all_of_itself_once():
    origin = origins.Origin(TRACE)
    assert origin.decide(0.25) is False
    out = sent(origin, transaction="/orders/{id}/")
    context = incoming(sentry_trace=out["sentry-trace"], baggage=out["baggage"]).context
    assert context == {
        "trace_id": TRACE, "public_key": "key", "org_id": "7", "environment": "production", "release": "shop@1",
        "sample_rate": "0.25", "sampled": "false", "sample_rand": "%.6f" % origin.rand, "transaction": "/orders/{id}/",
    }  # fmt: skip
    assert origin.rand > 0.25
    later = sent(origin, "c" * 16, transaction="/another")
    assert later["baggage"] == out["baggage"]
    assert later["sentry-trace"] == f"{TRACE}-{'c' * 16}-0"


def test_without_tracing_the_decision_is_left_to_others():
    out = sent(origins.Origin(TRACE), traces_sample_rate=0.0)
    assert out["sentry-trace"] == f"{TRACE}-{SPAN}"
    assert "sampled" not in out["baggage"]
    assert "sample_rate" not in out["baggage"]


@pytest.mark.parametrize("name", ["sentry-trace"])
def test_whoever_has_set_the_trace_already_keeps_it(name):
    assert sent(origins.Origin(TRACE), existing={name: "anything"}, propagate_traceparent=True) == {}


def test_members_of_the_host_stay_and_come_first():
    out = sent(origins.Origin(TRACE), existing={"baggage": "tenant=7;ttl=3, a=b"})
    assert out["baggage"].startswith("tenant=7;ttl=3, a=b,sentry-trace_id=")
    sdks = {"baggage": "a=b, sentry-trace_id=" + OTHER}
    assert "baggage" not in sent(origins.Origin(TRACE), existing=sdks)


def test_a_traceparent_of_opentelemetry_stays():
    origin = incoming(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="v=1")
    held = {"traceparent": f"00-{TRACE}-{'d' * 16}-01"}
    assert set(sent(origin, existing=held, propagate_traceparent=True)) == {"sentry-trace", "baggage"}


def test_a_traceparent_goes_out_where_it_is_asked_for():
    assert "traceparent" not in sent(origins.Origin(TRACE))
    out = sent(origins.Origin(TRACE), propagate_traceparent=True)
    assert out["traceparent"] == f"00-{TRACE}-{SPAN}-00"
    assert "tracestate" not in out


def test_where_headers_may_go():
    everywhere = propagation.Outgoing(sentry(), None)
    assert everywhere.goes_to("https://anything.example/x?y")
    assert not everywhere.goes_to("https://o7.ingest.sentry.io/api/1/envelope/"), "never to Sentry itself"
    some = propagation.Outgoing(sentry(trace_propagation_targets=[r"^https://[^/]*\.internal/", "api/v[23]"]), None)
    assert some.goes_to("https://stock.internal/x")
    assert some.goes_to("http://partner.example/api/v2/orders")
    assert not some.goes_to("http://partner.example/?u=https://stock.internal/")
    assert not propagation.Outgoing(sentry(trace_propagation_targets=[]), None).goes_to("http://localhost/")


# ----------------------------------------------------------------------------------------------------------- properties

_HOSTILE = st.text(max_size=300) | st.text(alphabet=string.hexdigits + "-,;=% \t\r\nsentry_", max_size=300)
_ANY = st.none() | _HOSTILE | st.binary(max_size=20) | st.integers()
_MEMBERS = st.lists(st.tuples(st.sampled_from(["sentry-trace_id", "sentry-a", "b", "sentry-sample_rand"]), _HOSTILE))
_BAGGAGE = _MEMBERS.map(lambda members: ",".join(f"{name}={value}" for name, value in members)) | _ANY


@settings(max_examples=300)
@given(_ANY | st.just(f"{TRACE}-{SPAN}-1"), _BAGGAGE, _ANY | st.just(f"00-{TRACE}-{SPAN}-01"), _ANY, _ANY)
def test_whatever_comes_in_nothing_raises_and_what_goes_out_is_in_order(trace, bag, parent, state, existing):
    held = {"sentry-trace": trace, "baggage": bag, "traceparent": parent, "tracestate": state}
    found = origins.incoming(held.get)
    if found is None:
        return
    assert len(found.trace_id) == 32
    assert found.trace_id.strip("0")
    assert 0.0 <= found.rand < 1.0
    present = {"baggage": existing} if type(existing) is str else {}
    for name, value in sent(found, existing=present).items():
        assert name in held
        new = value[len(present.get("baggage", "").strip()) :] if name == "baggage" else value
        assert new.isascii()
        assert new.isprintable() or "\t" in new
        assert "\n" not in new
        assert "\r" not in new


@settings(max_examples=300)
@given(st.dictionaries(st.text(min_size=1, max_size=30), st.text(max_size=900), max_size=80), _HOSTILE)
def test_an_outgoing_baggage_is_not_made_larger_than_the_standard_allows(context, existing):
    whole = origins.baggage(context, existing)
    if whole != existing:
        assert len(whole.encode()) <= origins.MOST_BYTES
        assert len([member for member in whole.split(",") if member.strip()]) <= origins.MOST_MEMBERS


@given(st.text(max_size=100))
def test_quoting_is_that_of_urllib(text):
    from urllib.parse import quote, unquote

    assert origins.quoted(text) == quote(text, errors="replace")
    assert origins.unquoted(text) == unquote(text)
    assert origins.unquoted(origins.quoted(text)) == text.encode("utf-8", "replace").decode()


@settings(deadline=None)  # the SDK takes its time to load
@given(st.text(alphabet=string.hexdigits + "-01 \t", max_size=60) | st.just(f"{TRACE}-{SPAN}-1"))
def test_what_is_continued_sentrys_sdk_continues_too(header):
    sdk = sdks().extract_sentrytrace_data(header)
    found = incoming(sentry_trace=header)
    if found is not None:
        assert (sdk["trace_id"], sdk["parent_span_id"], sdk["parent_sampled"]) == (
            found.trace_id,
            found.parent_id,
            found.sampled,
        )
    elif sdk is not None:
        assert not (sdk["trace_id"] and sdk["parent_span_id"]) or not (
            sdk["trace_id"].strip("0") and sdk["parent_span_id"].strip("0")
        )


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(alphabet=string.ascii_lowercase + "_", min_size=1, max_size=9), st.text(max_size=40), max_size=9
    )
)
def test_sentrys_sdk_reads_what_goes_out(context):
    context = {name: value.encode("utf-8", "replace").decode() for name, value in context.items()}
    sdk = sdks().Baggage.from_incoming_header(origins.baggage(context, "a=b"))
    assert sdk.sentry_items == context
    assert sdk.third_party_items == "a=b"
