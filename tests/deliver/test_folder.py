from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import stat
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit import ROOT, envelope, new_id

from agent.base import health
from agent.base.model import Envelope
from agent.cli.state.processes import read
from agent.deliver.spool.files import UnreadableError
from agent.deliver.spool.names import parse_name
from agent.deliver.spool.writing import WritingProcess


def test_what_is_written_is_read_back(kit):
    spool = kit.spool()
    first = envelope()
    assert spool.write(first)
    (entry,) = spool.entries()
    assert (entry.event_id, entry.category, entry.pid, entry.slow) == (first.event_id, "error", os.getpid(), False)
    assert spool.read(entry) == first
    assert spool.remove(entry)
    assert not spool.remove(entry)
    assert spool.read(entry) is None
    assert kit.files("tmp") == []


def test_folders_and_files_are_the_owners_alone(kit):
    old = os.umask(0)
    try:
        kit.spool(durable=True).write(envelope())
    finally:
        os.umask(old)
    for path in (
        os.path.dirname(kit.directory),
        kit.directory,
        *(f"{kit.directory}/{f}" for f in ("new", "tmp", "quarantine")),
    ):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    (name,) = kit.files()
    assert stat.S_IMODE(os.stat(f"{kit.directory}/new/{name}").st_mode) == 0o600


def test_nothing_is_created_before_the_first_event(kit):
    spool = kit.spool()
    assert spool.entries() == []
    assert not os.path.exists(os.path.dirname(kit.directory))


def test_a_folder_that_others_could_read_is_closed_to_them(kit):
    os.makedirs(kit.directory, 0o777)
    os.chmod(kit.directory, 0o777)
    kit.spool().write(envelope())
    assert stat.S_IMODE(os.stat(kit.directory).st_mode) == 0o700


@pytest.mark.parametrize("which", ["", "/new", "/tmp"])
def test_a_symbolic_link_in_place_of_a_folder_is_refused(kit, tmp_path, which):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.makedirs(os.path.dirname(kit.directory + which))
    os.symlink(elsewhere, kit.directory + which)
    spool = kit.spool()
    assert not spool.write(envelope())
    assert "symbolic link" in spool.degraded
    assert os.listdir(elsewhere) == []
    assert len(spool.entries()) == 1  # in memory


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(kit):
    os.makedirs(kit.directory)
    os.chown(kit.directory, 12345, 12345)
    spool = kit.spool()
    assert not spool.write(envelope())
    assert "belongs to uid 12345" in spool.degraded
    assert kit.files() == []


def test_order_is_that_of_capture_even_when_the_clock_is_set_back(kit, clock):
    spool = kit.spool()
    ids = [new_id() for _ in range(6)]
    for number, event_id in enumerate(ids):
        spool.write(envelope(event_id))
        clock.now += (1, -30, 0, 0, 1)[number % 5]
    assert [entry.event_id for entry in spool.entries()] == ids
    assert kit.counts.all == {}


def test_a_process_that_starts_after_the_clock_was_set_back_overwrites_nothing(kit, clock):
    ids = set()
    for _ in range(3):
        one = envelope()
        ids.add(one.event_id)
        kit.spool().write(one)
        kit.spool().write(one)  # the same envelope twice, too
    assert set(kit.ids()) == ids
    assert len(kit.files()) == 6


@pytest.mark.parametrize("event_id", ["", "../../etc/passwd", "x" * 500, "é" * 32, "-" * 32])
@pytest.mark.parametrize("category", ["error", "", "../x", "a-b.c", "é", "x" * 300])
def test_names_are_safe_whatever_the_envelope_contains(kit, event_id, category):
    spool = kit.spool()
    assert spool.write(Envelope(event_id, category, b'{}\n{"type":"event"}\n{}'))
    (entry,) = spool.entries()
    assert spool.read(entry).data == b'{}\n{"type":"event"}\n{}'


