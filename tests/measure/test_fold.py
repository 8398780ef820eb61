"""Folding: nothing is counted twice or lost, whatever ends it, and whatever the clock does."""

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure.writing import ENDED, Process

from agent.measure import due, fold, history, layout, ledger, processes
from agent.measure.counts import Counts, Key
from agent.measure.figures import WEEK, Figures

HOUR = 3600.0
START = 1_795_000_200.0  # ten minutes past an hour


class World:
    """A state folder and its clock."""

    def __init__(self, state):
        self.state = str(state)
        self.now = START

    @property
    def figures(self):
        """Read anew."""
        return Figures(self.state, lambda: self.now)

    def fold(self, after=60.0):
        self.now += after
        return fold.fold(self.state, lambda: self.now)

    def files(self, folder=layout.FOLDER):
        return sorted(os.listdir(os.path.join(self.state, folder)))

    def calls(self, counts=None):
        return sum(each.calls for each in (self.figures.totals() if counts is None else counts).values())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def living(world, **facts):
    return Process(world.state, started=world.now, **facts)


def dead(world, number=0, **facts):
    return Process(world.state, pid=ENDED + number, started=world.now + number, **facts)


def test_minutes_hours_and_totals_have_the_same(world):
    process = living(world, release="1")
    for number in range(150):
        process.count("order", 0.01 * (number % 7 + 1), number)
        process.write()
        assert world.fold().changed
    sums = sum(range(150))
    assert world.calls() == world.calls(world.figures.window(4 * HOUR)) == sums
    assert [name for name in world.files("history") if name.startswith("hours")] != []
    assert len([name for name in world.files("history") if name.startswith("minutes")]) == 3
    (key,) = world.figures.totals()
    assert key == Key("sales", "order", "order", "function", "1")
    assert world.figures.totals()[key] == process_counts(process)


def process_counts(process):
    (row,) = process.rows
    return Counts(row[: layout.INTEGERS], row.tobytes()[layout.INTEGERS * 8 :])


def test_what_is_not_folded_is_seen_and_once(world):
    process = living(world)
    process.count("order", 0.1, 5)
    process.write()
    assert world.calls() == world.calls(world.figures.window(60)) == 5
    world.fold()
    process.count("order", 0.1, 2)
    process.write()
    assert world.calls() == world.calls(world.figures.window(600)) == 7
    assert [world.calls(counts) for _, counts in world.figures.series(180, 60)] == [0, 5, 2]
    (seen,) = world.figures.processes()
    assert (seen.alive, world.calls(seen.counts)) == (True, 7)


def test_nothing_new_is_no_record(world):
    process = living(world)
    process.count("order")
    process.write()
    assert world.fold() == fold.Folded(True, [os.getpid()])
    before = ledger.load(world.state).number
    assert world.fold() == fold.Folded(False, [os.getpid()])
    assert ledger.load(world.state).number == before
    assert not due.is_due(world.state, os.stat(due.path_in(world.state)).st_mtime + 59)
    assert due.is_due(world.state, os.stat(due.path_in(world.state)).st_mtime + 61)


def test_without_counts_nothing_is_made(world):
    assert world.fold() == fold.Folded(False, [])
    assert os.listdir(world.state) == []
    assert world.figures.window(60) == world.figures.totals() == {}
    assert world.figures.processes() == world.figures.problems() == []
    assert [counts for _, counts in world.figures.series(180, 60)] == [{}, {}, {}]


def test_the_file_of_a_process_that_has_ended_is_removed_after_its_last_fold(world):
    process = dead(world)
    process.count("order", 0.1, 3)
    process.write()
    world.fold()
    assert world.files() == []
    assert world.calls() == world.calls(world.figures.window(HOUR)) == 3
    world.fold()
    assert ledger.load(world.state).names == set()
    assert world.calls() == 3


def test_a_process_whose_number_another_one_has_by_now_has_ended(world):
    process = living(world)
    process.facts["born"] = "1"
    process.count("order")
    process.write()
    world.fold()
    assert world.files() == []


