"""Counts of real processes: killed, forked, daemonised, under time limits, on disks that fail. Each call is in a file."""

import os
import signal
import subprocess
import sys

import pytest
from acceptance.host import READABLE_BY_OTHERS
from measure import reading

SHOP = """
def order(n):
    if n % 7 == 0: raise ValueError(n)
    return lines(n)
def lines(n): return n
def hot(n): return n
"""
CONFIG = """
version: 1
monitors:
  - {target: shop.order, name: order, threshold: 5s}
  - {target: shop.lines, name: lines}
  - {target: shop.hot, name: hot}
"""
#: Rows in memory, as on a file system where a full disk could end a process that maps its files.
IN_MEMORY = 'import sys; sys.modules["_erp_agent.measure.mapping"].is_safe = lambda folder: False\n'


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, monitors__yaml=CONFIG)
    return host


def calls(host):
    return {name: counts.calls for name, counts in reading.by_monitor(host.state).items()}


LOOP = """
import os, shop, time
n = 0
while True:
    n += 1
    try: shop.order(n)
    except ValueError: pass
    os.write(1, b".")
    time.sleep(0.0004)  # more often, and some would be in a batch
"""


@pytest.mark.parametrize("kind", ["mapped", "in memory"])
def test_a_killed_process_loses_no_call_that_it_acknowledged(shop, kind):
    shop.write(main__py="import shop\n" + (IN_MEMORY if kind == "in memory" else "") + LOOP)
    command = [sys.executable, "main.py"]
    process = subprocess.Popen(command, cwd=shop.folder, env=shop.environment(), stdout=subprocess.PIPE)
    assert process.stdout is not None
    wanted = 300 if kind == "mapped" else 10
    acknowledged = 0
    while acknowledged < wanted:
        acknowledged += len(process.stdout.read1(wanted - acknowledged))
    process.send_signal(signal.SIGSTOP)  # no further call while the pipe is emptied
    if kind == "mapped":
        found = reading.by_monitor(shop.state)  # of a process that lives
        assert found["order"].calls >= acknowledged
    process.kill()
    acknowledged += len(process.stdout.read())
    process.wait()
    found = reading.by_monitor(shop.state)
    if kind == "mapped":
        assert acknowledged <= found["order"].calls <= acknowledged + 1
        assert found["order"].failures == found["order"].calls // 7
    else:
        assert 10 <= found["order"].calls <= acknowledged + 1


FORKS = """
import os, random, shop, sys, threading, time
random.seed(int(sys.argv[1]))
rounds, threads, children = 3000, 3, []
def call():
    for n in range(rounds): shop.hot(n)
running = [threading.Thread(target=call) for _ in range(threads)]
for thread in running: thread.start()
for _ in range(6):
    for n in range(random.randrange(200)): shop.hot(n)
    pid = os.fork()
    if not pid:
        for n in range(777): shop.hot(n)
        grandchild = os.fork()
        if not grandchild:
            for n in range(55): shop.hot(n)
        else:
            os.waitpid(grandchild, 0)
        sys.modules["_erp_agent.boot.bootstrap"].current.engine().counting.tallies().settle()
        os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
for thread in running: thread.join()
"""


@pytest.mark.parametrize("injection", ["1", "0"])
def test_forks_at_any_moment_count_each_call_in_one_file(shop, injection):
    """While other threads count: what these have begun belongs to the parent."""
    shop.write(main__py="import random\n" + FORKS)
    shop.run("main.py", "7", AGENT_INJECTION=injection)
    import random

    random.seed(7)
    own = sum(random.randrange(200) for _ in range(6))
    found = [(facts["pid"], counts["hot", "hot"].calls) for facts, counts in reading.processes(shop.state)]
    assert sorted(number for _, number in found) == sorted([3 * 3000 + own, *[777] * 6, *[55] * 6])
    assert len({pid for pid, _ in found}) == 13


