"""Code is exchanged under the feet of threads that are allocating frames for it, and collecting garbage meanwhile."""

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.hook.until_310 import replace_code

ROOT = Path(__file__).resolve().parents[3]

#: Deep recursion uses the interpreter's spare frames up, so that each call allocates; what is collected gives way to others.
STRESS = """
import gc, sys, threading, time
sys.path[:0] = {paths!r}
from support import Watch, module, monitor
from agent.hook.code import patch

shop = module("def f(n, ran):\\n ran[0] += 1\\n return f(n - 1, ran) if n else 0\\n", name="shop")
watch = Watch(monitor("shop.f", name="staying", thresholds=[[9e9, "warning"]]))
watch.apply(shop)
(layer,) = patch.layers_of(shop.f)
owner = layer.owner

class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        time.sleep(0)

wrong = []

def call():
    for _ in range(1500):
        ran = [0]
        Cycle()
        if (shop.f(900, ran), ran) != (0, [901]):
            wrong.append(ran)

gc.set_threshold(20)
sys.setrecursionlimit(9000)
threads = [threading.Thread(target=call) for _ in range(4)]
sys.setswitchinterval(1e-4)
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    patch.patch_function(shop.f, owner).undo()  # on top of the first, so that frames differ in size and number
print("called", wrong)
"""


@pytest.mark.slow(reason="a process whose threads call for seconds")
@pytest.mark.skipif(sys.version_info >= (3, 11), reason="later versions exchange code as it is")
def test_threads_that_call_and_collect_survive_it():
    paths = [str(ROOT), str(ROOT / "tests")]
    program = [sys.executable, "-X", "faulthandler", "-c", STRESS.format(paths=paths)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "called []\n", "")


def codes():
    def function():
        return 1

    def other():
        return 2

    return function, other.__code__


def test_the_code_is_exchanged_whoever_collects(monkeypatch):
    monkeypatch.setattr(replace_code, "PATIENCE", 3)
    function, code = codes()
    replace_code.replace_code(function, code)
    assert function() == 2
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        callbacks = list(gc.callbacks)
        for prepare in (gc.enable, gc.disable):
            prepare()
            function, code = codes()
            replace_code.replace_code(function, code)
            assert function() == 2
        gc.enable()
        function, code = codes()
        monkeypatch.setattr(gc, "collect", lambda _: 0)  # somebody else is collecting, for ever
        replace_code.replace_code(function, code)
        assert function() == 2
        assert gc.callbacks == callbacks
    finally:
        gc.enable()
        release.set()
        thread.join()


def test_what_the_interpreter_refuses_is_raised():
    free = 1

    def closure():
        return free

    function, _ = codes()
    with pytest.raises(ValueError, match="free vars"):
        replace_code.replace_code(function, closure.__code__)
