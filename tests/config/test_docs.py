"""The documents about the configuration say what is so."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from pathlib import Path

import pytest

from agent.cli.reference import markdown
from agent.config.read.node import UnreadableDocument
from agent.config.read.shipped import schema_path
from agent.config.read.tree import parse
from agent.language.monitor_keys import KIND_OF

ROOT = Path(__file__).parents[2]
#: The rooms that report Problems.
ROOMS = [ROOT / "agent" / room for room in ("config", "codebase", "language")]
NO_SLUGS = {"site-packages", "dist-packages", "type name"}


def slugs_in_code():
    found = {"conflict", "contradiction"}
    for path in (each for room in ROOMS for each in room.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"[a-z]+(-[a-z]+)+", node.value) and path.name not in (
                    "child.py",
                    "cache.py",
                    "place.py",
                ):
                    found.add(node.value)
    return found - NO_SLUGS


def test_every_slug_is_documented_and_every_documented_slug_exists():
    text = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (.+)$", text, re.M)) == slugs_in_code()


def test_every_message_has_an_example_and_advice():
    for section in (ROOT / "docs" / "messages.md").read_text(encoding="utf-8").split("\n### ")[1:]:
        assert "For example: " in section, section
        assert "What to do: " in section, section


def test_the_reference_is_not_stale():
    fresh = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == markdown()
    assert fresh, "python -m agent schema --markdown > docs/configuration.md"


def test_every_example_of_the_reference_is_yaml_and_says_the_same():
    with open(schema_path(), encoding="utf-8") as stream:
        monitor = json.load(stream)["$defs"]["monitor"]["properties"]
    text = markdown()
    for block in re.findall(r"```yaml\n(.*?)```", text, re.S):
        for line in block.splitlines():
            root, defects = parse(line)
            assert root is not None, line
            assert not defects, line
    assert "capture: {order_id: result.id, lines: len(items)}" in text
    for key in monitor:
        assert f"`monitors[].{key}`" in text


@pytest.mark.slow(reason="compiles every example of the reference")
def test_every_example_of_the_reference_is_accepted(look):
    """Each line where its section says that it belongs, with nothing but what it needs around it."""
    seen = 0
    for path, block in re.findall(r"^`([\w\[\].]+)` · .*?```yaml\n(.*?)^```", markdown(), re.S | re.M):
        for line in block.splitlines():
            given = look("version: 1\n" + _placed(path, line), {"SENTRY_DSN": "https://key@sentry.example/1"})
            wrong = [problem for problem in given.problems if problem.severity == "error"]
            assert {problem.slug for problem in wrong} <= {"unknown-module", "include-missing"}, (path, line, wrong)
            seen += 1
    assert seen > 130


def _placed(path, line):
    """A line `key: value` as a file in which it stands at `path`."""
    key = path.rpartition(".")[2]
    around = {
        "monitors[].rules[]": "monitors:\n- target: a.b\n  rules:\n  - ", "monitors[]": "monitors:\n- ", "context[]": "context:\n- ",
        "packs[].NAME": "packs:\n- sales:\n    ", "modules.NAME": "modules:\n  sales:\n    ",
    }  # fmt: skip
    beside = {
        "monitors[].rules[]": {"when": "result", "message": "m"}, "context[]": {"name": "n", "target": "a.b", "read": "{a: result}"},
        "monitors[]": {} if key == "targets" else {"target": "a.b"},
        "sentry.project": {"organization": "norrland", "project": "erp"},
    }  # fmt: skip
    parent = path.rpartition(".")[0]
    if not parent:
        return "" if key == "version" else line
    keys = dict(beside.get(parent, {}))
    if parent == "monitors[]" and key in KIND_OF:
        keys["kind"] = KIND_OF[key]
    if parent == "monitors[].rules[]":
        if key == "each":
            keys["escalate"] = "10/h"
        names = re.findall(r"{(\w+)}", line)
        captured = f"  capture: [{', '.join(names)}]\n  rules:" if names else "  rules:"
        around[parent] = around[parent].replace("  rules:", captured)
    keys.pop(key, None)
    if parent in around:
        start = around[parent]
        indent = " " * (len(start) - start.rfind("\n") - 1)
        return start + f"\n{indent}".join([line, *(f"{name}: {value}" for name, value in keys.items())])
    nested = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(parent.split(".")))
    inside = "  " * (parent.count(".") + 1)
    if parent == "sentry.project.alerts":
        nested = nested.replace("    alerts:", "    organization: norrland\n    project: erp\n    alerts:")
    return nested + "\n".join(inside + each for each in [line, *(f"{name}: {value}" for name, value in keys.items())])


def test_configurations_in_the_documents_are_right(look):
    """Fenced or indented, whole files and parts of them; what else is YAML is a file of another tool."""
    with open(schema_path(), encoding="utf-8") as stream:
        schema = json.load(stream)
    keys, of_monitors = set(schema["properties"]), set(schema["$defs"]["monitor"]["properties"])
    seen: dict[str, int] = {}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        if path.name == "configuration.md":
            continue  # line by line, above
        text = path.read_text(encoding="utf-8")
        fenced = re.findall(r"^[ ]*```ya?ml\n(.*?)^[ ]*```", text, re.S | re.M)
        indented = re.findall(
            r"(?:(?<=\n\n) {4}[^\n]*\n(?: {4}[^\n]*\n|\n(?= {4}))*)",
            re.sub(r"^ *```.*?^ *```", "", text, flags=re.S | re.M),
        )
        for block in map(textwrap.dedent, [*fenced, *indented]):
            try:
                root, _ = parse(block)
            except UnreadableDocument:
                assert block not in map(textwrap.dedent, fenced), (path.name, block)
                continue
            given = root.children if root is not None else None
            if not isinstance(given, dict) or not given:
                continue
            if set(given) <= of_monitors - keys:
                target = "" if "target" in given else "target: a.b\n"
                block = "monitors:\n- " + textwrap.indent(target + block, "  ").lstrip()
            elif not set(given) <= keys:
                continue
            whole = block if "version" in given else "version: 1\n" + block
            wrong = {problem.slug for problem in look(whole).problems if problem.severity == "error"}
            assert wrong <= {"unknown-module", "include-missing"}, (
                path.name,
                block,
                wrong,
            )  # the file around it declares them
            seen[path.name] = seen.get(path.name, 0) + 1
    assert seen["packs.md"] >= 2, seen
    assert sum(seen.values()) > 8, seen


def test_the_hook_for_pre_commit_is_one():
    (hook,) = parse((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))[0].children
    keys = {key: node.text for key, node in hook.children.items()}
    assert {"id", "name", "entry", "language", "files"} <= set(keys)
    assert re.search(keys["files"], "conf/monitors.yaml")
    assert not re.search(keys["files"], "mymonitors.yaml.txt")


#: Pages that name files of the project, and those where a path may also begin in `agent/` or in the page's own folder.
NAMING = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
TOP = ("agent", "bench", "docs", "examples", "schema", "tests")


@pytest.mark.parametrize("page", NAMING, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_pages_that_a_document_names_exist(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"
    rooms = {path.name for path in (ROOT / "agent").iterdir() if path.is_dir()}
    for named in re.findall(r"`((?:\w+/)+[\w.]*)`", text):
        top = named.partition("/")[0]
        if top not in rooms and top not in TOP:
            continue
        bases = (ROOT, ROOT / "agent", page.parent)
        endings = ("", ".py")
        whole = named.partition(".")[0] if not re.search(r"\.(py|md|json|yaml|txt)$", named) else named
        assert any((base / (whole + ending)).exists() for base in bases for ending in endings), f"{page.name}: {named}"
