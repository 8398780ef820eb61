"""What Sentry's own Relay says about an event: its normaliser and its default rules for private data.

`sentry-relay` is Relay's code, compiled for Python. Where it is not installed, nothing is said.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

try:
    from sentry_relay import processing
    from sentry_relay.exceptions import RelayError
except ImportError:
    processing = None

#: Forms that Relay knows and may find anywhere, but for the source lines around a frame, which are the ERP's own text.
_FORMS = {
    "rules": {}, "applications": {"$string": ["@email", "@creditcard", "@iban", "@pemkey", "@urlauth", "@bearer"]},
}  # fmt: skip
_SOURCE = re.compile(r"\.(context_line|pre_context|post_context)(\.|$)")
#: The rule for passwords goes by the name under which something stands, and then also takes each text in a context that
#: has one of its words in it: `django.contrib.auth.authenticate`, `/reset-password/`. The latter are no secrets.
_SECRET_NAMES = re.compile(r"pass|secret|auth|credential|pwd|private_?key|api_?key|token|bearer", re.IGNORECASE)


def complaints(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each place of the event that Relay would correct, cut or scrub, with what it says; none is what is wanted."""
    if processing is None:
        return []
    return [*corrected(event), *scrubbed(event, addresses=False)]


def corrected(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """What the store normaliser changes. An event of the past is moved to now: Relay refuses what is too old."""
    late = time.time() - (event["timestamp"] if isinstance(event.get("timestamp"), (int, float)) else time.time())
    moved = {
        name: value + late if name in ("timestamp", "start_timestamp") and isinstance(value, (int, float)) else value
        for name, value in event.items()
    }
    normalizer = processing.StoreNormalizer(client_ip=None, is_renormalize=False, received_at=None)
    try:
        return annotations(normalizer.normalize_event(raw_event=json.dumps(moved)))
    except RelayError as error:
        return [("the whole of it", {"err": [str(error)], "event": event})]


def scrubbed(event: dict[str, Any], *, addresses: bool = True) -> list[tuple[str, Any]]:
    """What the default rules, and every form that Relay knows, take away.

    `addresses`: IP addresses too, which are there only where `sentry.user` says so.
    """
    config = processing.convert_datascrubbing_config({
        "scrubData": True, "scrubDefaults": True, "scrubIpAddresses": addresses, "sensitiveFields": [],
        "excludeFields": [],
    })  # fmt: skip
    found = annotations(processing.pii_strip_event(config, _copy(event)))
    found += annotations(processing.pii_strip_event(_FORMS, _copy(event)))
    return [(path, said) for path, said in found if not _SOURCE.search(path) and not _is_a_word(path, said)]


def _is_a_word(path: str, said: dict[str, Any]) -> bool:
    rules = {each[0].partition(":")[0] for each in said.get("rem", ())}
    return rules == {"@password"} and not _SECRET_NAMES.search(path)


def annotations(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each place that Relay's `_meta` says something about."""
    return _annotations(event.get("_meta") or {}, "")


def _annotations(meta: dict[str, Any], path: str) -> list[tuple[str, Any]]:
    found = []
    for key, value in meta.items():
        if key == "":
            if value.get("err") or value.get("rem"):
                found.append((path, value))
        elif isinstance(value, dict):
            found += _annotations(value, f"{path}.{key}" if path else key)
    return found


def _copy(event: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(event))
