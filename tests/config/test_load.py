"""From a text to the Plan: precedence, survival, merging, names, packs, environment."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from compat.packs import unknown_exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.base.places import config_path
from agent.config.load import examine
from agent.config.read.shipped import pack_names, schema_path


def errors(result):
    return [problem.slug for problem in result.problems if problem.severity == "error"]


def monitors(result):
    assert result.plan is not None, result.problems
    return {monitor["name"]: monitor for monitor in result.plan["monitors"]}


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def test_the_plan_is_plain_json(look):
    case = os.path.join(os.path.dirname(__file__), "cases", "positive", "whole_language.yaml")
    plan = examine(case, {}).plan
    assert json.loads(json.dumps(plan, allow_nan=False)) == plain(plan)


def test_built_in_defaults(look):
    (monitor,) = monitors(look("version: 1\nmonitors: [{target: a.b.c}]\n")).values()
    assert monitor == {
        "name": "c", "where": "monitors.yaml:2",
        "targets": [{"path": "a.b.c", "module": None, "attribute": None, "pattern": False}],
        "exclude": [], "kind": "function", "module": None, "operation": "{name}", "detail": {}, "severity": "error",
        "thresholds": [], "errors": {}, "expect": [], "ignore_errors": [], "escalate": None, "capture": {}, "rules": [], "audit": "",
        "tags": {}, "fingerprint": None, "sample": 1.0, "rate_limit": (30.0, 60.0), "span": "auto", "metrics": True,
        "subclasses": False, "owner": None,
        "exception_text": True, "quiet_inside": [], "unless": None, "live": False, "line": None, "source": None, "stuck": None, "learn": None, "learned": {}, "span_data": None,
        "repeats": None, "budget": 0.01, "repeat_interval": {},
    }  # fmt: skip


def test_a_colon_tells_module_from_attribute(look):
    (monitor,) = monitors(look('version: 1\nmonitors: [{target: "a.b:C.d*"}]\n')).values()
    assert monitor["targets"] == [{"path": "a.b.C.d*", "module": "a.b", "attribute": "C.d*", "pattern": True}]


def test_precedence_monitor_module_file_built_in(look):
    result = look("""
version: 1
defaults: {severity: warning, threshold: 9s, rate_limit: 9/s, sample: 0.9, span: never}
modules:
  m: {defaults: {severity: info, thresholds: {info: 5s, error: 6s}, rate_limit: 5/s}, owner: me, tags: {a: m, b: m}}
monitors:
  - {target: a.b.own, module: m, severity: error, threshold: 1s, rate_limit: 1/s, tags: {b: own}}
  - {target: a.b.module, module: m}
  - {target: a.b.file}
""")
    found = monitors(result)
    picked = {
        name: (m["severity"], m["thresholds"], m["rate_limit"], m["sample"], m["span"], m["tags"], m["owner"])
        for name, m in found.items()
    }
    assert picked == {
        "own": ("error", [(1.0, "warning")], (1.0, 1.0), 0.9, "never", {"a": "m", "b": "own"}, "me"),
        "module": ("info", [(5.0, "info"), (6.0, "error")], (5.0, 1.0), 0.9, "never", {"a": "m", "b": "m"}, "me"),
        "file": ("warning", [(9.0, "warning")], (9.0, 1.0), 0.9, "never", {}, None),
    }


def test_a_slow_call_is_a_warning_or_milder(look):
    found = monitors(
        look("version: 1\nmonitors: [{target: a.b.c, severity: info, threshold: 1}, {target: a.b.d, threshold: 1}]")
    )
    assert found["c"]["thresholds"] == [(1.0, "info")]
    assert found["d"]["thresholds"] == [(1.0, "warning")]


def test_off_switches_an_inherited_threshold_and_limit_off(look):
    found = monitors(
        look("version: 1\ndefaults: {threshold: 1s}\nmonitors: [{target: a.b.c, threshold: off, rate_limit: off}]")
    )
    assert found["c"]["thresholds"] == []
    assert found["c"]["rate_limit"] is None


def test_what_kinds_imply(look):
    found = monitors(
        look("""
version: 1
monitors:
  - {target: a.b.sec, kind: security, event_type: login, rules: [{when: result is None, message: m}]}
  - {target: a.b.api, kind: api, endpoint: POST /x}
  - {target: a.b.db, kind: database, model: M, operation: select}
  - {target: a.b.biz, kind: business, process: order_to_cash}
  - {target: a.b.t, kind: transaction, name: nightly}
