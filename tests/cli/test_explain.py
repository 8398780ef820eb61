from __future__ import annotations

import argparse
import json

import pytest

from agent.cli import explain

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
def said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "monitors.yaml").write_text(TEXT)
    (tmp_path / "shop.py").write_text("def create(customer): ...\ndef find(): ...\ndef hello(): ...\ndef hide(): ...\n")

    def run(*arguments: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        explain.configure(parser)
        status = explain.run(parser.parse_args([*arguments, "--config", "monitors.yaml", "--path", "."]))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def rows(out):
    lines = [line for line in out.splitlines() if line and not line.startswith(("monitors.yaml", "not in"))]
    start = lines[1].index("VALUE"), lines[1].index("FROM")
    return {line.split()[0]: [line[start[0] : start[1]].strip(), line[start[1] :].strip()] for line in lines[2:]}


@pytest.mark.parametrize("what", ["create_order", "shop.create", "shop:create"])
def test_settings_say_where_they_came_from(said, what):
    status, out, _ = said(what)
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
        "more often than 20/h",
    ):
        assert line in " ".join(out.split())
    assert "tags.system" in out
    assert "tags.erp.module" in out


def test_what_the_kind_implies(said):
    _, out, _ = said("GET /find")
    settings = rows(out.partition("REPORTED AS")[0])
    assert settings["severity"] == ["error", "built in"]
    assert settings["rate_limit"] == ["off", "monitors.yaml:15"]
    assert settings["operation"] == ["GET /find", "from `endpoint`, monitors.yaml:15"]
    assert "status is 500 or more" in out


def test_a_function_that_a_pattern_matches(said):
    status, out, _ = said("shop.hello")
    assert status == 0
    assert "not in force: this environment is `staging`, and it is meant for production" in out
    assert said("shop.hide")[0] == 1


@pytest.mark.parametrize(
    ("what", "why"), [("off", "`enabled: false`"), ("shop.needs", "no-such-thing is not installed")]
)
def test_why_it_is_not_in_force(said, what, why):
    assert why in said(what)[1]


def test_no_such_monitor(said):
    status, _, err = said("create_ordr")
    assert (status, "did you mean `create_order`?" in err) == (1, True)
    status, _, err = said("wrong")
    assert (status, "a problem switched it off" in err) == (1, True)


def test_json(said):
    (one,) = json.loads(said("create_order", "--format", "json")[1])
    assert one["in_force"] is True
    assert {"key": "threshold", "value": "2s → info", "origin": "monitors.yaml:10"} in one["settings"]
    assert one["sentry"]["tags.erp.owner"] == "sales-team"
    assert one["sentry"]["contexts.tenant.company"] == "result.id (result of shop.find())"
    assert one["sentry"]["tags.tenant"] == "result.code (result of shop.find())"
    assert one["targets"][0]["outcome"] == "found"


def test_a_file_that_cannot_be_read(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    explain.configure(parser)
    assert explain.run(parser.parse_args(["x", "--config", str(tmp_path / "none.yaml")])) == 2


def test_what_is_held_back_expected_and_audited(tmp_path, capsys):
    file = tmp_path / "monitors.yaml"
    parser = argparse.ArgumentParser()
    explain.configure(parser)

    def reports(keys):
        file.write_text(f"version: 1\nmonitors: [{{target: json.dumps, {keys}}}]\n", encoding="utf-8")
        assert explain.run(parser.parse_args(["dumps", "--config", str(file), "--format", "json"])) == 0
        return [(one["as"], one["when"]) for one in json.loads(capsys.readouterr().out)[0]["reports"]]

    limit = "of equal reports 5 at once, then one every 2s; of all together 30/min, and the first of each kind; "
    assert reports("kind: function")[-1] == ("limit", limit + "the rest is counted")
    assert "of equal reports 2 at once, then one every 30m;" in reports("rate_limit: 2/h")[-1][1]
    assert reports("rate_limit: off")[-1] == ("limit", "no limit")
    assert ("info", "every call that succeeds (audit)") in reports("severity: fatal, audit: true")
    assert ("warning", "every call that succeeds (audit)") in reports("audit: warning")
    expected = dict(map(reversed, reports("expect: [KeyError, Exception]")))
    assert "KeyError: expected, counted only, by the monitored calls inside this one as well" in expected
    assert "Exception: expected, counted only" in expected
