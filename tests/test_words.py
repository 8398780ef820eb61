"""The words of code, documentation, schema and messages: those of the field, which everybody knows."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: A function returns, a failure is reported, a file states, a response arrives: nothing here speaks.
SPEECH = re.compile(r"\b(?:told|tells?|says?|said|saying|answer(?:s|ed|ing)?)\b", re.IGNORECASE)

WRITTEN = {".py", ".md", ".json", ".yaml", ".toml", ".html", ".js", ".css"}
FOLDERS = ("agent", "docs", "schema")
FILES = sorted(
    path
    for path in (*ROOT.glob("*.*"), *(path for folder in FOLDERS for path in ROOT.joinpath(folder).rglob("*")))
    if path.suffix in WRITTEN and path.name != "CHANGELOG.md" and "uplot" not in path.parts
)


def test_all_rooms_are_read():
    read = {path.relative_to(ROOT).parts[1] for path in FILES if path.is_relative_to(ROOT / "agent")}
    assert read >= {path.name for path in (ROOT / "agent").iterdir() if path.is_dir() and path.name != "__pycache__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_speaks(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert not SPEECH.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
