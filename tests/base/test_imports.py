"""A fork beside an import of the agent's: it waits for a moment, and its child does not wait for a thread it has not."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.base import imports

ROOT = Path(__file__).resolve().parents[2]

#: The body stands still in the thread that imports first, until it is told to go on.
SLOW = """
import {inner}slow_gate as gate
if not gate.met.is_set():
    gate.met.set()
    gate.go_on.wait(60)
value = 5
"""


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """A module whose import takes until `go_on` is set."""
    (tmp_path / "slow_gate.py").write_text("import threading\nmet, go_on = threading.Event(), threading.Event()\n")
    (tmp_path / "slow_module.py").write_text(SLOW.format(inner=""))
    (tmp_path / "slow_outer.py").write_text("import slow_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import slow_gate

    yield slow_gate
    slow_gate.go_on.set()
    for name in ("slow_gate", "slow_module", "slow_outer"):
        sys.modules.pop(name, None)


def in_a_child(do):
    """Whether `do` comes to its end in a child that is forked now."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(3)
        try:
            do()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def imported(name):
    assert __import__(name) is not None and hasattr(sys.modules[name], "value")


def begin(target):
    thread = threading.Thread(target=target)
    thread.start()
    return thread


@pytest.mark.filterwarnings("ignore:This process")
def test_a_child_imports_what_a_thread_of_its_parent_was_importing_for_the_agent(slow, monkeypatch):
    monkeypatch.setattr(imports, "PATIENCE", 0.01)

    def work():
        with imports.Guarded():
            __import__("slow_module")

    thread = begin(work)
    assert slow.met.wait(60)
    assert in_a_child(lambda: imported("slow_module"))
    slow.go_on.set()
    thread.join()
    imported("slow_module")
    assert not imports.under_way


@pytest.mark.filterwarnings("ignore:This process")
def test_what_the_thread_was_importing_for_the_host_stays_the_hosts_affair(slow, monkeypatch):
    """Without the agent, such a child waits for ever: it must not get half a module instead."""
    monkeypatch.setattr(imports, "PATIENCE", 0.01)
    (Path(slow.__file__).parent / "slow_outer.py").write_text(
        "from agent.base import imports\nwith imports.Guarded():\n    import slow_module\n"
    )
    thread = begin(lambda: __import__("slow_outer"))
    assert slow.met.wait(60)
    known = []

    def look():
        locks = dict(imports.locks())
        known.append(("slow_outer" in locks, "slow_module" in locks))
        assert known == [(True, False)]

    assert in_a_child(look)
    slow.go_on.set()
    thread.join()


def test_a_fork_waits_for_an_import_that_ends_soon(slow):
    done = []

    def work():
        with imports.Guarded():
            slow.met.set()
            slow.go_on.wait(60)
            done.append(1)

    thread = begin(work)
    slow.met.wait(60)
    release = threading.Timer(0.05, slow.go_on.set)
    release.start()
    imports.wait_for_others()
    assert done == [1]
    thread.join()
    release.join()


def test_a_fork_does_not_wait_for_its_own_thread_nor_for_an_import_that_may_not_be_waited_for(slow, monkeypatch):
    monkeypatch.setattr(imports, "PATIENCE", 1000.0)
    with imports.Guarded(), imports.Guarded():
        imports.wait_for_others()

    def work():
        with imports.Guarded(), imports.Guarded(patient=False):
            slow.met.set()
            slow.go_on.wait(60)

    thread = begin(work)
    slow.met.wait(60)
    imports.wait_for_others()
    slow.go_on.set()
    thread.join()
    assert not imports.under_way


@pytest.mark.parametrize(
    ("first", "hook"),
    [
        ("", "thread.start(); go.set(); thread.join()"),
        ("", "thread.start(); registered.wait(60); go.set()"),
        ("thread.start(); go.set(); thread.join()", "pass"),
    ],
    ids=["whole", "its second half", "none"],
)
def test_logging_that_another_thread_loads_in_the_middle_of_a_fork_hears_of_its_beginning(first, hook):
    """Else Python writes "cannot release un-acquired lock" to the host's stderr, or nobody else can log any more."""
    code = (
        "import os, threading\nfrom agent.base import imports\n"
        "registered, go, register = threading.Event(), threading.Event(), os.register_at_fork\n"
        "def slowly(**hooks):\n  register(**hooks)\n  registered.set(); go.wait(60)\n"
        "thread = threading.Thread(target=lambda: __import__('logging'))\n"
        f"def hook():\n  {hook}\n"
        f"register(before=hook)\nos.register_at_fork = slowly\n{first}\n"
        "child = os.fork()\n"
        "import logging\n"
        "other = threading.Thread(target=logging.getLogger('x').debug, args=('all can log',), daemon=True)\n"
        "other.start(); other.join(10)\n"
        "if not child: os._exit(other.is_alive())\n"
        "print(os.waitpid(child, 0)[1] + other.is_alive())\n"
    )
    # Python itself warns of a fork beside other threads.
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True,
                          timeout=30, env={"PYTHONPATH": str(ROOT), "AGENT_DISABLED": "1"})  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_process_of_our_own_imports_nothing_for_the_formats_of_jsonschema(tmp_path):
    (tmp_path / "rfc3987_syntax.py").write_text("raise SystemExit('imported')\n")
    code = (
        "from agent.base import imports; imports.use_bundled()\n"
        "from agent.config.load import load; import sys\n"
        "print([each.slug for each in load(sys.argv[1], {}).problems], 'jsonschema' in sys.modules)\n"
    )
    (tmp_path / "monitors.yaml").write_text("version: 1\nmonitors: 5\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "AGENT_DISABLED": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "monitors.yaml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['wrong-type'] True\n", "")
