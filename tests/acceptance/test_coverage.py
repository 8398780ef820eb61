"""coverage.py measures a host that is monitored: its report is what it is without the agent."""

import json
import sys

import pytest
from acceptance.host import Host, other_pythons

pytest.importorskip("coverage")

MONITORS = """
version: 1
modules: {m: {description: M}}
defaults: {threshold: 5s}
monitors:
  - {name: all, targets: [shop.*, "shop.Till.*", "__main__.*"], module: m, rules: [{when: result == 99, message: m}]}
"""
SHOP = '''
import asyncio
def f(a):
    if a > 5:
        raise ValueError(a)
    for i in range(a):
        if i == 3:
            return i
    return a
def g(n):
    for i in range(n):
        try:
            yield i
        finally:
            n -= 1
async def c(a):
    async with asyncio.Lock():
        return a
class Till:
    def both(self, a):
        """Of two kinds."""
        try:
            with open("/dev/null") as file:
                return a if a else None
        finally:
            a = 0
    def never(self):
        return self
'''
MAIN = """
import asyncio, shop
def helper(x):
    try:
        return shop.f(x)
    except ValueError:
        print("as always")
if __name__ == "__main__":
    helper(1), helper(9)
    list(shop.g(3))
    started = shop.g(2); next(started); started.close()
    asyncio.run(shop.c(1))
    shop.Till().both(1), shop.Till().both(0)
"""
CORES = ["ctrace", "sysmon"] if sys.version_info >= (3, 12) else ["ctrace"]
WAYS = [(sys.executable, core) for core in CORES]
WAYS += [(python, core) for python in other_pythons() if "-3.13" in python for core in ("ctrace", "sysmon")]


@pytest.mark.parametrize(("python", "core"), WAYS)
def test_a_report_is_the_same_with_every_function_monitored(tmp_path, python, core):
    host = Host(tmp_path, python)
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    options = [] if core == "sysmon" else ["--branch"]  # it measures none before 3.14

    def measured(agent):
        """Without a list of sources: all that is neither Python's, a library's nor coverage's own."""
        done = host.run("-m", "coverage", "run", *options, "main.py", agent=agent, COVERAGE_CORE=core)
        assert (done.stdout, done.stderr) == ("as always\n", "")
        host.run("-m", "coverage", "json", "-q", agent=agent)
        report = json.loads((host.folder / "coverage.json").read_text())
        return report["files"], report["totals"]

    expected = measured(agent=False)
    assert set(expected[0]) == {"main.py", "shop.py"}
    assert measured(agent=True) == expected
    (event,) = host.events()
    assert event["tags"]["erp.report"] == "error"
