"""A profile in Sentry's sample format, version 1, which lies in the envelope of its transaction.

https://develop.sentry.dev/sdk/telemetry/profiles/sample-format-v1/
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..base import clocks
from ..observe.event import stack
from ..observe.event.encode import to_json
from ..privacy.redact import text

if TYPE_CHECKING:
    from ..base.model import Json
    from .profiler import Profile


def encoded(profile: Profile, transaction: dict[str, Any]) -> bytes:
    """`transaction` is that event, as it is sent.

    Scrubbed as frames of events are: paths and names, without source.
    """
    frames = [stack.bare_frame(*place) for place in profile.places]
    samples: list[Json] = [
        {"elapsed_since_start_ns": str(int(elapsed * 1e9)), "stack_id": number, "thread_id": str(ident)}
        for elapsed, ident, number in profile.samples
    ]
    system = os.uname() if hasattr(os, "uname") else None
    context = transaction["contexts"]
    whole: dict[str, Json] = {
        "version": "1",
        "event_id": context["profile"]["profile_id"],
        "platform": "python",
        "environment": transaction.get("environment"),
        "release": transaction.get("release") or "",
        "timestamp": _iso(transaction["start_timestamp"]),
        "device": {"architecture": system.machine if system is not None else ""},
        "os": {
            "name": system.sysname if system is not None else sys.platform,
            "version": system.release if system is not None else "",
        },
        "runtime": context["runtime"],
        "transaction": {
            "id": transaction["event_id"],
            "name": text(transaction["transaction"]),
            "trace_id": context["trace"]["trace_id"],
            "active_thread_id": str(profile.thread),
        },
        "profile": {
            "frames": list[Any](frames),
            "stacks": [list(each) for each in profile.stacks],
            "samples": samples,
            "thread_metadata": _threads({ident for _, ident, _ in profile.samples}),
        },
    }
    return to_json(whole).encode("utf-8", "replace")


def _iso(seconds: float) -> str:
    """As RFC 3339 has it, which Relay expects here."""
    whole = int(seconds)
    return clocks.strftime("%Y-%m-%dT%H:%M:%S", clocks.gmtime(whole)) + ".%06dZ" % ((seconds - whole) * 1_000_000)


def _threads(idents: set[int]) -> dict[str, Json]:
    """The names of these threads. Read without `threading.enumerate`, which takes a lock of the host's."""
    active = getattr(sys.modules.get("threading"), "_active", None)
    known = dict(active) if type(active) is dict else {}
    names = {ident: getattr(known.get(ident), "_name", None) for ident in idents}
    return {str(ident): {"name": text(name)} if type(name) is str else {} for ident, name in names.items()}
