from __future__ import annotations

import json

import pytest

from agent.cli.main import main

TEXT = """version: 1
sentry: {tags: {system: erp}, environment: staging}
defaults: {threshold: 9s, span: never, escalate: 20/h}
modules:
  sales: {owner: sales-team, defaults: {severity: info}}
monitors:
  - target: shop.create
    module: sales
    operation: create_order
    threshold: 2s
    expect: [KeyError]
    errors: {ValueError: fatal}
    capture: {who: customer}
    rules: [{when: result is None, message: nothing, severity: warning, escalate: 5/h}]
  - {target: shop.find, kind: api, endpoint: GET /find, rate_limit: off}
  - {target: shop.h*, operation: "h.{name}", environments: [production], exclude: [shop.hide]}
  - {target: shop.off, enabled: false, name: off}
  - {target: shop.needs, requires: no-such-thing>=1}
  - {target: shop.wrong, threshold: 5 min}
context:
  - {name: tenant, target: shop.find, read: {company: result.id}, tags: {tenant: result.code}}
"""


@pytest.fixture
def explain(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "monitors.yaml").write_text(TEXT)
    (tmp_path / "shop.py").write_text("def create(customer): ...\ndef find(): ...\ndef hello(): ...\ndef hide(): ...\n")

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["explain", *arguments, "--config", "monitors.yaml", "--path", "."])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def rows(out):
    lines = [line for line in out.splitlines() if line and not line.startswith(("monitors.yaml", "not in"))]
    start = lines[1].index("VALUE"), lines[1].index("FROM")
    return {line.split()[0]: [line[start[0] : start[1]].strip(), line[start[1] :].strip()] for line in lines[2:]}


@pytest.mark.parametrize("what", ["create_order", "shop.create", "shop:create"])
def test_each_setting_is_shown_with_its_origin(explain, what):
    status, out, _ = explain(what)
    assert status == 0
    assert "monitors.yaml:7: shop.create → found shop.py:1 (customer)" in out
    settings = rows(out.partition("REPORTED AS")[0])
    assert settings["threshold"] == ["2s → info", "monitors.yaml:10"]
    assert settings["severity"] == ["info", "defaults of module sales, monitors.yaml:5"]
    assert settings["span"] == ["never", "defaults, monitors.yaml:3"]
    assert settings["rate_limit"] == ["30/min", "built in"]
    assert settings["escalate"] == ["20/h", "defaults, monitors.yaml:3"]
    assert settings["owner"] == ["sales-team", "module sales, monitors.yaml:5"]
    assert settings["operation"] == ["create_order", "monitors.yaml:9"]
    for line in (
        "fatal when ValueError leaves the call",
        "warning when result is None, more often than 5/h",
        "KeyError: expected",
        "more frequent than 20/h",
    ):
        assert line in " ".join(out.split())
    assert "tags.system" in out
    assert "tags.erp.module" in out


def test_what_the_kind_implies(explain):
    _, out, _ = explain("GET /find")
    settings = rows(out.partition("REPORTED AS")[0])
    assert settings["severity"] == ["error", "built in"]
    assert settings["rate_limit"] == ["off", "monitors.yaml:15"]
    assert settings["operation"] == ["GET /find", "from `endpoint`, monitors.yaml:15"]
    assert "status is 500 or more" in out


def test_a_function_that_a_pattern_matches(explain):
    status, out, _ = explain("shop.hello")
    assert status == 0
    assert "not in force: it is for the environment production, and this one is `staging`" in out
    assert explain("shop.hide")[0] == 1


@pytest.mark.parametrize(
    ("what", "why"), [("off", "`enabled: false`"), ("shop.needs", "no-such-thing is not installed")]
)
def test_why_it_is_not_in_force(explain, what, why):
    assert why in explain(what)[1]


def test_no_such_monitor(explain):
    status, _, err = explain("create_ordr")
    assert (status, "did you mean `create_order`?" in err) == (1, True)
    status, _, err = explain("wrong")
    assert (status, "wrong is disabled by an error: " in err) == (1, True)


def test_json(explain):
    (one,) = json.loads(explain("create_order", "--format", "json")[1])
    assert one["in_force"] is True
    assert {"key": "threshold", "value": "2s → info", "origin": "monitors.yaml:10"} in one["settings"]
    assert one["sentry"]["tags.erp.owner"] == "sales-team"
    assert one["sentry"]["contexts.tenant.company"] == "result.id (result of shop.find())"
    assert one["sentry"]["tags.tenant"] == "result.code (result of shop.find())"
    assert one["targets"][0]["outcome"] == "found"


def test_a_file_that_cannot_be_read(tmp_path, capsys):
    assert main(["explain", "x", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: there is no such file; see: python -m agent validate" in capsys.readouterr().err
    (tmp_path / "list.yaml").write_text("- a")
    assert main(["explain", "x", "--config", str(tmp_path / "list.yaml")]) == 1


def test_what_is_held_back_expected_and_audited(tmp_path, capsys):
    file = tmp_path / "monitors.yaml"

    def reports(keys):
        file.write_text(f"version: 1\nmonitors: [{{target: json.dumps, {keys}}}]\n", encoding="utf-8")
        assert main(["explain", "dumps", "--config", str(file), "--format", "json"]) == 0
        return [(one["as"], one["when"]) for one in json.loads(capsys.readouterr().out)[0]["reports"]]

    limit = "equal reports: 5 at once, then one every 2s; all reports: 30/min, and the first of each kind; "
    assert reports("kind: function")[-1] == ("limit", limit + "others are only counted")
    assert "equal reports: 2 at once, then one every 30m;" in reports("rate_limit: 2/h")[-1][1]
    assert reports("rate_limit: off")[-1] == ("limit", "no limit")
    assert ("info", "every call that succeeds (audit)") in reports("severity: fatal, audit: true")
    assert ("warning", "every call that succeeds (audit)") in reports("audit: warning")
    expected = dict(map(reversed, reports("expect: [KeyError, Exception]")))
    assert "KeyError: expected and only counted, also inside this call" in expected
    assert "Exception: expected and only counted" in expected


def test_exceptions_that_are_named_in_several_places(tmp_path, capsys):
    file = tmp_path / "monitors.yaml"
    file.write_text("""version: 1
defaults: {expect: [erp.UserError, erp.Hold]}
modules: {sales: {defaults: {ignore_errors: [erp.Retry], errors: {erp.Hold: critical}}}}
monitors: [{target: a.b, module: sales, expect: [KeyError]}]
""")
    assert main(["explain", "a.b", "--config", str(file), "--format", "json"]) == 0
    (explained,) = json.loads(capsys.readouterr().out)
    named = [one for one in explained["settings"] if one["key"] in ("expect", "errors", "ignore_errors")]
    assert [(one["key"], one["value"], one["origin"]) for one in named] == [
        ("expect", "KeyError", "monitors.yaml:4"),
        ("expect", "erp.UserError, erp.Hold", "defaults, monitors.yaml:2"),
        ("ignore_errors", "erp.Retry", "defaults of module sales, monitors.yaml:3"),
        ("errors", "erp.Hold → fatal", "defaults of module sales, monitors.yaml:3"),
    ]
    assert [(one["as"], one["when"]) for one in explained["reports"]][:4] == [
        ("never", "KeyError: expected and only counted, also inside this call"),
        ("never", "erp.Retry: no failure, only counted (module sales)"),
        ("fatal", "when erp.Hold leaves the call (module sales)"),
        ("never", "erp.UserError: expected and only counted (defaults)"),
    ]
