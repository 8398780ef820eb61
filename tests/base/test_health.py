"""Counting what a process did, from all of its threads at once."""

import ast
import os
import sys
import threading

import pytest

from agent.base import health as health_module
from agent.base import programs
from agent.base.health import Health, alive, pid_in
from agent.cli.state.processes import of_the_host, read


def test_no_count_is_lost_between_threads(tmp_path):
    health = Health(str(tmp_path), "monitors.yaml")

    def count(number):
        for _ in range(20_000):
            health.count("rate", "shared")
        health.count("rate", f"own {number}", 5)

    threads = [threading.Thread(target=count, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    own = {("rate", f"own {number}"): 5 for number in range(4)}
    assert health.counts == {("rate", "shared"): 80_000, **own}


def test_a_pipe_in_the_place_of_a_state_file_keeps_nobody_waiting(tmp_path):
    run = tmp_path / "run"
    health = Health(str(run), "monitors.yaml")
    health.count("captured", "m")
    health.flush()
    (file,) = run.iterdir()
    file.unlink()
    os.mkfifo(file, 0o600)
    health.count("captured", "m")
    assert not health.flush(final=True)  # nobody reads from it
    assert read(str(run)) == []


def test_a_state_file_that_is_no_such_file_is_not_read(tmp_path):
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    line = repr(("process", os.getpid(), 1.0, "web.py", "3.11", "monitors.yaml", "")) + "\n"
    for name in ("good", "link", "others", "folder", "huge", "words"):
        file = run / f"{name}.state"
        if name == "link":
            file.symlink_to(run / "good.state")
        elif name == "folder":
            file.mkdir()
        else:
            file.write_text("(((((" * 9000 + "\n" + line.replace("1.0", "'x'") if name == "words" else line)
        if name == "others":
            file.chmod(0o666)
        if name == "huge":
            os.truncate(file, 1 << 40)
    assert [process.program for process in read(str(run))] == ["web.py"]


def test_processes_that_cannot_be():
    assert [pid_in(text) for text in ("12", "", "-1", "0x1", "9" * 23, "\N{SUPERSCRIPT TWO}", "1 ")] == [12, *[0] * 6]
    assert [alive(pid) for pid in (os.getpid(), 0, -1, 10**10, 10**30)] == [True, False, False, False, False]


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(health_module, "monotonic", lambda: self.now)


def written(tmp_path):
    (process,) = read(str(tmp_path))
    return process


def test_what_an_idle_process_has_counted_is_on_disk(tmp_path, monkeypatch):
    """No thread of ours waits to write it: it is written as it is counted."""
    Clock(monkeypatch)
    health = Health(str(tmp_path), "monitors.yaml")
    for number in range(1, 101):
        health.count("expected", "m")
        assert written(tmp_path).count("expected") == number
    assert not written(tmp_path).behind


def test_a_burst_is_not_written_count_by_count_and_status_knows(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    health = Health(str(tmp_path), "monitors.yaml")
    writes = []
    write = Health.write
    monkeypatch.setattr(Health, "write", lambda self, *a, **o: (writes.append(clock.now), write(self, *a, **o)))
    for _ in range(60_000):
        clock.now += 0.001
        health.count("expected", "m")
    assert 250 < len(writes) < 350  # as many at once, then as the burst doubles, then one a second
    process = written(tmp_path)
    assert process.behind
    assert 58_900 < process.count("expected") < 60_000
    health.flush(final=True)
    assert (written(tmp_path).count("expected"), written(tmp_path).behind) == (60_000, False)
    clock.now += 300  # it was calm: the next ones are written at once
    health.count("expected", "m")
    assert (written(tmp_path).count("expected"), written(tmp_path).behind) == (60_001, False)


def test_a_burst_that_ends_at_once_is_known_by_half(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    health = Health(str(tmp_path), "monitors.yaml")
    for _ in range(10_000):
        clock.now += 0.00001
        health.count("expected", "m")
    assert written(tmp_path).count("expected") >= 5_000


def test_a_slow_disk_is_written_to_less_often(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    health = Health(str(tmp_path), "monitors.yaml")
    writes = []

    def slow(self, *_, **__):
        writes.append(clock.now)
        clock.now += 0.01

    monkeypatch.setattr(Health, "write", slow)
    for _ in range(10_000):
        clock.now += 0.01
        health.count("expected", "m")
    assert len(writes) < 30  # a hundred seconds


def test_a_command_writes_only_when_it_says_so_and_is_no_process_of_the_host(tmp_path):
    health = Health(str(tmp_path), "monitors.yaml", command="spool flush")
    health.count("too-old", "error")
    assert list(tmp_path.iterdir()) == []
    health.flush(final=True)
    (process,) = read(str(tmp_path))
    assert process.lost() == {"too-old": 1}
    assert of_the_host([process], all_=True) == []


def test_expressions_that_fail_are_kept_with_the_last_reason(tmp_path):
    health = Health(str(tmp_path), "monitors.yaml")
    health.failed("rule-raised", "m", "when result.statu", "a long reason, which the next one does not cover")
    health.failed("rule-raised", "m", "when result.statu", "short")
    for number in range(1000):
        health.failed("capture-raised", f"m{number}", "x", "y")
    health.flush(final=True)
    process = written(tmp_path)
    assert process.expressions["m", "when result.statu"] == (2, "short")
    assert len(process.expressions) == 200
    assert (process.count("rule-raised"), process.count("capture-raised")) == (2, 1000)


def state(folder, pid, started, program, *more, **facts):
    lines = [("process", pid, started, program, "3.11.7", "monitors.yaml", "", facts), *more]
    (folder / f"{pid}-{int(started * 1000)}.state").write_text("".join(f"{line!r}\n" for line in lines))


GONE = 4_000_000


def test_of_a_server_that_has_ended_its_workers_are_shown(tmp_path):
    state(tmp_path, GONE + 1, 1.0, "manage.py", family="4000001@5")
    for worker in (11, 12, 13):
        state(tmp_path, GONE + worker, 10.0 + worker, "gunicorn", family="4000010@77")
    state(tmp_path, GONE + 20, 99.0, "python -m agent", command="spool flush")
    found = read(str(tmp_path))
    assert [process.pid - GONE for process in of_the_host(found, all_=False)] == [11, 12, 13]
    assert [process.pid - GONE for process in of_the_host(found, all_=True)] == [1, 11, 12, 13]


def test_a_number_that_another_process_has_now_is_not_taken_for_a_running_one(tmp_path):
    me = os.getpid()
    state(tmp_path, me, 1.0, "old", born="1")
    state(tmp_path, GONE, 2.0, "gone")
    assert [process.alive for process in read(str(tmp_path))] == [False, False]
    state(tmp_path, me, 3.0, "before it started itself anew", born=programs.born(me))
    state(tmp_path, me, 4.0, "now", born=programs.born(me))
    assert [process.program for process in read(str(tmp_path)) if process.alive] == ["now"]


def test_an_older_agents_state_file_is_read(tmp_path):
    lines = [("process", GONE, 1.0, "web.py", "3.9.1", "monitors.yaml", ""), ("counts", 2.0, {("captured", "m"): 3})]
    (tmp_path / "1-1.state").write_text("".join(f"{line!r}\n" for line in lines))
    process = written(tmp_path)
    assert (process.count("captured"), process.behind, process.plan) == (3, False, "")


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (["/erp/manage.py", "migrate"], "manage.py migrate"),
        (["/erp/manage.py", "--secret"], "manage.py"),
        (["/bin/celery", "worker", "x"], "celery worker"),
        (["import_customers.py", "planted"], "import_customers.py"),
        (["-c", "planted"], "-c"),
        (["worker of planted: password=x"], os.path.basename(sys.executable)),
        (["/venv/uvicorn/__main__.py", "planted"], "uvicorn"),
    ],
)
def test_of_the_command_line_a_name_is_kept(tmp_path, monkeypatch, words, program):
    monkeypatch.setattr(sys, "argv", words)
    health = Health(str(tmp_path), "monitors.yaml")
    health.record("failed", "a", "b", "c")
    health.flush()
    (file,) = tmp_path.glob("*.state")
    assert ast.literal_eval(file.read_text().splitlines()[0])[3] == program
    assert "planted" not in file.read_text()


@pytest.mark.parametrize("what", ["the file", "the folder"])
def test_a_file_that_somebody_removes_is_made_again_with_what_is_so(tmp_path, monkeypatch, what):
    now = [100.0]
    monkeypatch.setattr(health_module, "monotonic", lambda: now[0])
    run = tmp_path / "run"
    health = Health(str(run), "monitors.yaml")
    health.record("patched", "order", "shop.order", "")
    health.count("captured", "order")
    (file,) = run.iterdir()
    if what == "the folder":
        run.rename(tmp_path / "gone")
    else:
        file.unlink()
    for _ in range(3):
        now[0] += 2.0
        health.count("captured", "order")
    (process,) = read(str(run))
    assert set(process.patched) == {("order", "shop.order")}
    assert process.counts == {("captured", "order"): 4}
