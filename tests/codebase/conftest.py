from __future__ import annotations

import sys

import pytest

from agent.codebase.lookup import Lookup
from agent.codebase.search import SearchPath, here


@pytest.fixture
def project(tmp_path):
    """Write files by dotted-and-slashed path and answer a Lookup over them (and the standard library)."""

    def write(files: dict[str, str], *folders: str, mapped: dict[str, str] | None = None) -> Lookup:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        search = here([str(tmp_path / folder) for folder in folders or ("",)])
        return Lookup(search._replace(mapped={**search.mapped, **(mapped or {})}))

    return write


@pytest.fixture
def shop(project):
    """A Lookup over one module, `shop`."""
    return lambda text, **others: project({"shop.py": text, **{f"{name}.py": code for name, code in others.items()}})


@pytest.fixture
def bare():
    def make(*entries: str) -> SearchPath:
        return SearchPath(entries, {}, frozenset(sys.builtin_module_names), sys.version_info[:3], sys.executable)

    return make
