"""coverage.py: a report that names no sources is about the host, and not about us, as it is not about libraries.

Where the agent is in a checkout, its files are in no folder of libraries, and would be most of such a report.
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
    """Called when the module that decides what is measured has been imported."""
    finds = getattr(module, "_add_coverage_paths", None) or getattr(module, "add_coverage_paths", None)
    if finds is None:
        return []  # of another time: see docs/limits.md
    return [wrap.watch(finds, returned=lambda _, paths: paths.add(_AGENT), passed=("paths",))]