def test_a_spool_that_is_no_folder_degrades_to_memory_and_recovers(kit):
    os.makedirs(os.path.dirname(kit.directory))
    with open(kit.directory, "w"):
        pass
    spool = kit.spool()
    assert spool.degraded is None
    first, second, third = (envelope() for _ in range(3))
    assert not spool.write(first)
    assert not spool.write(second)
    assert "is not a folder" in spool.degraded
    assert [spool.read(entry) for entry in spool.entries()] == [first, second]
    assert kit.counts.all == {("kept-in-memory", "error"): 2}
    os.unlink(kit.directory)
    assert spool.write(third)
    assert spool.degraded is None
    assert kit.ids() == [each.event_id for each in (first, second, third)]
    assert all(entry.data is None for entry in spool.entries())


def test_another_process_may_make_the_folders_at_the_same_moment(kit, monkeypatch):
    """Just after we have seen that a folder is missing, it is there."""
    made = []
    mkdir = os.mkdir

    def raced(path, mode=0o777):
        if os.path.dirname(path) not in made and not os.path.exists(os.path.dirname(path)):
            raise FileNotFoundError(2, "missing", path)
        if path not in made:
            made.append(path)
            mkdir(path, mode)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", raced)
    spool = kit.spool()
    assert spool.write(envelope()), spool.degraded


@pytest.mark.parametrize("directory", ["/proc/nowhere/spool", "/dev/null/spool"])
def test_a_place_that_cannot_exist_degrades_to_memory(kit, directory):
    kit.directory = directory
    spool = kit.spool()
    assert not spool.write(envelope())
    assert spool.degraded
    assert len(spool.entries()) == 1
    spool.abandon()
    assert kit.counts.of("lost-at-exit") == 1


def test_memory_is_bounded_and_gives_up_the_light_ones_first(kit):
    kit.directory = "/proc/nowhere/spool"
    spool = kit.spool(max_memory=5_000)
    kept = envelope(size=1000)
    spool.write(kept)
    slow = envelope(size=1000)
    spool.write(slow, slow=True)
    for _ in range(3):
        spool.write(envelope(category="transaction", size=1000))
    last = envelope(size=2000)
    spool.write(last)
    assert [entry.event_id for entry in spool.entries()] == [kept.event_id, slow.event_id, last.event_id]
    assert kit.counts.all["memory-full", "transaction"] == 3
    spool.write(envelope(size=1500))
    assert kit.counts.all["memory-full", "error"] == 1
    assert slow.event_id not in [entry.event_id for entry in spool.entries()]


def test_the_number_in_memory_is_bounded_too(kit):
    kit.directory = "/proc/nowhere/spool"
    spool = kit.spool(max_kept=10)
    for _ in range(25):
        spool.write(envelope())
    assert len(spool.entries()) == 10
    assert kit.counts.of("memory-full") == 15


def test_a_state_folder_that_is_cleared_under_us_is_made_again(kit):
    import shutil

    spool = kit.spool()
    spool.write(envelope())
    shutil.rmtree(os.path.dirname(kit.directory))
    assert spool.write(envelope())
    assert len(kit.files()) == 1


def test_a_full_spool_gives_up_transactions_then_slow_calls_then_errors_oldest_first(kit):
    spool = kit.spool(max_files=1000)
    ids = {}
    for kind in ("error", "slow", "transaction", "session") * 3:
        each = envelope(category="error" if kind == "slow" else kind)
        ids.setdefault(kind, []).append(each.event_id)
        spool.write(each, slow=kind == "slow")

    def left(max_files):
        kit.spool(max_files=max_files).sweep()
        waiting = set(kit.ids())
        return {kind: [n for n, i in enumerate(ids[kind]) if i in waiting] for kind in ids}

    assert left(8) == {"error": [0, 1, 2], "slow": [0, 1, 2], "transaction": [2], "session": [2]}
    assert left(5) == {"error": [0, 1, 2], "slow": [1, 2], "transaction": [], "session": []}
    assert left(2) == {"error": [1, 2], "slow": [], "transaction": [], "session": []}
    assert kit.counts.of("spool-full") == 10
    assert kit.counts.all["spool-full", "session"] == 3


