"""A trace in the terminal: what is inside of what, what is shown once, and what is left out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli.waterfall import Row, headline, lines, rest, shown, waterfall

ROOT = "0" * 16


def span(number, parent=ROOT, start=0.0, lasted=0.01, **changed):
    return {
        "span_id": f"{number:016x}", "parent_span_id": parent if isinstance(parent, str) else f"{parent:016x}",
        "op": "db", "description": f"statement {number}", "start_timestamp": 100 + start,
        "timestamp": 100 + start + lasted, "status": "ok", "data": {}, **changed,
    }  # fmt: skip


def trace(*spans, lasted=1.0, kept="slow"):
    return {
        "type": "transaction", "start_timestamp": 100.0, "timestamp": 100.0 + lasted, "spans": list(spans),
        "contexts": {"trace": {"span_id": ROOT, "data": {"erp.kept": kept}}},
    }  # fmt: skip


def texts(event):
    return [(row.depth, row.text, row.times) for row in waterfall(event).rows]


def test_spans_are_in_order_of_time_inside_their_parents():
    event = trace(span(2, 1, start=0.2), span(3, start=0.5), span(1, start=0.1, lasted=0.3), span(4, 2, start=0.21))
    assert texts(event) == [
        (0, "db statement 1", 1), (1, "db statement 2", 1), (2, "db statement 4", 1), (0, "db statement 3", 1),
    ]  # fmt: skip


def test_equal_spans_are_one_row_with_their_number_unless_something_is_inside():
    same = [span(number, description="SELECT", start=number / 10) for number in range(1, 6)]
    inside = span(9, 2, start=0.2)
    assert texts(trace(*same, inside)) == [(0, "db SELECT", 4), (0, "db SELECT", 1), (1, "db statement 9", 1)]
    assert texts(trace(*same[:2])) == [(0, "db SELECT", 1)] * 2, "two are no repetition"
    (row,) = waterfall(trace(*same)).rows
    assert (round(row.lasted, 3), round(row.start, 3), round(row.end, 3)) == (0.05, 0.1, 0.51)


def test_what_the_recorder_has_folded_counts_as_often_as_it_ran():
    folded = span(1, description="SELECT (4,000 times)", lasted=0.9, data={"erp.folded": 4000, "erp.seconds": 0.25})
    found = waterfall(trace(folded))
    assert [(row.text, row.times, row.lasted) for row in found.rows] == [("db SELECT", 4000, 0.25)]
    assert headline(found) == "4000 spans in 1 s, kept as it was slow"


def test_of_many_the_longest_are_shown_with_what_they_are_inside_of():
    many = [span(number, start=number / 1000, lasted=number / 10_000) for number in range(1, 101)]
    deep = span(200, 1, start=0.001, lasted=0.9)
    found = waterfall(trace(*many, deep))
    assert len(found.rows) == 40 and found.left_out == 61
    assert [row.text for row in found.rows[:2]] == ["db statement 1", "db statement 200"]
    assert rest(found) == "and 61 shorter ones, none longer than 6.2 ms"
    assert lines(found) and list(lines(found))[-1].plain.strip() == rest(found)


def test_a_line_has_duration_bar_failure_and_place():
    place = {"code.lineno": 7, "code.filepath": "sales/orders.py", "code.function": "confirm"}
    event = trace(span(1, start=0.5, lasted=0.5, status="internal_error", data=place), span(2, start=0.0, lasted=0.001))
    first, second = [line.plain for line in lines(waterfall(event))]
    assert first == "       1 ms  █                     db statement 2"
    assert second == "     500 ms            ██████████  failed: db statement 1  sales/orders.py:7 in confirm"


def test_a_long_list_of_columns_is_left_out():
    def of(text):
        return shown(Row(0, 0, 0, 0, text, 1, False, ""))

    columns = ", ".join(f'"sales_order"."c{number}"' for number in range(9))
    assert of(f"db SELECT {columns} FROM sales_order WHERE id = %s") == "db SELECT … FROM sales_order WHERE id = %s"
    assert of(f"db SELECT DISTINCT {columns} FROM a") == "db SELECT DISTINCT … FROM a"
    assert of("db SELECT id, name FROM sales_order") == "db SELECT id, name FROM sales_order"
    assert of(f"SELECT (SELECT {columns} FROM b) FROM a") == "SELECT (SELECT … FROM b) FROM a"


_values = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**400), 10**400), st.floats(), st.text(max_size=5), st.just([1]),
    st.just({"a": 1}), st.sampled_from([ROOT, f"{1:016x}", f"{2:016x}"]),
)  # fmt: skip
_spans = st.dictionaries(
    st.sampled_from(
        ["span_id", "parent_span_id", "op", "description", "start_timestamp", "timestamp", "status", "data"]
    ),
    _values,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_spans | _values, max_size=8), _values, _values)
def test_any_file_is_shown_or_left_out(spans, start, end):
    event = {**trace(*spans), "start_timestamp": start, "timestamp": end}
    for line in lines(waterfall(event)):
        assert "\n" not in line.plain
    assert headline(waterfall(event))


def test_parents_in_a_circle_are_left_out():
    assert texts(trace(span(1, 2), span(2, 1), span(3))) == [(0, "db statement 3", 1)]
