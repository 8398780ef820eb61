"""Sub-interpreters, which Python ends only where no thread of theirs is left: else it aborts the process."""

from __future__ import annotations

import socket
import subprocess

import pytest
from kit import python

_MAIN = """
import sys
try:
    import _interpreters as interpreters
    run, kinds = interpreters.exec, ("legacy", "isolated")
except ImportError:
    import _xxsubinterpreters as interpreters
    run, kinds = interpreters.run_string, (False, True)
for kind in kinds:
    each = interpreters.create(kind) if isinstance(kind, str) else interpreters.create(isolated=kind)
    # In 3.13 a failure is returned, in others it is raised.
    assert run(each, sys.argv[1]) is None
    interpreters.destroy(each)
sys.exit(5)
"""

_SENDER = """
from agent.deliver.send.resources import to_sentry
from agent.deliver.background.sender import Sender
from agent.deliver.spool.spool import Spool
from kit import Counts, envelope
counts = Counts()
spool = Spool({spool!r}, max_size=1 << 20, max_age=86400.0, durable=False, count=counts)
worker = Sender(to_sentry(spool, {dsn!r}, counts))
spool.write(envelope())
"""

_SWEEPER = """
from agent.deliver.background.sweeper import Sweeper
from agent.deliver.spool.spool import Spool
from kit import Counts, envelope
spool = Spool({spool!r}, max_size=1 << 20, max_age=86400.0, durable=False, count=Counts(), held=True)
worker = Sweeper(spool, lambda: None)
spool.write(envelope())
"""

_WAKE = """
import _thread
worker.wake()
assert _thread._count() == 0, "a thread was started"
assert "sub-interpreter" in worker.no_thread
"""


@pytest.mark.parametrize("closed", ["", "worker.close(1.0)"])
@pytest.mark.parametrize(("made", "folder"), [(_SENDER, "new"), (_SWEEPER, "held")], ids=["sender", "sweeper"])
def test_no_thread_starts_in_one_and_what_it_wrote_waits(made, folder, closed, tmp_path):
    spool = tmp_path / "spool"
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        dsn = f"http://key@127.0.0.1:{hangs.getsockname()[1]}/1"
        code = made.format(spool=str(spool), dsn=dsn) + _WAKE + closed
        process = python(_MAIN, code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        written, errors = process.communicate(timeout=60)
    assert (process.returncode, written, errors) == (5, b"", b"")
    assert len(list((spool / folder).glob("*.envelope"))) == 2
