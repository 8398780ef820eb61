"""Problems as data: each once, the heaviest first, with where and what to do."""

from __future__ import annotations

import inspect
import json
import os
import re
import time

import pytest

from agent.base.health import Health
from agent.cli import options
from agent.cli.main import main
from agent.cli.state import problems as module
from agent.cli.state.problems import BROKEN, WRONG, problems
from agent.cli.state.processes import Process
from agent.cli.state.whole import Whole
from agent.config import overlay
from agent.deliver.send.rate_limits import BACKOFF, RateLimits

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "problems.md")


@pytest.fixture
def place(tmp_path, monkeypatch):
    config = tmp_path / "monitors.yaml"
    config.write_text("version: 1\nmonitors: []\n")
    monkeypatch.setenv("AGENT_CONFIG", str(config))
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    monkeypatch.setattr("agent.cli.state.problems.other_processes.reasons_by_process", lambda *_, **__: [])
    return config


def health(config, **facts):
    where = options.configured_by(str(config))
    return Health(os.path.join(where.state, "run"), where.config, **facts)


def found(config):
    return problems(Whole(str(config)))


def slugs(config):
    return [problem.slug for problem in found(config)]


def test_without_a_process_that_is_all_that_is_known(place):
    assert slugs(place) == ["no-process"]
    assert main(["status"]) == 0


def test_a_process_without_problems_has_none(place, capsys):
    process = health(place)
    process.record("patched", "create", "shop.create", "")
    process.flush()
    assert found(place) == []
    assert main(["status"]) == 0
    assert "agent          works, as of" in capsys.readouterr().out


def test_the_heaviest_comes_first_and_decides_the_verdict(place, capsys):
    process = health(place)
    process.record("failed", "create", "shop.create", "is a class")
    process.record("waiting", "cancel", "shop.cancel", "shop has no attribute 'cancel'")
    process.record("problem", "the plan cannot be kept")
    process.record("sdk", "WARNING: the ERP's own client sends there as well")
    process.failed("rule-raised", "create", "when x", "NameError")
    process.failed("provider-raised", "context tenant", "tenancy.current", "KeyError")
    process.count("spool-full", "error", 3)
    process.count("too-old", "error", 2)
    process.flush(final=True)
    all_ = found(place)
    assert [each.slug for each in all_] == [
        "spool-full", "events-lost", "process-problem", "not-monitored", "expression-failed", "context-failed",
        "two-clients", "target-missing",
    ]  # fmt: skip
    assert [each.weight for each in all_] == sorted((each.weight for each in all_), reverse=True)
    assert [each.severity for each in all_] == ["error"] * 2 + ["warning"] * 6
    assert all(f"{os.getpid()}" in each.where and each.hint for each in all_)
    assert main(["status"]) == 1
    assert "agent          does not work: 3 events lost: the spool was full (and 7 other problems)" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("problem", "hint"),
    [
        ("a change is not taken up: no module", "restart these processes"),
        ("orders: cost 6% of this process's time (budget 1%): successes are only counted until 02:56:31", "`budget`"),
        ("the plan cannot be kept", "docs/operations.md"),
    ],
)
def test_a_problem_of_a_process_has_advice_of_its_own(place, problem, hint):
    process = health(place)
    process.record("problem", problem)
    process.flush()
    assert hint in next(each.hint for each in found(place) if each.slug == "process-problem")


def test_what_is_only_worth_knowing_is_no_error(place):
    process = health(place)
    process.record("patched", "create", "shop.create", "")
    process.count("slow-disk", "spool", 2)
    process.flush(final=True)
    now = time.time()
    overlay.write(
        options.configured_by(str(place)).state,
        overlay.Overlay((overlay.Off("sales.*", now, None, "anna"),), (overlay.Put("live-1", {"target": "a.b"}, now, now + 60, "anna"),)),
    )  # fmt: skip
    all_ = found(place)
    assert [each.slug for each in all_] == ["switched-off", "slow-disk", "live-monitor"]
    assert all(each.severity == "note" and each.weight < WRONG for each in all_)
    assert all_[0].hint == "python -m agent enable sales.*"
    assert main(["status"]) == 0


