from __future__ import annotations

import pytest

from agent.config.load import examine


@pytest.fixture
def write(tmp_path):
    """Write monitors.yaml (and other files by name) and answer the main file's path."""

    def write_files(text: str, **others: str) -> str:
        for name, content in others.items():
            (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
        path = tmp_path / "monitors.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_files


@pytest.fixture
def look(write):
    """Examine a text with an environment."""

    def examine_text(text: str, environ: dict[str, str] | None = None, **others: str):
        return examine(write(text, **others), environ or {})

    return examine_text
