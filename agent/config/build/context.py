"""The section `context`: functions of the ERP, and what of their results becomes part of events."""

from __future__ import annotations

from ...base.model import ContextData
from ..findings import Findings
from ..read.document import Document, Placed
from . import values

_SECTIONS = ("read", "tags", "user")


def providers(documents: list[Document], findings: Findings) -> list[ContextData]:
    """Those that are right, of all files in their order. Of two with one name the first stays."""
    first: dict[str, Placed] = {}
    found = [
        _provider(placed, first, findings)
        for document in documents
        for placed in document.at("context").items()
        if isinstance(placed.value, dict)
    ]
    return [provider for provider in found if provider is not None]


def _provider(placed: Placed, first: dict[str, Placed], findings: Findings) -> ContextData | None:
    _check_name(placed, first, findings)
    target = values.target(placed.at("target"), findings, of_one_function=True)
    read, tags, user = (
        {
            name: parsed
            for name, each in placed.at(section).fields()
            if (parsed := values.expression(each, findings, known="result")) is not None
        }
        for section in _SECTIONS
    )
    if not any(placed.value.get(section) for section in _SECTIONS) and not findings.is_wrong(placed):
        findings.add(
            placed,
            "missing-key",
            "the provider has no `read`, `tags` or `user`",
            "name what of the function's result is reported: `read: {company: result.company_id}`",
        )
    if target is None or findings.is_wrong(placed):
        return None
    return {"name": placed.value["name"], "target": target, "read": read, "tags": tags, "user": user}


def _check_name(provider: Placed, first: dict[str, Placed], findings: Findings) -> None:
    name = provider.at("name")
    if not isinstance(name.value, str) or findings.has(name):
        return
    other = first.setdefault(name.value, provider)
    if other is not provider:
        message = f"the provider in {other.where} is called {name.quoted} too"
        findings.add(name, "duplicate-name", message, "rename one, or put both into one")
