from __future__ import annotations

import builtins
import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.config.schema import make_validator

GOOD = "version: 1\nmonitors: [{target: a.b.c}]\n"
ROOT = Path(__file__).parents[2]
BAD = """version: 1
monitors:
  - target: a.b.reserve
    operation: reserve_stock
    threshold: 5 min
"""


def run(*arguments: str, targets: bool = False) -> int:
    return main(["validate", *arguments, *([] if targets else ["--no-targets"])])


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


def test_what_is_in_force_of_packs_is_counted(file, capsys, monkeypatch):
    pytest.importorskip("django")
    from agent.config import compile as compiling
    from agent.config import releases

    monkeypatch.setattr(releases, "installed_version", lambda name: "")
    real = compiling.unmet_requirements
    gone = lambda requires: "gone" if "redis" in str(requires) else real(requires)
    monkeypatch.setattr(compiling, "unmet_requirements", gone)
    assert run(file("version: 1\npacks: [redis, sales, {django: {except: [django.form]}}]\n")) == 0
    django, redis = capsys.readouterr().out.splitlines()[1].removeprefix("packs: ").split(", ")
    on, every = map(int, django.removeprefix("django ").split(" of "))
    assert 1 <= on < every
    assert redis.startswith("redis 0 of ")


def test_a_problem_shows_its_line_a_caret_its_slug_and_a_hint(file, capsys):
    assert run(file(BAD)) == 1
    first, source, caret, hint, summary = capsys.readouterr().out.splitlines()
    assert first.startswith('monitors.yaml:5:16: error: monitors[1] "reserve_stock" › threshold: expected a duration')
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


def test_a_file_of_packs_alone_has_no_monitors_of_its_own(file, capsys):
    assert run(file("version: 1\npacks: [sqlite3]\n")) == 0
    assert capsys.readouterr().out.splitlines()[0] == "no problems in 1 file, no monitors but those of packs"


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
    assert line.startswith("::error file=a%2Cb.yaml,title=unknown-key,line=2,col=28::monitors[1]")
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
    make_validator.cache_clear()
    assert run(file(GOOD + "surplus: 1\n")) == 2
    err = capsys.readouterr().err
    assert "python -m pip install" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow(reason="runs the command in a process")
def test_piped_output_has_no_escape_codes_and_does_not_wrap(file, tmp_path):
    file("version: 1\nmonitors: [{target: a.b.c, operation: " + "x" * 150 + ", threshold: 5 min}]\n")
    program = "import sys\nfrom agent.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
    result = subprocess.run(
        [sys.executable, "-c", program, "validate", "monitors.yaml", "--no-targets"], capture_output=True, check=False, cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "AGENT_DISABLED": "1", "FORCE_COLOR": "1", "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert b"\x1b" not in result.stdout
    assert result.stdout.splitlines()[0].endswith(b"[bad-duration]")


# Targets

ERP = """
def create(customer, items, *, urgent=False): ...

class Stock:
    def reserve(self, product): ...
"""
TARGETS = """version: 1
monitors:
  - {target: shop.create, capture: {who: custmer}}
  - {target: shop.Stock.reserv}
  - {target: shop.Stock}
  - {target: elsewhere.at.all}
  - {target: missing.too}
"""


@pytest.fixture
def erp(tmp_path, file):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "shop.py").write_text(ERP + "raise SystemExit(3)\n", encoding="utf-8")
    return file(TARGETS)


def test_targets_are_looked_up_and_problems_point_at_them(erp, capsys):
    assert run(erp, "--path", "code", targets=True) == 1
    out = capsys.readouterr().out
    assert 'monitors.yaml:3:43: error: monitors[1] "create" › capture.who: ' not in out
    lines = [line for line in out.splitlines() if ": error: " in line or ": warning: " in line]
    assert [line.rpartition("[")[2] for line in lines] == [
        "unknown-parameter]", "target-not-found]", "target-is-class]", "target-not-installed]",
    ]  # fmt: skip
    assert "hint: did you mean `customer`?" in out
    assert "hint: did you mean `reserve`?" in out
    assert "2 targets cannot be checked here: the packages `elsewhere` and `missing`" in out
    assert out.endswith("targets: 1 found, 2 not found, 2 cannot be checked\n")


def test_the_list_of_targets_says_what_stands_where(erp, capsys):
    run(erp, "--path", "code", "-v", targets=True)
    out = capsys.readouterr().out
    assert "monitors.yaml:3: shop.create → found code/shop.py:2 (customer, items, *, urgent=False)\n" in out
    assert "monitors.yaml:6: elsewhere.at.all → not installed here (there is no package `elsewhere`" in out


def test_json_holds_the_targets(erp, capsys):
    run(erp, "--path", "code", "--format", "json", targets=True)
    first, second, *_ = json.loads(capsys.readouterr().out)["targets"]
    assert (first["monitor"], first["target"], first["line"], first["outcome"]) == ("create", "shop.create", 3, "found")
    assert first["defined"]["line"] == 2
    assert first["signature"] == "(customer, items, *, urgent=False)"
    assert (second["outcome"], second["hint"]) == ("not found", "did you mean `reserve`?")


def test_a_target_that_is_not_installed_is_one_warning_and_no_error(file, capsys):
    assert run(file("version: 1\nmonitors: [{target: nowhere.a.b}, {target: nowhere.a.c}]\n"), targets=True) == 0
    out = capsys.readouterr().out
    assert out.count("warning: ") == 1
    assert "2 targets cannot be checked here: the package `nowhere` is not on the path of" in out


def test_python_that_is_none_could_not_run(erp, capsys, tmp_path):
    assert run(erp, "--python", str(tmp_path), targets=True) == 2
    assert run(erp, "--python", "/nowhere/python", targets=True) == 2
    assert "cannot be started" in capsys.readouterr().err


@pytest.mark.slow(reason="reads all of the example ERP")
@pytest.mark.parametrize("where", ["", "--python"])
def test_the_example_is_found_in_the_example_erp(capsys, monkeypatch, where):
    pytest.importorskip("django")
    monkeypatch.chdir(ROOT)
    python = [where, sys.executable] if where else []
    assert run("monitors.yaml", "--path", "examples/erp", *python, targets=True) == 0
    out = capsys.readouterr().out
    assert "no problems" in out
    assert "warning" not in out
    assert "cannot be checked" not in out
    assert "not found" not in out


def test_the_bar_appears_after_a_second_on_a_terminal(erp, monkeypatch, capsys):
    from agent.cli import terminal

    for terminal_, seconds, shown in ((True, 2.0, True), (True, 0.001, False), (False, 2.0, False)):
        clock = count(0.0, seconds)
        monkeypatch.setattr(terminal.time, "monotonic", lambda clock=clock: next(clock))
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal_=terminal_: terminal_, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        run(erp, "--path", "code", targets=True)
        assert ("looking targets up" in capsys.readouterr().err) is shown


def test_the_target_of_a_monitor_that_is_wrong_otherwise_is_looked_up_in_the_same_go(tmp_path, capsys):
    file = tmp_path / "monitors.yaml"
    file.write_text(
        "version: 1\nmodules: {sales: {description: S}}\nmonitors:\n"
        "  - {target: json.dumsp, module: sales, operation: x, threshold: 5 parsecs}\n"
        "  - {target: 'json:lods', module: sales, operaton: y}\n"
    )
    assert main(["validate", "--format", "json", str(file)]) == 1
    slugs = sorted(problem["slug"] for problem in json.loads(capsys.readouterr().out)["problems"])
    assert slugs == ["bad-duration", "target-not-found", "target-not-found", "unknown-key"]