def test_equal_problems_of_several_processes_are_one(place):
    whole = Whole(str(place))
    text = "('process', {pid}, 1.0, 'gunicorn', '3.11.7', '', '', {{}})\n('failed', 'create', 'shop.create', 'no')\n"
    whole.shown = whole.processes = [Process(text.format(pid=10**8 + number)) for number in range(5)]
    (problem,) = [each for each in problems(whole) if each.slug == "not-monitored"]
    assert problem.text == "create: shop.create: no"
    assert problem.where == "gunicorn 100000000, 100000001, 100000002 and 2 more"


def test_a_file_that_is_wrong_in_part_and_one_that_is_not_there(place):
    place.write_text("version: 1\nmonitors: [{target: json.dumps, threshold: 5 parsecs}]\n")
    from agent.cli.live import change

    state = options.configured_by(str(place)).state
    change.compiled(str(place), state)
    (problem, _) = found(place)
    assert problem.slug == "not-in-force"
    assert "5 parsecs" in problem.text and "validate" in problem.hint
    place.write_text("monitors: [")
    change.compiled(str(place), state)
    problem = found(place)[0]
    assert (problem.slug, problem.severity) == ("last-good-plan", "error")
    place.unlink()
    assert "configuration-missing" in slugs(place)
    assert main(["status"]) == 1


def test_a_release_that_a_pack_does_not_support(place, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "site" / "APScheduler-4.0.0.dist-info"
    folder.mkdir(parents=True)
    folder.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: APScheduler\nVersion: 4.0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    place.write_text("version: 1\npacks: [apscheduler]\n")
    from agent.cli.live import change

    change.compiled(str(place), options.configured_by(str(place)).state)
    assert slugs(place) == ["unsupported-release", "no-process"]
    (problem, _) = found(place)
    assert problem.severity == "warning"
    assert problem.text.endswith("the pack `apscheduler` does not support APScheduler 4.0.0, which is installed")
    assert "python -m agent validate" in problem.hint
    assert main(["doctor"]) in (0, 1)
    shown = capsys.readouterr().out
    assert shown.count("does not support APScheduler 4.0.0") == 1


def test_what_waits_and_why(place, monkeypatch, capsys):
    monkeypatch.setenv("SENTRY_DSN", "http://key@sentry.example:9000/7")
    place.write_text("version: 1\nsentry: {dsn: '${SENTRY_DSN}'}\nmonitors: []\n")
    from test_spool import fill

    fill(2)
    directory = options.configured_by(str(place)).spool().directory
    limits = RateLimits(directory, time.time)
    limits.limit(BACKOFF, 60.0)
    limits.set_reason("HTTP 401: the key is refused")
    limits.save()
    problem = found(place)[0]
    assert (problem.slug, problem.where) == ("delivery-fails", "http://sentry.example:9000/7")
    assert problem.weight >= BROKEN
    assert problem.text.startswith("2 events waiting since ")
    assert "HTTP 401: the key is refused; next attempt at " in problem.text
    assert main(["status", "--json"]) == 1
    printed = capsys.readouterr().out
    assert "key@" not in printed
    (delivery,) = json.loads(printed)["delivery"]
    assert (delivery["sentry"], delivery["waiting"], delivery["held"], delivery["accepted"]) == (
        "http://sentry.example:9000/7", 2, 0, None,
    )  # fmt: skip


def test_each_slug_has_a_paragraph_and_each_paragraph_a_slug():
    source = inspect.getsource(module)
    used = set(re.findall(r'Problem\(\s*"([a-z-]+)"', source))
    for line in re.findall(r"(?:slug = |Problem\().*", source):
        used |= set(
            re.findall(r'"([a-z]+-[a-z-]+)" (?:if|else)|else "([a-z]+-[a-z-]+)"', line)
            and re.findall(r'"([a-z]+-[a-z-]+)"', line)
        )
    with open(DOCS, encoding="utf-8") as file:
        assert set(re.findall(r"^## (.+)$", file.read(), re.M)) == used
