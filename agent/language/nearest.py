"""Hints of the form "did you mean …?"."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str], otherwise: str = "") -> str:
    """The nearest known name as a hint, else `otherwise`. Long input is cut: matching is quadratic."""
    every = list(known)
    close = get_close_matches(given[:100].lower().replace("-", "_"), every, n=1, cutoff=0.6)
    close = close or get_close_matches(given[:100], every, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else otherwise


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a`, `b` and `c`: at most `most` of them."""
    every = list(names)
    shown = [f"`{name}`" for name in every[:most]]
    if len(every) > most:
        return ", ".join(shown) + f" and {len(every) - most} more"
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1] if shown else "none"
