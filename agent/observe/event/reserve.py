"""Memory set aside for the moment at which there is no more: given back, it is room enough to report that.

Only addresses are taken. The pages behind them are never touched, so that they cost no memory.
"""

from __future__ import annotations

from ...base.interrupts import ours

_SIZE = 4 << 20  # bytes; Python takes memory for small objects a megabyte at a time

_held: bytes | None = None


def keep() -> None:
    """Set it aside, unless it is. Raises nothing: without room, the next call tries again."""
    global _held
    if _held is None:
        try:
            _held = bytes(_SIZE)
        except ours(MemoryError):
            pass


def release() -> None:
    """Give it back, for the report that follows."""
    global _held
    _held = None
