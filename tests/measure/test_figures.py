"""What the readers see of the files: agent/measure/figures.py."""

import pytest
from measure.example import write_example

from agent.measure.figures import Figures

DAY = 24 * 3600


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    now = write_example(state, 1_795_000_000.0)
    return Figures(str(state), lambda: now)


def calls(counts):
    return sum(each.calls for each in counts.values())


@pytest.mark.slow(reason="a day of counts")
def test_the_example_is_a_day_of_six_modules_two_releases_and_three_processes(example):
    totals = example.totals()
    assert len({key.module for key in totals}) == 6
    assert {key.release for key in totals} == {"2026.46", "2026.47"}
    assert len({key.operation for key in totals}) >= 38
    assert any(each.slow for each in totals.values())
    assert any(each.users > 5 for each in totals.values())
    assert [process.facts["program"] for process in example.processes() if process.alive] == [
        "gunicorn",
        "gunicorn",
        "celery",
    ]


def test_a_window_a_series_and_the_totals_of_the_same_time_are_the_same(example):
    day = example.measured(DAY)
    assert day.seconds == pytest.approx(DAY, abs=60)
    assert calls(day.counts) == calls(example.totals()) > 100_000
    for step in (300, 3600):
        series = example.series(DAY + 3600, step)
        assert len(series) == (DAY + 3600) / step
        assert sum(calls(counts) for _, counts in series) >= calls(day.counts)
        assert all(start % step == 0 for start, _ in series)
