"""What contributors run (make, CI, the git hook) agrees with what the checkout contains."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = ["Makefile", ".ci/run", ".pre-commit-config.yaml"]


def requirements(extra: str) -> "list[str]":
    program = [sys.executable, str(ROOT / ".ci" / "requirements.py"), extra]
    return subprocess.run(program, check=True, capture_output=True, text=True).stdout.splitlines()


def names(lines: "list[str]") -> "list[str]":
    return [re.split(r"[\[<>=]", line)[0].lower() for line in lines]


def test_make_alone_lists_each_target_with_what_it_does():
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    listed = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert dict(re.findall(r"^make (\S+) +(\S.*)$", listed.stdout, re.MULTILINE)).keys() == set(targets[1].split())


@pytest.mark.parametrize("extra", ["test", "dev"])
def test_the_requirements_of_a_checkout_are_those_of_the_package_and_of_an_extra(extra):
    found = names(requirements(extra))
    assert {"sentry-sdk", "pyyaml", "jsonschema", "rich", "pytest", "python-stdnum", "pysocks"} <= set(found)
    assert len(found) == len(set(found))
    assert not [name for name in found if name.startswith("erp-sentry-agent")]


def test_the_requirements_for_development_contain_those_for_the_other_interpreters():
    assert set(requirements("test")) < set(requirements("dev"))
    assert {"ruff", "mypy", "pre-commit", "build"} <= set(names(requirements("dev")))


@pytest.mark.parametrize("file", FILES)
def test_each_path_that_a_tool_is_given_exists(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w/.$-])((?:tests|agent|bench|examples|\.ci)/[\w./*-]+)", text)
    missing = [path for path in paths if not list(ROOT.glob(path)) and path not in ("examples/erp/var", "agent/.*")]
    assert not missing
    assert paths or file == ".pre-commit-config.yaml"


def test_every_folder_of_unit_tests_is_run_on_every_interpreter_unless_it_needs_a_framework():
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    folders = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}
    assert {name for name in folders if f"tests/{name} " not in run} == {"acceptance", "compat", "integrations", "cli"}


def test_the_git_hook_uses_the_environment_and_downloads_nothing():
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    hooks = {hook["id"]: hook for hook in repos[0]["hooks"]}
    assert hooks.keys() == {"ruff", "ruff-format", "mypy", "layout"}
    for hook in hooks.values():
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")


def test_each_page_is_reached_from_the_site_and_from_the_readme():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert pages <= set(re.findall(r"[\w-]+\.md", site))
    assert pages <= set(re.findall(r"\(docs/([\w-]+\.md)\)", readme))


def test_the_readme_is_read_in_a_few_minutes():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.sub(r"```.*?```", "", readme, flags=re.DOTALL).split()) <= 1000


@pytest.mark.parametrize("folder", [".", "examples"])
def test_the_commands_that_the_demos_end_with_work_wherever_they_are_pasted(tmp_path, folder):
    program = """
import os, sys
sys.path.insert(0, os.path.join(sys.argv[1], "examples"))
import demo, demo_full
settings = demo.write_settings(os.path.join(sys.argv[2], "env"), {"AGENT_STATE_DIR": sys.argv[2]})
print(demo.in_the_checkout(settings + " && python -m agent path"))
print(demo_full.to_copy("list", sys.argv[2]))
"""
    words = [sys.executable, "-c", program, str(ROOT), str(tmp_path)]
    shown = subprocess.run(words, cwd=ROOT / folder, check=True, capture_output=True, text=True).stdout.splitlines()
    for line in shown:
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, check=False, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
        assert str(ROOT) in done.stdout or "orders" in done.stdout
