"""Descriptors that stay open: what a host does with their numbers is its own affair."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap

import pytest
from kit import ROOT
from receiver import HANG, Receiver

from agent.deliver.http import descriptors
from agent.deliver.http.descriptors import describe
from agent.deliver.send.lock import DeliveryLock


def reused(number: int, path) -> None:
    """As a host does that becomes a daemon: it closes the number, and its next file is given it."""
    os.close(number)
    theirs = os.open(path, os.O_RDWR | os.O_CREAT)
    if theirs != number:
        os.dup2(theirs, number)
        os.close(theirs)


def test_a_lock_whose_number_is_another_file_now_closes_nothing(tmp_path):
    lock = DeliveryLock(str(tmp_path))
    assert lock.take()
    number = lock.number
    reused(number, tmp_path / "theirs")
    lock.release()
    os.write(number, b"still open")
    assert DeliveryLock(str(tmp_path)).take()
    os.close(number)


def test_a_lock_whose_number_is_nothing_now_is_let_go_of(tmp_path):
    lock = DeliveryLock(str(tmp_path))
    assert lock.take()
    os.close(lock.number)
    lock.release()
    assert lock.take()
    lock.release()


def test_a_forked_child_closes_only_what_is_the_lock_still(tmp_path):
    lock = DeliveryLock(str(tmp_path))
    assert lock.take()
    number = lock.number
    reused(number, tmp_path / "theirs")
    child = os.fork()
    if not child:
        try:
            os.write(number, b"the child's too")
        finally:
            os._exit(os.fstat(number).st_size)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == len(b"the child's too")
    os.close(number)


@pytest.fixture
def pair():
    """A socket of ours, connected to another one."""
    plain, _ = descriptors.sockets()
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = descriptors.connect(plain, server.getsockname()[:2], 5.0, [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])
        server.settimeout(60.0)
        other, _ = server.accept()
        other.settimeout(60.0)
        with other:
            yield made, other
            made.close()


def test_a_socket_works_as_any(pair):
    made, other = pair
    made.sendall(b"hello")
    assert other.recv(10) == b"hello"
    other.sendall(b"you")
    assert made.makefile("rb").read(3) == b"you"
    assert made.gettimeout() == 5.0
    number = made.fileno()
    made.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(number)


@pytest.mark.parametrize(
    "use",
    [
        lambda made: made.send(b"x"),
        lambda made: made.sendall(b"x"),
        lambda made: made.recv_into(bytearray(4)),
        lambda made: made.shutdown(socket.SHUT_RDWR),
    ],
)
def test_a_socket_whose_number_is_the_hosts_now_touches_nothing(pair, tmp_path, use):
    """Also where it is a socket again, which would take the bytes."""
    made, _ = pair
    number = made.fileno()
    theirs, end = socket.socketpair()
    with end:
        os.dup2(theirs.fileno(), number)
        end.sendall(b"for the host")
        with pytest.raises(descriptors.LostError):
            use(made)
        made.close()
        assert socket.socket(fileno=os.dup(number)).recv(100) == b"for the host"
        end.setblocking(False)
        with pytest.raises(BlockingIOError):
            end.recv(1)
        os.close(number)
        theirs.close()


def open_ones():
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return {(link, os.path.realpath(link)) for link in links if os.path.lexists(link)}  # the listing's own is closed


def test_a_connection_that_fails_closes_only_its_own():
    plain, _ = descriptors.sockets()
    before = open_ones()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            descriptors.connect(plain, unused.getsockname(), 1.0, None)
    with pytest.raises(socket.gaierror):
        descriptors.connect(plain, ("nobody.invalid", 80), 1.0, None)
    assert open_ones() <= before  # another test's may have been collected meanwhile


def test_a_number_that_cannot_be_asked_about_is_not_ours():
    reading, writing = os.pipe()
    mine = describe(reading)
    assert mine.is_ours()
    os.close(reading)
    assert not mine.is_ours()
    mine.close()
    os.close(writing)


DAEMON = """
    import os, sys, time
    from _thread import get_ident
    from agent.deliver.background.sender import Sender
    from agent.deliver.send.resources import to_sentry
    from agent.deliver.spool.spool import Spool
    from agent.base.model import Envelope
    from agent.deliver import wire
    sys.path.insert(0, {tests!r})
    from kit import envelope
    spool = Spool(sys.argv[1], max_size=1 << 20, max_age=3600, durable=False, count=lambda *_: None)
    sender = Sender(to_sentry(spool, sys.argv[2], lambda *_: None)._replace(first_backoff=0.05))
    spool.write(envelope())
    sender.wake()
    print("sent", flush=True)
    sys.stdin.readline()
    def places():  # of all other threads
        return [(each, frame.f_code, frame.f_lasti) for each, frame in sys._current_frames().items() if each != here]
    here, still, last = get_ident(), 0, None
    while still < 10:  # until ours waits: what it opens and closes again within a step may be closed by nobody else
        time.sleep(0.01)
        still, last = still + 1 if places() == last else 0, places()
    os.closerange(3, 256)
    files = [os.open("%s.%d" % (sys.argv[1], number), os.O_RDWR | os.O_CREAT) for number in range(8)]
    print("closed", flush=True)
    sys.stdin.readline()
    for turn in range(3):
        for file in files:
            os.write(file, b"%d\\n" % turn)
        sender.wake()
        time.sleep(0.1)
    os._exit(0)
"""


@pytest.mark.parametrize("hangs", [True, False], ids=["while it waits for an answer", "between two envelopes"])
def test_a_host_that_closes_everything_and_opens_its_own_files(tmp_path, hangs):
    with Receiver(answers=(HANG,) if hangs else ()) as receiver:
        code = textwrap.dedent(DAEMON.format(tests=os.path.dirname(os.path.abspath(__file__))))
        host = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "spool"), receiver.dsn],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert host.stdout.readline() == "sent\n"
        receiver.wait_for_requests(1)
        host.stdin.write("\n")
        host.stdin.flush()
        assert host.stdout.readline() == "closed\n"
        receiver.release()
        host.stdin.write("\n")
        host.stdin.flush()
        assert host.wait(30) == 0
        host.stdin.close()
        host.stdout.close()
    for number in range(8):
        assert (tmp_path / f"spool.{number}").read_bytes() == b"0\n1\n2\n"
