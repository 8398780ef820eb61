"""Calls that keep the interpreter: they do and raise what those of `os` do, and are made only where that is right."""

from __future__ import annotations

import builtins
import errno
import itertools
import os
import platform
import sys
import threading

import pytest
from kit import Time, envelope

from agent.deliver.quick import holding_gil, switch_interval
from agent.deliver.quick.calls import QuickCalls
from agent.deliver.quick.holding_gil import GilHoldingCalls
from agent.measure import mounts

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="never loaded here"
)

WRITE, READ = os.O_WRONLY, os.O_RDONLY


@pytest.fixture(autouse=True)
def local(monkeypatch):
    monkeypatch.setattr(mounts, "is_local", lambda _: True)


@pytest.fixture
def calls(tmp_path):
    loaded = holding_gil.load(str(tmp_path))
    assert loaded is not None
    return loaded


class Library:
    """The real functions; those named fail, or do less, as often as is said."""

    def __init__(self, real: GilHoldingCalls, **steps) -> None:
        self._real = real.library
        self._steps = {name: list(each) for name, each in steps.items()}
        self.called: list[str] = []

    def __getattr__(self, name):
        def function(*arguments):
            self.called.append(name)
            steps = self._steps.get(name)
            if not steps:
                return getattr(self._real, name)(*arguments)
            return steps.pop(0)(getattr(self._real, name), *arguments)

        return function


def failing(number):
    import ctypes

    def step(real, *arguments):
        ctypes.set_errno(number)
        return -1

    return step


def short(real, descriptor, data, size, *offset):
    return real(descriptor, data, min(size, 7), *offset)


def with_steps(calls, tick=None, **steps) -> GilHoldingCalls:
    return GilHoldingCalls(
        Library(calls, **steps), calls.get_errno, calls.set_errno, **({"tick": tick} if tick else {})
    )


# --------------------------------------------------------------------------------------------------- the same as `os`


def into_folder(calls, folder):
    return calls.open(folder, WRITE, 0)


def on_missing(calls, folder):
    return calls.open(folder + "/none/at all", WRITE, 0)


def on_link(calls, folder):
    os.symlink("/etc/passwd", folder + "/link") if not os.path.lexists(folder + "/link") else None
    return calls.open(folder + "/link", WRITE | os.O_NOFOLLOW, 0)


def on_taken(calls, folder):
    return calls.open(folder + "/file", WRITE | os.O_CREAT | os.O_EXCL, 0o600)


def on_long_name(calls, folder):
    return calls.open(folder + "/" + "x" * 300, WRITE | os.O_CREAT, 0o600)


def on_odd_name(calls, folder):
    return calls.open(folder + "/\udcff\udc80é", WRITE, 0)


def on_pipe(calls, folder):
    if not os.path.exists(folder + "/pipe"):
        os.mkfifo(folder + "/pipe")
    return calls.open(folder + "/pipe", WRITE | os.O_NONBLOCK, 0)


def writing_to_no_descriptor(calls, folder):
    return calls.write(12345, b"x")


def writing_to_one_for_reading(calls, folder):
    descriptor = os.open(folder + "/file", READ)
    try:
        return calls.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def writing_to_a_full_disk(calls, folder):
    descriptor = os.open("/dev/full", WRITE)
    try:
        return calls.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def seeking_in_a_pipe(calls, folder):
    ends = os.pipe()
    try:
        return calls.lseek(ends[1], 0, os.SEEK_END)
    finally:
        for end in ends:
            os.close(end)


def closing_twice(calls, folder):
    return calls.close(12345)


def renaming_nothing(calls, folder):
    return calls.rename(folder + "/none", folder + "/other")


def renaming_onto_a_folder(calls, folder):
    return calls.rename(folder + "/file", folder)


def renaming_across_disks(calls, folder):
    return calls.rename(folder + "/file", "/proc/file")


@pytest.mark.parametrize(
    "do",
    [into_folder, on_missing, on_link, on_taken, on_long_name, on_odd_name, on_pipe, writing_to_no_descriptor,
     writing_to_one_for_reading, writing_to_a_full_disk, seeking_in_a_pipe, closing_twice, renaming_nothing,
     renaming_onto_a_folder, renaming_across_disks],
)  # fmt: skip
def test_the_same_errors(calls, tmp_path, do):
    (tmp_path / "file").write_bytes(b"")
    raised = []
    for each in (os, calls):
        with pytest.raises(OSError) as caught:
            do(each, str(tmp_path))
        raised.append(caught.value)
    theirs, ours = raised
    assert type(ours) is type(theirs)
    for fact in ("errno", "strerror", "filename", "filename2"):
        assert getattr(ours, fact) == getattr(theirs, fact), fact


