"""How a trace goes on across processes: the headers that a request or message brings, and those that go out.

`sentry-trace` and `baggage` are Sentry's (https://develop.sentry.dev/sdk/foundations/trace-propagation/), `traceparent`
and `tracestate` the W3C's. What comes in may be broken, huge or hostile: what is not exactly in order is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.interrupts import ours

if TYPE_CHECKING:
    from collections.abc import Callable

SENTRY_TRACE, BAGGAGE, TRACEPARENT, TRACESTATE = "sentry-trace", "baggage", "traceparent", "tracestate"

#: Limits of the W3C for `baggage`: an outgoing one is not made larger.
MOST_MEMBERS = 64
MOST_BYTES = 8_192

_LONGEST = 8_192  # characters of an incoming header that are read
_LONGEST_STATE = 512
_PREFIX = "sentry-"
_STEPS = 1_000_000  # of the number for sampling, which has six digits
_NUMBER = frozenset("0123456789.eE-")

_HEXADECIMAL = "0123456789abcdef"
_ENCODED = frozenset(b"0123456789abcdefABCDEF")
#: What quoting leaves as it is, here as in the SDK.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/")


class Origin:
    """Where a trace comes from: from the head of the trace, which may be another process, or this one."""

    __slots__ = ("context", "parent_id", "rand", "sampled", "trace_id", "tracestate", "w3c", "written")

    def __init__(self, trace_id: str) -> None:
        """Of a trace that begins here. `trace_id` has 32 hexadecimal digits."""
        self.trace_id = trace_id
        self.parent_id = ""  # of the span that made the request; "" where the trace begins here
        self.sampled: bool | None = None  # what the head has decided; None: nothing yet
        self.rand = rand_of(trace_id)  # from 0.0 to below 1.0: less than the share that is sampled, and it is sampled
        #: The dynamic sampling context: what the head states of itself. None until the head has collected it; it does
        #: not change any more then. Empty where the head is one that has none.
        self.context: dict[str, str] | None = None
        self.tracestate = ""  # as it came
        self.written = ""  # the context as a header, once it has gone out
        self.w3c = False  # `traceparent` came, with the same trace

    def decide(self, rate: float) -> bool:
        """The decision of the trace's head, or else ours, which is the same in all processes with this rate.

        With a rate of 0 nothing is sampled here, and the decision is left to others.
        """
        if not rate:
            return False
        if self.sampled is None:
            self.sampled = self.rand < rate
            if self.context:  # of a head that has left the decision to others
                self.context.setdefault("sampled", "true" if self.sampled else "false")
                self.context["sample_rate"] = repr(rate)
                self.context.setdefault("sample_rand", "%.6f" % self.rand)
        return self.sampled


def rand_of(trace_id: str) -> float:
    """A number for sampling, six digits long, made of the id, so that each process has the same."""
    return int(trace_id[-12:], 16) * _STEPS // 16**12 / _STEPS


# ------------------------------------------------------------------------------------------------------------ incoming


def incoming(header: Callable[[str], object], organisation: str = "", *, strict: bool = False) -> Origin | None:
    """The trace that a request or message continues; None where it begins here.

    `header` returns the header of a name given in lower case, several of them joined by commas; other than text counts
    as absent. `organisation` is ours: a trace of another one is not continued, and with `strict` neither is one that
    does not state whose it is.
    """
    sentry, w3c = header(SENTRY_TRACE), header(TRACEPARENT)
    if sentry is None and w3c is None:
        return None
    foreign = _w3c(w3c)
    found = _sentry(sentry) or foreign
    if found is None:
        return None
    trace_id, parent, sampled = found
    members = _members(header(BAGGAGE))
    theirs = members.get("org_id", "")
    if theirs != organisation and (strict or (theirs and organisation)):
        return None
    origin = Origin(trace_id)
    origin.parent_id, origin.sampled = parent, sampled
    if found is not foreign:
        # A context without the id of its trace, or with another, was put together by somebody else on the way.
        origin.context = members if members.get("trace_id", trace_id) == trace_id else {}
        _take_rand(origin)
    if foreign is not None and foreign[0] == trace_id:
        origin.w3c = True
        state = header(TRACESTATE)
        if type(state) is str and len(state) <= _LONGEST_STATE and state.isascii() and state.isprintable():
            origin.tracestate = state.strip()
    return origin


def organisation_of(host: str) -> str:
    """The number of Sentry's organisation in the host of a DSN, or ""."""
    first = host.partition(".")[0]
    return first[1:] if first[:1] == "o" and first[1:].isdecimal() and host != first else ""


def _sentry(value: object) -> tuple[str, str, bool | None] | None:
    found = _first(value).split("-")
    if len(found) not in (2, 3) or not (_is_id(found[0], 32) and _is_id(found[1], 16)):
        return None
    if len(found) == 3 and found[2] not in ("0", "1"):
        return None
    return found[0], found[1], found[2] == "1" if len(found) == 3 else None


