"""A signal to the process is for the host's threads, whatever threads the agent has beside them."""

import pytest
from acceptance.host import Host

MONITORS = """
version: 1
modules: {m: {}}
sentry: {dsn: "http://public@127.0.0.1:9/42"}
monitors: [{target: shop.fail, module: m, operation: fail}]
"""
#: The host blocks the signal and waits for it, as daemons do. Its thread is the only one, but for the agent's.
MAIN = """
import os, shop, signal, threading
for _ in range(3):
    try: shop.fail()
    except ValueError: pass
print(threading.active_count(), len(os.listdir("/proc/self/task")) > 1)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
for number in (signal.SIGUSR1, signal.SIGTERM):
    os.kill(os.getpid(), number)
    found = signal.sigtimedwait([signal.SIGTERM, signal.SIGUSR1], 20)
    print(signal.Signals(found.si_signo).name)
"""


@pytest.mark.parametrize("has_thread", [True, False], ids=["its own thread", "courier"])
def test_a_host_that_waits_for_a_signal_gets_it(host: Host, has_thread: bool) -> None:
    more = "delivery: {courier: false}\n" if has_thread else ""
    host.write(shop__py="def fail(): raise ValueError(1)\n", main__py=MAIN, monitors__yaml=MONITORS + more)
    ran = host.run("main.py")
    assert ran.returncode == 0, ran
    assert ran.stdout.splitlines() == [f"1 {has_thread}", "SIGUSR1", "SIGTERM"]
