"""Keeps the agent's files out of coverage.py's reports where no sources are configured.

coverage.py leaves out folders of libraries. The agent in a checkout is in none, and would fill most of the report.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..hook.code import wrap

if TYPE_CHECKING:
    from types import ModuleType

    from ..boot.engine import Engine
    from ..hook.code import patch

_AGENT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def install(_name: str, module: ModuleType, _engine: Engine) -> list[patch.Layer]:
    """Called when coverage.inorout, which decides what is measured, has been imported."""
    finds = getattr(module, "_add_coverage_paths", None) or getattr(module, "add_coverage_paths", None)
    if finds is None:
        return []  # another version of coverage.py: see docs/limits.md
    return [wrap.watch(finds, returned=lambda _, paths: paths.add(_AGENT), passed=("paths",))]
