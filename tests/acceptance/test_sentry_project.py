"""What is set up in Sentry asks only for what really arrives there: the searches, evaluated over the ERP's working day."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from acceptance.host import ROOT, Host
from receiver import Receiver
from sentry_project.stub import TOKEN, Stub

pytest.importorskip("django")
pytest.importorskip("celery")

ERP = ROOT / "examples" / "erp"
PROJECT = """
  project:
    organization: norrland
    project: erp
    url: {url}
    owners: {{it-team: user:anna@norrland.example}}
    alerts: {{p95: operations}}
"""
#: What Sentry makes of an event by itself.
DERIVED = {"title", "issue", "assignee", "timestamp", "is"}


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """The host, its Sentry that received the day, and the stub in which things are set up."""
    host = Host(tmp_path_factory.mktemp("erp"))
    stub = Stub()
    with Receiver() as sentry, stub.serve() as url:
        text = (ROOT / "monitors.yaml").read_text(encoding="utf-8")
        settings = "  traces_sample_rate: 1.0\n  metrics: true" + PROJECT.format(url=url).rstrip()
        text = text.replace("  traces_sample_rate: 0.1", settings)
        host.config.write_text(text + '\ncelery: {check_ins: ["*"]}\n', encoding="utf-8")
        database = str(host.folder / "erp.sqlite3")
        day = {"ERP_DB": database, "ERP_PASSWORD_HASHERS": "MD5", "SENTRY_RELEASE": "erp@1"}  # an sdist has no commit
        host.run("manage.py", "working_day", cwd=ERP, SENTRY_DSN=sentry.dsn, **day)
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        host.end_couriers()
        yield host, sentry, stub


def rows_of_events(sentry: Receiver) -> list[dict[str, Any]]:
    return [
        {**event["tags"], "level": event["level"], "release": event.get("release"), "message": True,
         "environment": event["environment"], "user": (event.get("user") or {}).get("id"), "event.type": "error"}
        for event in sentry.events
    ]  # fmt: skip


def rows_of_spans(sentry: Receiver) -> list[dict[str, Any]]:
    rows = []
    for transaction in sentry.transactions:
        root = transaction["contexts"]["trace"]
        for span in [{**root, "timestamp": 1, "start_timestamp": 0}, *transaction["spans"]]:
            duration = span["timestamp"] - span["start_timestamp"]
            rows.append({**span.get("tags", {}), **span.get("data", {}), "span.op": span["op"],
                         "span.duration": duration, "span.status": span["status"]})  # fmt: skip
    return rows


def rows_of_counts(sentry: Receiver) -> list[dict[str, Any]]:
    rows = []
    for envelope in sentry.envelopes:
        for headers, payload in envelope.items:
            for item in json.loads(payload)["items"] if headers["type"] == "trace_metric" else ():
                plain = {name: each["value"] for name, each in item["attributes"].items()}
                rows.append({**plain, "metric": f"{item['name']},{item['type']},{item.get('unit', 'none')}"})
    return rows


def terms(search: str) -> list[tuple[str, str]]:
    found = re.findall(r'([\w.]+):("(?:[^"\\]|\\.)*"|\S+)', search)
    assert " ".join(f"{key}:{value}" for key, value in found) == search, search
    return [(key, re.sub(r"\\(.)", r"\1", value.strip('"'))) for key, value in found]


def matches(row: dict[str, Any], key: str, value: str) -> bool:
    return row.get(value) is not None if key == "has" else str(row.get(key)) == value


def asked_for(field: str) -> set[str]:
    """The names inside a field or an aggregate: `p95(span.duration)`."""
    inner = re.fullmatch(r"(\w+)\((.*)\)", field)
    if inner is None:
        return {field}
    if inner[1] == "failure_rate":
        return {"span.status"}
    return set(filter(None, [inner[2]]))


def every_question(stub: Stub) -> list[tuple[str, str, list[str]]]:
    """(dataset, search, fields) of all that is set up."""
    found = []
    for board in stub.held["dashboards"].values():
        for widget in board["widgets"]:
            for query in widget["queries"]:
                found.append((widget["widgetType"], query["conditions"], query["fields"]))
    for monitor in stub.held["detectors"].values():
        if monitor["type"] == "metric_issue":
            query = monitor["dataSources"][0]["queryObj"]["snubaQuery"]
            found.append(("spans", query["query"], [query["aggregate"]]))
    for query in stub.held["saved"].values():
        found.append(("error-events", query["query"], query["fields"]))
    for alert in stub.held["workflows"].values():
        for action_filter in alert["actionFilters"]:
            for each in action_filter["conditions"]:
                if each["type"] == "tagged_event":
                    found.append(("error-events", f"{each['comparison']['key']}:{each['comparison']['value']}", []))
    for line in stub.ownership.splitlines():
        if not line.startswith("#"):
            found.append(("error-events", line.split()[0].removeprefix("tags."), []))
    return found


def test_every_search_asks_only_for_what_arrives(day):
    host, sentry, stub = day
    done = host.agent("sentry", "apply", "--yes", "--path", str(ERP), SENTRY_AUTH_TOKEN=TOKEN, SENTRY_DSN=sentry.dsn)
    assert done.returncode == 0, done.stdout + done.stderr
    again = host.agent("sentry", "plan", "--path", str(ERP), SENTRY_AUTH_TOKEN=TOKEN, SENTRY_DSN=sentry.dsn)
    assert (again.returncode, "Nothing to do" in again.stdout) == (0, True), again.stdout
    rows = {"error-events": rows_of_events(sentry), "spans": rows_of_spans(sentry),
            "tracemetrics": rows_of_counts(sentry), "issue": rows_of_events(sentry)}  # fmt: skip
    assert {name for name, some in rows.items() if len(some) > 15} == set(rows)
    questions = every_question(stub)
    assert len(questions) > 120
    unmatched = []
    for dataset, search, fields in questions:
        there = rows[dataset]
        for key, value in terms(search):
            if key not in DERIVED and not any(matches(row, key, value) for row in there):
                unmatched.append((dataset, key, value))
        for name in {each for field in fields for each in asked_for(field)} - DERIVED:
            metric = re.fullmatch(r"value,(.*)", name)
            if metric is not None:
                assert any(row["metric"] == metric[1] for row in there), name
            else:
                assert any(row.get(name) is not None for row in there), (dataset, name)
    # The day's own program imports orders, outside of every request and task: no trace is there for a span.
    assert set(unmatched) <= {("spans", "erp.operation", "import_orders")}, sorted(set(unmatched))
    # Whole searches, too: of each module errors, spans and counts.
    whole = {(dataset, search) for dataset, search, _ in questions}
    silent = [each for each in whole if not any(
        all(matches(row, key, value) for key, value in terms(each[1]) if key not in DERIVED) for row in rows[each[0]])]  # fmt: skip
    assert len(silent) < len(whole) / 4, sorted(silent)


def test_status_and_events_print_where_sentry_shows_the_same(day):
    host, sentry, _ = day
    status = host.agent("status", SENTRY_DSN=sentry.dsn).stdout
    assert "/organizations/norrland/dashboards/?query=erp-agent%20erp" in status
    listed = host.agent("events", "--module", "sales", SENTRY_DSN=sentry.dsn).stdout
    assert "/organizations/norrland/issues/?" in listed and "erp.module%3Asales" in listed
    one = host.agent("events", "last", "--operation", "orders.margin", SENTRY_DSN=sentry.dsn).stdout
    event_id = re.search(r"event +([0-9a-f]{32})", one)[1]
    assert f"/organizations/norrland/projects/erp/events/{event_id}/" in one
    (event,) = [event for event in sentry.events if event["event_id"] == event_id]
    assert f"/performance/trace/{event['contexts']['trace']['trace_id']}/" in one


def test_the_report_links_to_sentry(day, tmp_path):
    host, sentry, _ = day
    file = tmp_path / "report.html"
    host.agent("report", "--output", str(file), SENTRY_DSN=sentry.dsn)
    page = file.read_text(encoding="utf-8")
    assert "/explore/saved-queries/?query=sales%20errors" in page
    assert re.search(r"/projects/erp/events/[0-9a-f]{32}/", page)
