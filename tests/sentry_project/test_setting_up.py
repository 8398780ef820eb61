"""plan, apply, plan: against a Sentry that refuses what Sentry refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sentry_project.stub import TOKEN, Stub

from agent.base.errors import AgentError
from agent.sentry_project import facts as project_facts
from agent.sentry_project import plan as planning
from agent.sentry_project import present, site, wanted
from agent.sentry_project.api import Api
from agent.sentry_project.apply import apply

FILE = """
version: 1
sentry:
  dsn: https://key@sentry.norrland.example/42
  traces_sample_rate: 0.1
  user: [id]
  project:
    organization: norrland
    project: erp
    owners: {{it-team: "user:anna@norrland.example"}}
    crons: {{nightly: "0 2 * * *", replenish: 6h}}
{project}
celery: {{queue_wait: 30s, check_ins: ["*"]}}
defaults: {{threshold: 5s}}
modules:
  sales: {{description: Orders, owner: sales-team, defaults: {{threshold: 2s}}}}
  inventory: {{owner: warehouse-team}}
  security: {{owner: it-team}}
  quality: {{}}
monitors:
  - {{target: sales.services.create_order, module: sales, operation: create_order, threshold: 800ms}}
  - {{target: inventory.stock.reserve, module: inventory}}
  - {{target: accounts.sign_in, module: security, kind: security, event_type: login}}
  - {{target: quality.checks.inspect, module: quality}}