def test_the_size_is_held_while_writing_without_any_sender(kit):
    spool = kit.spool(max_size=200_000)
    for _ in range(400):
        spool.write(envelope(size=5000))
    size = sum(os.path.getsize(f"{kit.directory}/new/{name}") for name in kit.files())
    assert 195_000 < size <= 200_000
    assert kit.counts.of("spool-full") == 400 - len(kit.files())


def test_the_number_of_files_is_held_by_processes_that_write_one_each(kit, clock):
    for _ in range(300):
        clock.now += 1
        kit.spool(max_files=100).write(envelope(size=10))
    assert len(kit.files()) <= 161  # a sweep a minute


def test_what_is_too_old_goes_and_is_counted(kit, clock):
    spool = kit.spool(max_age=3600)
    spool.write(envelope())
    clock.now += 3000
    spool.write(envelope(category="transaction"))
    clock.now += 1000
    spool.sweep()
    assert kit.counts.all == {("too-old", "error"): 1}
    assert len(kit.files()) == 1


def test_an_envelope_larger_than_the_spool_is_counted(kit):
    assert not kit.spool(max_size=1000).write(envelope(size=2000))
    assert kit.counts.all == {("too-large", "error"): 1}


def test_leftovers_of_killed_writers_go_after_an_hour(kit, clock):
    spool = kit.spool()
    spool.write(envelope())
    for name, age in (("old", 4000), ("fresh", 3000)):
        with open(f"{kit.directory}/tmp/{name}", "w"):
            pass
        os.utime(f"{kit.directory}/tmp/{name}", (clock.now - age,) * 2)
    spool.sweep()
    assert kit.files("tmp") == ["fresh"]


def test_foreign_things_are_set_aside_and_stop_nothing(kit, tmp_path):
    spool = kit.spool()
    spool.write(envelope())
    new = f"{kit.directory}/new"
    with open(f"{new}/notes.txt", "w") as file:
        file.write("hello")
    os.mkdir(f"{new}/folder")
    os.symlink("/etc/passwd", f"{new}/link")
    os.mkfifo(f"{new}/pipe")
    with open(f"{kit.directory}/quarantine/notes.txt", "w"):
        pass
    assert len(spool.entries()) == 1
    spool.sweep()
    assert len(kit.files()) == 1
    aside = kit.files("quarantine")
    assert {"notes.txt", "notes.txt+", "folder", "link", "pipe"} <= set(aside)
    with open(f"{kit.directory}/quarantine/folder.txt") as file:
        assert file.read() == "not an envelope of this agent\n"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "torn", "empty", "headers only", "zeros"])
