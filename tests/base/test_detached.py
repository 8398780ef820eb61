"""What is started beside the host is started, and waited for, by the system's own functions."""

import os
import sys

import pytest

from agent.base import detached


@pytest.mark.skipif(not detached.AVAILABLE, reason="needs posix_spawn")
def test_what_gevent_puts_into_os_is_not_called(monkeypatch, tmp_path):
    """Its functions switch to another greenlet until its loop has noticed that the child has ended, if it ever does."""

    def switches(*_given, **_more):
        raise AssertionError("the host's greenlet would wait")

    for name in ("posix_spawn", "posix_spawnp", "waitpid", "fork"):
        monkeypatch.setattr(os, name, switches)
    made = tmp_path / "made"
    os.mkfifo(made)
    program = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    with open(tmp_path / "lock", "w", encoding="ascii") as lock:
        detached.spawn([sys.executable, "-S", "-c", program, str(made)], {}, lock.fileno())
    assert made.read_text() in ("3", "4")