"""


class World:
    """A file and a Sentry."""

    def __init__(self, tmp_path: Any, project: str = "", stub: Stub | None = None) -> None:
        self.path = tmp_path / "monitors.yaml"
        self.write(project)
        self.stub = stub or Stub()

    def write(self, project: str = "", text: str = FILE) -> None:
        self.path.write_text(text.format(project=project), encoding="utf-8")

    def compared(self, *, writing: bool = True) -> tuple[Any, Any, Any]:
        facts = project_facts.read(str(self.path), {})
        want = wanted.all_of(facts, [])
        api = Api(facts.url, TOKEN, self.stub.sleep, self.stub.clock)
        api.pool = self.stub
        where = site.connect(facts, {}, writing=writing, api=api)
        site.check_people(where, facts)
        there = present.read(where, want.things, wanted.kinds(facts))
        things = planning.canonical(want.things, where.people)
        return where, there, planning.compare(things, there, want.notes)

    def plan(self) -> planning.Plan:
        return self.compared()[2]

    def apply(self, *, delete: bool = False) -> list[str]:
        where, there, plan = self.compared()
        done: list[str] = []
        changes = [*plan.changes, *(plan.leftovers if delete else ())]
        apply(where, there, changes, lambda change: done.append(f"{change.action} {change.thing.title}"))
        return done


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def actions(plan: planning.Plan) -> list[str]:
    return [f"{change.action} {change.thing.title}" for change in plan.changes]


def test_the_second_plan_is_empty(world):
    first = world.plan()
    assert {
        change.action for change in first.changes if change.thing.kind not in ("filter", "scrubbing", "ownership")
    } == {"create"}
    done = world.apply()
    assert done == actions(first)
    second = world.plan()
    assert (second.changes, second.leftovers) == ([], [])
    before = world.stub.snapshot()
    assert world.apply() == []
    assert world.stub.snapshot() == before


def test_all_kinds_are_made_with_our_mark_and_for_the_modules_owner(world):
    world.apply()
    held = world.stub.held
    mark = " [erp-agent erp]"
    assert {each["title"] for each in held["dashboards"].values()} == {
        f"{name}{mark}" for name in ("all modules", "sales", "inventory", "security", "quality")
    }
    sales = next(each for each in held["workflows"].values() if each["name"] == f"sales issues{mark}")
    fatal, error = sales["actionFilters"]
    assert [each["comparison"] for each in fatal["conditions"]] == [
        {"key": "erp.module", "match": "eq", "value": "sales"}, {"level": 50, "match": "eq"}]  # fmt: skip
    assert error["actions"][0]["config"]["targetIdentifier"] == "10"  # sales-team
    p95 = next(each for each in held["detectors"].values() if each["name"] == f"sales p95{mark}")
    assert p95["conditionGroup"]["conditions"][0]["comparison"] == 2000.0
    assert (p95["owner"]["type"], p95["owner"]["id"]) == ("team", "10")
    metrics = next(each for each in held["workflows"].values() if each["name"] == f"sales metrics{mark}")
    assert p95["id"] in metrics["detectorIds"]
    assert held["monitors"]["nightly"]["config"]["schedule"] == "0 2 * * *"
    assert held["monitors"]["replenish"]["config"]["schedule"] == [6, "hour"]
    assert world.stub.ownership.splitlines()[1:4] == [
        "tags.erp.module:sales #sales-team", "tags.erp.module:inventory #warehouse-team",
        "tags.erp.module:security anna@norrland.example",
    ]  # fmt: skip
    assert world.stub.project["dataScrubber"] and world.stub.project["scrubIPAddresses"]
    assert world.stub.project["sensitiveFields"] == ["theirs"]
    assert world.stub.filters["filtered-transaction"] and not world.stub.filters["localhost"]


def test_what_people_made_is_never_touched(world):
    stub = world.stub
    stub.ownership = "path:src/* #quality-team\n"
    theirs = {
        "dashboards": stub.add("dashboards", {"title": "sales", "projects": [42], "widgets": []}),
        "workflows": stub.add("workflows", {"name": "sales issues", "detectorIds": [], "enabled": True}),
        "detectors": stub.add("detectors", {"name": "sales p95", "type": "metric_issue", "projectId": "42"}),
        "monitors": stub.add(
            "monitors", {"name": "My nightly job", "slug": "nightly", "config": {}, "isUpserting": False}
        ),
        "saved": stub.add("saved", {"name": "sales errors", "query": "x"}),
    }
    other = stub.add("dashboards", {"title": "sales [erp-agent other]", "projects": [43], "widgets": []})
    before = {kind: dict(stub.held[kind][number]) for kind, number in theirs.items()}
    world.apply()
    plan = world.plan()
    assert plan.changes == [] and any("somebody has made a cron monitor nightly" in note for note in plan.notes)
    world.write(project="    manage: [dashboards]\n")
    world.apply(delete=True)
    assert {kind: stub.held[kind][number] for kind, number in theirs.items()} == before
    assert other in stub.held["dashboards"]
    assert stub.ownership.splitlines()[-1] == "path:src/* #quality-team"


def test_drift_is_shown_and_mended(world):
    world.apply()
    held = world.stub.held
    board = next(each for each in held["dashboards"].values() if each["title"].startswith("sales"))
    board["widgets"][0]["queries"][0]["conditions"] = "level:error"
    del board["widgets"][3]
    monitor = next(each for each in held["detectors"].values() if each["name"].startswith("sales p95"))
    monitor["conditionGroup"]["conditions"][0]["comparison"] = 9000
    alert = next(each for each in held["workflows"].values() if each["name"].startswith("sales issues"))
    alert["actionFilters"][0]["actions"] = []
    alert["enabled"] = False
    world.stub.filters["web-crawlers"] = False
    world.stub.ownership = world.stub.ownership.replace("#sales-team", "#quality-team")
    seen = {change.thing.title: [each.where for each in change.differences] for change in world.plan().changes}
    assert seen == {
        "metric monitor sales p95": ["above"],
        "alert sales issues": ["notify fatal › to", "enabled"],
        "dashboard sales": ["widgets › Errors › queries › conditions", "widgets › Error rate over time"],
        "ownership rules": ["rules"],
        "inbound filter web-crawlers": ["active"],
    }
    world.apply()
    assert world.plan().changes == []


def test_what_left_the_file_is_deleted_only_on_request(world):
    world.apply()
    text = FILE.replace("  - {{target: quality.checks.inspect, module: quality}}\n", "")
    world.write(text=text)
    left = [f"{change.thing.title}" for change in world.plan().leftovers]
    assert left == ["saved query quality errors", "saved query quality slow calls", "dashboard quality",
                    "alert quality issues", "alert quality metrics", "metric monitor quality error rate",
                    "metric monitor quality p95"]  # fmt: skip
    world.apply()
    assert len(world.plan().leftovers) == len(left)
    world.apply(delete=True)
    assert world.plan() == planning.Plan([], [], [])


def test_private_names_are_added_to_those_that_people_gave(world):
    world.write(text=FILE.replace("  user: [id]", "  user: [id, ip]\n  scrub: {{names: [Salary, theirs]}}"))
    world.apply()
    assert world.stub.project["sensitiveFields"] == ["theirs", "salary"]
    assert not world.stub.project["scrubIPAddresses"]  # the file lets addresses be sent
    assert world.plan().changes == []


def test_a_part_that_is_not_managed_is_left_as_it_is(world):
    world.apply()
    before = world.stub.snapshot()
    world.write(project="    manage: [issue-alerts, dashboards]\n")
    plan = world.plan()
    assert (plan.changes, plan.leftovers) == ([], [])
    assert world.apply(delete=True) == [] and world.stub.snapshot() == before


@pytest.mark.parametrize("lost", [False, True], ids=["refused", "done, and its response lost"])
@pytest.mark.parametrize("at", [0, 9, 18, 30])
def test_the_next_apply_mends_what_one_left_half_done(world, at, lost):
    world.stub.fail_write, world.stub.lose_response = at, lost
    with pytest.raises(AgentError, match=r"could not create .*: Sentry fails: POST .*: HTTP 50[24]"):
        world.apply()
    assert world.stub.writes == at + 1
    world.apply()
    assert world.plan() == planning.Plan([], [], [])
    for kind in ("dashboards", "workflows", "detectors"):
        names = [each.get("title") or each["name"] for each in world.stub.held[kind].values()]
        assert len(names) == len(set(names))


def test_rate_limits_are_waited_for_and_pages_followed(tmp_path):
    world = World(tmp_path, stub=Stub(page=1))
    world.stub.limit_each = 5
    world.apply()
    world.stub.limit_each = 0
    assert world.plan().changes == []
    assert world.stub.slept and all(0 < seconds <= 2 for seconds in world.stub.slept)


def test_a_cron_monitor_that_a_check_in_made_is_taken_over_with_its_schedule(world):
    world.stub.add("monitors", {
        "name": "nightly", "slug": "nightly", "status": "active", "isUpserting": True, "owner": None,
        "config": {"schedule_type": "crontab", "schedule": "30 3 * * *", "timezone": "Europe/Stockholm"},
    })  # fmt: skip
    (change,) = [change for change in world.plan().changes if change.thing.title == "cron monitor nightly"]
    assert [each.where for each in change.differences] == ["name"]
    world.apply()
    assert world.stub.held["monitors"]["nightly"]["name"] == "nightly [erp-agent erp]"


def test_every_kind_of_recipient_is_resolved_and_read_back(tmp_path):
    others = ("team:sales", "user:bo@home.example", "slack:Norrland/#erp", "pagerduty:Norrland/ERP", "opsgenie:Support/ERP",
              "discord:Workshop/998877", "msteams:Office/General")  # fmt: skip
    to = json.dumps(["owner", *others])
    world = World(tmp_path, f"    alerts: {{issues: {{fatal: {to}, warning: [owner]}}, metrics: {to}}}\n")
    world.apply()
    assert world.plan() == planning.Plan([], [], [])


@pytest.mark.parametrize(
    ("project", "words"),
    [
        ('    alerts: {issues: {fatal: ["team:sals"]}}', ["no team sals", "did you mean `sales`"]),
        ('    alerts: {issues: {fatal: ["user:nobody@x.example"]}}', ["nobody@x.example", "invite"]),
        ('    alerts: {issues: {fatal: ["user:invited@norrland.example"]}}', ["has joined"]),
        ('    alerts: {issues: {fatal: ["slack:Norland/#x"]}}', ["no slack integration Norland", "did you mean `Norrland`"]),
        ('    alerts: {issues: {fatal: ["pagerduty:Norrland/Web"]}}', ["pagerduty integration Norrland", "no Web"]),
    ],
)  # fmt: skip
def test_a_name_that_sentry_does_not_have_stops_everything(tmp_path, project, words):
    world = World(tmp_path, project)
    with pytest.raises(AgentError) as raised:
        world.apply()
    assert all(word in str(raised.value) for word in words), raised.value
    assert not world.stub.writes


def test_a_team_without_access_to_the_project_is_named_before_anything_is_done(world):
    world.stub.project["teams"] = world.stub.project["teams"][1:]
    with pytest.raises(AgentError, match="team sales-team has no access to project erp"):
        world.apply()
    assert not world.stub.writes


def test_missing_scopes_are_listed_before_anything_is_done(tmp_path):
    world = World(tmp_path, stub=Stub(scopes=("org:read", "project:read", "alerts:read", "member:read")))
    assert world.compared(writing=False)[2].changes
    with pytest.raises(AgentError, match="lacks the scopes alerts:write, project:write"):
        world.apply()
    assert not world.stub.writes


def test_an_organization_token_is_recognised(tmp_path):
    world = World(tmp_path, stub=Stub(scopes=("org:ci",)))
    with pytest.raises(AgentError, match="organization token, which only uploads releases"):
        world.plan()


def test_the_least_scopes_that_the_docs_list_are_enough(tmp_path):
    world = World(tmp_path, stub=Stub(scopes=("org:read", "project:write", "alerts:write", "member:read")))
    world.apply()
    assert world.plan().changes == []


@pytest.mark.parametrize(("feature", "words"), [
    ("incidents", "no metric alerts.*without metric-alerts"), ("discover-query", "no saved queries.*without queries"),
])  # fmt: skip
def test_a_plan_of_sentrys_without_a_part_stops_everything(world, feature, words):
    world.stub.features.remove(feature)
    with pytest.raises(AgentError, match=words):
        world.apply()
    assert not world.stub.writes


def test_a_quota_of_metric_alerts_is_met_before_alerts_refer_to_them(world):
    world.stub.monitor_quota = 2
    with pytest.raises(AgentError, match=r"Used 2/2.*the plan of this organization does not allow it"):
        world.apply()
    assert world.stub.held["workflows"] == {} and world.stub.held["dashboards"] == {}
    world.stub.monitor_quota = None
    world.apply()
    assert world.plan().changes == []


def test_an_old_sentry_is_named(tmp_path):
    world = World(tmp_path, stub=Stub(old=True))
    with pytest.raises(AgentError, match=r"too old to set up metric monitors.*without issue-alerts and metric-alerts"):
        world.apply()
    assert not world.stub.writes
    world.write(project="    manage: [dashboards, ownership]\n")
    world.apply()
    assert world.plan().changes == []


def test_an_environment_from_which_nothing_has_come_is_named(tmp_path):
    world = World(tmp_path, "    environment: prod\n")
    with pytest.raises(AgentError, match=r"no environment prod .it has production, .*send an event from it first"):
        world.apply()
    assert not world.stub.writes
    world.write(project="    environment: production\n")
    world.apply()
    assert world.plan().changes == []
    alert = next(iter(world.stub.held["workflows"].values()))
    assert alert["environment"] == "production" and alert["name"].endswith(" [erp-agent erp/production]")


def test_an_owner_whom_the_token_may_not_read_is_drift_and_no_failure(tmp_path):
    text = FILE.replace("user:anna@norrland.example", "team:it-team")
    world = World(tmp_path, stub=Stub(scopes=("org:read", "project:write", "alerts:write")))
    world.write(text=text)
    world.apply()
    monitor = next(each for each in world.stub.held["detectors"].values() if each["name"].startswith("sales p95"))
    monitor["owner"] = {"type": "user", "id": "77", "name": "Anna"}
    (change,) = world.plan().changes
    assert change.differences == [("owner", "user:77", "team:sales-team")]


@pytest.mark.parametrize(("key", "value", "words"), [
    ("organization: norrland", "organization: sudland", "no organization sudland"),
    ("project: erp", "project: crm", "no project crm"),
])  # fmt: skip
def test_an_unknown_organization_or_project_is_named(world, key, value, words):
    world.write(text=FILE.replace(key, value))
    with pytest.raises(AgentError, match=words):
        world.plan()


def test_without_traces_there_are_no_metric_alerts_and_a_note_says_why(world):
    world.write(text=FILE.replace("traces_sample_rate: 0.1", "traces_sample_rate: 0"))
    plan = world.plan()
    assert not any(change.thing.kind == "monitor" for change in plan.changes)
    assert any("traces_sample_rate is 0" in note for note in plan.notes)
    world.apply()
    assert world.plan().changes == []


def test_the_token_is_in_no_message_and_goes_to_no_other_host(world, monkeypatch):
    class Pool:
        def request(self, *_: Any, headers: Any, **__: Any) -> Any:
            raise OSError(f"no route with {headers['Authorization']}")

    api = Api("https://sentry.example", TOKEN, lambda _: None)
    api.pool = Pool()
    with pytest.raises(AgentError) as raised:
        api.get("/")
    assert TOKEN not in str(raised.value) and "cannot be reached" in str(raised.value)


@pytest.mark.parametrize("given", ["", "   ", "two words", "tökn"])
def test_a_missing_or_broken_token_is_named(given):
    with pytest.raises(AgentError, match="SENTRY_AUTH_TOKEN"):
        site.token({"SENTRY_AUTH_TOKEN": given})
