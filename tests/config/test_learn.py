"""Thresholds that are learned from what the operation's own calls took."""

import pytest

from agent.config import learn
from agent.language import learned
from agent.language.monitor_keys import plain_monitor
from agent.language.units import UnitError
from agent.measure import layout
from agent.measure.counts import Counts, Key

NOW = 1_700_000_000.0
HOUR = 3600.0


def counted(calls, seconds, slow=0, slow_seconds=10.0):
    numbers = [0] * layout.INTEGERS
    for number, duration in ((calls, seconds), (slow, slow_seconds)):
        numbers[int(duration * duration * layout.SCALE).bit_length()] += number
        if number:
            numbers[layout.LONGEST] = max(numbers[layout.LONGEST], int(duration * 1e9))
    return Counts(tuple(numbers))


def key(operation="order", monitor="sell", release="1"):
    return Key("sales", operation, monitor, "function", release)


class Past:
    """Figures of two weeks: (begin of an hour, counts)."""

    def __init__(self, *hours):
        self.hours = hours

    def window(self, seconds):
        sums = {}
        for begin, counts in self.hours:
            if begin >= NOW - seconds:
                for each, more in counts.items():
                    sums[each] = sums.get(each, Counts()) + more
        return sums

    def series(self, seconds, step):
        return [(begin, counts) for begin, counts in self.hours if begin >= NOW - seconds]


def monitor(value="auto"):
    return plain_monitor(name="sell", learn=learned.parse(value))


def threshold(value, *hours):
    made = monitor(value)
    learn.learn([made], Past(*hours), NOW)
    return made["learned"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("auto", (0.95, 3.0, None, None, False)),
        ("p99*2", (0.99, 2.0, None, None, False)),
        (" p50 * 10.5 ", (0.5, 10.5, None, None, False)),
        ({"auto": {"floor": "50ms", "ceiling": "10s", "by": "hour_of_week"}}, (0.95, 3.0, 0.05, 10.0, True)),
        ({"auto": {"of": "p90 * 2"}}, (0.9, 2.0, None, None, False)),
    ],
)
def test_how_it_is_written(value, expected):
    assert learned.is_learned(value)
    assert tuple(learned.parse(value).values()) == expected


@pytest.mark.parametrize(
    "value", ["p95", "p96 * 3", "p95 * 0.5", "p95 + 1", "pauto", {"auto": {"floor": "10s", "ceiling": "1s"}}]
)
def test_what_is_wrong_is_refused(value):
    with pytest.raises(UnitError):
        learned.parse(value)


def test_what_is_no_threshold_that_is_learned():
    assert not any(map(learned.is_learned, ("2s", "off", 3, None, {"warning": "1s"}, True)))


def test_it_is_a_quantile_of_all_releases_times_a_factor():
    recent = (NOW - HOUR, {key(): counted(150, 0.1), key(release="2"): counted(100, 0.1)})
    seconds = threshold("p95 * 3", recent)["order"]
    assert 0.3 * 0.84 < seconds < 0.3 * 1.2
    assert seconds == float(f"{seconds:.2g}"), "two digits, so that it seldom changes"
    assert threshold("p95 * 6", recent)["order"] == pytest.approx(2 * seconds, rel=0.1)


def test_nothing_is_learned_from_few_calls_or_from_old_ones():
    assert threshold("auto", (NOW - HOUR, {key(): counted(199, 0.1)})) == {}
    assert threshold("auto", (NOW - 8 * 86400, {key(): counted(1000, 0.1)})) == {}
    assert threshold("auto") == {}


def test_each_operation_learns_for_itself():
    found = threshold("auto", (NOW - HOUR, {key("fast"): counted(200, 0.01), key("slow"): counted(200, 1.0)}))
    assert found["slow"] > 50 * found["fast"]


def test_bounds():
    hour = (NOW - HOUR, {key(): counted(500, 0.1)})
    assert threshold({"auto": {"floor": "2s"}}, hour) == {"order": 2.0}
    assert threshold({"auto": {"ceiling": "20ms"}}, hour) == {"order": 0.02}


def test_an_hour_of_the_week_that_is_slow_as_a_rule_is_normal():
    week = 7 * 86400.0
    closing = [(NOW - number * week - HOUR / 2, {key(): counted(100, 4.0)}) for number in (1, 2, 3)]
    usual = [(NOW - 5 * HOUR, {key(): counted(5000, 0.1)})]
    assert threshold("auto", *closing, *usual)["order"] < 1
    assert threshold({"auto": {"by": "hour_of_week"}}, *closing, *usual)["order"] > 8
    assert threshold({"auto": {"by": "hour_of_week"}}, *closing[:1], *usual)["order"] < 1, "too few in that hour"


def test_when_it_is_learned_again():
    hour = (NOW - HOUR, {key(): counted(500, 0.1)})
    assert learn.learn([plain_monitor(name="sell")], Past(hour), NOW) == 0.0
    assert learn.learn([monitor()], Past(hour), NOW) == NOW + learn.RENEW
    at = (NOW // HOUR + 1) * HOUR - 60
    assert learn.learn([monitor({"auto": {"by": "hour_of_week"}})], Past(hour), at) == at + 60


def test_how_many_would_have_been_reported():
    assert learn.beyond(counted(500, 0.1, slow=7), 1.0) == 7
