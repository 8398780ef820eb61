"""The stacks of other threads can be read while garbage is collected, and the host's collector is as it was."""

import gc
import os
import subprocess
import sys

import pytest

from agent.observe.call import stacks

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: A thread waits, fifty calls deep. It goes on, and ends, when a collection starts in the thread that looks at it.
HOST = """
import _thread, gc, linecache, sys, threading
from agent.live.stuck import Stuck
from agent.observe.call.callers import calls

def deep(n):
    if n:
        return deep(n - 1)
    there.release()
    wait.acquire()

def collecting(phase, info):
    caller = sys._getframe().f_back
    if phase == "start" and caller and wait.locked():
        if "f_back" not in linecache.getline(caller.f_code.co_filename, caller.f_lineno):
            return
        wait.release()
        thread.join()

there, wait = _thread.allocate_lock(), _thread.allocate_lock()
there.acquire(), wait.acquire()
thread = threading.Thread(target=deep, args=(50,))
thread.start()
there.acquire()
stuck = Stuck(print, print)
linecache.getline(calls.__code__.co_filename, 1)
gc.callbacks.append(collecting)
gc.set_threshold(1)
stuck.look(_thread.get_ident())
gc.set_threshold(0)
if wait.locked():
    wait.release()
thread.join()
print("here")
"""


def test_what_a_collection_sets_going_does_not_end_the_process():
    done = subprocess.run([sys.executable, "-c", HOST], cwd=ROOT, capture_output=True, text=True,
                          timeout=30, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\n", "")


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions need no pause")
@pytest.mark.parametrize("switch", [gc.enable, gc.disable])
def test_the_collector_is_left_as_it_was(switch):
    switch()
    before = gc.isenabled()
    try:
        with pytest.raises(ZeroDivisionError), stacks.of_others:
            assert not gc.isenabled()
            1 / 0
        assert gc.isenabled() is before
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11) or not hasattr(os, "fork"), reason="nothing to be taken back")
def test_a_child_that_is_forked_meanwhile_collects():
    with stacks.of_others:
        child = os.fork()
        if not child:
            with stacks.of_others:
                pass
            os._exit(gc.isenabled())
        status = os.waitpid(child, 0)[1]
    assert os.WEXITSTATUS(status) == 1
    assert gc.isenabled()