""")
    )
    assert {m["name"]: (m["operation"], m["severity"], m["thresholds"], m["detail"]) for m in found.values()} == {
        "login": ("login", "warning", [], {"event_type": "login"}),
        "POST /x": ("POST /x", "error", [(5.0, "warning")], {"endpoint": "POST /x"}),
        "select": ("select", "error", [(1.0, "warning")], {"model": "M"}),
        "order_to_cash": ("order_to_cash", "error", [], {"process": "order_to_cash"}),
        "nightly": ("nightly", "error", [], {"name": "nightly"}),
    }
    assert found["login"]["rules"][0]["severity"] == "warning"


def test_names_grow_until_they_are_unique(look):
    found = monitors(
        look("""
version: 1
monitors:
  - {target: a.b.C.save}
  - {target: a.b.D.save}
  - {target: a.x.D.save}
  - {target: a.b.one, operation: same}
  - {target: a.b.two, operation: same}
  - {target: a.b.three, operation: alone}
  - {target: a.b.four, name: given}
  - {target: a.b.given}
  - {target: reports.builders.*}
""")
    )
    assert list(found) == [
        "C.save", "b.D.save", "x.D.save", "one", "two", "alone", "given", "b.given", "builders.*",
    ]  # fmt: skip


def test_one_wrong_monitor_disables_itself_alone(look):
    result = look("""
version: 1
monitors:
  - target: a.b.reserve
    operation: reserve_stock
    threshold: 5 min
  - target: a.b.fine
""")
    assert list(monitors(result)) == ["fine"]
    (problem,) = result.problems
    assert problem.path == 'monitors[1] "reserve_stock" › threshold'
    assert (problem.line, problem.column, problem.hint) == (6, 16, "did you mean `5m`?")
    (line,) = result.plan["disabled"]
    assert line.startswith("monitors.yaml:4 reserve_stock: threshold: expected a duration such as")


@pytest.mark.parametrize(
    "text",
    ["", "- a", "version: 2", "version: 1\nmonitors: {}", "version: 1\nsentry: []", "version: 1\nsentry: {usr: []}",
     "version: 1\nsentry: {user: [name]}", "version: 1\nsentry: {sample_rate: 2}",
     "version: 1\ndelivery: {spool: {max_size: 1 ton}}",
     "version: 1\nmodules: []", "version: 1\ndefaults: 5", "version: 1\nmonitors: []\nmonitors: []",
     "version: 1\ninclude: [nothing.yaml]", "version: 1\ninclude: [part.yaml]"],
)  # fmt: skip
def test_a_file_that_is_wrong_as_a_whole_gives_no_plan(look, text):
    result = look(text, part="version: 1\nmonitors: [")
    assert result.plan is None
    assert errors(result)


@pytest.mark.parametrize(
    "text",
    ["sentry: {dsn: nonsense}", "sentry: {dsn: '${NO_SUCH_NAME}'}", "sentry: {tags: {a: [1]}}", "packs: [jango]",
     "monitorz: []",
     "defaults: {threshold: 5 min}", "modules: {m: {defaults: {severity: loud}, ownr: x}}", "packs: 5"],
)  # fmt: skip
def test_what_is_wrong_by_itself_loses_itself_alone(look, text):
    result = look(f"version: 1\n{text}\nmonitors: [{{target: a.b.c}}]\n")
    assert errors(result)
    assert monitors(result)["c"]["severity"] == "error"
    assert result.plan["sentry"]["dsn"] is None


def test_sections_and_monitors_of_included_files_are_merged_in_order(look, tmp_path):
    result = look(
        "version: 1\ninclude: ['part*.yaml']\nsentry: {environment: staging}\nmonitors: [{target: a.b.c, module: m}]\n",
        part1="version: 1\nsentry: {sample_rate: 0.5, environment: staging}\nmodules: {m: {}}\n"
        "monitors: [{target: a.b.d}]\n",
        part2="version: 1\ninclude: [part1.yaml]\nmonitors: [{target: a.b.e}]\n",
    )
    assert errors(result) == []
    assert list(monitors(result)) == ["c", "d", "e"]
    assert result.plan["sentry"]["sample_rate"] == 0.5
    assert result.plan["files"] == [str(tmp_path / name) for name in ("monitors.yaml", "part1.yaml", "part2.yaml")]
    assert [monitor["where"] for monitor in result.plan["monitors"]][1] == "part1.yaml:4"


def test_a_conflict_names_both_places(look):
    result = look(
        "version: 1\ninclude: [part.yaml]\nmodules: {m: {owner: a}}\ndefaults: {threshold: 1s}\n",
        part="version: 1\nmodules: {m: {owner: b}}\ndefaults: {thresholds: {error: 2s}}\n",
    )
    assert errors(result) == ["conflict", "conflict"]
    assert [problem.message.rpartition(" in ")[2] for problem in result.problems] == [
        "monitors.yaml:3",
        "monitors.yaml:4",
    ]
    assert all(problem.file.endswith("part.yaml") for problem in result.problems)


def test_includes_that_go_in_a_circle(look):
    result = look("version: 1\ninclude: [part.yaml]\n", part="version: 1\ninclude: [monitors.yaml]\n")
    assert errors(result) == ["include-cycle"]
    assert "monitors.yaml → part.yaml → monitors.yaml" in result.problems[0].message


def test_a_glob_that_matches_nothing_is_a_warning(look):
    result = look("version: 1\ninclude: ['conf.d/*.yaml']\n")
    assert [(problem.slug, problem.severity) for problem in result.problems] == [("include-empty", "warning")]
    assert result.plan is not None


def test_problems_of_all_files_come_at_once(look):
    result = look(
        "version: 1\ninclude: [part.yaml]\nmonitors: [{target: x}]\n", part="version: 1\nmonitors: [{target: y}]\n"
    )
    assert [os.path.basename(problem.file) for problem in result.problems] == ["monitors.yaml", "part.yaml"]


def test_environments_choose_monitors(look, write):
    text = """
