"""The files of counts: what is in them and when, and what happens where there can be none."""

import errno
import os
import stat
import subprocess
import sys
import threading

import pytest
from measure import reading
from support import FakeClock

from agent.measure import layout, mapping, store
from agent.measure.store import CountsFile, Store
from agent.measure.tallies import Tallies


@pytest.fixture(params=["mapped", "in memory"])
def mapped(request, monkeypatch, tmp_path):
    if request.param == "mapped" and not mapping.is_safe(str(tmp_path)):
        pytest.skip("nothing is mapped on this file system")
    monkeypatch.setattr(mapping, "is_safe", lambda _: request.param == "mapped")
    return request.param == "mapped"


def made(tmp_path, **settings):
    return Store(lambda: str(tmp_path), lambda: {"pid": os.getpid(), "release": "1"}, **settings)


def tally_of(tallies, operation="op", name="m"):
    return tallies.of({"name": name, "module": "sales", "kind": "function"}, operation)


def calls(tmp_path):
    ((_, found),) = reading.processes(tmp_path)
    return {operation: counts.calls for (_, operation), counts in found.items()}


def test_a_reader_sees_each_count_of_a_process_that_is_not_busy(mapped, tmp_path):
    clock = FakeClock()
    tallies = Tallies(made(tmp_path, clock=clock), clock=clock)
    assert list(tmp_path.iterdir()) == []  # nothing is made before there is something to count
    for number in range(1, 20):
        tally_of(tallies).count(clock.now - 1)
        assert calls(tmp_path) == {"op": number}


def test_what_is_not_mapped_is_written_once_a_second_in_a_burst_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(mapping, "is_safe", lambda _: False)
    clock = FakeClock()
    tallies = Tallies(made(tmp_path, clock=clock), clock=clock)
    written = []
    monkeypatch.setattr(CountsFile, "write", lambda self, write=CountsFile.write: written.append(1) or write(self))
    for _ in range(5000):
        clock.work(1e-3)
        tally_of(tallies).count(clock.now - 1e-3)
    assert 32 <= len(written) <= 45
    assert calls(tmp_path)["op"] >= 3900
    tallies.close()
    assert calls(tmp_path) == {"op": 5000}


