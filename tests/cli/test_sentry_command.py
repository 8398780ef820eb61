"""`sentry plan`, `apply` and `export` as a person runs them, against a Sentry on the loopback."""

from __future__ import annotations

import json
import os

import pytest
from sentry_project.stub import TOKEN, Stub
from sentry_project.test_setting_up import FILE

from agent.base import places
from agent.base.health import Health
from agent.cli.main import main


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """(the stub, a function that runs a command)"""
    stub = Stub()
    with stub.serve() as url:
        config = tmp_path / "monitors.yaml"
        config.write_text(FILE.format(project=f"    url: {url}\n"), encoding="utf-8")
        monkeypatch.setenv("AGENT_CONFIG", str(config))
        monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
        monkeypatch.setenv("SENTRY_AUTH_TOKEN", TOKEN)
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield stub, config


def called(capsys, *arguments):
    status = main(["sentry", *arguments])
    return (status, *capsys.readouterr())


def test_plan_apply_plan(setting, capsys):
    stub, _ = setting
    status, out, err = called(capsys, "plan")
    assert (status, err) == (1, "")
    assert "  + sales p95\n      95th percentile above 2s over 15 min\n" in out
    assert "  + nightly\n      0 2 * * *, UTC → nobody\n" in out
    assert "  + replenish\n      every 6 hours → nobody\n" in out
    assert "      rules: + tags.erp.module:sales #sales-team\n" in out
    assert out.endswith("31 to create, 4 to change.\nTo do it: python -m agent sentry apply\n")
    assert not stub.writes
    status, out, err = called(capsys, "apply", "--yes")
    assert (status, err) == (0, "")
    assert "  created dashboard all modules\n" in out and out.endswith("35 changes made.\n")
    status, out, err = called(capsys, "plan")
    assert (status, err) == (0, "") and out.endswith("\nNothing to do: Sentry is as the file describes it.\n")
    assert TOKEN not in out


def test_entries_of_schedules_that_processes_have_sent_are_cron_monitors(setting, capsys):
    _, config = setting
    config.write_text(config.read_text().replace('check_ins: ["*"]', 'check_ins: ["night*", "sales*"]'))
    health = Health(os.path.join(places.state_folder(os.environ, str(config)), "run"), str(config))
    hourly, weekly = {"type": "interval", "value": 1, "unit": "hour"}, {"type": "interval", "value": 2, "unit": "week"}
    for name, schedule, zone in (
        ("sales.jobs.invoice", {"type": "crontab", "value": "0 3 * * *"}, "UTC"),
        ("sales.jobs.invoice", hourly, "Europe/Stockholm"),  # it was changed
        ("nightly-2", weekly, "local"),
        ("nightly", hourly, "UTC"),  # which the file knows better
        ("other", hourly, "UTC"),  # whose check-ins are switched off
    ):
        health.record("scheduled", name, schedule, zone)
    health.flush()
    status, out, err = called(capsys, "plan")
    assert (status, err) == (1, "")
    assert "  + sales.jobs.invoice\n      every 1 hour → team:sales-team\n" in out
    assert "  + nightly-2\n      every 2 weeks → nobody\n" in out
    assert "  + nightly\n      0 2 * * *, UTC → nobody\n" in out
    assert "+ other" not in out
    made = json.loads(called(capsys, "export")[1])["resource"]["sentry_cron_monitor"]
    assert {"interval_value": 2, "interval_unit": "week"} in [each["schedule"] for each in made.values()]


def test_json_has_the_same(setting, capsys):
    status, out, _ = called(capsys, "plan", "--format", "json")
    held = json.loads(out)
    assert status == 1 and {change["action"] for change in held["changes"]} == {"create", "update"}
    assert {"where": "active", "there": False, "wanted": True} in held["changes"][-2]["differences"]


def test_nothing_is_done_without_a_confirmation(setting, capsys):
    stub, _ = setting
    status, _, err = called(capsys, "apply")
    assert status == 2 and "To confirm without a terminal, add --yes" in err
    assert not stub.writes


def test_what_left_the_file_is_listed_until_delete_is_given(setting, capsys):
    _, config = setting
    called(capsys, "apply", "--yes")
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("  - {target: quality.checks.inspect, module: quality}\n", ""), encoding="utf-8")
    status, out, _ = called(capsys, "plan")
    assert status == 1 and "left over: dashboard quality\n" in out
    assert "7 things of ours that the file no longer has: add --delete" in out
    assert called(capsys, "apply", "--yes", "--delete")[0] == 0
    assert called(capsys, "plan")[0] == 0


def test_a_failure_half_way_is_named_and_the_same_command_goes_on(setting, capsys):
    stub, _ = setting
    stub.fail_write = 5
    status, _, err = called(capsys, "apply", "--yes")
    assert status == 2
    assert "5 changes made, 30 left; after the cause is removed, run the same command again" in err
    status, out, _ = called(capsys, "apply", "--yes")
    assert status == 0 and out.endswith("30 changes made.\n")


@pytest.mark.parametrize(("text", "words"), [
    ("version: 1\nmonitors: []\n", "does not name the project of Sentry"),
    ("version: 2\n", "see: python -m agent validate"),
    ("version: 1\nsentry: {project: {organization: X, project: erp}}\nmonitors: []\n",
     "sentry › project › organization: `X` is no slug"),
])  # fmt: skip
def test_a_file_without_a_usable_project_is_named(setting, capsys, text, words):
    stub, config = setting
    config.write_text(text, encoding="utf-8")
    for command in ("plan", "apply", "export"):
        status, _, err = called(capsys, command)
        assert status == 2 and words in err, err
    assert not stub.requests
