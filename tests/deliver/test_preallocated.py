"""Files made ahead of the envelopes that fill them. Whatever is wrong with one, the envelope is kept all the same."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import Counts, Kit, Script, Time, envelope, python

from agent.deliver.quick import holding_gil, mounts, preallocated
from agent.deliver.quick.preallocated import KEPT, PreallocatedFiles
from agent.deliver.send.flush import flush
from agent.deliver.spool.names import owner_of

pytestmark = pytest.mark.skipif(not hasattr(os, "pwrite"), reason="none are made here")


@pytest.fixture(params=["direct", "os"], autouse=True)
def way(request, monkeypatch):
    """Both kinds of calls, wherever the tests' folders lie."""
    if request.param == "direct":
        monkeypatch.setattr(mounts, "is_local", lambda _: True)
    else:
        monkeypatch.setattr(holding_gil, "load", lambda _: None)


def equipped(kit, **options):
    spool = kit.spool(**options)
    spool.write(envelope())
    spool.remove(spool.entries()[0])
    spool.equip()
    spool.refill()
    return spool


def paths(kit):
    return [os.path.join(kit.directory, "tmp", name) for name in kit.files("tmp")]


def interrupt(monkeypatch, spool, name, do):
    """`do`, once, where a write calls this one."""
    calls = spool.quick.gil_holding or os
    real = getattr(calls, name)
    once = []

    def interrupted(*arguments, **more):
        if not once:
            once.append(None)
            do()
        return real(*arguments, **more)

    monkeypatch.setattr(calls, name, interrupted)


# ----------------------------------------------------------------------------------------------------------- their life


def test_an_envelope_becomes_one_of_them(kit):
    spool = equipped(kit)
    assert len(kit.files("tmp")) == KEPT
    made = {os.stat(path).st_ino for path in paths(kit)}
    one = envelope()
    assert spool.write(one)
    assert len(kit.files("tmp")) == KEPT - 1
    (name,) = kit.files()
    facts = os.stat(os.path.join(kit.directory, "new", name))
    assert facts.st_ino in made
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert spool.read(spool.entries()[0]) == one


def test_they_are_empty_their_owners_alone_and_say_whose_they_are(kit):
    old = os.umask(0)
    try:
        equipped(kit)
    finally:
        os.umask(old)
    for path in paths(kit):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert os.stat(path).st_size == 0
        assert owner_of(os.path.basename(path)) == os.getpid()


def test_a_process_that_delivers_nothing_has_none(kit):
    spool = kit.spool()
    spool.refill()
    spool.write(envelope())
    spool.refill()
    assert kit.files("tmp") == []


