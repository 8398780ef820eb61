"""Whatever a file wants: it is done once, the second plan is empty, and people's own things stay."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sentry_project.stub import Stub
from sentry_project.test_setting_up import World
from sentry_project.test_terraform import all_complaints

from agent.sentry_project import facts as project_facts
from agent.sentry_project import wanted
from agent.sentry_project.terraform import Export

PARTS = ["dashboards", "issue-alerts", "metric-alerts", "ownership", "cron-monitors", "queries", "filters", "scrubbing"]
TEAMS = ["sales-team", "warehouse-team", "it-team"]
RECIPIENTS = ["owner", "team:sales", "user:bo@norrland.example", "slack:Norrland/#erp", "pagerduty:Norrland/ERP"]

_names = st.from_regex(r"\A[a-z][a-zA-Z0-9_.-]{0,99}\Z", fullmatch=True)
_texts = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="{}$"), min_size=1, max_size=150
).filter(str.strip)
_recipients = st.lists(st.sampled_from(RECIPIENTS), min_size=1, unique=True)
_modules = st.dictionaries(
    _names,
    st.fixed_dictionaries({}, optional={
        "owner": st.sampled_from([*TEAMS, "anna@norrland.example", "Somebody"]),
        "description": _texts,
        "defaults": st.sampled_from([{"threshold": "2s"}, {"thresholds": {"warning": "1s", "fatal": "1m"}}, {"threshold": "off"}]),
    }),
    min_size=1, max_size=4,
)  # fmt: skip
_alerts = st.fixed_dictionaries({}, optional={
    "issues": st.dictionaries(st.sampled_from(["debug", "info", "warning", "error", "critical"]), _recipients, max_size=3),
    "metrics": _recipients,
    "frequency": st.sampled_from(["5m", "1h", "30d"]),
    "error_rate": st.sampled_from(["0.3%", "100%", "off"]),
    "p95": st.sampled_from(["modules", "operations", "off"]),
    "window": st.sampled_from(["1m", "24h"]),
})  # fmt: skip
_projects = st.fixed_dictionaries(
    {"organization": st.just("norrland"), "project": st.just("erp"),
     "owners": st.just({"Somebody": "user:bo@home.example"})},
    optional={
        "environment": st.sampled_from(["production", "stage*"]), "manage": st.lists(st.sampled_from(PARTS), unique=True),
        "alerts": _alerts, "filters": st.lists(st.sampled_from(["health-checks", "localhost"]), unique=True),
        "crons": st.dictionaries(_texts, st.sampled_from(["0 2 * * *", "5m", "7d", "off"]), max_size=3),
    },
)  # fmt: skip


@st.composite
def files(draw: Any) -> dict[str, Any]:
    modules = draw(_modules)
    operations = st.fixed_dictionaries({
        "module": st.sampled_from(sorted(modules)), "operation": _texts, "threshold": st.sampled_from(["1s", "off", "90s"]),
        "kind": st.sampled_from(["function", "security"]),
    })  # fmt: skip
    monitors = draw(st.lists(operations, min_size=1, max_size=4))
    return {
        "version": 1,
        "sentry": {"traces_sample_rate": draw(st.sampled_from([0, 0.1])), "metrics": draw(st.booleans()),
                   "user": draw(st.sampled_from([["id"], ["id", "ip"]])), "project": draw(_projects)},
        "celery": {"check_ins": ["*"], **draw(st.sampled_from([{}, {"queue_wait": "30s"}, {"check_in_margin": "5m"}]))},
        "modules": modules,
        "monitors": [{"target": f"erp.module.f{at}", **each} for at, each in enumerate(monitors)],
    }  # fmt: skip


@pytest.mark.slow(reason="a large space")
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files(), files())
def test_the_second_plan_is_empty_and_people_lose_nothing(tmp_path, first, second):
    stub = Stub(page=7)
    stub.ownership = "path:src/* #quality-team\n"
    people = {
        "dashboards": stub.add("dashboards", {"title": "all modules", "projects": [42], "widgets": []}),
        "workflows": stub.add("workflows", {"name": "Everything", "detectorIds": [], "enabled": True}),
        "detectors": stub.add("detectors", {"name": "Mine", "type": "metric_issue", "projectId": "42"}),
    }
    theirs = {kind: json.dumps(stub.held[kind][number]) for kind, number in people.items()}
    world = World(tmp_path, stub=stub)
    for document in (first, second):
        world.path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        world.apply(delete=True)
        before = stub.snapshot()
        plan = world.plan()
        assert (plan.changes, plan.leftovers) == ([], []), plan
        assert world.apply(delete=True) == [] and stub.snapshot() == before
        facts = project_facts.read(str(world.path), {})
        assert all_complaints(Export(facts, wanted.all_of(facts, []).things).document()) == []
    assert {kind: json.dumps(stub.held[kind][number]) for kind, number in people.items()} == theirs
    assert "path:src/* #quality-team" in stub.ownership
