"""Numbers of `status` and `top`: as many digits as they have a meaning, rows in the order in which they deserve a look."""

import sys

import pytest

from agent.cli import terminal
from agent.cli.status import numbers, page
from agent.cli.status.operations import Name, Operation, Selection, operations, ordered
from agent.measure import layout
from agent.measure.figures import Counts, Key, Window


def counts(calls=0, seconds=0.01, failures=0, last=0.0):
    """So many calls of one duration, some of them failed."""
    row = [0] * layout.INTEGERS
    bucket = min(int(seconds**2 * layout.SCALE).bit_length(), layout.BUCKETS - 1)
    row[bucket] = calls
    row[layout.TOTAL] = int(calls * seconds * 1e9)
    row[layout.LONGEST] = int(seconds * 1e9)
    row[layout.FAILURES + layout.SEVERITIES.index("error")] = failures
    row[layout.LAST_FAILURE] = int(last * 1000)
    return Counts(row)


class Figures:
    def __init__(self, now, before=None, seconds=3600.0, before_seconds=3600.0):
        self._now, self._before = Window(seconds, now), Window(before_seconds if before else 0.0, before or {})

    def measured(self, seconds):
        return self._now

    def week_before(self, seconds):
        return self._before


def key(operation="create", module="sales", release="1"):
    return Key(module, operation, operation, "function", release)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0, "0 µs"), (0.00000049, "0.49 µs"), (0.0028, "2.8 ms"), (0.0999, "100 ms"), (0.9996, "1 s"),
     (1.26, "1.3 s"), (3723.0, "3,700 s")],
)  # fmt: skip
def test_a_duration_has_two_digits(seconds, text):
    assert numbers.duration(seconds) == text


class Ascii:
    encoding = "ascii"


def test_a_terminal_without_a_mu_gets_a_u(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Ascii())
    assert numbers.duration(0.0000123) == "12 us"


@pytest.mark.parametrize(
    ("per_minute", "text"),
    [(None, "-"), (0.0, "0/min"), (12.4, "12/min"), (1234.0, "1,200/min"), (1.0, "1/min"), (0.4 / 60, "9.6/d"),
     (0.5, "30/h"), (1 / 60, "1/h")],
)  # fmt: skip
def test_a_rate_is_in_the_unit_in_which_it_is_at_least_one(per_minute, text):
    assert numbers.rate(per_minute) == text


def test_a_rate_of_calls_that_were_not_all_counted_is_marked(monkeypatch, capsys):
    assert numbers.rate(12.4, at_least=True) == "≥12/min"
    row = [0] * layout.INTEGERS
    row[layout.UNTIMED], row[layout.UNCOUNTED] = 5, 61_500
    (found,), _ = operations(Figures({key(): Counts(row)}), 3600, Selection())
    assert found.as_json()["uncounted_seconds"] == 61.5
    terminal.console().print(page.operation_table([found], 0.0))
    assert "≥5/h" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdout", Ascii())
    assert numbers.rate(12.4, at_least=True) == ">=12/min"


def test_what_was_held_back_has_a_column_only_if_there_is_any(capsys):
    def shown(*reasons):
        row = [0] * layout.INTEGERS
        row[layout.UNTIMED] = 3_000
        for reason in reasons:
            row[reason] = 1_200
        found, _ = operations(Figures({key(): Counts(row)}), 3600, Selection())
        terminal.console().print(page.operation_table(found, 0.0))
        return capsys.readouterr().out

    assert "HELD" not in shown()
    assert "HELD" not in shown(layout.HELD_OTHER), "another monitor reports it"
    text = shown(layout.HELD_RATE, layout.HELD_SAMPLE)
    assert "HELD" in text and " 2,400 " in text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "-"), (0, 5, "0 %"), (1, 100000, "<0.1 %"), (1, 300, "0.33 %"), (5, 5, "100 %"), (9999, 10000, ">99 %"),
     (1, 3, "33 %")],
)  # fmt: skip
def test_per_cent_neither_hides_a_failure_nor_a_success(part, whole, text):
    assert numbers.share(part, whole) == text


def test_an_age_is_in_one_unit():
    assert [numbers.age(each) for each in (None, -3, 59, 60, 7300, 200000)] == [
        "-",
        "0 s",
        "59 s",
        "1 min",
        "2 h",
        "2 d",
    ]


def test_releases_are_one_row_and_rows_with_errors_come_first():
    found, seconds = operations(
        Figures({
            key("slow"): counts(100, 2.0), key("fails"): counts(10, failures=1), key("fails", release="2"): counts(5),
            key("often"): counts(1000, 0.1),
        }),
        3600.0, Selection(),
    )  # fmt: skip
    assert [row.name.operation for row in found] == ["fails", "slow", "often"]
    assert found[0].calls == 15
    assert seconds == 3600.0
    assert [row.name.operation for row in ordered(found, "c")] == ["often", "slow", "fails"]
    assert [row.name.operation for row in ordered(found, "n", reverse=True)] == ["slow", "often", "fails"]


def test_a_selection_has_wildcards_and_a_text():
    figures = Figures({key("create"): counts(1), key("cancel"): counts(1), key("move", "stock"): counts(1)})

    def names(**selected):
        return {row.name.operation for row in operations(figures, 60.0, Selection(**selected))[0]}

    assert names(module="sales") == {"create", "cancel"}
    assert names(module="s*", monitor="c*") == {"create", "cancel"}
    assert names(monitor="m*e") == {"move"}
    assert names(text="CAN") == {"cancel"}


def trend(now, before, seconds=3600.0, before_seconds=3600.0):
    return Operation(Name("m", "o", "n", "function"), now, seconds, before, before_seconds).trend


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (counts(100), counts(100), "same"),
        (counts(100), Counts(), "new"),
        (counts(100, failures=10), counts(100, failures=1), "errors x10"),
        (counts(100, failures=10), counts(100), "errors new"),
        (counts(100, failures=1), counts(100), "same"),  # one may be chance
        (counts(100), counts(100, failures=9), "no errors"),
        (counts(100, 0.04), counts(100, 0.01), "p95 x4"),
        (counts(3, 0.04), counts(3, 0.01), "same"),
        (counts(300), counts(100), "calls x3"),
        (counts(100), counts(300), "calls x0.33"),
    ],
)
def test_the_trend_is_what_has_changed_most(now, before, text):
    assert trend(now, before) == text


def test_without_figures_of_a_week_before_there_is_no_trend():
    assert trend(counts(5), Counts(), before_seconds=0.0) == "-"


def test_hours_whose_totals_were_lost_still_count():
    (row,), _ = operations(Figures({key(): counts(100)}, {key(): counts(100)}, 60.0, 0.0), 60.0, Selection())
    assert row.trend == "calls x60"


def test_the_first_call_is_no_stream_of_calls():
    (row,), _ = operations(Figures({key(): counts(1)}, seconds=0.5), 3600.0, Selection())
    assert row.per_minute == 1.0


def test_json_has_what_the_table_has_and_more():
    (row,), _ = operations(Figures({key(): counts(60, 0.01, failures=6, last=12.5)}), 3600.0, Selection())
    found = row.as_json()
    assert (found["calls"], found["calls_per_minute"], found["failures"], found["failed_share"]) == (60, 1.0, 6, 0.1)
    assert found["p95"] == pytest.approx(0.01, rel=0.2)
    assert found["max"] == pytest.approx(0.01)
    assert (found["last_failure"], found["failures_by_severity"], found["week_before"]) == (12.5, {"error": 6}, None)
