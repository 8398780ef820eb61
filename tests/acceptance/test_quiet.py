"""A flood at the host becomes a handful at Sentry, and the handful says how large the flood was."""

from receiver import Receiver

SHOP = """
class Expected(Exception): pass
def f(x):
    if x: raise ValueError(x)
def g(): raise Expected
def quiet(call, *args):
    try: call(*args)
    except Exception: pass
"""
# Without a budget: on a busy machine a burst takes seconds, in which a monitor that takes most of them is reduced, which
# is one more event.
MONITORS = """
version: 1
budget: off
monitors:
  - {target: shop.f, operation: f}
  - {target: shop.g, operation: g, expect: [shop.Expected]}
"""


def test_a_burst_of_100_000_equal_failures(host):
    host.write(
        shop__py=SHOP, monitors__yaml=MONITORS,
        main__py="from shop import *\nfor n in range(100_000): quiet(f, 1)\nfor n in range(100): quiet(g)\n",
    )  # fmt: skip
    with Receiver() as sentry:
        done = host.run("main.py", SENTRY_DSN=sentry.dsn)
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        events = sentry.events
    assert done.stderr == ""
    assert 5 <= len(events) <= 20
    suppressed = sum(event["contexts"]["erp"].get("suppressed", 0) for event in events)
    assert suppressed + len(events) > 10_000, "the handful says that it stands for many"
    counts = "".join(path.read_text() for path in (host.state / "run").iterdir())
    assert "('expected', 'g'): 100" in counts
    assert f"('rate', 'f'): {100_000 - len(events)}" in counts


def test_sampling_keeps_the_first_of_each_kind(host):
    host.write(
        shop__py=SHOP, main__py="from shop import *\nfor n in range(1000): quiet(f, 1)\nfor n in range(9): quiet(g)\n",
        monitors__yaml="version: 1\nmonitors:\n  - {targets: [shop.f, shop.g], operation: '{name}', sample: 0}\n",
    )  # fmt: skip
    host.run("main.py")
    assert sorted(event["tags"]["erp.operation"] for event in host.events()) == ["f", "g"]


def test_the_functions_of_one_pattern_share_the_rate_of_their_monitor(host):
    host.write(
        shop__py="\n".join(f"def f{n}():\n    raise ValueError({n})" for n in range(40)),
        monitors__yaml=(
            "version: 1\nmodules: {m: {description: M}}\nmonitors:\n"
            "  - {target: 'shop.*', module: m, operation: '{name}', rate_limit: 10/h}\n"
        ),
        main__py=(
            "import shop\nfor _ in range(5):\n  for n in range(40):\n    try: getattr(shop, 'f%d' % n)()\n    except ValueError: pass\n"
        ),
    )
    host.run("main.py")
    # The first of each kind may take the bucket into debt, as deep as it is high: 20 of 200, not 40 or more.
    assert 10 <= len(host.events()) <= 20
    (process,) = host.status()
    held = sum(row["number"] for row in process["counts"] if row["reason"] == "rate")
    assert held == 200 - len(host.events())
