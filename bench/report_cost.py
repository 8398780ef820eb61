"""The cost of a report to the calling thread, compared with the Sentry SDK's own calls in the same run.

    python bench/report_cost.py [--json]

Neither waits for anything: the agent writes into a spool in a temporary folder, the SDK into a transport that discards.
Each number is the best of several rounds, in microseconds of the thread's own CPU time, system calls included. So it is
the cost of the code, without the influence of other processes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

DEPTHS = (5, 20, 50)

SHOP = """
def deep(n, fails):
    held = {"a": n}
    if n: return deep(n - 1, fails)
    return fails()
def fails():
    raise ValueError("no stock of 17")
def slow(): return None
def rule(x): return x
def quiet(x):
    raise KeyError("x")
"""


def best(call, number, rounds=7):
    times = []
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(number):
            call()
        times.append((time.thread_time() - began) / number)
    return min(times) * 1e6


def caught(call, *arguments):
    def run():
        try:
            call(*arguments)
        except Exception:
            return

    return run


def plain(folder, name="bench_plain"):
    """The module that is watched, as it is."""
    module = types.ModuleType(name)
    exec(compile(SHOP, str(Path(folder) / (name + ".py")), "exec"), module.__dict__)
    return module


#: Without limits, so that each call is reported.
MONITORS = """
version: 1
sentry: {{environment: bench, release: bench@1, dsn: "{dsn}"}}
delivery: {{spool: {{max_size: 1GB, max_files: 50000, max_rate: "off"}}}}
defaults: {{rate_limit: "off"}}
monitors:
- {{target: bench_shop.fails}}
- {{target: bench_shop.slow, threshold: 0.00001ms}}
- {{target: bench_shop.rule, capture: {{x: x}}, rules: [{{when: x == 1, message: "hit {{x}}", severity: warning}}]}}
- {{target: bench_shop.quiet, rate_limit: 1/d}}
"""


def agents(folder, dsn=None):
    """The same module, watched by an agent whose state lies in `folder`."""
    from agent.boot.engine import Engine
    from agent.config.load import load
    from agent.hook.targets.apply import Applier
    from agent.plan import index, write

    file = Path(folder) / "monitors.yaml"
    file.write_text(MONITORS.format(dsn=dsn or ""))
    loaded = load(str(file), {})
    if loaded.plan is None or loaded.problems:
        raise SystemExit(f"{file}: {loaded.problems}")
    module = sys.modules["bench_shop"] = plain(folder, "bench_shop")
    plan = loaded.plan
    engine = Engine(index.decode(write.encode(plan, []), plan["path"]), folder)
    failed = []
    applier = Applier(lambda _: plan["monitors"], engine.probes.bind, lambda what, *why: failed.append((what, *why)))
    applier.imported("bench_shop", module)
    if [what for what, *_ in failed] != ["patched"] * 4:
        raise SystemExit(f"not all of the four functions are watched: {failed}")
    return module


def suppressed_cost(shop, bare):
    for call in (shop.quiet, bare.quiet):
        caught(call, 1)()
    return best(caught(shop.quiet, 1), 20_000) - best(caught(bare.quiet, 1), 20_000)


def large_cost():
    """Microseconds to turn the worst of several values of 100 MB into what leaves of them."""
    from agent.observe.event.represent import exception_text, represent
    from agent.privacy.scrub import scrub_json

    size = 100_000_000
    text = "text of an order, ann@example.com " * (size // 34)
    values = [
        text,
        text.encode(),
        bytearray(size),
        [None] * (size // 8),
        dict.fromkeys(range(1_500_000)),
        {"a": [text]},
    ]
    costs = [best(lambda value=value: scrub_json(represent(value)), 20) for value in values]
    return max([*costs, best(lambda: exception_text(ValueError(text)), 20)])


def sdk():
    import sentry_sdk

    class Nothing(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope):
            envelope.serialize()

        def capture_event(self, event):
            pass

    sentry_sdk.init("http://key@localhost/1", transport=Nothing, default_integrations=False)
    return sentry_sdk


FIRST = """
import sys, time
sys.path.insert(0, {root!r})
import shop
def once(call):
    began = time.thread_time()
    try: call()
    except ValueError: pass
    return (time.thread_time() - began) * 1e3
print(once(shop.f))
"""


def first_report(folder, rounds=5):
    """Milliseconds of the first report of a process that has no reason to load the SDK: imports, spool, event."""
    home = Path(folder) / "first"
    home.mkdir()
    (home / "monitors.yaml").write_text("version: 1\nmonitors: [{target: shop.f, operation: f}]\n")
    (home / "shop.py").write_text("def f(): raise ValueError('x')\n")
    (home / "main.py").write_text(FIRST.format(root=str(home)))
    # The bytecode of the agent is compiled by the first of the runs, which does not count.
    others = ("AGENT_", "SENTRY_", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    environment.update(PYTHONPATH=str(ROOT), AGENT_CONFIG=str(home / "monitors.yaml"), AGENT_STATE_DIR=folder)
    found = []
    for _ in range(rounds + 1):
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=home, env=environment, capture_output=True, text=True, check=True
        )
        found.append(float(done.stdout))
    return min(found[1:])


def main():
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        shop, bare = agents(folder), plain(folder)
        repeated = suppressed_cost(shop, bare)
        large = large_cost()
        # Ours first: without a DSN an agent hands its events to a client of the host's, once there is one.
        errors = {
            depth: best(caught(shop.deep, depth, shop.fails), 100) - best(caught(bare.deep, depth, bare.fails), 100)
            for depth in DEPTHS
        }
        slow, rule = best(shop.slow, 100), best(lambda: shop.rule(1), 100)
        theirs = sdk()
        for depth in DEPTHS:

            def captured(depth=depth):
                try:
                    bare.deep(depth, bare.fails)
                except ValueError:
                    theirs.capture_exception()

            sdks = best(captured, 100) - best(caught(bare.deep, depth, bare.fails), 100)
            rows.append((f"an error, {depth} frames deep", errors[depth], sdks, "capture_exception", 0.5))
        message = best(lambda: theirs.capture_message("slow"), 200)
        rows.append(("a slow call", slow, message, "capture_message", None))
        rows.append(("a rule that is hit", rule, message, "capture_message", None))
        first = first_report(folder)
    if "--json" in sys.argv:
        print(json.dumps({"rows": rows, "suppressed_us": repeated, "large_us": large, "first_ms": first}))
    else:
        print(f"{'':28}{'agent µs':>10}{'SDK µs':>10}{'ratio':>8}")
        for what, ours, sdks, call, goal in rows:
            met = "" if goal is None else "  goal ≤ %.1f: %s" % (goal, "met" if ours / sdks <= goal else "MISSED")
            print(f"{what:28}{ours:10.1f}{sdks:10.1f}{ours / sdks:8.2f}  of {call}{met}")
        print(f"{'a suppressed repeat':28}{repeated:10.2f}{'':18}  goal ≤ 2: {'met' if repeated <= 2 else 'MISSED'}")
        print(f"{'a value of 100 MB':28}{large:10.1f}{'':18}  goal ≤ 1000: {'met' if large <= 1000 else 'MISSED'}")
        print(f"{'the first report, ms':28}{first:10.2f}{'':18}  goal ≤ 5: {'met' if first <= 5 else 'MISSED'}")


if __name__ == "__main__":
    main()
