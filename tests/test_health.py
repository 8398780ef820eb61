"""Counting what a process did, from all of its threads at once."""

import sys
import threading

from agent.health import Health


def test_no_count_is_lost_between_threads(tmp_path):
    health = Health(str(tmp_path), "monitors.yaml")

    def count(number):
        for _ in range(20_000):
            health.count("rate", "shared")
        health.count("rate", f"own {number}", 5)

    threads = [threading.Thread(target=count, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    own = {("rate", f"own {number}"): 5 for number in range(4)}
    assert health.counts == {("rate", "shared"): 80_000, **own}
