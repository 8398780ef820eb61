"""Real agents that patch the same function, before or after ours, and undone in any order: `pytest -m compat`."""

import subprocess

import pytest
from acceptance.host import ROOT
from acceptance.test_neighbours_compat import QUIET, peers  # noqa: F401  (a fixture)

pytestmark = pytest.mark.compat

SCRIPT = """
import itertools, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from support import Watch, module, monitor

def ddtrace_bytecode(shop):
    from ddtrace.internal.wrapping import unwrap, wrap
    wrapper = lambda function, args, kwargs: function(*args, **kwargs)
    wrap(shop.f, wrapper)
    return lambda: unwrap(shop.f, wrapper)

def ddtrace_context(shop):
    from ddtrace.internal.wrapping.context import WrappingContext
    context = type("Context", (WrappingContext,), {})(shop.f)
    context.wrap()
    return context.unwrap

def ddtrace_tracer(shop):
    from ddtrace.trace import tracer
    original, shop.f = shop.f, tracer.wrap()(shop.f)
    return lambda: setattr(shop, "f", original)

def newrelic(shop):
    from newrelic.api.function_trace import wrap_function_trace
    original = shop.f
    wrap_function_trace(shop, "f")
    return lambda: setattr(shop, "f", original)

def holds(shop):
    assert shop.f(1, b=5) == 6
    try:
        shop.f(None)
    except ValueError:
        return
    raise AssertionError("nothing was raised")

def play(other, settings, first, out):
    shop = module("def f(a=1, *, b=2):\\n if a is None: raise ValueError(b)\\n return a + b\\n")
    watch = Watch(monitor("shop.f", **settings))
    if first == "we":
        watch.apply(shop)
    undo = other(shop)
    if first == "they":
        watch.apply(shop)
    holds(shop)
    assert len(watch.observed) == 1
    for each in (watch.undo, undo) if out == "we" else (undo, watch.undo):
        each()
        holds(shop)

others = [value for name, value in globals().items() if name.startswith(("ddtrace", "newrelic"))]
for turn in itertools.product(others, ({}, {"thresholds": [[5.0, "warning"]]}), ("we", "they"), ("we", "they")):
    if turn[0] is ddtrace_context and turn[2:] == ("they", "they"):
        continue  # it takes its instructions out of code that is no longer its own: docs/limits.md
    play(*turn)
    print("held", flush=True)
"""


def test_every_order(peers, tmp_path):  # noqa: F811
    script = tmp_path / "orders.py"
    script.write_text(SCRIPT)
    command = [str(peers / "python"), "-W", "ignore", str(script), str(ROOT)]
    done = subprocess.run(command, env=QUIET, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "held\n" * 30), done.stderr
