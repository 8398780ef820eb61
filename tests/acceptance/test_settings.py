"""What monitors.yaml says beside its monitors is in force in the processes of a host."""

import pytest
from acceptance.host import summary

SHOP = """
class Company:
    code, id, owner = "acme", 7, "u-1"
class OnHold(Exception): pass
def company(): return Company
def order(): raise OnHold("customer 5")
def fail(): raise ValueError("no")
"""

MAIN = """
import shop
for _ in range(6):
    try: shop.order()
    except shop.OnHold: pass
try: shop.fail()
except ValueError: pass
"""

MONITORS = """
version: 1
context:
  - name: tenant
    target: shop.company
    read: {company: result.id, missing: result.nothing}
    tags: {tenant: result.code}
    user: {id: result.owner}
monitors:
  - {target: shop.order, expect: [shop.OnHold], escalate: 4/h, severity: warning}
  - {target: shop.fail}
"""


def test_context_and_escalation(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    assert host.run("main.py").stderr == ""
    escalated, failed = host.events()
    assert summary(escalated) == ("rule", "order", "warning")
    assert "OnHold is expected, but came more than 4 times" in escalated["logentry"]["formatted"]
    assert summary(failed) == ("error", "fail", "error")
    for event in (escalated, failed):
        assert event["contexts"]["tenant"] == {"company": 7}
        assert event["tags"]["tenant"] == "acme"
        assert event["user"] == {"id": "u-1"}


@pytest.mark.parametrize(
    ("processes", "events"),
    [("{only: [main.py]}", 2), ("{only: [gunicorn]}", 0), ("{skip: [main]}", 0), ("{skip: [pip]}", 2)],
)
def test_programs(host, processes, events):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=f"{MONITORS}processes: {processes}\n")
    for _ in "12":  # the first process compiles the plan, the second reads it
        host.run("main.py")
    assert len(host.events()) == 2 * events


@pytest.mark.parametrize(
    ("bound", "kept", "count"), [("max_files: 3", 3, "spool-full"), ("max_rate: 2/s", 2, "too-many")]
)
def test_bounds_of_the_spool(host, bound, kept, count):
    many = "import shop\nfor _ in range(40):\n    try: shop.fail()\n    except ValueError: pass\n"
    text = MONITORS.replace("{target: shop.fail}", "{target: shop.fail, rate_limit: off}")
    host.write(shop__py=SHOP, main__py=many, monitors__yaml=f"{text}delivery: {{spool: {{{bound}}}}}\n")
    host.run("main.py")
    assert 1 <= len(host.events()) <= kept + 2
    (process,) = host.status()
    assert count in str(process)