def test_a_python_without_mmap_counts_too(tmp_path):
    script = (
        "import sys; sys.modules['mmap'] = None\n"
        "import os; from agent.measure.store import Store; from agent.measure.tallies import Tallies\n"
        "tallies = Tallies(Store(lambda: sys.argv[1], lambda: {'pid': os.getpid(), 'release': '1'}))\n"
        "tallies.of({'name': 'm', 'module': 'sales', 'kind': 'function'}, 'op').count(0.0)\n"
        "tallies.close()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert calls(tmp_path) == {"op": 1}


def test_the_file_is_its_owners_and_has_the_facts_and_the_names(mapped, tmp_path):
    tallies = Tallies(made(tmp_path))
    tally_of(tallies, "a").count(0.0)
    tally_of(tallies, 'b "ü"\n').count(0.0)
    folder = tmp_path / "counts"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    ((facts, found),) = reading.processes(tmp_path)
    assert (facts["pid"], facts["release"]) == (os.getpid(), "1")
    assert set(found) == {("m", "a"), ("m", 'b "ü"\n')}
    assert {path.suffix for path in folder.iterdir()} == {".counts", ".names"}


def test_a_file_grows(mapped, tmp_path):
    tallies = Tallies(made(tmp_path))
    for number in range(1000):
        for _ in range(number % 3 + 1):
            tally_of(tallies, str(number)).count(0.0)
    tallies.close()
    assert calls(tmp_path) == {str(number): number % 3 + 1 for number in range(1000)}
    (file,) = (tmp_path / "counts").glob("*.counts")
    assert file.stat().st_blocks * 512 >= 1000 * layout.ROW  # no holes that a full disk could not fill


def test_operations_beyond_the_most_share_a_row(mapped, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MOST_ROWS", 5)
    tallies = Tallies(made(tmp_path))
    for number in range(50):
        tally_of(tallies, str(number)).count(0.0)
    tallies.close()
    assert calls(tmp_path) == {"0": 1, "1": 1, "2": 1, "3": 1, "(others)": 46}


def test_too_many_facts_are_left_out(mapped, tmp_path):
    store = Store(lambda: str(tmp_path), lambda: {"pid": 5, "born": 6, "release": "x" * 5000})
    tally_of(Tallies(store)).count(0.0)
    ((facts, _),) = reading.processes(tmp_path)
    assert facts == {"pid": 5, "born": 6}


@pytest.mark.parametrize("what", ["open", "pwrite"])
def test_a_disk_that_fails_costs_nothing_but_the_file_and_is_tried_again(tmp_path, monkeypatch, what):
    failed = []
    clock = FakeClock()
    tallies = Tallies(made(tmp_path, failed=failed.append, clock=clock), clock=clock)
    real = getattr(os, what)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if what == "pwrite" and not mapping.is_safe(str(tmp_path)):
        pytest.skip("nothing is mapped on this file system")
    monkeypatch.setattr(os, what, full)
    for _ in range(10):
        clock.work(1.0)
        tally_of(tallies).count(clock.now - 1)
    assert len(failed) == 1
    assert "No space left" in failed[0]
    monkeypatch.setattr(os, what, real)
    assert not list(tmp_path.glob("counts/*.*s"))
    clock.work(61.0)
    tally_of(tallies).count(clock.now - 1)
    assert calls(tmp_path) == {"op": 11}


def test_a_forked_child_has_a_file_of_its_own(mapped, tmp_path):
    tallies = Tallies(made(tmp_path))
    tally_of(tallies).count(0.0)
    pid = os.fork()
    if not pid:
        try:
            tallies.after_fork()
            for _ in range(3):
                tally_of(tallies).count(0.0)
            tallies.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    tallies.close()
    assert sorted(counts["m", "op"].calls for _, counts in reading.processes(tmp_path)) == [1, 3]


def test_a_fork_that_called_no_hook_is_noticed(mapped, tmp_path):
    clock = FakeClock()
    tallies = Tallies(made(tmp_path, clock=clock), clock=clock)
    tally_of(tallies).count(0.0)
    tallies.pid -= 1  # as in a child of C code
    clock.work(2.0)
    tally_of(tallies).count(0.0)
    tally_of(tallies).count(0.0)
    tallies.close()
    assert [counts["m", "op"].calls for _, counts in reading.processes(tmp_path)] == [1, 2]


def test_another_users_folder_gets_a_file_of_its_own_and_the_first_one_is_used_again(mapped, tmp_path):
    clock = FakeClock()
    current = [tmp_path / "one"]
    tallies = Tallies(Store(lambda: str(current[0]), dict, clock=clock), clock=clock)
    for folder in ("one", "two", "one", "two"):
        current[0] = tmp_path / folder
        tallies.due = 0.0
        tallies.look(clock.now)
        for _ in range(5):
            tally_of(tallies).count(0.0)
    tallies.close()
    current[0] = tmp_path / "one"
    tallies.look(clock.now)
    assert calls(tmp_path / "one") == {"op": 10}
    assert calls(tmp_path / "two") == {"op": 10}


def test_where_somebody_removes_the_folder_counting_goes_on_in_a_new_one(mapped, tmp_path):
    clock = FakeClock()
    tallies = Tallies(made(tmp_path), clock=clock)
    for _ in range(3):
        tally_of(tallies).count(0.0)
    tallies.look(clock.now)
    (tmp_path / "counts").rename(tmp_path / "gone")
    tallies.due = 0.0
    tallies.look(clock.now)
    for _ in range(2):
        tally_of(tallies).count(0.0)
    tallies.close()
    assert calls(tmp_path) == {"op": 2}


def test_threads_that_begin_at_once_lose_nothing(mapped, tmp_path):
    clock = FakeClock()
    tallies = Tallies(made(tmp_path), clock=clock)
    start = threading.Barrier(8)

    def work():
        start.wait()
        for number in range(200):
            tally_of(tallies, str(number % 50)).count(0.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tallies.close()
    assert calls(tmp_path) == {str(number): 32 for number in range(50)}


def test_a_row_that_another_thread_was_in_the_way_of_is_made_by_that_thread(mapped, tmp_path, monkeypatch):
    clock = FakeClock()
    tallies = Tallies(made(tmp_path, clock=clock), clock=clock)
    tallies.due = clock.now + 1.0  # not looked at before
    real = CountsFile.row
    in_the_way = []

    def row(file, names):
        if not in_the_way:
            in_the_way.append(names)
            thread = threading.Thread(target=tally_of(tallies, "other", "n").count, args=(clock.now,))
            thread.start()
            thread.join()
        return real(file, names)

    monkeypatch.setattr(CountsFile, "row", row)
    tally_of(tallies).count(clock.now)
    assert all(tally.attached for tally in tallies.all())
    assert not tallies.apart
    if not mapped:
        tallies.close()
    assert calls(tmp_path) == {"op": 1, "other": 1}


def test_old_files_of_ended_processes_are_removed_where_there_are_far_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MOST_FILES", 3)
    folder = tmp_path / "counts"
    folder.mkdir(mode=0o700)
    for started in range(6):
        for ending in (".counts", ".names"):
            (folder / f"99999999{started}-{started}{ending}").write_bytes(b"")
    (folder / f"{os.getpid()}-0.counts").write_bytes(b"")
    dropped = []
    tallies = Tallies(made(tmp_path, dropped=dropped.append))
    tally_of(tallies).count(0.0)
    left = {path.stem for path in folder.glob("*.counts") if path.stat().st_size == 0}
    assert left == {f"{os.getpid()}-0", "999999993-3", "999999994-4", "999999995-5"}
    assert dropped == [3]
    assert {path.stem for path in folder.glob("*.names") if path.stat().st_size == 0} == left - {f"{os.getpid()}-0"}