def test_the_file_of_a_process_in_another_container_stays_for_as_long_as_it_may_run(world):
    process = dead(world, container="1")
    process.count("order")
    process.write()
    assert world.fold() == fold.Folded(True, [])
    assert len(world.files()) == 2
    assert world.calls() == 1
    for name in world.files():
        os.utime(os.path.join(world.state, "counts", name), (START, START))
    world.fold()
    assert world.files() == []
    assert world.calls() == 1


class KilledError(BaseException):
    pass


STEPS = ("mkdir", "open", "write", "close", "replace", "unlink", "ftruncate", "lseek", "utime")


def test_a_fold_that_is_killed_at_any_step_loses_nothing_and_counts_nothing_twice(tmp_path, monkeypatch):
    """Each system call that changes something is the last one once: before it, and after it."""
    begin = tmp_path / "begin"
    world = World(begin)
    lives, ends = living(world), dead(world)
    for _ in range(3):
        lives.count("order", 0.1, 10, failed="error", at=world.now, user=7)
        lives.write()
        world.fold(HOUR / 3)
    lives.count("order", 0.2, 4)
    lives.count("invoice", 0.3, 6)
    ends.count("order", 0.1, 100)
    for process in (lives, ends):
        process.write()
    expected = world.calls()
    assert expected == 140
    killed = 0
    for after in (False, True):
        for number in range(1000):
            state = tmp_path / f"{after}{number}"
            shutil.copytree(begin, state)
            again = World(state)
            again.now = world.now
            with monkeypatch.context() as patched:
                left = [number]
                for name in STEPS:
                    patched.setattr(os, name, killing(getattr(os, name), left, after=after))
                try:
                    again.fold()
                except KilledError:
                    killed += 1
                    finished = False
                else:
                    finished = True
            assert again.calls() == expected, (after, number)
            assert again.calls(again.figures.window(24 * HOUR)) == expected, (after, number)
            again.fold()
            assert again.calls() == again.calls(again.figures.window(24 * HOUR)) == expected, (after, number)
            again.fold(2 * HOUR)  # hours are made
            assert again.calls() == again.calls(again.figures.window(24 * HOUR)) == expected, (after, number)
            assert len(again.files()) == 2, (after, number)
            assert not [name for name in again.files("history") if name.startswith("totals.")]
            shutil.rmtree(state)
            if finished:
                break
    assert killed > 20


def killing(function, left, *, after):
    def call(*arguments, **options):
        if function.__name__ == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
            return function(*arguments, **options)
        left[0] -= 1
        if left[0] < 0 and not after:
            raise KilledError
        if left[0] < 0 and function.__name__ == "write":
            function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])  # half of it
            raise KilledError
        result = function(*arguments, **options)
        if left[0] < 0:
            raise KilledError
        return result

    return call


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_full_disk_fails_the_fold_and_loses_nothing(world, monkeypatch, step):
    process = living(world)
    process.count("order", 0.1, 5)
    process.write()
    world.fold()
    process.count("order", 0.1, 5)
    process.write()
    process.written(world.now)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for _ in range(6):
        with monkeypatch.context() as patched:
            patched.setattr(os, step, full)
            with pytest.raises(OSError, match="No space left"):
                world.fold()
    assert world.figures.problems() == []  # it has counted nothing since
    process.written(world.now)
    assert world.calls() == world.calls(world.figures.window(HOUR)) == 10
    (problem,) = world.figures.problems()
    assert "has not been added to the history for 6 minutes" in problem
    assert "counts" in problem
    world.fold()
    assert world.calls() == world.calls(world.figures.window(HOUR)) == 10
    assert world.figures.problems() == []


@pytest.mark.parametrize("make", [living, dead])
def test_what_was_counted_before_a_process_ended_or_became_idle_waits_without_a_complaint(world, make):
    process = make(world)
    process.count("order", 0.1, 5)
    process.write()
    process.written(world.now + 30)
    world.now += HOUR
    assert world.calls() == 5
    assert world.figures.problems() == []


def test_a_clock_that_leaps_changes_no_sum(world):
    process = living(world)
    for leap in (60, 24 * HOUR, 60, -24 * HOUR, 60, -30 * 24 * HOUR, 60, 60):
        process.count("order", 0.1)
        process.write()
        world.fold(leap)
    assert world.calls() == 8
    assert world.calls(world.figures.window(HOUR)) == 3  # since the last leap; what is yet to come does not count
    for _, counts in world.figures.series(HOUR, 60):
        assert world.calls(counts) <= 1


