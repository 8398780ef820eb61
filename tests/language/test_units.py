from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.language import units


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("250ms", 0.25),
        ("2s", 2.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("7d", 604800.0),
        (3, 3.0),
        (0.5, 0.5),
    ],
)
def test_durations(written, seconds):
    assert units.duration(written) == seconds


@pytest.mark.parametrize(
    ("written", "hint"),
    [("5 min", "`5m`"), ("250", "`250s` or `250ms`"), ("1,5s", "`1.5s`"), ("12:30", "`750s`"), ("1h30m", "`90m`"),
     ("2 seconds", "`2s`"), ("2S", "`2s`"), ("3 weeks", "no unit of time")],
)  # fmt: skip
def test_durations_hint_at_what_was_meant(written, hint):
    with pytest.raises(units.UnitError) as caught:
        units.duration(written)
    assert "expected a duration" in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "written",
    [
        True,
        None,
        [],
        {},
        "",
        "-1s",
        "0s",
        0,
        -1,
        float("inf"),
        float("nan"),
        "9" * 400 + "s5s",
        "1.2.3s4s",
        "9999d",
        10**400,
    ],
)
def test_what_is_no_duration(written):
    with pytest.raises(units.UnitError):
        units.duration(written)


@given(st.one_of(st.text(max_size=20), st.floats(), st.integers(), st.none(), st.booleans()))
def test_units_parse_or_raise_unit_error(value):
    for parse in (units.duration, units.size, units.rate, units.severity):
        try:
            parse(value)
        except units.UnitError as error:
            assert str(error)


@given(st.floats(min_value=0.000001, max_value=units.LONGEST))
def test_durations_survive_being_written_and_read(seconds):
    assert units.duration(units.format_duration(seconds)) == pytest.approx(seconds, rel=1e-6, abs=1e-9)


@given(st.integers(min_value=1, max_value=86_400_000))
def test_whole_milliseconds_survive_exactly(milliseconds):
    assert units.duration(units.format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-9)


def test_sizes():
    assert units.size("256MB") == 256_000_000
    assert units.size("1KiB") == 1024
    assert units.size(10) == 10
    with pytest.raises(units.UnitError) as caught:
        units.size("256mb")
    assert caught.value.hint == "did you mean `256MB`?"


def test_rates():
    assert units.rate("30/min") == (30.0, 60.0)
    assert units.rate("5/s") == (5.0, 1.0)
    assert units.rate("100 per hour") == (100.0, 3600.0)
    for written, hint in ((30, "`30/min`"), ("30/minutes", "`30/m"), ("30", "`30/min`"), ("3/year", "not `year`")):
        with pytest.raises(units.UnitError) as caught:
            units.rate(written)
        assert hint in caught.value.hint


def test_severities():
    assert units.severity("critical") == "fatal"
    assert units.severity("debug") == "debug"
    for written, hint in (("Warn", "`warning`"), ("eror", "`error`"), ("ERROR", "`error`")):
        with pytest.raises(units.UnitError) as caught:
            units.severity(written)
        assert hint in caught.value.hint


def test_an_audit_is_an_information_unless_it_is_said_otherwise():
    assert [units.audit(value) for value in (True, False, "warning", "critical")] == ["info", "", "warning", "fatal"]
    for value, hint in (("yes", "did you mean `true`?"), ("warn", "did you mean `warning`?"), (1, "")):
        with pytest.raises(units.UnitError, match="`true`") as raised:
            units.audit(value)
        assert raised.value.hint == hint
