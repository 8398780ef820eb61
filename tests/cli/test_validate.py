from __future__ import annotations

import argparse
import builtins
import json
import subprocess
import sys

import pytest

from agent.cli import validate

GOOD = "version: 1\nmonitors: [{target: a.b.c}]\n"
BAD = """version: 1
monitors:
  - target: a.b.reserve
    operation: reserve_stock
    threshold: 5 min
"""


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    validate.configure(parser)
    return validate.run(parser.parse_args(list(arguments)))


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="monitors.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write


def test_a_clean_file(file, capsys):
    assert run(file(GOOD)) == 0
    assert capsys.readouterr().out == "no problems in 1 file, 1 monitor checked\n"


def test_a_problem_shows_its_line_a_caret_its_slug_and_a_hint(file, capsys):
    assert run(file(BAD)) == 1
    first, source, caret, hint, summary = capsys.readouterr().out.splitlines()
    assert first.startswith('monitors.yaml:5:16: error: monitors[0] "reserve_stock" › threshold: expected a duration')
    assert first.endswith("[bad-duration]")
    assert source == "    5 |     threshold: 5 min"
    assert caret.index("^") == source.index("5 min")
    assert hint.strip() == "hint: did you mean `5m`?"
    assert summary == "1 problem in 1 file, 1 monitor checked"


def test_the_caret_stands_under_wide_characters(file, capsys):
    assert run(file("version: 1\nmonitors: [{target: a.b.c, operation: 注文, threshold: 5 min}]\n")) == 1
    _, source, caret, *_ = capsys.readouterr().out.splitlines()
    from rich.cells import cell_len

    assert cell_len(caret) - 1 == cell_len(source[: source.index("5 min")])


def test_warnings_alone_are_clean(file, capsys):
    assert run(file("version: 1\ninclude: ['conf.d/*.yaml']\n")) == 0
    assert "no problems and 1 warning in 1 file" in capsys.readouterr().out


def test_several_files_are_one_run(file, capsys):
    assert run(file(GOOD), file(BAD, "other.yaml")) == 1
    assert capsys.readouterr().out.endswith("1 problem in 2 files, 2 monitors checked\n")


def test_a_missing_file_could_not_be_checked(file, capsys):
    assert run("nothing.yaml") == 2
    assert "there is no such file" in capsys.readouterr().out


def test_a_missing_include_is_a_problem_of_a_file_that_could(file):
    assert run(file("version: 1\ninclude: [nothing.yaml]\n")) == 1


def test_the_default_file_is_named_by_agent_config(file, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("AGENT_CONFIG", str(tmp_path / file(BAD, "elsewhere.yaml")))
    assert run() == 1
    assert capsys.readouterr().out.startswith("elsewhere.yaml:5:16: ")


def test_json(file, capsys):
    assert run(file(BAD), "--format", "json") == 1
    answer = json.loads(capsys.readouterr().out)
    (problem,) = answer["problems"]
    assert (problem["slug"], problem["line"], problem["column"]) == ("bad-duration", 5, 16)
    assert (answer["monitors"], answer["files"]) == (1, ["monitors.yaml"])


def test_github_annotations_are_escaped(file, capsys):
    assert run(file("version: 1\nmonitors: [{target: a.b.c, 'x%,y\\n': 1}]\n", "a,b.yaml"), "--format", "github") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("::error file=a%2Cb.yaml,title=unknown-key,line=2,col=28::monitors[0]")
    assert "x%25,y" in line


def test_github_says_nothing_of_a_clean_file(file, capsys):
    assert run(file(GOOD), "--format", "github") == 0
    assert capsys.readouterr().out == ""


def test_sarif(file, capsys):
    assert run(file(BAD, "with space.yaml"), "--format", "sarif") == 1
    sarif = json.loads(capsys.readouterr().out)
    assert sarif["version"] == "2.1.0"
    (result,) = sarif["runs"][0]["results"]
    assert sarif["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "bad-duration"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "with%20space.yaml"}, "region": {"startLine": 5, "startColumn": 16}}


def test_a_long_line_is_cut_around_the_caret(file, capsys):
    assert run(file("version: 1\nmonitors: [{target: a.b.c, tags: {a: " + "x" * 190 + "}, threshold: 5 min}]\n")) == 1
    _, source, caret, *_ = capsys.readouterr().out.splitlines()
    assert len(source) < 180
    assert source[caret.index("^") :].startswith("5 min")


@pytest.mark.parametrize("library", ["yaml", "jsonschema", "rich"])
def test_a_missing_library_is_a_sentence(file, monkeypatch, capsys, library):
    genuine = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run(file(GOOD)) == 2
    said = capsys.readouterr().err
    assert "python -m pip install" in said
    assert len(said.splitlines()) == 1


def test_piped_output_has_no_escape_codes_and_does_not_wrap(file, tmp_path):
    file("version: 1\nmonitors: [{target: a.b.c, operation: " + "x" * 150 + ", threshold: 5 min}]\n")
    program = (
        "import sys, argparse\nfrom agent.cli import validate\nparser = argparse.ArgumentParser()\n"
        "validate.configure(parser)\nsys.exit(validate.run(parser.parse_args(sys.argv[1:])))\n"
    )
    from pathlib import Path

    root = Path(validate.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", program, "monitors.yaml"], capture_output=True, check=False, cwd=tmp_path,
        env={"PYTHONPATH": str(root), "AGENT_DISABLED": "1", "FORCE_COLOR": "1", "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert b"\x1b" not in result.stdout
    assert result.stdout.splitlines()[0].endswith(b"[bad-duration]")
