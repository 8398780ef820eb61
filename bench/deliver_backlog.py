"""How long a backlog takes to reach a Sentry that responds slowly: one request at a time, and as the agent sends them.

    python bench/deliver_backlog.py [--events 1000] [--delay 0.1]

One request at a time is measured with a tenth of the events. The last line shows what the history
costs (use `--delay 0`): CPU time of the delivering process for each event, and its ratio to that without a history.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "deliver")]

from kit import envelope  # noqa: E402

from agent.deliver.send import parallel  # noqa: E402
from agent.deliver.send.flush import flush  # noqa: E402
from agent.deliver.send.resources import to_sentry  # noqa: E402
from agent.deliver.spool.spool import Spool  # noqa: E402


def rate(number: int, dsn: str, *, history: bool = True) -> tuple[float, float]:
    """Envelopes a second, and seconds of CPU time for each."""
    directory = tempfile.mkdtemp(prefix="backlog-")
    spool = Spool(directory, max_size=1 << 32, max_age=1e6, max_files=1 << 20, durable=False, count=lambda *_: None,
                  history=(7 * 86400.0, 64_000_000 * history))  # fmt: skip
    for _ in range(number):
        spool.write(envelope(size=2000))
    began, cpu = time.monotonic(), time.process_time()
    summary = flush(to_sentry(spool, dsn, lambda *_: None), 3600)
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    assert (summary.delivered, summary.waiting) == (number, 0), summary
    shutil.rmtree(directory)
    return number / took, cpu / number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds that Sentry takes to answer")
    options = parser.parse_args()
    place = tempfile.mkdtemp(prefix="bench-receiver-")
    port_file = os.path.join(place, "port")
    script = os.path.join(ROOT, "tests", "receiver.py")
    command = [sys.executable, script, "--port-file", port_file, "--log", os.path.join(place, "log")]
    receiver = subprocess.Popen([*command, "--delay", str(options.delay)])
    try:
        while not os.path.exists(port_file):
            time.sleep(0.02)
        with open(port_file) as file:
            dsn = f"http://k@127.0.0.1:{file.read()}/1"
        several, _ = rate(options.events, dsn)
        parallel.MOST = 1
        one, _ = rate(max(options.events // 10, 10), dsn)
        kept = [[rate(options.events, dsn, history=history)[1] for history in (True, False)] for _ in range(2)]
    finally:
        receiver.kill()
        receiver.wait()
        shutil.rmtree(place)
    print(f"a Sentry that answers after {options.delay * 1000:.0f} ms: {one:.1f} events/s one at a time, ")
    print(f"{several:.1f} events/s as the agent does it; 50,000 events take {50_000 / several / 60:.0f} min")
    with_it, without = (min(each) for each in zip(*kept))
    print(
        f"the history costs × {with_it / without:.2f} CPU time ({without * 1e6:.0f} → {with_it * 1e6:.0f} µs an event)"
    )


if __name__ == "__main__":
    main()