version: 1
sentry: {environment: "${WHERE:-}"}
monitors:
  - {target: a.b.p, environments: [production]}
  - {target: a.b.s, environments: [staging]}
  - {target: a.b.off, enabled: false}
"""
    assert list(monitors(look(text))) == ["p"]
    assert list(monitors(look(text, {"WHERE": "staging"}))) == ["s"]
    assert list(monitors(look(text, {"SENTRY_ENVIRONMENT": "staging"}))) == ["s"]
    plan = examine(write(text), {}, environment="staging").plan
    assert [monitor["name"] for monitor in plan["monitors"]] == ["s"]


def test_the_environment_fills_in_where_the_file_says_nothing_and_counts_as_read(look):
    environ = {"SENTRY_DSN": "https://key@sentry.example/1", "SENTRY_RELEASE": "r", "SENTRY_DEBUG": "1", "UNREAD": "x"}
    plan = look("version: 1\nsentry: {dsn: '${MY_DSN:-}', environment: staging}\n", environ).plan
    sentry = plan["sentry"]
    assert (sentry["dsn"], sentry["environment"], sentry["release"], sentry["debug"]) == (
        "https://key@sentry.example/1", "staging", "r", True,
    )  # fmt: skip
    assert plan["environment"] == {
        "MY_DSN": None, "SENTRY_DSN": environ["SENTRY_DSN"], "SENTRY_RELEASE": "r", "SENTRY_DEBUG": "1",
    }  # fmt: skip


def test_what_was_read_is_known_also_where_there_is_no_plan(look):
    result = look("version: 2\nsentry: {dsn: '${MY_DSN}'}\n")
    assert result.plan is None
    assert result.environment == {"MY_DSN": None}


def test_the_file_wins_over_the_environment(look):
    environ = {"SENTRY_DSN": "https://env@sentry.example/1", "SENTRY_DEBUG": "1"}
    plan = look("version: 1\nsentry: {dsn: 'https://file@sentry.example/1', debug: false}\n", environ).plan
    assert plan["sentry"]["dsn"] == "https://file@sentry.example/1"
    assert plan["sentry"]["debug"] is False
    assert plan["environment"] == {"SENTRY_ENVIRONMENT": None, "SENTRY_RELEASE": None}


def test_a_bad_dsn_of_the_environment_is_a_warning_and_is_not_repeated(look):
    result = look("version: 1\n", {"SENTRY_DSN": "secret-nonsense"})
    assert [(problem.slug, problem.severity) for problem in result.problems] == [("bad-dsn", "warning")]
    assert result.plan["sentry"]["dsn"] is None
    assert "secret" not in str(result.problems)


def test_values_from_the_environment_are_not_repeated_in_problems(look):
    text = "version: 1\nsentry: {dsn: '${D}'}\n"
    text += "monitors: [{target: a.b.c, threshold: '${S}', kind: '${S}', requires: '${S}'}]\n"
    result = look(text, {"D": "hunter2", "S": "hunter2 hunter2"})
    assert len(errors(result)) == 4
    assert "hunter2" not in " ".join(
        problem.message for problem in result.problems if problem.slug != "bad-requirement"
    )


def test_ignored_errors_have_a_default_that_the_file_replaces(look):
    assert look("version: 1\n").plan["sentry"]["stances"]["everywhere"][2] == {
        "django.http.Http404": "ignored", "django.core.exceptions.PermissionDenied": "ignored",
    }  # fmt: skip
    assert look("version: 1\n").plan["sentry"]["stances"]["unattended"][2] == {
        "django.http.Http404": "warning", "django.core.exceptions.PermissionDenied": "warning",
    }  # fmt: skip
    assert look("version: 1\nsentry: {ignore_errors: []}\n").plan["sentry"]["stances"]["everywhere"][2] == {}


def test_the_spool_lies_beside_the_file_never_in_the_current_directory(look, tmp_path):
    plan = look("version: 1\ndelivery: {spool: {directory: spool, max_size: 1KiB, max_age: 1h, durable: true}}\n").plan
    assert plan["spool"] == {
        "directory": str(tmp_path / "spool"), "max_size": 1024, "max_age": 3600.0, "max_files": 50_000,
        "max_rate": 0.0, "durable": True, "keep_interpreter": True, "courier": True, "host_client": True,
        "history_age": 7 * 86400.0, "history_size": 64_000_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "kept"),
    [("off", (7 * 86400, 0)), ("{max_age: 1h}", (3600, 64_000_000)), ("{max_size: 1MiB}", (7 * 86400, 1 << 20)),
     ("false", (7 * 86400, 0)), ('{max_size: "${SIZE:-2MB}"}', (7 * 86400, 2_000_000))],
)  # fmt: skip
def test_the_history_has_bounds_and_can_be_off(look, written, kept):
    plan = look(f"version: 1\ndelivery: {{history: {written}}}\n").plan
    assert (plan["spool"]["history_age"], plan["spool"]["history_size"]) == kept


def test_an_unmet_requirement_leaves_the_monitor_out_with_a_note(look):
    result = look(
        "version: 1\nmonitors: [{target: a.b.c, requires: no-such-thing>=1}, {target: a.b.d, requires: pytest>=1}]\n"
    )
    assert list(monitors(result)) == ["d"]
    assert [(problem.slug, problem.severity) for problem in result.problems] == [("requirement-unmet", "note")]
    assert result.plan["disabled"] == []


def test_of_several_requirements_one_is_enough(look):
    text = "version: 1\nmonitors: [{target: a.b.c, requires: [no-such>=1, pytest>=1]}, {target: a.b.d, requires: [no>=1, nor>=1]}]\n"
    result = look(text)
    assert list(monitors(result)) == ["c"]
    (problem,) = result.problems
    assert "`no>=1`: no is not installed, or `nor>=1`: nor is not installed" in problem.message


@pytest.mark.parametrize("name", pack_names())
def test_packs_are_right(look, name):
    result = look(f"version: 1\npacks: [{name}]\n")
    assert [problem for problem in result.problems if problem.severity == "error"] == []
    for monitor in result.plan["monitors"]:
        assert monitor["name"].startswith(f"{name}.")
        assert monitor["where"].startswith(f"packs/{name}.yaml:")


def test_every_pack_monitor_has_a_requirement():
    import yaml

    from agent.config.read.shipped import pack_path

    for name in pack_names():
        with open(pack_path(name), encoding="utf-8") as stream:
            for monitor in yaml.safe_load(stream).get("monitors", []):
                assert monitor.get("requires") or name == "sqlite3", monitor  # which comes with Python


def test_no_file_of_the_tests_has_the_name_of_a_package_that_a_pack_is_for():
    """Its folder may be on sys.path, where pytest has put it: the file would be read for the package."""
    tests = Path(__file__).parents[1]
    assert {path.stem for path in tests.rglob("*.py")} & set(pack_names()) == set()


@pytest.mark.slow(reason="reads the frameworks that packs are for")
@pytest.mark.parametrize("name", pack_names())
def test_the_targets_of_packs_exist_in_what_is_installed(look, name):
    from agent.codebase.check import check
    from agent.codebase.lookup import Lookup
    from agent.codebase.search import here

    examined = look(f"version: 1\npacks: [{name}]\n")
    seen, problems = check(examined, Lookup(here()))
    assert problems == []
    targets = [target for each in examined.plan["monitors"] if each["source"] is None for target in each["targets"]]
    assert len(seen) == len(targets)
    assert unknown_exceptions(name) == set()
    compiled = {sighting.text for sighting in seen if not sighting.outcome.found}
    assert compiled == ({"sqlite3.connect", "sqlite3.dbapi2.connect"} if name == "sqlite3" else set())


def test_a_monitor_of_ones_own_replaces_the_packs(look):
    pytest.importorskip("django")
    own = "{target: django.contrib.auth.authenticate, name: mine, kind: security}"
    off = '{target: "django.db.backends.utils:CursorWrapper.execute", enabled: false}'
    result = look(f"version: 1\npacks: [django]\nmonitors: [{own}, {off}]\n")
    assert errors(result) == []
    names = set(monitors(result))
    assert "mine" in names
    assert not names & {"django.sign_in", "django.query"}
    assert "django.query_many" in names


@pytest.mark.slow(reason="ten thousand monitors")
def test_ten_thousand_monitors_are_one_answer(look):
    lines = [f"  - {{target: a.b.c{number}, threshold: 2s, capture: {{x: result.id}}}}" for number in range(10_000)]
    lines[5_000] = "  - {target: a.b.x, treshold: 2s}"
    result = look("version: 1\nmonitors:\n" + "\n".join(lines))
    assert errors(result) == ["unknown-key"]
    assert len(result.plan["monitors"]) == 9_999


def test_the_default_path_is_never_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = os.path.dirname(os.path.dirname(schema_path()))
    assert config_path({}) == os.path.join(root, "monitors.yaml")
    assert config_path({"AGENT_CONFIG": "/etc/erp.yaml"}) == "/etc/erp.yaml"


# Documents made of the schema's own words.

with open(schema_path(), encoding="utf-8") as _stream:
    _SCHEMA = json.load(_stream)
_EXAMPLES = [
    example
    for definition in ({"properties": _SCHEMA["properties"]}, *_SCHEMA["$defs"].values())
    for value in definition.get("properties", {}).values()
    for example in value.get("examples", [])
]
_KEYS = sorted({key for definition in _SCHEMA["$defs"].values() for key in definition.get("properties", {})})
_values = st.one_of(
    st.sampled_from(_EXAMPLES), st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just({}), st.just([]),
    st.sampled_from(["a.b.c", "a.b:C.*", "2s", "off", "critical", "${X:-1}", "${Y}", "result.id", "{name}", "$${"]),
)  # fmt: skip
_known = st.fixed_dictionaries(
    {"target": st.sampled_from(["a.b.c", "a.b.d", "a.b.*", "a"])},
    optional={
        key: st.one_of(st.sampled_from(value.get("examples", [None])), _values)
        for key, value in _SCHEMA["$defs"]["monitor"]["properties"].items()
        if key != "target"
    },
)
_any = st.dictionaries(
    st.sampled_from(_KEYS), st.one_of(_values, st.dictionaries(st.sampled_from(_KEYS), _values, max_size=3))
)
_document = st.fixed_dictionaries(
    {"version": st.just(1)},
    optional={
        "monitors": st.lists(st.one_of(_known, _any, _values), max_size=4),
        "defaults": st.one_of(_any, _values),
        "modules": st.one_of(st.dictionaries(st.sampled_from(["sales", "m"]), st.one_of(_any, _values)), _values),
        "sentry": st.one_of(_any, _values),
        "delivery": st.one_of(st.fixed_dictionaries({"spool": _any}), _values),
        "packs": _values,
        "processes": st.one_of(_any, _values),
        "context": st.one_of(st.lists(st.one_of(_any, _values), max_size=2), _values),
    },
)


@pytest.mark.slow(reason="a large space: 300 examples")
@settings(max_examples=150, deadline=None)
@given(_document)
def test_documents_of_the_schemas_words_compile_or_give_problems(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "words.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    result = examine(str(path), {})
    assert result.plan is not None or errors(result)
    if result.plan is not None:
        assert json.loads(json.dumps(result.plan, allow_nan=False)) == plain(result.plan)
        names = [monitor["name"] for monitor in result.plan["monitors"]]
        assert len(names) == len(set(names))
        for monitor in result.plan["monitors"]:
            assert [step for step, _ in monitor["thresholds"]] == sorted({step for step, _ in monitor["thresholds"]})
            assert all(isinstance(value, str) for value in (*monitor["detail"].values(), *monitor["tags"].values()))
            assert monitor["audit"] in ("", "info")
            assert isinstance(monitor["subclasses"], bool)