def test_hours_are_made_late_and_again_where_minutes_were_added(world):
    process = living(world)
    process.count("order", 0.1, 3)
    process.write()
    world.fold()
    first = world.now
    world.fold(5 * HOUR)
    world.now = first - 120  # the clock went wrong
    process.count("order", 0.1, 4)
    process.write()
    world.fold()
    world.fold(5 * HOUR)
    (path,) = history.hours_files(world.state).values()
    records = list(history.read(path))
    assert [world.calls(record.counts) for record in records] == [3, 7]
    assert world.calls(world.figures.window(24 * HOUR)) == 7
    world.now += 2 * 24 * HOUR
    assert world.calls(world.figures.window(4 * 24 * HOUR)) == 7


def test_minutes_stay_for_a_day_and_hours_for_ninety(world):
    process = living(world)
    for _ in range(4):
        process.count("order", 0.1)
        process.write()
        world.fold(31 * 24 * HOUR)
    assert len(history.minutes_files(world.state)) == 1
    world.fold(24 * HOUR)
    assert len(history.hours_files(world.state)) == 3
    assert world.calls() == 4
    assert world.calls(world.figures.window(95 * 24 * HOUR)) == 3


def test_beyond_its_size_the_history_loses_its_oldest_hours(world, monkeypatch):
    process = living(world)
    for day in range(5):
        process.count("order", 0.1)
        process.write()
        world.fold(24 * HOUR)
    before = {path: os.path.getsize(path) for path in history.hours_files(world.state).values()}
    assert world.figures.problems() == []
    monkeypatch.setattr(history, "LARGEST", sum(before.values()))
    process.count("order", 0.1)
    process.write()
    world.fold(2 * HOUR)
    (problem,) = world.figures.problems()
    assert "the history has reached its" in problem
    after = list(history.hours_files(world.state).values())
    assert 0 < len(after) < len(before)
    assert min(before) not in after
    assert history.minutes_files(world.state)


