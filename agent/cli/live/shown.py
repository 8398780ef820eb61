"""What these commands print of the processes that have taken up a change."""

from __future__ import annotations

from ..terminal import console, counted, one_line, out, styled
from .change import Taken


def show_taken(taken: Taken, what: str = "with this") -> int:
    """Print how many processes have it, and which have not and why; return the exit status."""
    number = len(taken.pids) + len(taken.missing)
    if not number and not taken.servers:
        out("no process runs that has reported in: the next ones start with it")
        return 0
    out(f"{len(taken.pids)} of {counted(number, 'process', 'processes')} run {what}")
    for each in (*taken.missing, *taken.servers):
        console().print(styled((f"  {each.pid} {each.program}: ", "bold"), one_line(each.why)))
    return int(bool(taken.missing))
