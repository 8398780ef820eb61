"""Real processes, killed, forked and starved: what was acknowledged to the caller arrives, under its own id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter

import pytest
from kit import envelope, python
from receiver import HALF_CLOSED, HANG, RESET, Answer

from agent.deliver.send.flush import flush
from agent.deliver.send.resources import to_sentry
from agent.measure import mounts

pytestmark = pytest.mark.slow(reason="processes are killed, and disks filled, at many moments")

HOST = """
import os, random, signal, sys
from agent.deliver.background.sender import Sender
from agent.deliver.send.resources import to_sentry
from agent.deliver.spool.spool import Spool
from kit import Counts, envelope
counts = Counts()
def make(directory, dsn, **options):
    spool = Spool(directory, **{"max_size": 1 << 28, "max_age": 1e6, "durable": False, "count": counts, **options})
    return spool, Sender(to_sentry(spool, dsn, counts)._replace(first_backoff=0.02), linger=0.2)
spool, sender = make(sys.argv[1], sys.argv[2])
def event(**options):
    one = envelope(**options)
    acknowledged = spool.write(one)
    sender.wake()
    return one.event_id if acknowledged else None
"""


def host(code, kit, dsn, *arguments, **options):
    return python(HOST + code, kit.directory, dsn, *arguments, text=True, stdout=subprocess.PIPE, **options)


def finish(process, timeout=180):  # far beyond what it takes: only against a test that hangs
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0
    return out


def flush_all(kit, receiver, timeout=120.0):
    resources = to_sentry(kit.spool(clock=time.time), receiver.dsn, kit.counts)._replace(first_backoff=0.01)
    summary = flush(resources, timeout)
    assert summary.waiting == 0, summary
    return summary


KILLED = """
# Children write as fast as they can and say so after each write; each is killed after some of them, a moment later.
spool, _ = make(sys.argv[1], sys.argv[2], durable=sys.argv[3] == "durable")
seed = random.Random(7)
for _ in range(int(sys.argv[4])):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        while True:
            one = envelope(size=random.choice((10, 1000, 60_000)))
            if spool.write(one):
                os.write(writer, one.event_id.encode() + b"\\n")
    os.close(writer)
    seen = b""
    wanted = seed.randrange(0, 6) * 33
    while len(seen) < wanted:
        seen += os.read(reader, 4096)
    for _ in range(seed.randrange(0, 8000)):
        pass
    os.kill(child, signal.SIGKILL)
    while part := os.read(reader, 4096):
        seen += part
    os.close(reader)
    os.waitpid(child, 0)
    sys.stdout.write(seen.decode())
"""


@pytest.mark.parametrize(("mode", "times"), [("quick", 100), ("durable", 30)])
def test_a_writer_killed_at_any_moment_loses_nothing_that_was_acknowledged(kit, receiver, mode, times):
    acknowledged = finish(host(KILLED, kit, "http://k@127.0.0.1:9/1", mode, str(times))).split()
    assert len(acknowledged) > times
    waiting = Counter(kit.ids())
    assert set(acknowledged) <= set(waiting)
    assert max(waiting.values()) == 1
    flush_all(kit, receiver)
    arrived = Counter(receiver.ids)
    assert set(acknowledged) <= set(arrived)
    assert max(arrived.values()) == 1
    assert kit.files("quarantine") == []  # a rename makes a file whole: not one is torn
    assert kit.counts.of("sent") == len(arrived)


SENDING = """
while True:
    event_id = event(size=2000)
    if event_id:
        print(event_id, flush=True)
"""


def test_writers_with_senders_killed_in_turn_lose_nothing(kit, receiver):
    receiver.program(*[200, 500, 200, RESET, 200, 200, Answer(429, {"Retry-After": "0"}), HALF_CLOSED] * 100)
    acknowledged = []
    for round_ in range(3):
        processes = [host(SENDING, kit, receiver.dsn) for _ in range(3)]
        for process in processes:
            for _ in range(40 + 17 * round_):
                acknowledged.append(process.stdout.readline().strip())
            process.kill()
            acknowledged += [line.strip() for line in process.stdout if len(line) == 33]
            process.wait()
            process.stdout.close()
    receiver.program(default=200)
    flush_all(kit, receiver)
    assert set(acknowledged) <= set(receiver.ids)
    assert kit.files("quarantine") == []
    assert kit.counts.of("spool-full") == 0


def test_a_fork_with_events_pending_delivers_none_of_them_twice(kit, receiver):
    out = finish(
        host(
            """
ids = [event() for _ in range(50)]
reader, writer = os.pipe()
children = []
for _ in range(5):
    ids += [event() for _ in range(10)]
    child = os.fork()
    if not child:
        mine = [event() for _ in range(10)]
        sender.close(20)
        os.write(writer, " ".join(mine).encode() + b" ")
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
os.close(writer)
sender.close(20)
print(*ids, os.read(reader, 1 << 16).decode())
""",
            kit,
            receiver.dsn,
        )
    )
    ids = out.split()
    assert len(set(ids)) == 150
    flush_all(kit, receiver)
    assert Counter(receiver.ids) == Counter(ids)


def test_a_fork_with_events_in_memory_delivers_none_of_them_twice(kit, receiver):
    kit.directory = "/proc/nowhere/spool"
    out = finish(
        host(
            """
