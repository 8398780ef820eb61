"""However a host ends, it ends as without the agent: the same status or signal, the same words."""

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from acceptance.host import Host

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

SHOP = "def fail():\n    raise ValueError('x')\n"
#: Nobody listens there: the first delivery is being prepared when the host ends.
DSN = "http://k@127.0.0.1:9/1"
MONITORS = (
    'version: 1\nsentry: {dsn: "${SENTRY_DSN:-}"}\nmodules: {m: {description: M}}\n'
    "monitors:\n  - {target: shop.fail, module: m, operation: op}\n"
)
BEGIN = """
import atexit, os, signal, sys, threading, time
import shop
try:
    shop.fail()
except ValueError:
    pass
print("begun", flush=True)
def me(number):
    os.kill(os.getpid(), number)
    time.sleep(5)
def handles(number, handler):
    signal.signal(number, handler)
    me(number)
"""

#: What the host does last.
WAYS = {
    "returns": "",
    "exit status 3": "sys.exit(3)",
    "exit status 300": "sys.exit(300)",
    "exit with a text": "sys.exit('no such account')",
    "exit(None)": "raise SystemExit",
    "quit()": "quit()",
    "an exception": "raise RuntimeError('unhandled')",
    "a monitored exception": "shop.fail()",
    "an exception with a cause": "try: shop.fail()\nexcept ValueError as e: raise KeyError('k') from e",
    "endless recursion": "def f(): f()\ntry: f()\nexcept RecursionError: sys.exit(4)",
    "Ctrl-C": "me(signal.SIGINT)",
    "Ctrl-C while a thread is waited for": (
        "t = threading.Thread(target=time.sleep, args=(0.2,)); t.start()\nthreading.Timer(0.05, os.kill, (os.getpid(), 2)).start()\n"
        "t.join(); time.sleep(5)"
    ),
    "Ctrl-C that is caught": "try: me(signal.SIGINT)\nexcept KeyboardInterrupt: sys.exit(5)",
    "KeyboardInterrupt raised": "raise KeyboardInterrupt('by hand')",
    "a subclass of it": "class Stop(KeyboardInterrupt): pass\nraise Stop",
    "SIGTERM": "me(signal.SIGTERM)",
    "SIGTERM that exits": "handles(signal.SIGTERM, lambda *_: sys.exit(7))",
    "SIGTERM that raises": "handles(signal.SIGTERM, lambda *_: {}['gone'])",
    "SIGHUP": "me(signal.SIGHUP)",
    "SIGKILL": "me(signal.SIGKILL)",
    "an alarm": "signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(5)",
    "an alarm that is a time limit": (
        "class OutOfTime(Exception): pass\ndef ring(*_): raise OutOfTime\n"
        "signal.signal(signal.SIGALRM, ring); signal.setitimer(signal.ITIMER_REAL, 0.02)\n"
        "try:\n    while True:\n        try: shop.fail()\n        except ValueError: pass\nexcept OutOfTime: sys.exit(15)"
    ),
    "abort": "os.abort()",
    "os._exit": "os._exit(6)",
    "os._exit at exit": "atexit.register(os._exit, 8)",
    "exit work that raises": "atexit.register(shop.fail)",
    "exit work that exits": "atexit.register(sys.exit, 9)",
    "exit in a thread": "t = threading.Thread(target=sys.exit, args=(9,)); t.start(); t.join()",
    "an exception in a thread": "t = threading.Thread(target=shop.fail); t.start(); t.join()",
    "a thread that goes on": "threading.Thread(target=lambda: (time.sleep(0.1), print('last'))).start()",
    "a daemon thread": "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    "an excepthook": "sys.excepthook = lambda *_: print('hooked')\nshop.fail()",
    "an excepthook that exits": "sys.excepthook = lambda *_: os._exit(11)\nshop.fail()",
    "an excepthook that raises": "sys.excepthook = lambda *_: {}['gone']\nshop.fail()",
    "pdb's quit": "import bdb, pdb\npdb.set_trace()\nprint('not reached')",
    "a forked child exits": "child = os.fork()\nif not child: sys.exit(12)\nprint(os.waitpid(child, 0)[1])",
    "a forked child is interrupted": (
        "child = os.fork()\nif not child: me(signal.SIGINT)\nprint(os.waitpid(child, 0)[1]); sys.exit(13)"
    ),
    "os.execv": "os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(14)'])",
    "stdout is closed": "sys.stdout.close()",
    "stderr is gone": "sys.stderr = None\nshop.fail()",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """One plan for all ways."""
    host = Host(tmp_path_factory.mktemp("ends"))
    host.write(shop__py=SHOP, monitors__yaml=MONITORS, warm__py="import shop\n")
    host.run("warm.py", SENTRY_DSN=DSN)
    return host


@pytest.fixture
def shop(compiled):
    yield compiled
    compiled.end_couriers()
    shutil.rmtree(compiled.state / "spool", ignore_errors=True)  # the next way, too, has the first event


def ended(host, arguments, **environment):
    environment = host.environment(**environment)
    done = subprocess.run([host.python, *arguments], cwd=host.folder, env=environment, input="q\n", capture_output=True,
                          text=True, timeout=60)  # fmt: skip
    return done.returncode, done.stdout, re.sub(r"0x[0-9a-f]+", "0x…", done.stderr)


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_as_without_the_agent(shop, way):
    shop.write(main__py=BEGIN + WAYS[way] + "\n")
    with ThreadPoolExecutor(2) as pool:
        plain = pool.submit(ended, shop, ["main.py"], agent=False)
        watched = pool.submit(ended, shop, ["main.py"], SENTRY_DSN=DSN)
    assert watched.result() == plain.result()