def test_a_damaged_file_of_totals_begins_anew_and_counts_nothing_twice(world):
    process = living(world)
    process.count("order", 0.1, 5)
    process.write()
    world.fold()
    path = due.path_in(world.state)
    data = bytearray(Path(path).read_bytes())
    data[len(data) // 2] ^= 0xFF
    Path(path).write_bytes(data)
    assert any("totals cannot be read" in problem for problem in world.figures.problems())
    world.fold()
    process.count("order", 0.1, 2)
    process.write()
    world.fold()
    assert world.figures.problems() == []
    assert world.calls() == 7
    assert world.calls(world.figures.window(HOUR)) == 7


@pytest.mark.parametrize("where", ["begin", "middle", "end"])
def test_torn_and_damaged_records_are_left_out(world, where):
    process = living(world)
    for _ in range(3):
        process.count("order", 0.1)
        process.write()
        world.fold()
    (path,) = history.minutes_files(world.state).values()
    data = bytearray(Path(path).read_bytes())
    if where == "end":
        Path(path).write_bytes(data[:-3])
    else:
        data[-20 if where == "middle" else 20] ^= 0xFF
        Path(path).write_bytes(data)
    assert world.calls() == 3
    assert world.calls(world.figures.window(HOUR)) <= 3
    process.count("order", 0.1, 50)
    process.write()
    world.fold()
    assert world.calls() == 53
    assert world.calls(world.figures.window(HOUR)) >= 50


def test_files_that_cannot_be_read_are_named_with_the_reason(world):
    process = living(world)
    process.count("order", 0.1)
    process.write()
    folder = Path(world.state, "counts")
    good = (folder / f"{process.name}.counts").read_bytes()
    for number, (data, name) in enumerate(
        [
            (b"something else", "torn"),
            (good[:16] + bytes([9]) + good[17:], "version"),
            (good[:32] + b"[]" + good[34:], "facts"),
        ]
    ):
        (folder / f"{ENDED}-{number}.counts").write_bytes(data)
        (folder / f"{ENDED}-{number}.names").write_bytes(b"")
    (folder / f"{ENDED}-7.counts").symlink_to(folder / f"{process.name}.counts")
    problems = world.figures.problems()
    assert len(problems) == 4
    for reason in ("is torn", "version 9", "facts of its process", "symbolic link"):
        assert any(reason in problem for problem in problems), (reason, problems)
    world.fold()
    assert world.calls() == 1
    assert len(world.files()) == 9
    world.now += 91 * 24 * HOUR
    for path in folder.glob(f"{ENDED}-*"):
        os.utime(path, (START, START), follow_symlinks=False)
    world.fold()
    assert world.files() == [f"{process.name}.counts", f"{process.name}.names"]


def test_a_row_waits_for_its_names(world):
    process = living(world)
    process.count("order", 0.1)
    process.count("invoice", 0.1, 7)
    process.write()
    names = Path(world.state, "counts", f"{process.name}.names")
    whole = names.read_bytes()
    names.write_bytes(whole[:-5])
    world.fold()
    assert world.calls() == 1
    names.write_bytes(whole)
    assert world.calls() == 8
    world.fold()
    assert world.calls() == world.calls(world.figures.window(HOUR)) == 8


def test_a_file_whose_process_was_killed_before_it_wrote_anything_is_removed_after_a_day(world):
    folder = Path(world.state, layout.FOLDER)
    dead(world).write()
    for pid in (ENDED + 7, os.getpid()):
        (folder / f"{pid}-1.counts").write_bytes(bytes(2 * layout.PAGE))
        os.utime(folder / f"{pid}-1.counts", (world.now, world.now))
    world.fold()
    assert len(world.files()) == 2, "it may belong to another container, and be about to be written"
    world.fold(25 * HOUR)
    assert world.files() == [f"{os.getpid()}-1.counts"], "the process runs"


def test_names_that_are_damaged_later_count_nothing_twice(world):
    process = living(world)
    process.count("order", 0.1)
    process.count("invoice", 0.1, 7)
    process.write()
    world.fold()
    names = Path(world.state, "counts", f"{process.name}.names")
    whole = names.read_bytes()
    names.write_bytes(b"torn" + whole[4:])
    assert world.calls() == 8
    world.fold()
    names.write_bytes(whole)
    world.fold()
    assert world.calls() == world.calls(world.figures.window(HOUR)) == 8


def test_releases_that_are_gone_for_long_become_one_and_no_sum_falls(world):
    for release in ("1", "2"):
        process = dead(world, release=release)
        process.count("order", 0.1, 3)
        process.write()
        world.fold(24 * HOUR)
    process = living(world, release="3")
    process.count("order", 0.1)
    process.write()
    world.fold(100 * 24 * HOUR)
    totals = world.figures.totals()
    assert {key.release: counts.calls for key, counts in totals.items()} == {ledger.EARLIER: 6, "3": 1}


def test_the_week_before(world):
    world.now += 40 * 60
    process = living(world)
    process.count("order", 0.1, 9)
    process.write()
    world.fold()
    process.count("order", 0.1, 2)
    process.write()
    world.fold(WEEK)
    week = world.figures.week_before(HOUR)
    assert (world.calls(week.counts), world.calls(world.figures.window(HOUR))) == (9, 2)
    assert 0 < week.seconds <= 2 * HOUR


def test_a_rate_is_of_the_time_that_was_counted_in(world):
    process = living(world)
    process.count("order", 0.1, 10)
    process.write()
    world.now += 120
    assert world.figures.measured(HOUR).seconds == pytest.approx(120)
    world.fold()
    for _ in range(90):
        process.count("order", 0.1, 10)
        process.write()
        world.fold()
    hour = world.figures.measured(HOUR)
    assert hour.seconds == pytest.approx(HOUR, abs=60)
    assert world.calls(hour.counts) / hour.seconds == pytest.approx(10 / 60, rel=0.05)
    minute = world.figures.measured(30)
    assert world.calls(minute.counts) / minute.seconds == pytest.approx(10 / 60, rel=0.05) if minute.seconds else True


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(0, 3), st.integers(0, 2), st.integers(1, 1000)),
        st.tuples(st.just("fold"), st.sampled_from([1.0, 60.0, 60.0, 1800.0, HOUR, 7 * HOUR])),
        st.tuples(st.just("end"), st.integers(0, 3)),
        st.tuples(st.just("start"), st.integers(0, 3), st.sampled_from(["1", "2"])),
        st.tuples(st.just("kill"), st.integers(0, 40), st.booleans()),
        st.tuples(st.just("leap"), st.sampled_from([-7 * HOUR, -60.0])),
    ),
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(actions=ACTIONS)
def test_whatever_happens_the_sums_are_those_of_a_model(tmp_path_factory, actions):
    world = World(tmp_path_factory.mktemp("state"))
    model = {}
    running = {}
    earliest = latest = world.now
    number = 0
    for action, *details in actions:
        number += 1
        if action in ("count", "start"):
            which = details[0]
            if action == "start" or which not in running:
                release = details[1] if action == "start" else "1"
                if which in running:
                    running.pop(which).facts["born"] = "1"
                running[which] = Process(world.state, started=START + number, release=release)
        if action == "count":
            _, operation, calls = details
            process = running[details[0]]
            process.count(f"operation{operation}", 0.001 * calls, calls)
            process.write()
            key = (f"operation{operation}", process.facts["release"])
            model[key] = model.get(key, 0) + calls
        elif action == "end" and details[0] in running:
            process = running.pop(details[0])
            if process.rows:
                process.facts["born"] = "1"
                process.write()
        elif action == "fold":
            world.fold(details[0])
        elif action == "leap":
            world.now += details[0]
        elif action == "kill":
            with pytest.MonkeyPatch.context() as patched:
                left = [details[0]]
                for name in STEPS:
                    patched.setattr(os, name, killing(getattr(os, name), left, after=details[1]))
                try:
                    world.fold(0.0)
                except KilledError:
                    pass
        earliest, latest = min(earliest, world.now), max(latest, world.now)
        check(world, model)
    world.fold()
    check(world, model)
    world.now = max(world.now, latest) + HOUR
    span = world.now - earliest + 2 * HOUR
    check(world, model, world.figures.window(span))
    world.fold()
    check(world, model, world.figures.window(span))