def test_what_has_our_name_but_is_no_envelope_is_unreadable(kit, kind):
    spool = kit.spool()
    spool.write(envelope())
    (entry,) = spool.entries()
    path = f"{kit.directory}/new/{entry.name}"
    with open(path, "rb") as file:
        data = file.read()
    os.unlink(path)
    if kind == "link":
        os.symlink("/etc/passwd", path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        os.mkdir(path)
    else:
        with open(path, "wb") as file:
            file.write({"torn": data[:-20], "empty": b"", "headers only": b"{}\n", "zeros": bytes(len(data))}[kind])
    with pytest.raises(UnreadableError):
        spool.read(entry)
    spool.quarantine(entry, "it is " + kind)
    assert spool.entries() == []
    assert spool.quarantined() == [(entry, "it is " + kind)]
    assert kit.counts.all == {("quarantined", "error"): 1}


def test_a_quarantined_envelope_can_be_released(kit):
    spool = kit.spool()
    one = envelope()
    spool.write(one)
    (entry,) = spool.entries()
    spool.quarantine(entry, "HTTP 413")
    assert spool.replay(entry)
    assert not spool.replay(entry)
    assert spool.read(spool.entries()[0]) == one
    assert kit.files("quarantine") == []


def test_quarantine_is_bounded_by_size_and_age(kit, clock):
    spool = kit.spool(max_size=100_000, max_age=1000)
    for _ in range(10):
        spool.write(envelope(size=5000))
        spool.quarantine(spool.entries()[0], "HTTP 400")
    spool.sweep()
    assert len(kit.ids("quarantine")) == 4
    assert kit.counts.of("spool-full") == 6
    assert len(kit.files("quarantine")) == 8
    clock.now += 2000
    spool.sweep()
    assert kit.files("quarantine") == []


def test_a_reason_is_there_before_what_it_explains_and_goes_when_there_is_nothing_to_explain(kit, clock, monkeypatch):
    spool = kit.spool()
    spool.write(envelope())
    (entry,) = spool.entries()
    rename = os.rename

    def killed(*paths):
        if "quarantine" in paths[1]:
            raise KeyboardInterrupt
        rename(*paths)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", killed)
        spool.quarantine(entry, "HTTP 413")
    assert kit.files("quarantine") == [entry.name + ".txt"]
    assert [each.name for each in spool.entries()] == [entry.name]
    os.utime(os.path.join(kit.directory, "quarantine", entry.name + ".txt"), (clock.now - 7200, clock.now - 7200))
    spool.sweep()
    assert kit.files("quarantine") == []


def test_a_child_forgets_what_its_parent_keeps_in_memory_and_names_apart(kit):
    kit.directory = "/proc/nowhere/spool"
    spool = kit.spool()
    spool.write(envelope())
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        before = len(spool.entries())
        spool.write(envelope())
        (entry,) = spool.entries()
        os.write(writer, f"{before} {entry.pid == os.getpid()}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"0 True"
    assert len(spool.entries()) == 1


def test_a_signal_handler_that_writes_during_a_write_does_not_hang(kit):
    spool = kit.spool(max_size=400_000)
    wrote, inside = [], []

    def handler(*_):
        if len(inside) > 5:
            return  # a busy machine: signals come faster than they are dealt with
        inside.append(1)
        one = envelope()
        wrote.append(one.event_id)
        spool.write(one)
        inside.pop()

    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        while len(wrote) < 200:
            spool.write(envelope(size=3000))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert wrote


def test_an_internal_error_never_reaches_the_host(kit, monkeypatch):
    from agent.base import guard

    monkeypatch.setattr(guard, "TESTING", False)
    monkeypatch.setattr(guard, "write_line", lambda line: None)
    spool = kit.spool()
    monkeypatch.setattr(WritingProcess, "name", lambda *_, **__: 1 / 0)
    assert spool.write(envelope()) is False
    assert any("writing an event to the spool" in text for text in guard.internal_errors)


def test_the_process_pays_only_for_light_modules():
    code = (
        "import sys, os; directory = sys.argv[1]\n"
        "from agent.deliver.spool.spool import Spool; from agent.deliver.background.sender import Sender\n"
        "from agent.deliver.send.resources import to_sentry\n"
        "from agent.base.model import Envelope\n"
        "s = Spool(directory, max_size=10**6, max_age=1e6, durable=False, count=print)\n"
        "assert s.write(Envelope('a' * 32, 'error', b'{}'))\n"
        "Sender(to_sentry(s, 'https://k@h/1', print))\n"
        "print(*sorted(sys.modules))\n"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        out = subprocess.run(
            [sys.executable, "-S", "-c", code, directory],
            env={"PYTHONPATH": ROOT},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split()
    heavy = {
        "threading",
        "logging",
        "ssl",
        "socket",
        "asyncio",
        "urllib3",
        "urllib.request",
        "json",
        "pathlib",
        "tempfile",
    }
    heavy |= {"uuid", "hashlib", "random", "email", "http", "sentry_sdk", "subprocess", "datetime", "fcntl"}
    assert heavy.isdisjoint(out)


def test_every_name_is_parsed_or_refused():
    good = "00001700000000000000-error.slow-123-abcdef000000-" + "a" * 32 + ".envelope"
    assert parse_name(good).slow
    for bad in (
        "",
        ".envelope",
        good[:-1],
        good[1:],
        good.replace("123", "x"),
        good.replace("a" * 32, "a"),
        "é" + good[1:],
        good.replace("123", "9" * 23),
        good.replace("123", "0"),
        good.replace("123", "\N{SUPERSCRIPT TWO}"),
        good.replace("error", "er\0ror"),
        good.replace("error", "er/ror"),
        good.replace("error", "er\x1b[31mror"),
        good.replace("abcdef", "abc\ndef"),
    ):
        assert parse_name(bad) is None


_PARTS = st.one_of(
    st.sampled_from(
        ["0" * 20, "9" * 20, "error", "error.trying", "transaction.slow", "1", "0", "9" * 10, "9" * 23, "a" * 32,
         "\N{SUPERSCRIPT TWO}", "\udc80", "x000000", "", ".", "\x1b[2J"]
    ),
    st.text(st.characters(blacklist_characters="/\0"), max_size=12),
)  # fmt: skip
_NAMES = st.tuples(
    st.lists(_PARTS, min_size=1, max_size=6), st.sampled_from([".envelope", ".spare", ".state", ""])
).map(lambda drawn: "-".join(drawn[0])[:60] + drawn[1])


@pytest.mark.slow(reason="a large space")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_NAMES, max_size=8))
def test_files_of_any_name_disturb_nobody(kit, names):
    """What an archive brought, another program left or a person has copied there: each sweep holds the bounds."""
    spool = kit.spool()
    mine = envelope()
    spool.write(mine)
    spool_folder = pathlib.Path(kit.directory)
    run = spool_folder.with_name("run")
    run.mkdir(exist_ok=True)
    for folder in (run, *(spool_folder / name for name in ("new", "held", "tmp", "quarantine"))):
        for name in names:
            with contextlib.suppress(OSError, UnicodeError):  # of what no file can be called
                folder.joinpath(name).write_bytes(b"x")
    spool.sweep()
    assert spool.degraded is None
    for entry in spool.entries():
        with contextlib.suppress(UnreadableError):
            spool.read(entry)
    assert [spool.read(entry) for entry in spool.entries() if entry.event_id == mine.event_id] == [mine]
    health.prune(str(run), 0)
    assert [path.name for path in run.glob("*.state") if not path.name.startswith("1-")] == []
    read(str(run))
    for entry in spool.entries():
        spool.remove(entry)


# ------------------------------------------------------------------------------------------- captured without a DSN


def test_what_was_captured_without_a_dsn_is_kept_apart_until_it_is_released(kit, clock):
    held, free = envelope(), envelope()
    kit.spool(held=True).write(held)
    clock.now += 1
    spool = kit.spool()
    spool.write(free)
    assert kit.ids("held") == [held.event_id]
    assert [(entry.event_id, entry.held) for entry in spool.entries()] == [
        (held.event_id, True),
        (free.event_id, False),
    ]
    assert [entry.event_id for entry in spool.waiting(9, lambda entry: True)] == [free.event_id]
    assert spool.number_waiting() == 1
    entry = spool.entries()[0]
    assert spool.read(entry) == held
    assert spool.release(entry)
    assert not spool.release(entry)
    assert kit.ids() == [held.event_id, free.event_id]
    assert spool.number_waiting() == 2


def test_what_is_held_back_counts_within_the_same_bounds(kit, clock):
    for held in (True, False, True):
        kit.spool(held=held).write(envelope())
        clock.now += 1
    kit.spool(max_files=2).sweep()
    assert len(kit.files("held")) == 1
    assert len(kit.files()) == 1
    assert kit.counts.of("spool-full") == 1
    clock.now += 8 * 86400
    kit.spool().sweep()
    assert kit.files("held") == kit.files() == []


def test_what_is_held_back_in_memory_goes_to_its_own_folder(kit):
    os.makedirs(os.path.dirname(kit.directory))
    with open(kit.directory, "w"):
        pass
    spool = kit.spool(held=True)
    assert not spool.write(envelope())
    assert spool.number_waiting() == 0
    os.unlink(kit.directory)
    assert spool.write_from_memory() == 0
    assert len(kit.files("held")) == 1
    assert kit.files() == []


def test_what_an_attempt_holds_back_is_released_when_its_process_dies(kit, clock):
    held = kit.spool(held=True)
    mine = envelope()
    assert held.write(mine, trying=True)
    child = os.fork()
    if not child:
        kit.spool(held=True).write(envelope("b" * 32), trying=True)
        kit.spool(held=True).write(envelope("c" * 32))  # without a DSN: that is for a person to decide
        os._exit(0)
    os.waitpid(child, 0)
    clock.now += 61
    kit.spool().sweep()
    assert kit.ids() == ["b" * 32]
    assert set(kit.ids("held")) == {mine.event_id, "c" * 32}
    clock.now += 86400
    kit.spool().sweep()
    assert set(kit.ids()) == {mine.event_id, "b" * 32}


# -------------------------------------------------------------------------------------------------- events a second


def test_what_is_held_back_in_memory_can_be_let_go_or_dropped(kit):
    os.makedirs(os.path.dirname(kit.directory))
    with open(kit.directory, "w"):
        pass
    spool = kit.spool()
    first, second, third = (envelope() for _ in range(3))
    assert not any(spool.write(one, trying=True) for one in (first, second, third))
    assert spool.number_waiting() == 0
    kept = {entry.event_id: entry for entry in spool.entries()}
    assert spool.release(kept[first.event_id])
    assert spool.remove(kept[second.event_id])
    assert [entry.event_id for entry in spool.waiting(9, lambda _: True)] == [first.event_id]
    os.unlink(kit.directory)
    assert spool.write_from_memory() == 0
    assert (kit.ids(), kit.ids("held")) == ([first.event_id], [third.event_id])


def test_what_is_released_while_it_is_written_from_memory_is_released_on_disk(kit, monkeypatch):
    os.makedirs(os.path.dirname(kit.directory))
    with open(kit.directory, "w"):
        pass
    spool = kit.spool()
    one = envelope()
    spool.write(one, trying=True)
    os.unlink(kit.directory)
    rename = os.rename

    def let_go(*paths):
        monkeypatch.undo()
        assert spool.release(spool.entries()[0])
        rename(*paths)

    monkeypatch.setattr(os, "rename", let_go)
    spool.write_from_memory()
    assert (kit.ids(), kit.ids("held")) == ([one.event_id], [])


def test_more_a_second_than_allowed_are_counted_transactions_first_errors_last(kit, clock):
    spool = kit.spool(max_rate=8)
    for _ in range(6):
        spool.write(envelope(category="transaction"))
    for _ in range(4):
        spool.write(envelope(), slow=True)
    for _ in range(4):
        spool.write(envelope())
    assert kit.counts.all == {("too-many", "transaction"): 2, ("too-many", "error"): 4}
    assert len(kit.files()) == 8
    clock.now += 1
    assert spool.write(envelope())


def test_a_look_at_a_large_folder_takes_no_memory(kit):
    import tracemalloc

    spool = kit.spool()
    spool.write(envelope())
    name = kit.files()[0]
    for number in range(20_000):
        os.link(f"{kit.directory}/new/{name}", f"{kit.directory}/new/{number:020d}{name[20:]}")
    tracemalloc.start()
    try:
        assert [entry.stamp for entry in spool.waiting(3, lambda entry: True)] == [0, 1, 2]
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_a_file_system_that_gives_everybody_all_rights_is_not_written_to(kit, monkeypatch):
    """Nothing that lies there could be trusted, and so nothing would ever be delivered from there."""
    os.makedirs(kit.directory)
    os.chmod(kit.directory, 0o777)
    monkeypatch.setattr(os, "chmod", lambda *_: None)
    spool = kit.spool()
    assert not spool.write(envelope())
    assert "may be written by other users" in spool.degraded
    assert os.listdir(kit.directory) == []
    monkeypatch.undo()
    assert spool.write(envelope())
    assert len(kit.files()) == 2
    assert os.stat(kit.directory).st_mode & 0o777 == 0o700
