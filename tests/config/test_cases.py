"""A new case is a new file: cases/positive gives no errors, cases/negative names its slugs in its first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.load import examine

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("path", sorted((CASES / "positive").glob("*.yaml")), ids=lambda path: path.stem)
def test_positive(path):
    result = examine(str(path), {})
    assert [problem for problem in result.problems if problem.severity == "error"] == []
    assert result.plan is not None
    assert result.plan["disabled"] == []


@pytest.mark.parametrize("path", sorted((CASES / "negative").glob("*.yaml")), ids=lambda path: path.stem)
def test_negative(path):
    expected = set(path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# expect: ").split())
    result = examine(str(path), {})
    assert {problem.slug for problem in result.problems if problem.severity == "error"} == expected
    for problem in result.problems:
        assert problem.message
        assert problem.file == str(path)
        assert problem.line > 0 or problem.slug == "yaml-empty"


@pytest.mark.parametrize("name", ["targets", "expressions", "placeholders", "units", "ladder", "key_of_another_kind"])
def test_every_monitor_of_a_negative_case_is_wrong(name):
    result = examine(str(CASES / "negative" / f"{name}.yaml"), {})
    wrong = {problem.path.split(" ")[0].split("›")[0] for problem in result.problems if "monitors" in problem.path}
    assert len(wrong) == result.monitors
