from __future__ import annotations

import json

import pytest

from agent.cli.main import main

TEXT = """version: 1
modules: {sales: {defaults: {threshold: 2s, escalate: 20/h}}}
monitors:
  - {target: sales.services.create, module: sales, rules: [{when: result is None, message: m}]}
  - {target: auth.check, kind: security, event_type: login, rate_limit: off, operation: "[red]login[/red]"}
  - {target: a.b.wrong, threshold: 5 min}
"""


def run(*arguments: str) -> int:
    return main(["list", *arguments])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "monitors.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def test_exceptions_that_modules_and_defaults_name_come_after_the_monitors(tmp_path, capsys):
    file = tmp_path / "monitors.yaml"
    file.write_text("""version: 1
defaults: {expect: [erp.UserError], ignore_errors: [erp.Retry]}
modules:
  sales: {defaults: {errors: {erp.Hold: critical}}}
  other: {defaults: {expect: [erp.Other]}}
monitors: [{target: a.b, module: sales, expect: [KeyError]}]
""")
    assert run("--config", str(file)) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == [
        [],
        ["EXCEPTION", "REPORTED", "AS", "IN"],
        ["erp.Hold", "fatal", "module", "sales"],
        ["erp.UserError", "never:", "expected", "all", "modules"],
        ["erp.Retry", "never:", "ignored", "all", "modules"],
    ]


def test_each_monitor_is_one_line_with_its_effective_settings(file, capsys):
    assert run("--config", file) == 0
    captured = capsys.readouterr()
    header, create, login = captured.out.splitlines()
    assert header.split()[:3] == ["NAME", "KIND", "MODULE"]
    assert create.split()[:7] == ["create", "function", "sales", "{name}", "error", "2s=warning", "30/min"]
    assert create.endswith(" sales.services.create")
    assert "1 rule; escalates over 20/h" in create
    assert "escalates" not in login
    assert "[red]login[/red]" in login
    assert captured.err.startswith("disabled: monitors.yaml:6 wrong: threshold: expected a duration")


def test_filters(file, capsys):
    assert run("--config", file, "--module", "sales") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert run("--config", file, "--kind", "security", "--format", "json") == 0
    (monitor,) = json.loads(capsys.readouterr().out)
    assert monitor["detail"] == {"event_type": "login"}
    assert monitor["rate_limit"] is None


def test_a_file_that_gives_no_plan(tmp_path, capsys):
    path = tmp_path / "m.yaml"
    path.write_text("- a")
    assert run("--config", str(path)) == 1
    assert "validate" in capsys.readouterr().err
    assert run("--config", str(tmp_path / "no.yaml")) == 2


def test_an_include_that_cannot_be_read_is_a_problem_of_a_file_that_can(tmp_path, capsys):
    (tmp_path / "folder.yaml").mkdir()
    path = tmp_path / "m.yaml"
    path.write_text("version: 1\ninclude: [folder.yaml]\n")
    assert [main([*command, str(path)]) for command in (["validate"], ["list", "--config"])] == [1, 1]
    assert main(["list", "--config", str(tmp_path / "folder.yaml")]) == 2
