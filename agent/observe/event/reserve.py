"""Memory reserved for reporting that memory is exhausted: it is released for that report.

Only addresses are reserved. Their pages are never touched, so that they cost no memory.
"""

from __future__ import annotations

from ...base.interrupts import ours

_SIZE = 4 << 20  # bytes; Python takes memory for small objects a megabyte at a time

held: bytes | None = None


def keep() -> None:
    """Reserve it, unless it is reserved. Raises nothing: without memory, the next call tries again."""
    global held
    if held is None:
        try:
            held = bytes(_SIZE)
        except ours(MemoryError):
            pass


def release() -> None:
    """Release it for the report that follows."""
    global held
    held = None
