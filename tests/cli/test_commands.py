"""Every command that reads a configuration, on every case: it prints and returns, whatever the file holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli.main import main
from agent.config.load import examine

CASES = Path(__file__).parents[1] / "config" / "cases"
FILES = sorted(CASES.glob("*/*.yaml"))
COMMANDS = {
    "validate": ["validate", "FILE"],
    "validate, every target": ["validate", "-v", "FILE"],
    "validate for GitHub": ["validate", "--format", "github", "FILE"],
    "validate as SARIF": ["validate", "--format", "sarif", "FILE"],
    "list": ["list", "--config", "FILE"],
    "list as JSON": ["list", "--config", "FILE", "--format", "json"],
    "explain a target": ["explain", "--config", "FILE", "a.b.c"],
    "explain a name": ["explain", "--config", "FILE", "reserve_stock", "--format", "json"],
    "status": ["status", "--config", "FILE"],
    "status as JSON": ["status", "--config", "FILE", "--format", "json"],
    "events": ["events", "--config", "FILE"],
    "spool status": ["spool", "status", "--config", "FILE"],
    "test": ["test", "--config", "FILE"],
    "run": ["run", "--strict", "--config", "FILE", "--", "no-such-program-on-this-machine"],
}


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("AGENT_CONFIG", raising=False)


def called(capsys, *arguments):
    status = main(arguments)
    return (status, *capsys.readouterr())


@pytest.mark.slow(reason="every command on every case")
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_command_on_every_case(file, capsys):
    problems = examine(str(file), {}).problems
    wrong = [problem for problem in problems if problem.severity == "error"]
    for name, words in COMMANDS.items():
        status, out, err = called(capsys, *(str(file) if word == "FILE" else word for word in words))
        assert status in (0, 1, 2), name
        assert "Traceback" not in out + err, name
    status, out, _ = called(capsys, "validate", str(file), "--no-targets", "--format", "json")
    said = json.loads(out)["problems"]
    assert [(one["slug"], one["line"], one["message"]) for one in said] == [
        (one.slug, one.line, one.message) for one in problems
    ]
    assert (status != 0) == bool(wrong)
    targets = json.loads(called(capsys, "validate", str(file), "--format", "json")[1])["problems"]
    assert all(one in targets for one in said)


_targets = st.sampled_from(["absent.f", "json.dumps", "json.dump_s", "json.*", "json:JSONEncoder", "json", "a b", "absent.*.x", 3, None, ["absent.f", "absent.f"], []])  # fmt: skip
_values = st.sampled_from([None, True, 0, -1, "", "x", "5 min", "result.x", "absent.Error", "KeyErorr", [], ["a"], [1], {}, {"a": "b"}, {"warning": "1s"}, [{"when": "x"}], [[]]])  # fmt: skip
_keys = st.sampled_from(["name", "module", "kind", "operation", "model", "threshold", "thresholds", "severity", "errors", "expect", "capture", "rules", "unless",
    "tags", "exclude", "requires", "enabled", "environments", "quiet_inside", "escalate", "audit", "sample", "fingerprint", "nonsense"])  # fmt: skip
_monitors = st.builds(
    lambda target, rest: {"target": target, **rest}, _targets, st.dictionaries(_keys, _values, max_size=3)
)
_sections = st.sampled_from(["sentry", "defaults", "modules", "context", "processes", "delivery", "celery", "packs", "include", "monitors"])  # fmt: skip
_files = st.builds(
    lambda monitors, rest: {"version": 1, "monitors": monitors, **rest},
    st.lists(st.one_of(_monitors, _values), max_size=4),
    st.dictionaries(_sections, st.one_of(_values, st.dictionaries(_keys, _values, max_size=2)), max_size=2),
)


@pytest.mark.slow(reason="a large space of documents")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_files)
def test_anything_in_a_monitor_is_a_problem_and_no_crash(tmp_path, capsys, document):
    file = tmp_path / "monitors.yaml"
    file.write_text(json.dumps(document), encoding="utf-8")
    for words in (["validate", "-v"], ["list", "--config"], ["explain", "json.dumps", "--config"]):
        status, out, err = called(capsys, *words, str(file))
        assert status in (0, 1, 2)
        assert "Traceback" not in out + err