def check(world, model, counts=None):
    found = {}
    for key, each in (world.figures.totals() if counts is None else counts).items():
        assert key.operation == key.monitor
        found[key.operation, key.release] = each.calls
    assert found == model


def test_a_process_that_counts_something_new_and_ends_while_its_file_is_read_loses_nothing(world, monkeypatch):
    process = living(world)
    process.count("order", 0.1)
    process.write()

    def ends(*_):
        process.count("confirm", 0.1, 4)
        process.write()
        return False

    monkeypatch.setattr(processes, "is_alive", ends)
    world.fold()
    assert world.files() == []
    assert {key.monitor: counts.calls for key, counts in world.figures.totals().items()} == {"order": 1, "confirm": 4}


def test_a_process_that_begins_while_others_are_folded_is_counted_once(world, monkeypatch):
    living(world).write()
    world.fold()
    real = processes.names_in

    def begins_afterwards(state):
        names = real(state)
        if len(names) == 1:
            late = dead(world)
            late.count("order", 0.1, 3)
            late.write()
        return names

    monkeypatch.setattr(processes, "names_in", begins_afterwards)
    monkeypatch.setattr(processes, "is_alive", lambda *_: True)
    world.fold()
    world.fold()
    assert world.calls() == 3


def test_the_files_of_two_hundred_processes_are_read_once_each(world, monkeypatch):
    template = living(world)
    chance = random.Random(1)
    for operation in range(100):
        template.count(f"operation{operation}", chance.expovariate(10), 3)
    template.write()
    folder = Path(world.state, "counts")
    for number in range(199):
        for suffix in (".counts", ".names"):
            os.link(folder / (template.name + suffix), folder / f"{os.getpid()}-{number + 1}{suffix}")
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *more, **options: opened.append(path) or real(path, *more, **options))
    assert world.calls(world.figures.window(HOUR)) == 200 * 300
    assert len([path for path in opened if str(path).endswith(".counts")]) == 200
    assert len(opened) < 200 * 4 + 10
