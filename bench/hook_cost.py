"""The cost of a monitored call: extra nanoseconds for each call, compared with other tools.

    python bench/hook_cost.py                 this interpreter; names the peers that are not installed
    python bench/hook_cost.py --pythons python3.11 python3.12 python3.13
                                              creates an environment with the peers for each and keeps it for the next
                                              run, and prints a table; --markdown prints it as Markdown

Each row is a way to monitor a function, each column a kind of call. A number is the call's time minus that of the bare
call, the minimum of several rounds that take turns, so that all numbers of a table come from the same minutes of the
same machine. Then: the cost of a failure, of monitoring a thousand functions, and of an unrelated import with 10,000
targets registered.
"""

import argparse
import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "bench")]

from hook_peers import PACKAGES, PEERS, decorated, report  # noqa: E402

SOURCE = """
def function(a): return a
class Thing:
    def method(self, a): return a
thing = Thing()
def five(a, b, c, d, e): return a
async def coroutine(a): return a
def generator(a): yield a
def passing(a):
    raise ValueError(a)
"""
TARGETS = ["function", "method", "five", "coroutine", "generator", "passing"]

CALLS = {
    "function": "function(1)",
    "method": "thing.method(1)",
    "five": "five(1, 2, 3, 4, 5)",
    "coroutine": "try: coroutine(1).send(None)\n  except StopIteration: pass",
    "generator": "for _ in generator(1): pass",
    "passing": "try: passing(1)\n  except ValueError: pass",
    "8 sites": "function(1); function(2); function(3); function(4); function(5); function(6); function(7); function(8)",
}


#: How long one way is called in one round, at most: nanoseconds. Shorter than the slices of a busy machine's time.
_ROUND = 2e6


def fresh():
    space = types.ModuleType("shop").__dict__
    space["__name__"] = "shop"
    sys.modules["shop"] = module = types.ModuleType("shop")
    exec(SOURCE, module.__dict__)
    return module


