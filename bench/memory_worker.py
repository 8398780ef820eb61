"""What a gunicorn worker of the example ERP holds in memory, without an agent, with this one, and with others.

    python bench/memory_worker.py                   no agent; this agent; the Sentry SDK
    python bench/memory_worker.py --with-peers      also ddtrace, OpenTelemetry and New Relic (from PyPI)

`private` is what no other process shares: `Private_Clean` and `Private_Dirty` of /proc/PID/smaps_rollup, of the worker
alone. `and server` is what the worker and the server that it was forked from hold together (`Pss` of both): another
agent may import the ERP into the server, and the worker then shares that. Measured after the requests of bench/web.py
have been made `--rounds` times. gunicorn does not preload: a worker imports the ERP itself. The servers run one after
the other, each as often as `--repeat`; the smallest value counts. Goal: 3 MB more than without an agent, with all
packs, and a quarter of what the least of the others takes.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from web import SIGN_IN, Server, _plan
from web_ways import AGENT, PEERS, SENTRY, WAYS, Way, installed

from full.parts import Parts  # isort: skip  (web puts its folder on the path)
from full.stack import Stack  # isort: skip

QUIET = {"traces_sample_rate": 0.0}
AGENTS = [
    Way("agent, no DSN", AGENT, QUIET, every_pack=True),
    Way("agent, no SDK", {**AGENT, **SENTRY}, {**QUIET, "integrations": []}, every_pack=True),
    Way("agent", {**AGENT, **SENTRY}, QUIET, every_pack=True),
]
KINDS = ("Private_Clean", "Private_Dirty")


def private(pid: int) -> float:
    """Megabytes of a process that it shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(KINDS)) / 1024


def family(pid: int) -> float:
    """Megabytes of a process and its parent, each page that both have counted once."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    parent = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
    texts = [Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii") for each in (pid, parent)]
    lines = [line for text in texts for line in text.splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with-peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=5, help="of requests to each server (default: 5)")
    parser.add_argument("--repeat", type=int, default=3, help="how often each server is started (default: 3)")
    options = parser.parse_args()
    ways = [WAYS[0], *AGENTS, next(way for way in WAYS if way.name == "sentry-sdk")]
    ways += PEERS if options.with_peers else []
    for way in ways:
        if way.packages:
            print(f"installing, if need be: {' '.join(way.packages)}", file=sys.stderr)
            installed(way)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers end with us
    folder = Path(tempfile.mkdtemp(prefix="bench-memory-"))
    found: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
    try:
        with Parts() as parts:
            prepared = Stack(parts, str(folder / "prepared"), "prepared", {})
            prepared.prepare()
            plan = _plan(prepared.manage("shell", "-c", SIGN_IN).rpartition("session: ")[2].strip())
            for turn in range(options.repeat):
                for at, way in enumerate(ways):
                    print(f"{turn + 1} of {options.repeat}: {way.name}", file=sys.stderr)
                    stack = Stack(parts, str(folder / f"{turn}-{at}"), f"erp{turn}x{at}", {}, "prepared")
                    with Server(way, stack, plan) as server:
                        for _ in range(options.rounds):
                            server.round()
                        found[way.name].append((private(server.worker), family(server.worker)))
                        server.finish()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    least = {name: [min(values) for values in zip(*pairs)] for name, pairs in found.items()}
    bare = least[ways[0].name]
    print(f"{'Python ' + sys.version.split()[0]:26}{'private':>12}{'more':>12}{'and server':>16}{'more':>12}")
    for name, (alone, both) in least.items():
        print(f"{name:26}{alone:9.1f} MB{alone - bare[0]:+9.1f} MB{both:13.1f} MB{both - bare[1]:+9.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
