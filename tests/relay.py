"""Check events with Sentry's own Relay: its normaliser and its default rules for private data.

`sentry-relay` is Relay's code, compiled for Python. Where it is not installed, nothing is checked.
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
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SOURCE = re.compile(r"\.(context_line|pre_context|post_context)(\.|$)")
#: The rule for passwords matches the name of a field, and in a context also each text that
#: contains one of its words: `django.contrib.auth.authenticate`, `/reset-password/`. The latter are no secrets.
_SECRET_NAMES = re.compile(r"pass|secret|auth|credential|pwd|private_?key|api_?key|token|bearer", re.IGNORECASE)


def complaints(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return each place of the event that Relay would correct, cut or scrub, with its reason."""
    if processing is None:
        return []
    return [*corrected(event), *scrubbed(event, addresses=False)]


def corrected(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return what the store normaliser changes. An event of the past is moved to now: Relay refuses what is too old."""
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
    """Return what the default rules and every form that Relay knows remove.

    `addresses`: IP addresses too, which are there only where `sentry.user` allows them.
    """
    config = processing.convert_datascrubbing_config({
        "scrubData": True, "scrubDefaults": True, "scrubIpAddresses": addresses, "sensitiveFields": [],
        "excludeFields": [],
    })  # fmt: skip
    found = annotations(processing.pii_strip_event(config, _copy(event)))
    found += annotations(processing.pii_strip_event(_FORMS, _copy(event)))
    return [
        (path, reason)
        for path, reason in found
        if not _SOURCE.search(path) and not _is_a_word(path, reason) and not _is_a_random_id(event, path)
    ]


def _is_a_word(path: str, reason: dict[str, Any]) -> bool:
    rules = {each[0].partition(":")[0] for each in reason.get("rem", ())}
    return rules == {"@password"} and not _SECRET_NAMES.search(path)


def _is_a_random_id(event: Any, path: str) -> bool:
    """Whether the value is a UUID: one in some thousands has the digits of a credit card."""
    for key in path.split("."):
        event = event.get(key) if isinstance(event, dict) else event[int(key)] if isinstance(event, list) else None
    return isinstance(event, str) and _UUID.fullmatch(event) is not None


def annotations(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return each place that Relay's `_meta` has a remark on."""
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