def timer(module, statement, loops):
    source = (
        "def run(loops):\n from time import perf_counter\n start = perf_counter()\n"
        f" for _ in loops:\n  {statement}\n return perf_counter() - start"
    )
    exec(source, module.__dict__)
    run = module.__dict__.pop("run")
    around = getattr(module, "around", contextlib.nullcontext)

    def measure():
        with around():
            run([None] * (1 + loops // 10))  # who ran before has filled the caches
            return run([None] * loops) / loops * 1e9

    return measure


# Ways to watch.


def bare(module, names):
    del module, names


def agent_with(*, counting=False, expect=("ValueError",), **settings):
    def apply(module, names):
        from support import Watch, monitor

        from agent.base.health import Health
        from agent.measure.store import Store
        from agent.measure.tallies import Tallies

        paths = ["shop.Thing.method" if name == "method" else f"shop.{name}" for name in names]
        watch = Watch(monitor(*paths, expect=list(expect), **settings))
        watch.clock = time.perf_counter
        watch._count = Health("", "").count  # as a process has it
        if counting:
            state = tempfile.mkdtemp()
            watch.tallies = Tallies(Store(lambda: state, dict))
        watch.apply(module)
        assert [line for line in watch.records if line[0] != "patched"] == [], watch.records
        module.watch = watch

    return apply


def trampolines(**settings):
    def apply(module, names):
        from agent.hook.code import inject

        before = inject.AVAILABLE
        inject.AVAILABLE = False
        try:
            agent_with(**settings)(module, names)
        finally:
            inject.AVAILABLE = before

    return apply


def exact_errors_only(function):
    """The best that a person writes by hand for each function: its own parameters, nothing else."""
    import inspect

    code = function.__code__
    names = ", ".join(code.co_varnames[: code.co_argcount])
    space = {}
    if inspect.isgeneratorfunction(function):
        body = f"  try: return (yield from original({names}))\n  except BaseException: fail(); raise"
    else:
        wait = "await " if inspect.iscoroutinefunction(function) else ""
        body = f"  try: return {wait}original({names})\n  except BaseException: fail(); raise"
    kind = "async def" if inspect.iscoroutinefunction(function) else "def"
    exec(f"def make(original, fail):\n {kind} closure({names}):\n{body}\n return closure", space)
    return functools.wraps(function)(space["make"](function, lambda: None))


def exact_threshold(function):
    import inspect

    code = function.__code__
    names = ", ".join(code.co_varnames[: code.co_argcount])
    kind = "async def" if inspect.iscoroutinefunction(function) else "def"
    if inspect.isgeneratorfunction(function):
        call = f"(yield from original({names}))"
    else:
        call = ("await " if inspect.iscoroutinefunction(function) else "") + f"original({names})"
    space = {}
    exec(
        f"def make(original, clock, limit, fail, slow):\n {kind} closure({names}):\n  start = clock()\n"
        f"  try: result = {call}\n  except BaseException: fail(); raise\n"
        f"  if clock() - start > limit: slow()\n  return result\n return closure",
        space,
    )
    return functools.wraps(function)(space["make"](function, time.perf_counter, 5.0, lambda: None, report))


def star_threshold(function):
    import inspect

    clock, limit = time.perf_counter, 5.0
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def closure(*args, **kwargs):
            start = clock()
            try:
                result = await function(*args, **kwargs)
            except BaseException:
                start = 0
                raise
            if clock() - start > limit:
                report()
            return result

    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def closure(*args, **kwargs):
            start = clock()
            result = yield from function(*args, **kwargs)
            if clock() - start > limit:
                report()
            return result

    else:

        @functools.wraps(function)
        def closure(*args, **kwargs):
            start = clock()
            try:
                result = function(*args, **kwargs)
            except BaseException:
                start = 0
                raise
            if clock() - start > limit:
                report()
            return result

    return closure


WAYS = {
    "agent, errors only": agent_with,
    "agent, errors only, counting": lambda: agent_with(counting=True),
    "agent, threshold": lambda: agent_with(thresholds=[[5.0, "warning"]]),
    "agent, threshold, counting": lambda: agent_with(thresholds=[[5.0, "warning"]], counting=True),
    "agent, threshold, repeats": lambda: agent_with(thresholds=[[5.0, "warning"]], repeats=50),
    "agent, threshold, stuck": lambda: agent_with(thresholds=[[5.0, "warning"]], stuck=60.0),
    "agent, rule": lambda: agent_with(thresholds=[[5.0, "warning"]], rules=[("result == 'x'", "m", "warning")]),
    "agent, errors only, trampoline": trampolines,
    "agent, threshold, trampoline": lambda: trampolines(thresholds=[[5.0, "warning"]]),
    "agent, threshold, counting, trampoline": lambda: trampolines(thresholds=[[5.0, "warning"]], counting=True),
    "by hand, errors only": lambda: decorated(exact_errors_only),
    "by hand, threshold": lambda: decorated(exact_threshold),
    "by hand, *args, threshold": lambda: decorated(star_threshold),
    **PEERS,
}


def table(loops, rounds):
    """{way: {column: extra ns a call}}, and the bare call's own; {way that is not to be had here: why}"""
    rows = {}
    skipped = {}
    for name, make in {"bare": lambda: bare, **WAYS}.items():
        try:
            apply = make()
            module = fresh()
            apply(module, TARGETS)
            rows[name] = {}
            for column, statement in CALLS.items():
                once = timer(module, statement, 20)()
                # What takes microseconds is called less often, so that each takes part in as many rounds.
                rows[name][column] = timer(module, statement, max(3, min(loops, int(_ROUND / once))))
        except ImportError as error:
            skipped[name] = str(error)
    best = {name: dict.fromkeys(CALLS, float("inf")) for name in rows}
    for _ in range(rounds):
        for column in CALLS:
            for name, columns in rows.items():
                best[name][column] = min(best[name][column], columns[column]())
    base = best.pop("bare")
    extra = {
        name: {c: (value - base[c]) / (8 if c == "8 sites" else 1) for c, value in columns.items()}
        for name, columns in best.items()
    }
    return extra, base, skipped


FAILING = """
def fails(a): raise ValueError(a)
def passes(a): return fails(a)
def deep(call, n): return deep(call, n - 1) if n else call(1)
"""

#: What becomes of a failure: what is called, which functions are watched, and how.
FAILURES = {
    "expected": ("fails(1)", ["fails"], {}),
    "held back": ("fails(1)", ["fails"], {"expect": (), "rate_limit": (1, 1e9)}),
    "held back, 50 calls deep": ("deep(fails, 50)", ["fails"], {"expect": (), "rate_limit": (1, 1e9)}),
    "held back, through an outer call": ("passes(1)", ["fails", "passes"], {"expect": (), "rate_limit": (1, 1e9)}),
}


def failures(loops, rounds):
    """{what becomes of a failure: (extra ns, how many times what a closure by hand adds)}"""
    measures = []
    for call, names, settings in FAILURES.values():
        for apply in (bare, agent_with(**settings), decorated(exact_errors_only)):
            module = fresh()
            exec(FAILING, module.__dict__)
            apply(module, names)
            measures.append(
                timer(module, f"try: {call}\n  except ValueError: pass", max(3, loops // 200))
            )  # less than a slice of a busy machine
    best = [min(times) for times in zip(*([measure() for measure in measures] for _ in range(rounds)))]
    found = {}
    for name, base, ours, by_hand in zip(FAILURES, best[::3], best[1::3], best[2::3]):
        found[name] = (ours - base, (ours - base) / max(by_hand - base, 1.0))
    return found


def functions(number):
    """Return the names and the source of so many functions, as an ERP may have them."""
    names = [f"f{n}" for n in range(number)]
    body = "\n".join(
        f"def f{n}(order, lines, user=None):\n total = 0\n for line in lines:\n  if line is None: return {n}\n"
        f"  total += line.price * line.quantity\n if total > {n}:\n  raise ValueError(total)\n return total"
        for n in range(number)
    )
    return names, body


def thousand(ways):
    """{way: (milliseconds to watch 1,000 functions, bytes that each then takes)}"""
    import tracemalloc

    names, body = functions(1000)
    found = {}
    for name in ways:
        best, size = float("inf"), 0
        for attempt in range(2 if name in PEERS else 6):
            apply = WAYS[name]()
            module = fresh()
            exec(body, module.__dict__)
            if attempt == 0:
                tracemalloc.start()
            start = time.thread_time()  # what it takes, without the neighbours'
            apply(module, names)
            took = time.thread_time() - start
            if attempt == 0:  # its time is that of the measuring, too
                size = tracemalloc.get_traced_memory()[0]
                tracemalloc.stop()
            else:
                best = min(best, took)
        found[name] = (best * 1e3, size / 1000)
    return found


def importing(targets=10_000):
    """{whose import hook: ns that an import costs which none of `targets` modules names}"""
    names = [f"erp.module{n}" for n in range(targets)]

    def agent():
        from agent.hook.imports.finder import Finder

        return Finder(dict.fromkeys(names), {}, report, report)

    def wrapt():
        from wrapt import importer

        for name in names:
            importer.register_post_import_hook(report, name)
        return importer.ImportHookFinder()

    def newrelic():
        from newrelic.api import import_hook

        for name in names:
            import_hook.register_import_hook(name, report)
        return import_hook.ImportHookFinder()

    found = {}
    for name, make in {"the agent": agent, "wrapt": wrapt, "New Relic": newrelic}.items():
        try:
            finder = make()
        except ImportError:
            continue
        before = list(sys.meta_path)
        sys.meta_path.insert(0, finder)
        find = finder.find_spec
        try:
            best = float("inf")
            for _ in range(200):
                start = time.perf_counter()
                for _ in range(1000):
                    find("unrelated.module")
                best = min(best, (time.perf_counter() - start) / 1000)
            found[name] = best * 1e9
        finally:
            sys.meta_path[:] = before
    return found


def tell(extra, base, skipped, failed, each, imports, *, markdown):
    columns = [*CALLS, "1,000 (ms)", "bytes each"]
    rows = [["(the bare call)", *(f"{base[c]:,.0f}" for c in CALLS), "", ""]]
    for name, values in extra.items():
        rows.append([name, *(f"{values[c]:,.0f}" for c in CALLS), f"{each[name][0]:,.0f}", f"{each[name][1]:,.0f}"])
    head = [f"Python {sys.version.split()[0]}, extra ns a call", *columns]
    if markdown:
        for row in (head, ["---"] * len(head), *rows[1:]):
            print("| " + " | ".join(row) + " |")
    else:
        wide = max(len(row[0]) for row in (head, *rows))
        for row in (head, *rows):
            print(row[0].ljust(wide), *(f"{cell:>10}" for cell in row[1:]))
    for name, reason in skipped.items():
        print(f"\n{name}: skipped, {reason}")

    def ratio(one, other):
        return " ".join(f"{c} {extra[one][c] / max(extra[other][c], 0.1):.2f}" for c in CALLS)

    print("\nerrors only, agent / by hand:  ", ratio("agent, errors only", "by hand, errors only"))
    print("threshold, agent / exact arity:", ratio("agent, threshold", "by hand, threshold"))
    print(
        "threshold, counting, agent / exact arity:",
        ratio("agent, threshold, counting", "by hand, threshold"),
    )
    for way in ("errors only", "threshold"):
        more = " ".join(f"{c} {extra[f'agent, {way}, counting'][c] - extra[f'agent, {way}'][c]:.0f}" for c in CALLS)
        print(f"counting, ns more than {way}:", more)
    print(
        "a failure, ns (times a closure by hand):",
        ", ".join(f"{n} {ns:,.0f} ({t:.1f})" for n, (ns, t) in failed.items()),
    )
    print("an unrelated import with 10,000 targets:", ", ".join(f"{name} {ns:.0f} ns" for name, ns in imports.items()))


def elsewhere(python, rest):
    """Run this in an environment of `python` with the peers, as far as they can be installed there."""
    version = subprocess.check_output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True)
    folder = Path(tempfile.gettempdir()) / f"agent-bench-peers-{version.strip()}"
    program = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([python, "-m", "venv", folder], check=True)
        for package in PACKAGES:  # one by one: some are not to be had for every Python
            subprocess.run([program, "-m", "pip", "install", "-q", package], check=False, stderr=subprocess.DEVNULL)
        (folder / "ready").touch()
    return subprocess.call([program, "-W", "ignore", __file__, *rest])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pythons", nargs="+", metavar="PYTHON", help="each with the peers, in an environment of its own"
    )
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--loops", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    if options.pythons:
        rest = ["--loops", str(options.loops), "--rounds", str(options.rounds), *["--markdown"] * options.markdown]
        return max(elsewhere(python, rest) for python in options.pythons)
    os.environ["AGENT_DISABLED"] = "1"
    extra, base, skipped = table(options.loops, options.rounds)
    failed = failures(options.loops, options.rounds)
    tell(extra, base, skipped, failed, thousand(extra), importing(), markdown=options.markdown)
    sys.stdout.flush()
    os._exit(0)  # some peers would try to send what they have for a while


if __name__ == "__main__":
    sys.exit(main())
