"""A question before something is removed for good."""

from __future__ import annotations

import sys

from ...base.errors import AgentError
from ..terminal import out


def confirmed(question: str) -> bool:
    """Ask on the terminal. Raises AgentError without one."""
    if not sys.stdin.isatty():
        raise AgentError(f"{question} To confirm without a terminal, add --yes")
    out(question + " [y/N] ", end="")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
