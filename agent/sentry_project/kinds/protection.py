"""Inbound filters, and data scrubbing as docs/privacy.md describes it: switched on, never off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import Facts
from ..thing import Thing

#: The names in monitors.yaml → Sentry's.
FILTERS = {
    "health-checks": "filtered-transaction", "web-crawlers": "web-crawlers", "localhost": "localhost",
    "browser-extensions": "browser-extensions",
}  # fmt: skip


_DEFAULT = ["health-checks", "web-crawlers"]


def filters(facts: Facts) -> Iterator[Thing]:
    for name in _DEFAULT if facts.project["filters"] is None else facts.project["filters"]:
        yield Thing("filter", FILTERS[name], {"active": True})


def scrubbing(facts: Facts) -> Iterator[Thing]:
    """What the agent masks is masked by Sentry, too: the SDK's own data, and the ERP's other clients, pass there."""
    given = facts.sentry["scrub"]
    names = given["names"] if given is not None else []
    body = {
        "data_scrubber": True,
        "default_names": True,
        "ip_addresses": "ip" not in facts.sentry["user"],
        "names": sorted(set(map(str.lower, names))),
    }
    yield Thing("scrubbing", "", body)


def to_api(body: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """What is missing is added; names that people added stay."""
    names = list(found.get("sensitiveFields") or [])
    changed: dict[str, Any] = {"dataScrubber": True, "dataScrubberDefaults": True}
    if body["ip_addresses"]:
        changed["scrubIPAddresses"] = True
    more = [name for name in body["names"] if name not in names]
    if more:
        changed["sensitiveFields"] = [*names, *more]
    return changed


def from_api(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """In the form of what is wanted: stricter settings than that are no difference."""
    names = {str(each).lower() for each in found.get("sensitiveFields") or ()}
    return {
        "data_scrubber": bool(found.get("dataScrubber")),
        "default_names": bool(found.get("dataScrubberDefaults")),
        "ip_addresses": bool(found.get("scrubIPAddresses")) if wanted["ip_addresses"] else False,
        "names": [name for name in wanted["names"] if name in names],
    }