def _is_id(text: str, length: int) -> bool:
    return len(text) == length and not text.strip(_HEXADECIMAL) and text.strip("0") != ""


def _first(value: object) -> str:
    """The first header of several that were joined: proxies and clients have sent two."""
    if type(value) is not str or len(value) > _LONGEST:
        return ""
    return next((part for part in map(str.strip, value.split(",")) if part), "")


def _w3c(value: object) -> tuple[str, str, None] | None:
    """What another system has decided is not taken over: it counts other traces, which go elsewhere."""
    if type(value) is not str or len(value) > _LONGEST:
        return None
    parts = value.strip().split("-", 4)
    if len(parts) < 4 or parts[0] == "ff" or (parts[0] == "00" and len(parts) > 4):
        return None
    version, trace_id, parent, flags = parts[:4]
    well_formed = len(version) == len(flags) == 2 and not (version + flags).strip(_HEXADECIMAL)
    return (trace_id, parent, None) if well_formed and _is_id(trace_id, 32) and _is_id(parent, 16) else None


def _members(value: object) -> dict[str, str]:
    """Sentry's members of `baggage`, without their prefix."""
    if type(value) is not str:
        return {}
    found: dict[str, str] = {}
    whole = value if len(value) <= _LONGEST else value[:_LONGEST].rpartition(",")[0]
    for member in whole.split(","):
        name, equals, held = member.strip().partition("=")
        if not equals or not name.startswith(_PREFIX) or len(found) >= MOST_MEMBERS - 1:
            continue
        name, held = unquoted(name[len(_PREFIX) :].strip()), unquoted(held.partition(";")[0].strip())
        if name and (name + held).isprintable():
            found[name] = held
    return found


def _take_rand(origin: Origin) -> None:
    """The head's number; where it sent none, one that leads to its decision."""
    context = origin.context or {}
    rand = _fraction(context.get("sample_rand"))
    if rand is not None and rand < 1.0:
        origin.rand = rand
        return
    context.pop("sample_rand", None)
    rate = _fraction(context.get("sample_rate"))
    if rate is not None and origin.sampled is not None:
        low, high = (0, rate * _STEPS) if origin.sampled else (-int(-rate * _STEPS // 1), _STEPS)
        if low >= high:
            return  # a decision that this share cannot lead to
        origin.rand = (low + int(origin.rand * (high - low))) / _STEPS
    if context:
        context["sample_rand"] = "%.6f" % origin.rand


def _fraction(text: str | None) -> float | None:
    """From 0.0 to 1.0, as JSON has it."""
    try:
        value = float(text) if text is not None and _NUMBER.issuperset(text) else -1.0
    except ours(ValueError):
        return None
    return value if 0.0 <= value <= 1.0 else None


# ------------------------------------------------------------------------------------------------------------ outgoing


def sentry_trace(origin: Origin, span_id: str) -> str:
    decided = "" if origin.sampled is None else "-1" if origin.sampled else "-0"
    return f"{origin.trace_id}-{span_id}{decided}"


def traceparent(origin: Origin, span_id: str) -> str:
    return f"00-{origin.trace_id}-{span_id}-0{1 if origin.sampled else 0}"


def baggage(context: dict[str, str], existing: str = "") -> str:
    """The members of `existing`, then those of the context, as far as both are within the limits.

    Where `existing` has members of Sentry's, it stays as it is: whoever put them there traces as well.
    """
    others = [member for member in existing.split(",") if member.strip()]
    if any(member.strip().startswith(_PREFIX) for member in others):
        return existing
    kept, size = [existing.strip()] if others else [], len(existing.encode())
    for number, (name, value) in enumerate(context.items(), len(others) + 1):
        member = f"{_PREFIX}{quoted(name)}={quoted(value)}"
        size += len(member) + 1
        if number > MOST_MEMBERS or size > MOST_BYTES:
            break
        kept.append(member)
    return ",".join(kept)


def of_others(header: str) -> str:
    """A `baggage` without the members that are Sentry's."""
    return ",".join([member for member in header.split(",") if not member.strip().startswith(_PREFIX)])


def quoted(text: str) -> str:
    """Percent-encoded, as `urllib.parse.quote` does it, which the host may not have loaded."""
    if _PLAIN.issuperset(text):
        return text
    data = text.encode("utf-8", "replace")
    return "".join([chr(byte) if chr(byte) in _PLAIN else "%%%02X" % byte for byte in data])


def unquoted(text: str) -> str:
    if "%" not in text:
        return text
    first, *parts = text.encode("utf-8", "replace").split(b"%")
    data = [first]
    for part in parts:
        if len(part) > 1 and _ENCODED.issuperset(part[:2]):
            data.append(bytes((int(part[:2], 16),)) + part[2:])
        else:
            data.append(b"%" + part)
    return b"".join(data).decode("utf-8", "replace")
