"""The agent's header on a message: when the task is due, and which check-in it belongs to.

It is text, `DUE` or `DUE SLUG CHECK-IN BEGAN`, with times in seconds since the epoch.
"""

from contextvars import ContextVar
from typing import Optional

from ...base.interrupts import ours
from ...base.records import Record

HEADER = "erp_agent"

#: Where the headers of a trace are in a message, with the Sentry SDK as with us.
TRACE = "_sentry_trace_headers"
_LONGEST = 300


class CheckIn(Record):
    """One run of an entry of a schedule."""

    slug: str
    id: str  # 32 hexadecimal digits
    began: float  # seconds since the epoch


class Header(Record):
    """The header, parsed."""

    due: float  # seconds since the epoch
    check_in: Optional[CheckIn]


#: What a scheduler is publishing now.
publishing: ContextVar[Optional[CheckIn]] = ContextVar("erp_agent_check_in", default=None)


def compose(due: float, check_in: Optional[CheckIn]) -> str:
    if check_in is None:
        return "%.3f" % due
    return "%.3f %s %s %.3f" % (due, *check_in)


def parse(text: object) -> Optional[Header]:
    """Return None for what is not a header of ours: messages come from anywhere."""
    if type(text) is not str or len(text) > _LONGEST:
        return None
    words = text.split(" ")
    try:
        if len(words) == 1:
            return Header(float(words[0]), None)
        due, slug, identity, began = words
        return Header(float(due), CheckIn(slug, identity, float(began)))
    except ours(ValueError):
        return None
