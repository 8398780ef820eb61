"""What a monitored call costs: extra nanoseconds a call, beside what others ask for the same.

    python bench/hook_cost.py                 this interpreter; peers that are not installed are named
    python bench/hook_cost.py --with-peers    makes an environment of its own with the peers in it, and runs there

Each row is one way to watch a function, each column one kind of call; a number is the call's time less the bare call's,
the least of several rounds that take turns, so that all of a table stands on the same minute of the same machine.
Below: the ratios that issue 4 sets as goals, memory for each target, the time to patch 1,000 functions, and what an
unrelated import costs with 10,000 targets registered.
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
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

PEERS = ["wrapt", "sentry-sdk", "opentelemetry-api", "opentelemetry-sdk", "logfire-api"]

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
def outer(a):
    return passing(a)
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
            return run([None] * loops) / loops * 1e9

    return measure


# Ways to watch.


def bare(module):
    del module


def agent_with(**settings):
    def apply(module):
        from support import Watch, monitor

        paths = ["shop.Thing.method" if name == "method" else f"shop.{name}" for name in TARGETS]
        watch = Watch(monitor(*paths, expect=["ValueError"], **settings))
        watch.clock = time.perf_counter
        watch.apply(module)
        assert [line for line in watch.records if line[0] != "patched"] == [], watch.records
        module.watch = watch

    return apply


def trampolines(**settings):
    def apply(module):
        from agent.hook import inject

        before = inject.AVAILABLE
        inject.AVAILABLE = False
        try:
            agent_with(**settings)(module)
        finally:
            inject.AVAILABLE = before

    return apply


def decorated(decorate):
    def apply(module):
        for name in TARGETS:
            if name == "method":
                module.Thing.method = decorate(module.Thing.method)
            else:
                setattr(module, name, decorate(getattr(module, name)))

    return apply


def report(*_):
    raise AssertionError("nothing is slow here")


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


def with_wrapt():
    import wrapt

    clock, limit = time.perf_counter, 5.0

    @wrapt.decorator
    def watch(wrapped, instance, args, kwargs):
        del instance
        start = clock()
        try:
            result = wrapped(*args, **kwargs)
        except BaseException:
            start = 0
            raise
        if clock() - start > limit:
            report()
        return result

    return decorated(watch)


def with_sentry(transaction):
    def make():
        import sentry_sdk

        sentry_sdk.init(
            "http://k@localhost:9/1" if transaction else None, traces_sample_rate=1.0 if transaction else None,
            default_integrations=False, transport=lambda _: None,
        )  # fmt: skip
        apply = decorated(sentry_sdk.trace)

        def inside(module):
            apply(module)
            if transaction:
                module.around = lambda: sentry_sdk.start_transaction(name="bench")

        return inside

    return make


def with_opentelemetry():
    from opentelemetry.sdk.trace import TracerProvider

    return decorated(TracerProvider().get_tracer("bench").start_as_current_span("call"))


WAYS = {
    "agent, errors only": agent_with,
    "agent, threshold": lambda: agent_with(thresholds=[[5.0, "warning"]]),
    "agent, rule": lambda: agent_with(thresholds=[[5.0, "warning"]], rules=[("result == 'x'", "m", "warning")]),
    "agent, errors only, trampoline": trampolines,
    "agent, threshold, trampoline": lambda: trampolines(thresholds=[[5.0, "warning"]]),
    "by hand, errors only": lambda: decorated(exact_errors_only),
    "by hand, threshold": lambda: decorated(exact_threshold),
    "by hand, *args, threshold": lambda: decorated(star_threshold),
    "wrapt, threshold": with_wrapt,
    "sentry_sdk.trace, idle": with_sentry(False),
    "sentry_sdk.trace, transaction": with_sentry(True),
    "opentelemetry": with_opentelemetry,
}


def table(loops, rounds):
    rows = {}
    skipped = {}
    ways = {"bare": lambda: bare, **WAYS}
    for name, make in ways.items():
        try:
            apply = make()
            module = fresh()
            apply(module)
            slow = name.startswith(("sentry", "opentel"))
            rows[name] = {
                column: timer(module, statement, max(50, loops // (20 if slow else 1)))
                for column, statement in CALLS.items()
            }
        except ImportError as error:
            skipped[name] = str(error)
    best = {name: dict.fromkeys(CALLS, float("inf")) for name in rows}
    for _ in range(rounds):
        for column in CALLS:
            for name, columns in rows.items():
                best[name][column] = min(best[name][column], columns[column]())
    base = best.pop("bare")
    width = max(map(len, WAYS))
    print(f"extra ns a call, Python {sys.version.split()[0]}".ljust(width + 2), *(f"{c:>10}" for c in CALLS))
    print("(the bare call)".ljust(width + 2), *(f"{base[c]:10.0f}" for c in CALLS))
    extra = {
        name: {c: (value - base[c]) / (8 if c == "8 sites" else 1) for c, value in columns.items()}
        for name, columns in best.items()
    }
    for name, columns in extra.items():
        print(name.ljust(width + 2), *(f"{columns[c]:10.0f}" for c in CALLS))
    for name, reason in skipped.items():
        print(name.ljust(width + 2), "skipped:", reason)
    return extra


def goals(extra):
    def ratio(one, other):
        return " ".join(f"{c} {extra[one][c] / max(extra[other][c], 0.1):.2f}" for c in CALLS)

    print("\nerrors only, agent / by hand:  ", ratio("agent, errors only", "by hand, errors only"))
    print("threshold, agent / exact arity:", ratio("agent, threshold", "by hand, threshold"))


def patching(number=1000):
    import tracemalloc

    from support import monitor

    from agent.hook import inject
    from agent.hook.apply import Applier
    from agent.observe.probe import Probe
    from agent.observe.terms import Terms

    def bound(terms, _, found, function):
        return Probe(terms, found, function)

    body = "\n".join(
        f"def f{n}(order, lines, user=None):\n total = 0\n for line in lines:\n  if line is None: return {n}\n"
        f"  total += line.price * line.quantity\n if total > {n}:\n  raise ValueError(total)\n return total"
        for n in range(number)
    )
    for name, settings, injected in (
        ("errors only", {}, True), ("threshold", {"thresholds": [[5.0, "warning"]]}, True),
        ("threshold, trampoline", {"thresholds": [[5.0, "warning"]]}, False),
    ):  # fmt: skip
        best, size = float("inf"), 0
        for attempt in range(6):
            module = types.ModuleType("shop")
            sys.modules["shop"] = module
            exec(body, module.__dict__)
            data = monitor(*[f"shop.f{n}" for n in range(number)], name="m", **settings)
            applier = Applier(
                lambda _, data=data: [data],
                functools.partial(bound, Terms(data, report=report, count=report)),
                lambda *_: None,
            )
            before, inject.AVAILABLE = inject.AVAILABLE, inject.AVAILABLE and injected
            if attempt == 5:
                tracemalloc.start()
            start = time.perf_counter()
            applier.imported("shop", module)
            best = min(best, time.perf_counter() - start)
            inject.AVAILABLE = before
            if attempt == 5:
                size = tracemalloc.get_traced_memory()[0]
                tracemalloc.stop()
            applier.undo()
        print(f"patch {number} functions, {name}: {best * 1000:.1f} ms, {size / number:.0f} bytes a target")


def importing(targets=10_000):
    from agent.hook.finder import Finder

    wanted = {f"erp.module{n}": [n] for n in range(targets)}
    finder = Finder(wanted, {}, report, report)
    loops = 100_000
    sys.meta_path.insert(0, finder)
    try:
        find = finder.find_spec
        start = time.perf_counter()
        for _ in range(loops):
            find("unrelated.module")
        print(f"an unrelated import with {targets} targets: {(time.perf_counter() - start) / loops * 1e9:.0f} ns")
    finally:
        sys.meta_path.remove(finder)


def with_peers():
    folder = Path(tempfile.gettempdir()) / "agent-bench-peers-{}.{}".format(*sys.version_info)
    if not folder.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", *PEERS], check=True)
    return subprocess.call([folder / "bin" / "python", __file__, *[a for a in sys.argv[1:] if a != "--with-peers"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with-peers", action="store_true")
    parser.add_argument("--loops", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    if options.with_peers:
        return with_peers()
    os.environ["AGENT_DISABLED"] = "1"
    goals(table(options.loops, options.rounds))
    print()
    patching()
    importing()
    return 0


if __name__ == "__main__":
    sys.exit(main())