def test_they_are_made_again_once_half_of_them_are_used_and_never_without_need(kit):
    spool = equipped(kit)
    first = kit.files("tmp")
    for _ in range(KEPT // 2 - 1):
        spool.write(envelope())
        spool.refill()
    assert set(kit.files("tmp")) < set(first)
    assert len(kit.files("tmp")) == KEPT // 2 + 1
    spool.write(envelope())
    spool.refill()
    assert len(kit.files("tmp")) == KEPT


def test_what_is_held_back_becomes_one_of_them_too(kit):
    spool = equipped(kit)
    made = {os.stat(path).st_ino for path in paths(kit)}
    one = envelope()
    assert spool.write(one, trying=True)
    (entry,) = spool.entries()
    assert entry.held
    assert spool.number_waiting() == 0
    assert os.stat(os.path.join(kit.directory, "held", entry.name)).st_ino in made
    assert spool.release(entry)
    assert kit.ids() == [one.event_id]


def test_more_at_once_than_lie_ready(kit):
    spool = equipped(kit)
    many = [envelope() for _ in range(3 * KEPT)]
    assert all(spool.write(one) for one in many)
    assert [spool.read(entry) for entry in spool.entries()] == many
    assert kit.files("tmp") == []


def test_preallocated_files_are_not_listed_as_envelopes(kit):
    spool = equipped(kit, max_files=KEPT // 2)
    spool.write(envelope())
    spool.sweep()
    assert (len(spool.entries()), spool.number_waiting(), spool.quarantined()) == (1, 1, [])
    assert kit.counts.all == {}


def test_the_end_of_the_process_removes_them(kit):
    spool = equipped(kit)
    spool.abandon()
    assert kit.files("tmp") == []
    spool.refill()
    assert kit.files("tmp") == []
    assert spool.write(envelope())


def test_a_disk_that_takes_nothing_gets_none(kit, monkeypatch):
    spool = equipped(kit)
    for path in paths(kit):
        os.unlink(path)
    for _ in range(KEPT):
        spool.write(envelope())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(preallocated.files, "write_new", full)
    spool.refill()
    assert kit.files("tmp") == []
    assert not spool.write(envelope())
    assert "No space left" in spool.degraded


def test_a_sweep_finds_those_of_the_dead_and_leaves_those_of_the_living(kit, clock):
    equipped(kit)
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = f"{int(done.stdout)}-abcdef-0.spare"
    foreign = ("x-abcdef-0.spare", "99999999999999999999-abcdef-0.spare")
    for name in (dead, *foreign):
        with open(os.path.join(kit.directory, "tmp", name), "wb"):
            pass
    for path in paths(kit):
        os.utime(path, (clock.now - 7200,) * 2)
    kit.spool().sweep()
    assert len(kit.files("tmp")) == KEPT
    assert all(owner_of(name) == os.getpid() for name in kit.files("tmp"))
    clock.now += 86400  # by now the process of that number may be another one
    kit.spool().sweep()
    assert kit.files("tmp") == []


# ------------------------------------------------------------------------------------------------- when one is not right


def gone(path, tmp_path):
    os.unlink(path)


def not_empty(path, tmp_path):
    with open(path, "wb") as file:
        file.write(b"somebody's" * 1000)


def link(path, tmp_path):
    os.unlink(path)
    os.symlink(tmp_path / "elsewhere", path)


def link_to_nowhere(path, tmp_path):
    os.unlink(path)
    os.symlink(tmp_path / "nowhere", path)


def folder(path, tmp_path):
    os.unlink(path)
    os.mkdir(path)


def pipe(path, tmp_path):
    os.unlink(path)
    os.mkfifo(path)


def pipe_that_is_read(path, tmp_path):
    pipe(path, tmp_path)
    _open.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


_open: list[int] = []


@pytest.mark.parametrize("trouble", [gone, not_empty, link, link_to_nowhere, folder, pipe, pipe_that_is_read])
def test_the_envelope_gets_a_file_of_its_own(kit, tmp_path, trouble):
    (tmp_path / "elsewhere").write_bytes(b"")
    spool = equipped(kit)
    for path in paths(kit):
        trouble(path, tmp_path)
    one = envelope()
    assert spool.write(one)
    assert [spool.read(entry) for entry in spool.entries()] == [one]
    assert (tmp_path / "elsewhere").read_bytes() == b""
    assert not (tmp_path / "nowhere").exists()
    assert kit.counts.all == {}
    while _open:
        os.close(_open.pop())


def test_a_state_folder_that_is_cleared_is_made_again(kit):
    spool = equipped(kit)
    shutil.rmtree(os.path.dirname(kit.directory))
    many = [envelope() for _ in range(KEPT + 2)]
    assert all(spool.write(one) for one in many)
    assert len(kit.files()) == len(many)
    spool.refill()
    assert len(kit.files("tmp")) == KEPT


@pytest.mark.parametrize("where", ["lseek", "pwrite", "close", "rename"])
def test_one_that_is_removed_while_it_is_filled(kit, monkeypatch, where):
    spool = equipped(kit)
    interrupt(monkeypatch, spool, where, lambda: [os.unlink(path) for path in paths(kit)])
    one = envelope()
    assert spool.write(one)
    assert [spool.read(entry) for entry in spool.entries()] == [one]


# --------------------------------------------------------------------------------------------------- forks and interruptions


@pytest.mark.parametrize("where", ["open", "lseek", "pwrite", "close", "rename"])
@pytest.mark.parametrize("first", ["the parent", "the child"])
def test_a_fork_in_the_middle_of_a_write_gives_no_torn_envelope(kit, monkeypatch, where, first):
    spool = equipped(kit)
    children = []
    go = os.pipe()

    def fork():
        child = os.fork()
        if child:
            children.append(child)
            if first == "the child":
                os.waitpid(children.pop(), 0)
        elif first == "the parent":
            os.close(go[1])
            os.read(go[0], 1)

    interrupt(monkeypatch, spool, where, fork)
    one = envelope(size=3000)
    here = os.getpid()
    kept = spool.write(one)
    if os.getpid() != here:
        os._exit(0 if kept else 1)
    assert kept
    if children:
        os.write(go[1], b"x")
        assert os.waitpid(children.pop(), 0)[1] == 0
    for end in go:
        os.close(end)
    assert [spool.read(entry) for entry in spool.entries()] == [one]  # under one name, so that nothing comes twice
    assert kit.files("quarantine") == []


def test_a_child_has_none_of_its_parents_and_does_not_touch_them(kit):
    spool = equipped(kit)
    before = kit.files("tmp")
    child = os.fork()
    if not child:
        kept = spool.write(envelope())
        spool.abandon()
        os._exit(0 if kept else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert kit.files("tmp") == before
    assert len(kit.files()) == 1


def test_a_copy_of_the_list_in_a_child_gives_none(tmp_path):
    ready = PreallocatedFiles(str(tmp_path), os.getpid() + 1, "abcdef")
    ready.refill()
    assert ready.take() is None


def test_a_write_inside_a_write(kit, monkeypatch):
    spool = equipped(kit)
    inner, outer = envelope(), envelope()
    for where in ("open", "lseek", "pwrite", "close", "rename"):
        with monkeypatch.context() as patch:
            interrupt(patch, spool, where, lambda: spool.write(inner))
            assert spool.write(outer)
        found = {spool.read(entry) for entry in spool.entries()}
        assert found == {inner, outer}
        for entry in spool.entries():
            spool.remove(entry)


def test_a_signal_handler_that_writes_during_a_write(kit):
    spool = equipped(kit)
    wrote, inside = [], []

    def handler(*_):
        if len(inside) > 3:
            return  # a busy machine: signals come faster than they are dealt with
        inside.append(1)
        one = envelope()
        wrote.append(one)
        spool.write(one)
        inside.pop()

    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        while len(wrote) < 100:
            spool.write(envelope(size=3000))
            spool.refill()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    kept = {entry.event_id: spool.read(entry) for entry in spool.entries()}
    assert [kept[one.event_id] for one in wrote] == wrote


def test_many_threads_and_one_that_refills(kit):
    spool = equipped(kit)
    written: list = []
    over = threading.Event()

    def write():
        for _ in range(60):
            one = envelope(size=500)
            if spool.write(one):
                written.append(one)

    def refill():
        while not over.is_set():
            spool.refill()

    threads = [threading.Thread(target=write) for _ in range(6)]
    helper = threading.Thread(target=refill)
    for each in (*threads, helper):
        each.start()
    for each in threads:
        each.join()
    over.set()
    helper.join()
    kept = {entry.event_id: spool.read(entry) for entry in spool.entries()}
    assert len(written) == 360
    assert kept == {one.event_id: one for one in written}


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["write", "write", "write", "refill", "sweep", "clear tmp", "clear", "deliver", "fork"]),
        st.tuples(st.sampled_from([gone, not_empty, link, folder, pipe]), st.integers(0, KEPT - 1)),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_whatever_befalls_them_what_was_kept_is_there(tmp_path_factory, steps):
    place = tmp_path_factory.mktemp("preallocated")
    kit = Kit(place / "state" / "spool", Counts(), Time())
    spool = equipped(kit)
    expected = {}
    for step in steps:
        if step == "write":
            one = envelope()
            assert spool.write(one)
            expected[one.event_id] = one
        elif step == "refill":
            spool.refill()
        elif step == "sweep":
            spool.sweep()
        elif step == "clear tmp":
            for path in paths(kit):
                os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        elif step == "clear":
            shutil.rmtree(kit.directory, ignore_errors=True)
            expected.clear()
        elif step == "fork":
            spool._current = spool._process_of(os.getpid())  # as in a child, which then has a thread of its own
            spool.equip()
        elif step == "deliver":
            assert flush(kit.resources(spool, Script()), 5).waiting == 0
            expected.clear()
        else:
            trouble, number = step
            for path in paths(kit)[number : number + 1]:
                if os.path.isfile(path) and not os.path.islink(path):
                    trouble(path, place)
        found = {entry.event_id: spool.read(entry) for entry in spool.entries()}
        assert found == expected
    assert kit.files("quarantine") == []
    assert kit.counts.of("kept-in-memory") == 0


# -------------------------------------------------------------------------------------------------------- with its thread

HOST = """
import os, sys, time
from agent.deliver.send.flush import flush
from agent.deliver.send.resources import to_sentry
from agent.deliver.background.sender import Sender
from agent.deliver.spool.spool import Spool
from kit import Counts, envelope
spool = Spool(sys.argv[1], max_size=1 << 28, max_age=1e6, durable=False, count=Counts())
sender = Sender(to_sentry(spool, sys.argv[2], Counts()))
def event():
    assert spool.write(envelope())
    sender.wake()
def files(folder):
    return len(os.listdir(os.path.join(sys.argv[1], folder)))
"""


def test_the_thread_that_delivers_makes_them_and_the_end_of_the_process_removes_them(kit, receiver):
    code = """
event()
while files("tmp") < 16 or files("new"):
    time.sleep(0.005)
assert "ctypes" in sys.modules
event()
assert spool._current.preallocated is not None and len(spool._current.preallocated) < 16
sender.close(10)
"""
    process = python(HOST + code, kit.directory, receiver.dsn)
    assert process.wait(60) == 0
    assert len(receiver.wait_for(2)) == 2
    assert kit.files("tmp") == []


def test_a_command_that_ends_at_once_makes_none(kit, receiver):
    code = "sender._grace = 30.0; event(); sender.close(10); assert 'ctypes' not in sys.modules"
    process = python(HOST + code, kit.directory, receiver.dsn)
    assert process.wait(60) == 0
    assert len(receiver.wait_for(1)) == 1
    assert kit.files("tmp") == []


def test_what_a_killed_process_leaves_goes_with_the_next_sweep(kit, receiver):
    code = """
event()
while files("tmp") < 16:
    time.sleep(0.005)
os.kill(os.getpid(), 9)
"""
    process = python(HOST + code, kit.directory, receiver.dsn)
    assert process.wait(60) == -signal.SIGKILL
    assert len(kit.files("tmp")) == 16
    kit.spool().sweep()
    assert kit.files("tmp") == []
