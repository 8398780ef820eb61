"""Each finding has a paragraph in docs/doctor.md, and each library the bound of pyproject.toml."""

import ast
import re
from pathlib import Path

from agent.cli.doctor.libraries import LIBRARIES

ROOT = Path(__file__).resolve().parents[3]


def slugs():
    """The first argument of each Finding and _Kind, and both sides of `slug = …`."""
    found = set()
    for path in ROOT.glob("agent/cli/doctor/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Finding", "_Kind"):
                first = node.args[0]
            elif isinstance(node, ast.Assign) and "slug" in ast.unparse(node.targets[0]):
                first = node.value
            else:
                continue
            texts = [each.value for each in ast.walk(first) if isinstance(each, ast.Constant)]
            found |= {text for text in texts if re.fullmatch(r"[a-z]+(-[a-z]+)*", str(text))}
    return found


def test_every_finding_is_documented_and_nothing_else():
    headings = re.findall(r"^### (\S+)$", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert slugs() == set(headings)


def test_the_bounds_of_libraries_are_those_of_the_project():
    text = (ROOT / "pyproject.toml").read_text()
    listed = text.partition("dependencies = [")[2].partition("]")[0]
    bounds = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', listed))
    assert {each.package: each.oldest for each in LIBRARIES if each.package != "urllib3"} == bounds
