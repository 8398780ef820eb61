"""An operation that has become slower is one event, and one more when it is as it was."""

import pytest
from test_learn import HOUR, NOW, Past, counted, key

from agent.config import learn, levels
from agent.language.learned import parse
from agent.language.monitor_keys import plain_monitor

USUAL = [(NOW - number * HOUR, {key(): counted(500, 0.1)}) for number in (30, 20, 10)]


class Figures(Past):
    def window(self, seconds, until=NOW):
        return Past(*[each for each in self.hours if each[0] < until]).window(seconds + NOW - until)

    def series(self, seconds, step):
        return [(begin // step * step, counts) for begin, counts in self.hours if begin >= NOW - seconds]


def slow(seconds=0.3, calls=120, release="1", minutes=(25, 20, 15, 9, 4)):
    return [(NOW - minute * 60, {key(release=release): counted(calls, seconds)}) for minute in minutes]


MONITORS = [plain_monitor(name="sell", learn=parse("auto"), targets=[])]


def test_what_is_as_usual_is_no_change():
    assert levels.look(Figures(*USUAL, *slow(0.11)), NOW, {}) == []
    assert levels.look(Figures(*USUAL, *slow(0.15)), NOW, {}) == []


def test_few_calls_are_no_level():
    assert levels.look(Figures(*USUAL, *slow(calls=20)), NOW, {}) == []
    assert levels.look(Figures(*USUAL[:1], *slow()), NOW, {}) == []


def test_twice_as_slow_is_one_change_since_it_began():
    (change,) = levels.look(Figures(*USUAL, *slow()), NOW, {})
    assert (change.monitor, change.operation, change.release) == ("sell", "order", "")
    assert change.now > 2 * change.usual
    assert abs(change.since - (NOW - 25 * 60)) <= 300
    assert "times as slow since 20" in change.text()


def test_the_release_that_is_new_since_then_is_named():
    usual_today = (NOW - 40 * 60, {key(): counted(100, 0.1)})
    (change,) = levels.look(Figures(*USUAL, usual_today, *slow(release="2.4.1")), NOW, {})
    assert change.release == "2.4.1"
    assert "since release 2.4.1" in change.text()


def test_it_is_known_from_then_on_until_it_is_as_it_was(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    first = levels.follow(str(state), MONITORS, Figures(*USUAL, *slow()), NOW)
    assert [each.since is None for each in first] == [False]
    assert levels.follow(str(state), MONITORS, Figures(*USUAL, *slow()), NOW) == []
    assert list(levels.slower(str(state))) == [("sell", "order")]
    (again,) = levels.follow(str(state), MONITORS, Figures(*USUAL, *slow(0.1)), NOW)
    assert again.since is None
    assert "as long as usual again" in again.text()
    assert levels.slower(str(state)) == {}


def test_monitors_that_do_not_learn_have_no_level(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    assert levels.follow(str(state), [plain_monitor(name="sell")], Figures(*USUAL, *slow()), NOW) == []


def test_meanwhile_the_threshold_is_that_of_the_new_level():
    made = [plain_monitor(name="sell", learn=parse("p50 * 2"))]
    figures = Figures(*USUAL, *USUAL, *slow(calls=150))
    learn.learn(made, figures, NOW)
    usual = made[0]["learned"]["order"]
    learn.learn(made, figures, NOW, [("sell", "order")])
    assert made[0]["learned"]["order"] > 2 * usual
    assert usual == pytest.approx(0.2, rel=0.25)
