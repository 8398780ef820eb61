from __future__ import annotations

import json

import pytest
import receiver
from hypothesis import given
from hypothesis import strategies as st

from agent.deliver import wire


@given(payload=st.binary(max_size=300), kind=st.sampled_from(["event", "transaction", "attachment"]))
def test_what_is_encoded_comes_back_whole(payload, kind):
    data = wire.encode("a" * 32, kind, payload, {"trace": {"x": "é"}}, {"filename": "f"})
    parsed = wire.decode(data)
    assert parsed.headers == {"event_id": "a" * 32, "trace": {"x": "é"}}
    assert parsed.items == [wire.Item({"type": kind, "filename": "f", "length": len(payload)}, payload)]
    assert receiver.parse_envelope(data).items == [(parsed.items[0].headers, payload)]


@given(
    event_id=st.one_of(st.text(max_size=40), st.just("a" * 32)),
    kind=st.one_of(st.text(max_size=20), st.sampled_from(["event", "check_in"])),
    payload=st.binary(max_size=30),
)
def test_whatever_an_id_or_a_type_is_made_of_the_headers_are_the_same_json(event_id, kind, payload):
    first, second, rest = wire.encode(event_id, kind, payload).split(b"\n", 2)
    assert first == json.dumps({"event_id": event_id}, separators=(",", ":")).encode()
    assert second == json.dumps({"type": kind, "length": len(payload)}, separators=(",", ":")).encode()
    assert rest == payload + b"\n"


def test_items_without_length_end_at_the_line():
    parsed = wire.decode(
        b'{}\n{"type":"sessions"}\n{"a":1}\n\n{"type":"event","length":2}\n{}\n{"type":"log"}\n{"b":2}'
    )
    assert [(item.type, item.payload) for item in parsed.items] == [
        ("sessions", b'{"a":1}'),
        ("event", b"{}"),
        ("log", b'{"b":2}'),
    ]


@given(cut=st.integers(min_value=1, max_value=2000))
def test_an_envelope_that_was_cut_off_is_an_error_or_has_no_item(cut):
    data = wire.encode("a" * 32, "event", b"x\n" * 500)
    cut = min(cut, len(data) - 1)
    if cut == 1:
        return  # only the last newline, which is not needed
    try:
        items = wire.decode(data[:-cut]).items
    except wire.EnvelopeError:
        return
    assert items == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the first line is not JSON"),
        (b"\x00" * 100, "the first line is not JSON"),
        (b"[]\n", "the first line is not a JSON object"),
        (b'{}\n{"type":"event","length":"7"}\n{}', "an invalid length"),
        (b'{}\n{"type":"event","length":true}\n{}', "an invalid length"),
        (b'{}\n{"type":"event","length":5}\n{}', "ends after 2 of 5 bytes"),
        (b'{}\n{"type":"event","length":1}\n{}\n', "is longer than its 1 bytes"),
        (b'{}\n{"length":1}\n1\n', "item 1 has no type"),
        (b'{}\n{"type":"event","length":2}\n{}\nnonsense', "the header of item 2 is not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
    ],
)
def test_the_error_shows_where_decoding_failed(data, text):
    with pytest.raises(wire.EnvelopeError, match=text.replace("(", r"\(")):
        wire.decode(data)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_envelope_error(data):
    try:
        parsed = wire.decode(data)
    except wire.EnvelopeError as error:
        assert str(error)
    else:
        assert isinstance(parsed.headers, dict)
        assert all(item.type for item in parsed.items)


@pytest.mark.parametrize(
    ("types", "category"),
    [
        (["event"], "error"),
        (["attachment", "event"], "error"),
        (["transaction", "profile"], "transaction"),
        (["sessions"], "session"),
        (["check_in"], "monitor"),
        (["log"], "log_item"),
        (["client_report"], "internal"),
        (["something_new"], "something_new"),
        ([], "default"),
    ],
)
def test_category(types, category):
    assert wire.category_of(types) == category


def test_sent_at_is_the_time_of_sending_whatever_the_envelope_contained():
    data = wire.encode("a" * 32, "event", b"{}", {"sent_at": "2020-01-01T00:00:00Z"})
    sent = wire.with_sent_at(data, 1_700_000_000.25)
    assert json.loads(sent.partition(b"\n")[0])["sent_at"] == "2023-11-14T22:13:20.250Z"
    assert sent.partition(b"\n")[2] == data.partition(b"\n")[2]
