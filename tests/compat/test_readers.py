"""The demo's working day in real servers: Bugsink and Spotlight take each event and show it in the ERP's words.

`pytest -m compat tests/compat/test_readers.py`. AGENT_TEST_READERS names a folder that keeps what they install; without
it they are installed anew, which takes a minute or two and a network.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path

import pytest
from acceptance.host import ROOT, Host
from compat import readers

pytest.importorskip("django")
pytest.importorskip("celery")
pytestmark = pytest.mark.compat

#: What a person reads in the list of issues.
TITLES = {
    ("MachineBreakdown", "CNC mill is down: spindle bearing"),
    ("PeriodClosed", "period 2026-03 is closed"),
    ("InsufficientStock", "CHR-ASPEN: 1 requested, 0 available"),
    ("DivisionByZero", "[<class 'decimal.DivisionByZero'>]"),
    ("Log Message", "Order SO-00018 of customer 3 was rejected"),
    ("Log Message", "Sign-in failed again and again for one login (more than 10 times in 3600 s)"),
}


@pytest.fixture
def server(request, tmp_path):
    """`server("bugsink")` installs and starts it; it ends with the test."""
    named = os.environ.get("AGENT_TEST_READERS")
    if not named and "compat" not in request.config.option.markexpr:
        pytest.skip("installs servers from PyPI and npm: run with -m compat, or name a folder in AGENT_TEST_READERS")
    installed = Path(named) if named else tmp_path / "installed"
    with contextlib.ExitStack() as running:

        def start(kind):
            folder = tmp_path / kind.__name__
            folder.mkdir()
            try:
                return running.enter_context(kind(folder, installed / kind.__name__))
            except readers.Unavailable as reason:
                pytest.skip(str(reason))

        yield start


@pytest.fixture
def erp(tmp_path):
    host = Host(tmp_path)
    host.config = ROOT / "monitors.yaml"
    return host


def work(erp, dsn, *options):
    """A working day, or some steps of it, and everything delivered. How many events it made."""
    around = {"SENTRY_DSN": dsn, "ERP_DB": str(erp.folder / "erp.sqlite3")}
    erp.run("manage.py", "working_day", *options, cwd=ROOT / "examples" / "erp", timeout=180, **around)
    erp.agent("spool", "flush", **around)
    assert erp.events() == [], "each of them was accepted"
    (process,) = erp.status()
    counts = Counter()
    for row in process["counts"]:
        counts[row["reason"]] += row["number"]
    return counts["captured"] - counts["tried-again"]


def test_bugsink_takes_and_shows_the_day(erp, server):
    bugsink = server(readers.Bugsink)
    captured = work(erp, bugsink.dsn)
    issues = bugsink.issues()
    assert {(each["calculated_type"], each["calculated_value"]) for each in issues} >= TITLES
    groups = [{tuple(event["fingerprint"]) for event in bugsink.events(each)} for each in issues]
    assert all(len(group) == 1 for group in groups)
    assert len(set().union(*groups)) == len(groups), "what belongs together is one issue"
    assert sum(each["stored_event_count"] for each in issues) == captured

    (margin,) = [each for each in issues if each["calculated_type"] == "DivisionByZero"]
    assert margin["transaction"] == "/orders/<str:number>/margin/"
    (event,) = bugsink.events(margin)
    assert event["contexts"]["erp"]["operations"][-1] == "orders.margin"
    page = bugsink.page(margin)
    for said in ("sales.views in order_margin", "erp.owner: sales-team", "erp.module: sales", "handled: false"):
        assert said in page
    assert "sentry_sdk" not in page, "the frames of what watches are not the ERP's"
    details = bugsink.page(margin, "details/")
    for said in ("operation orders.margin", "function sales.views.order_margin", "defined monitors.yaml:"):
        assert said in details

    (slow,) = [each for each in issues if "sales_by_customer took" in each["calculated_value"]]
    page = bugsink.page(slow)
    assert "report.sales_by_customer took" in page
    assert "reports.services in run_report" in page, "the stack is the caller's"


def test_spotlight_takes_and_tells_errors(erp, server):
    spotlight = server(readers.Spotlight)
    assert work(erp, spotlight.dsn, "--steps", "margin-page") >= 1
    told = spotlight.errors()
    assert told.count("DivisionByZero: [<class 'decimal.DivisionByZero'>]") == 1
    for said in ('File "sales/views.py", in order_margin', "**erp.owner**: sales-team", 'operation: "orders.margin"'):
        assert said in told
    assert "sentry_sdk" not in told
