"""The documents about the configuration say what is so."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from agent.config.paths import schema_path
from agent.config.reference import markdown
from agent.config.tree import parse

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "agent" / "config"
NO_SLUGS = {"site-packages", "dist-packages", "type name"}


def slugs_in_code():
    found = {"conflict", "contradiction"}
    for path in CONFIG.rglob("*.py"):
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


def test_configurations_in_the_documents_are_right(look):
    keys = set(json.loads(Path(schema_path()).read_text(encoding="utf-8"))["properties"])
    seen = 0
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        if path.name == "configuration.md":
            continue  # line by line, above
        for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M):
            root, _ = parse(block)
            if root is not None and isinstance(root.children, dict) and set(root.children) <= keys:
                whole = block if "version" in root.children else "version: 1\n" + block
                wrong = {problem.slug for problem in look(whole).problems if problem.severity == "error"}
                assert wrong <= {"unknown-module"}, (path.name, block)  # the file around it declares them
                seen += 1
    assert seen > 5


def test_the_hook_for_pre_commit_is_one():
    (hook,) = parse((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))[0].children
    keys = {key: node.text for key, node in hook.children.items()}
    assert {"id", "name", "entry", "language", "files"} <= set(keys)
    assert re.search(keys["files"], "conf/monitors.yaml")
    assert not re.search(keys["files"], "mymonitors.yaml.txt")