def test_the_same_files(calls, tmp_path):
    old = os.umask(0)
    try:
        for name, each in (("theirs", os), ("ours", calls)):
            path = str(tmp_path / name)
            descriptor = each.open(path, WRITE | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            assert each.write(descriptor, b"a\0b") == 3
            assert each.lseek(descriptor, 0, os.SEEK_END) == 3
            assert not os.get_inheritable(descriptor)
            each.close(descriptor)
            each.rename(path, path + "é\udcff")
    finally:
        os.umask(old)
    theirs, ours = (tmp_path / f"{name}é\udcff" for name in ("theirs", "ours"))
    assert ours.read_bytes() == theirs.read_bytes() == b"a\0b"
    assert ours.stat().st_mode == theirs.stat().st_mode


def test_an_interrupted_call_is_made_again_but_nothing_is_closed_twice(calls, tmp_path):
    again = failing(errno.EINTR)
    steps = {name: [again, again] for name in ("open", "write", "lseek", "rename")}
    each = with_steps(calls, close=[again], **steps)
    path = str(tmp_path / "file")
    descriptor = each.open(path, WRITE | os.O_CREAT, 0o600)
    assert each.write(descriptor, b"ab") == 2
    assert each.lseek(descriptor, 0, os.SEEK_END) == 2
    each.close(descriptor)
    each.rename(path, path + "2")
    assert (tmp_path / "file2").read_bytes() == b"ab"
    assert each.library.called.count("close") == 1
    os.close(descriptor)  # the step only said that it was interrupted


def test_the_hosts_own_errno_of_ctypes_stays(calls, tmp_path):
    import ctypes

    ctypes.set_errno(77)
    with pytest.raises(FileNotFoundError):
        calls.open(str(tmp_path / "none"), WRITE, 0)
    calls.close(calls.open(str(tmp_path / "file"), WRITE | os.O_CREAT, 0o600))
    assert ctypes.get_errno() == 77


def test_the_interpreter_is_kept(calls):
    import ctypes

    assert isinstance(calls.library, ctypes.PyDLL)  # whose functions are called without releasing it


# ------------------------------------------------------------------------------------------------- only where it is right


def test_not_on_file_systems_that_wait_for_others(monkeypatch, tmp_path):
    monkeypatch.setattr(mounts, "is_local", lambda _: False)
    assert holding_gil.load(str(tmp_path)) is None


@pytest.mark.parametrize("error", [ImportError, MemoryError, OSError, RuntimeError])
def test_not_where_ctypes_is_missing_or_forbidden(monkeypatch, tmp_path, error):
    real = builtins.__import__

    def refuse(name, *arguments):
        if name == "ctypes":
            raise error("no")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert holding_gil.load(str(tmp_path)) is None


def test_not_on_untested_machines(monkeypatch, tmp_path):
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: type(real)((*real[:4], "ppc64le")))
    assert holding_gil.load(str(tmp_path)) is None


def test_not_for_a_large_envelope(calls):
    assert calls.begin(256 << 10) is not None
    assert calls.begin((256 << 10) + 1) is None


class Watch(Time):
    """Each call takes as long as is said."""

    takes = 0.0

    def call(self, real, *arguments):
        self.now += self.takes
        return 0


@pytest.fixture
def watch():
    return Watch(1000.0)


def passing(calls, watch, *seconds):
    """Whether each of several writes, that take so long, is made this way."""
    made = []
    for each in seconds:
        began = calls.begin(100)
        made.append(began is not None)
        if began is not None:
            watch.takes = each
            calls.lseek(0, 0, 0)
            calls.end(began)
    return made


def test_a_disk_that_stalls_is_left_alone_for_a_minute(calls, watch):
    each = with_steps(calls, tick=watch, lseek=[watch.call] * 20)
    assert passing(each, watch, 0.001, 0.051, 0.001, 0.001) == [True, True, False, False]
    watch.now += 59.9
    assert passing(each, watch, 0.001) == [False]
    watch.now += 0.2
    assert passing(each, watch, 0.001, 2.0, 0.001) == [True, True, False]


def test_a_disk_that_is_slow_again_and_again_is_left_alone_too(calls, watch):
    each = with_steps(calls, tick=watch, lseek=[watch.call] * 20)
    # Twice in a row it may have been another thread's turn.
    assert passing(each, watch, 0.006, 0.02, 0.001, 0.006, 0.049, 0.001) == [True] * 6
    assert passing(each, watch, 0.006, 0.006, 0.006, 0.001) == [True, True, True, False]


def test_the_turn_of_another_thread_between_two_calls_is_not_the_disks_time(calls, watch):
    each = with_steps(calls, tick=watch, lseek=[watch.call] * 20)
    for _ in range(5):
        began = each.begin(100)
        each.lseek(0, 0, 0)
        watch.now += 30.0
        each.lseek(0, 0, 0)
        each.end(began)
    assert each.begin(100) is not None