ids = []
def kept():
    one = envelope()
    assert not spool.write(one)
    ids.append(one.event_id)
for _ in range(20):
    kept()
child = os.fork()
if not child:
    ids.clear()
    kept()
    sender.wake()
    sender.close(20)
    print(*ids, flush=True)
    os._exit(0)
os.waitpid(child, 0)
sender.wake()
sender.close(20)
print(*ids)
""",
            kit,
            receiver.dsn,
        )
    )
    assert Counter(receiver.ids) == Counter(out.split())
    assert len(receiver.ids) == 21


def test_the_other_process_takes_over_when_the_one_that_delivers_is_killed(kit, receiver):
    receiver.program(default=HANG)
    code = "ids = [event() for _ in range(20)]; print(*ids, flush=True); sys.stdin.readline(); sender.close(20)"
    first = host(code, kit, receiver.dsn, stdin=subprocess.PIPE)
    ids = first.stdout.readline().split()
    receiver.wait_for_requests(1)  # now it has the lock, and hangs
    second = host(code, kit, receiver.dsn, stdin=subprocess.PIPE)
    ids += second.stdout.readline().split()
    assert receiver.envelopes == []
    receiver.program(default=200)
    first.kill()
    first.wait()
    assert set(ids) == {each.event_id for each in receiver.wait_for(40)}
    second.communicate("\n", timeout=30)
    assert second.returncode == 0
    assert Counter(receiver.ids) == Counter(ids)


def test_a_fleet_against_a_sentry_that_fails_in_every_way(kit, receiver):
    answers = [200, 500, 200, Answer(429, {"X-Sentry-Rate-Limits": "0:error:key"}), 200, RESET, 503, HALF_CLOSED]
    receiver.program(*answers * 25)
    code = "ids = [event(size=5000) for _ in range(50)]; print(*ids, flush=True); sender.close(30)"
    ids = [each for process in [host(code, kit, receiver.dsn) for _ in range(4)] for each in finish(process).split()]
    assert len(ids) == 200
    flush_all(kit, receiver)
    assert set(receiver.ids) == set(ids)
    assert kit.files("quarantine") == []


def test_files_that_may_not_grow_degrade_to_memory_and_are_delivered(kit, receiver):
    out = finish(
        host(
            """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
small, large = envelope(size=1000), envelope(size=10_000)
assert spool.write(small) and spool.degraded is None
assert not spool.write(large) and "File too large" in spool.degraded, spool.degraded
assert os.listdir(sys.argv[1] + "/tmp") == []
sender.wake()
sender.close(20)
print(small.event_id, large.event_id, counts.of("memory-full"), counts.of("sent"))
""",
            kit,
            receiver.dsn,
        )
    )
    small, large, lost, sent = out.split()
    assert receiver.ids == [small, large]
    assert (lost, sent) == ("0", "2")


@pytest.fixture
def small_disk(tmp_path):
    """256 KB of it, where mounting is permitted."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(place)]
    try:
        done = subprocess.run(["mount", *options], capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("mounting is not permitted")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_degrades_to_memory_recovers_and_loses_nothing(small_disk, kit, receiver):
    kit.directory = str(small_disk / "spool")
    spool = kit.spool(clock=time.time)
    spool.quick.load(str(small_disk))
    ids, on_disk = [], 0
    for _ in range(100):
        one = envelope(size=5000)
        ids.append(one.event_id)
        on_disk += spool.write(one)
    assert 10 < on_disk < 100
    assert spool.quick.gil_holding is not None or not mounts.is_local(str(small_disk))
    assert "No space left" in spool.degraded
    assert kit.files("tmp") == []
    assert flush(to_sentry(spool, receiver.dsn, kit.counts), 20).waiting == 0
    assert Counter(receiver.ids) == Counter(ids)
    assert kit.counts.of("sent") == 100
    assert spool.write(envelope())
    assert spool.degraded is None


def test_envelopes_that_dead_processes_left_are_adopted_by_any_other(kit, receiver):
    left = host("print(event(), flush=True); os.kill(os.getpid(), 9)", kit, "http://k@127.0.0.1:9/1")
    event_id = left.communicate(timeout=120)[0].strip()
    assert left.returncode == -signal.SIGKILL
    assert kit.ids() == [event_id]
    other = finish(host("print(event()); sender.close(20)", kit, receiver.dsn)).strip()
    assert receiver.ids == [event_id, other]


def test_the_receiver_runs_as_a_script(tmp_path):
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "receiver.py")
    port_file, log = tmp_path / "port", tmp_path / "log"
    os.mkfifo(log)  # opening it waits for the script, and reading it for the first envelope
    process = python("import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')",
                     script, "--port-file", str(port_file), "--log", str(log))  # fmt: skip
    try:
        with open(log) as lines:
            while not port_file.exists():
                assert process.poll() is None
                os.sched_yield()
            from agent.deliver.http.transport import Transport
            from agent.language.dsn import parse_dsn

            one = envelope()
            connection = Transport(parse_dsn(f"http://k@127.0.0.1:{port_file.read_text()}/1"))
            assert connection.send(one.data).kind == "accepted"
            assert json.loads(lines.readline()) == {"id": one.event_id, "items": ["event"]}
    finally:
        process.kill()
        process.wait()
