"""Every command that reads a configuration, on every case: it prints, and returns its documented exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli import main as main_module
from agent.cli.main import main
from agent.cli.state import other_processes
from agent.config.load import examine

CASES = Path(__file__).parents[1] / "config" / "cases"
FILES = sorted(CASES.glob("*/*.yaml"))
STARTED = 77  # instead of the command that `run` becomes
#: Exit status that each command documents, by what the file is: without an error, with some, or unusable as a whole.
RIGHT, PARTLY_WRONG, UNUSABLE = 0, 1, 2
NEEDS_SETTINGS = ({0}, {0}, {2})
COMMANDS = {
    "validate --no-targets FILE": ({0}, {1}, {1}),
    "validate --strict --no-targets FILE": ({0, 1}, {1}, {1}),
    "validate --targets FILE": ({0, 1}, {1}, {1}),
    "validate --format json FILE": ({0, 1}, {1}, {1}),
    "validate --format github --no-targets FILE": ({0}, {1}, {1}),
    "validate --format sarif --no-targets FILE": ({0}, {1}, {1}),
    "list --config FILE": ({0}, {0}, {1}),
    "list --format json --config FILE": ({0}, {0}, {1}),
    "explain no-such-monitor --config FILE": ({1}, {1}, {1}),
    "explain NAME --config FILE": ({0}, {0}, {0}),
    "explain NAME --format json --config FILE": ({0}, {0}, {0}),
    "status --config FILE": ({0, 1},) * 3,
    "status --all --functions --config FILE": ({0, 1},) * 3,
    "status --format json --config FILE": ({0, 1},) * 3,
    "metrics --config FILE": ({0}, {0}, {0}),
    "metrics --format prometheus --config FILE": ({0}, {0}, {0}),
    "top --once --config FILE": ({0},) * 3,
    "events --config FILE": NEEDS_SETTINGS,
    "events --json --config FILE": NEEDS_SETTINGS,
    "events last --config FILE": ({2}, {2}, {2}),
    "test --config FILE": ({2}, {2}, {2}),
    "spool status --config FILE": NEEDS_SETTINGS,
    "spool status --format json --config FILE": NEEDS_SETTINGS,
    "spool show --config FILE": NEEDS_SETTINGS,
    "spool show abc --config FILE": ({2}, {2}, {2}),
    "spool flush --config FILE": ({0, 2}, {0, 2}, {2}),
    "spool release --config FILE": NEEDS_SETTINGS,
    "spool replay --config FILE": NEEDS_SETTINGS,
    "spool purge --yes --config FILE": NEEDS_SETTINGS,
    "spool export NEW --config FILE": NEEDS_SETTINGS,
    "spool import NEW --config FILE": ({0}, {0}, {2}),
    "run --config FILE -- true": ({STARTED}, {STARTED}, {STARTED}),
    "run --strict --config FILE -- true": ({STARTED}, {2}, {2}),
    "schema": ({0}, {0}, {0}),
    "reload --config FILE": ({0}, {0}, {1}),
    "reload --format json --config FILE": ({0}, {0}, {1}),
    "disable --config FILE": ({2}, {2}, {2}),
    "enable --all --config FILE": ({0}, {0}, {1, 2}),
    "watch --list --config FILE": ({0}, {0}, {1, 2}),
    "completion bash": ({0}, {0}, {0}),
    "doctor --offline --config FILE": ({0, 1}, {1}, {1}),
    "doctor --offline --format json --config FILE": ({0, 1}, {1}, {1}),
    "path": ({0}, {0}, {0}),
    "sentry export --config FILE": ({0, 2}, {0, 2}, {2}),
    "sentry plan --config FILE": ({2}, {2}, {2}),
    "bundle FILE": ({2}, {2}, {2}),
}
#: These read no more of a file than its settings: each is run on a third of the cases, another one for each command.
SETTINGS_ALONE = ("events", "test", "spool", "schema", "path", "sentry", "bundle")


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    for name in ("AGENT_CONFIG", "SENTRY_DSN", "SENTRY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def called(capsys, *arguments):
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    return (status, *capsys.readouterr())


@pytest.mark.slow(reason="every command on every case")
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_command_on_every_case_ends_with_its_documented_status(file, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("os.execve", lambda *_: sys.exit(STARTED))
    monkeypatch.setattr(other_processes, "reasons_by_process", lambda _: ())  # of the machine, whatever the file
    monkeypatch.setattr(other_processes, "pythons", lambda *_: ())
    examined = examine(str(file), {})
    wrong = any(problem.severity == "error" for problem in examined.problems)
    state = UNUSABLE if examined.plan is None else PARTLY_WRONG if wrong else RIGHT
    names = [monitor["name"] for _, monitor in examined.built] if examined.documents else []
    for number, (command, expected) in enumerate(COMMANDS.items(), FILES.index(file)):
        if ("NAME" in command and not names) or (
            number % 3 and command.startswith(SETTINGS_ALONE) and "NEW" not in command
        ):
            continue
        words = {"FILE": str(file), "NEW": str(tmp_path / "export.tar"), "NAME": (names or [""])[0]}
        status, out, err = called(capsys, *(words.get(word, word) for word in command.split()))
        assert status in expected[state], (command, out, err)
        assert "Traceback" not in out + err, command
        assert status != 2 or err.strip(), command
        if status in (0, 1) and "json" in command and "--json" not in command:
            json.loads(out or "null")


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_validate_prints_the_problems_of_the_loader(file, capsys):
    problems = examine(str(file), {}).problems
    _, out, _ = called(capsys, "validate", str(file), "--no-targets", "--format", "json")
    printed = json.loads(out)["problems"]
    assert [(one["slug"], one["line"], one["message"]) for one in printed] == [
        (one.slug, one.line, one.message) for one in problems
    ]
    targets = json.loads(called(capsys, "validate", str(file), "--format", "json")[1])["problems"]
    assert all(one in targets for one in printed)


def test_every_command_that_reads_a_configuration_is_in_the_table():
    tested = {command.split()[0] for command in COMMANDS}
    assert tested == set(main_module.COMMANDS) - {"init", "discover", "migrate", "report"}


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
