"""Which format a scraper gets: the one that its Accept header likes best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from . import protobuf, text
from .families import Samples


class Format(NamedTuple):
    content_type: str
    encode: Callable[[Samples, Mapping[str, str]], str | bytes]


PLAIN = Format("text/plain; version=0.0.4; charset=utf-8", text.prometheus)
_PROTOBUF = Format(
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", protobuf.encode
)
_OPENMETRICS = {
    version: Format(f"application/openmetrics-text; version={version}; charset=utf-8", text.openmetrics)
    for version in ("1.0.0", "0.0.1")  # the text is the same
}


def chosen(accept: str) -> Format:
    """Plain text where nothing, anything, or nothing that is known is asked for."""
    best, most = PLAIN, 0.0
    for offer in accept.split(","):
        kind, *rest = (part.strip() for part in offer.split(";"))
        parameters = {
            name.strip().lower(): value.strip(' "') for name, _, value in (part.partition("=") for part in rest)
        }
        liking = _quality(parameters.get("q", "1"))
        found = _format(kind.lower(), parameters)
        if found is not None and liking > most:
            best, most = found, liking
    return best


def _format(kind: str, parameters: Mapping[str, str]) -> Format | None:
    if kind == "application/openmetrics-text":
        return _OPENMETRICS.get(parameters.get("version", "1.0.0"))
    if kind == "application/vnd.google.protobuf":
        right = parameters.get("proto") == "io.prometheus.client.MetricFamily"
        return _PROTOBUF if right and parameters.get("encoding", "delimited") == "delimited" else None
    if kind in ("text/plain", "text/*", "*/*"):
        return PLAIN if parameters.get("version", "0.0.4") == "0.0.4" else None
    return None


def _quality(text_: str) -> float:
    try:
        return float(text_)
    except ValueError:
        return 0.0