DAEMON = """
import os, shop
for n in range(1, 7): shop.order(n)
for descriptor in range(3, 256):
    try: os.close(descriptor)
    except OSError: pass
kept = [open("own%d.txt" % n, "w") for n in range(20)]  # under the numbers that were free
for each in kept: each.write("not lost")
for n in range(1, 7): shop.order(n)
import gc; gc.collect()
for n in range(5000): shop.hot(n)
"""


@pytest.mark.parametrize("kind", ["mapped", "in memory"])
def test_a_host_that_closes_all_descriptors_keeps_its_files_and_its_counts(shop, kind):
    shop.write(main__py="import shop\n" + (IN_MEMORY if kind == "in memory" else "") + DAEMON)
    shop.run("main.py")
    assert calls(shop) == {"order": 12, "lines": 12, "hot": 5000}
    assert [(shop.folder / f"own{n}.txt").read_text() for n in range(20)] == ["not lost"] * 20


STREAMS = """
import os, shop
os.close(0)
shop.order(1)
descriptor = os.open("/dev/null", os.O_RDONLY)
print(descriptor)
shop.order(1)
"""


def test_no_standard_stream_is_taken(shop):
    shop.write(main__py=STREAMS)
    assert shop.run("main.py").stdout == "0\n"
    assert calls(shop) == {"order": 2, "lines": 2}


def test_without_a_folder_to_write_to_the_host_goes_on_and_status_has_the_reason(shop):
    shop.write(main__py="import os, shop\nos.chmod(state, 0o500) if os.getuid() else None\nshop.order(1)\n")
    counts = shop.state / "counts"
    shop.state.mkdir(parents=True, mode=0o700)
    counts.write_text("a file in its place")
    shop.write(main__py="import shop\nfor n in range(1, 500): \n try: shop.order(n)\n except ValueError: pass\n")
    done = shop.run("main.py")
    assert (done.stdout, done.returncode) == ("", 0)
    (process,) = shop.status()
    assert [problem for problem in process["problems"] if problem.startswith("counts are in memory only")]


ALARMS = """
import shop, signal
class Limit(Exception): pass
def strike(*_): raise Limit
signal.signal(signal.SIGALRM, strike)
def works():
    while True: shop.hot(1)
struck = 0
for round in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + round % 7 * 1e-4)
        works()
    except Limit:
        struck += 1
signal.setitimer(signal.ITIMER_REAL, 0)
tallies = sys.modules["_erp_agent.boot.bootstrap"].current.engine().counting.tallies()
(tally,) = [each for each in tallies._tallies.values() if each.operation == "hot"]
print(struck)
for _ in range(8): tallies.due = 0.0; tallies.look(tallies.clock()); shop.hot(1)
assert tally.granted == [0] or tally in tallies.hot, tally.granted
before = tally.counts().calls
for n in range(3000): shop.hot(n)
tallies.settle()
print(tally.counts().calls - before)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_time_limits_that_strike_while_it_counts_reach_the_host_and_counting_goes_on(shop):
    shop.write(main__py="import sys\n" + ALARMS)
    struck, counted = shop.run("main.py").stdout.split()
    assert struck == "300"
    assert int(counted) in range(3000, 3000 + 256)


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.getuid() != 0, reason="only root may change the user")
@READABLE_BY_OTHERS
def test_a_process_that_changes_its_user_counts_in_that_users_folder(shop, tmp_path):
    main = """
import os, shop, sys
shop.order(1)
os.setegid(65534); os.seteuid(65534)
tallies = sys.modules["_erp_agent.boot.bootstrap"].current.engine().counting.tallies()
tallies.due = 0.0
shop.order(1); shop.order(1)
print(sys.modules["_erp_agent.boot.bootstrap"].current.engine().outlet.state)
"""
    shop.write(main__py=main)
    os.chmod(tmp_path, 0o755)
    theirs = shop.run("main.py").stdout.strip()
    before, after = calls(shop)["order"], {n: c.calls for n, c in reading.by_monitor(theirs).items()}["order"]
    assert before + after == 3
    assert after >= 1