def test_no_thread_has_its_turn_between_the_two_looks_at_the_clock(calls):
    """Here the clock is a number that each look at it moves on by one, and other threads look at it all the time."""
    number = itertools.count()
    each = GilHoldingCalls(calls.library, calls.get_errno, calls.set_errno, number.__next__)
    over = []

    def look():
        while not over:
            next(number)

    threads = [threading.Thread(target=look) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    descriptor = os.open(os.devnull, WRITE)
    try:
        for _ in range(2000):
            each.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        over.append(True)
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
        os.close(descriptor)
    assert each.spent == 2000


# --------------------------------------------------------------------------------------------------------- in the spool


@pytest.fixture
def spool(kit):
    spool = kit.spool()
    spool.write(envelope())
    spool.quick.load(kit.directory)
    for entry in spool.entries():
        spool.remove(entry)
    return spool


def beside_threads(spool, monkeypatch):
    """The same, where each write waits for other threads."""
    monkeypatch.setattr(switch_interval, "other_threads", lambda: 1)
    spool.quick = QuickCalls(lambda: None, itertools.count().__next__)
    return spool


def use(spool, **steps):
    spool.quick.gil_holding = with_steps(spool.quick.gil_holding, **steps)
    return spool.quick.gil_holding


def test_an_envelope_is_written_by_four_calls(spool, kit):
    each = use(spool)
    one = envelope()
    assert spool.write(one)
    assert each.library.called == ["open", "write", "close", "rename"]
    (entry,) = spool.entries()
    assert spool.read(entry) == one


def test_a_write_that_does_less_is_gone_on_with(spool, kit):
    use(spool, write=[short] * 5)
    one = envelope(size=3000)
    assert spool.write(one)
    assert spool.read(spool.entries()[0]) == one


@pytest.mark.parametrize("name", ["open", "write", "close", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOENT])
def test_whatever_call_fails_once_the_next_write_takes_the_envelope_along(spool, kit, name, number):
    use(spool, **{name: [failing(number)]})
    many = [envelope(), envelope()]
    assert spool.write(many[0]) is (number == errno.ENOENT)  # then the folders are made again, and it is tried again
    assert spool.write(many[1])
    assert {spool.read(entry) for entry in spool.entries()} == set(many)
    assert sorted(kit.ids()) == sorted(one.event_id for one in many)
    assert kit.files("tmp") == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_takes_nothing_more_degrades_to_memory(spool, kit, number):
    broken = [failing(number)] * 3
    use(spool, write=list(broken))
    ids = []
    for _ in range(2):
        one = envelope()
        ids.append(one.event_id)
        assert not spool.write(one)
    assert os.strerror(number) in spool.degraded
    assert kit.files() == []
    assert kit.files("tmp") == []
    assert [entry.event_id for entry in spool.entries()] == ids
    assert kit.counts.of("kept-in-memory") == 2
    third = envelope()
    spool.quick.gil_holding = None
    assert spool.write(third)  # and takes what waited along
    assert sorted(kit.ids()) == sorted([*ids, third.event_id])


def test_a_slow_disk_is_written_to_by_the_calls_of_os(spool, kit, watch):
    def slow(real, *arguments):
        watch.now += 1.0
        return real(*arguments)

    each = use(spool, tick=watch, rename=[slow])
    spool.write(envelope())
    called = len(each.library.called)
    assert spool.write(envelope())
    assert len(each.library.called) == called
    assert len(kit.files()) == 2
    assert kit.counts.all == {("slow-disk", "spool"): 1}


@pytest.mark.parametrize(
    ("threads", "took", "loaded"),
    [(0, 0.1, False), (1, 0.0001, False), (1, 0.001, True)],
    ids=["the host has no threads", "no write has waited", "a write has waited for another thread"],
)
def test_it_is_loaded_only_once_a_write_has_waited_for_another_thread(kit, watch, monkeypatch, threads, took, loaded):
    monkeypatch.setattr(switch_interval, "other_threads", lambda: threads)
    rename = os.rename

    def slow(*paths, **more):
        watch.now += took
        return rename(*paths, **more)

    monkeypatch.setattr(os, "rename", slow)
    spool = kit.spool()
    spool.quick = QuickCalls(lambda: None, watch)
    for _ in range(3):
        assert spool.write(envelope())
    assert (spool.quick.gil_holding is not None) is loaded


def test_what_cannot_be_loaded_is_not_tried_again(kit, watch, monkeypatch):
    tried = []
    monkeypatch.setattr(holding_gil, "load", tried.append)
    quick = QuickCalls(lambda: None, watch)
    monkeypatch.setattr(switch_interval, "other_threads", lambda: 1)

    def slow(_):
        watch.now += 1.0

    quick.run(1, slow)
    assert quick.worth_loading
    quick.load("")
    quick.run(1, slow)
    assert not quick.worth_loading
    assert tried == [""]


def test_a_host_may_forbid_it(kit, monkeypatch):
    spool = beside_threads(kit.spool(keep_interpreter=False), monkeypatch)
    for _ in range(2):
        spool.write(envelope())
    assert spool.quick.gil_holding is None


def test_with_durable_the_calls_are_those_that_let_others_run(kit, monkeypatch):
    spool = beside_threads(kit.spool(durable=True), monkeypatch)
    for _ in range(2):
        spool.write(envelope())
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), real(descriptor)))
    assert spool.write(envelope())
    assert len(synced) == 2  # the file, and the folder that it is in now
    assert spool.quick.gil_holding is None
