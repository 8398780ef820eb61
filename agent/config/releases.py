"""Packs that are not for the installed release of a library: nobody would notice that they watch nothing of it."""

from __future__ import annotations

from ..language.nearest import listed
from .build.merge import WrittenMonitor
from .build.packs import mentions, name_of
from .findings import Findings
from .read.document import Document
from .requirements import installed_version, parse_requirement


def check(documents: list[Document], judged: list[tuple[WrittenMonitor, bool]], findings: Findings) -> None:
    """One warning for each pack and library, at the first mention, if the library is installed and none of the pack's
    monitors that require it applies. What is not installed is no finding: one file serves several environments.

    `judged`: the monitors that are not switched off, and whether what each requires is met.
    """
    of_packs = [(name_of(entry.document), _required(entry), is_met) for entry, is_met in judged if entry.pack]
    applied = {(pack, name) for pack, required, is_met in of_packs if is_met for name in required}
    wanted: dict[str, dict[str, dict[str, None]]] = {}  # pack → library → what its monitors require of it
    for pack, required, is_met in of_packs:
        for name, text in required.items() if not is_met else ():
            if (pack, name) not in applied:
                wanted.setdefault(pack, {}).setdefault(name, {})[text] = None
    for mention in [each for document in documents for each in mentions(document)] if wanted else ():
        for name, texts in wanted.pop(mention.name, {}).items():
            version = installed_version(name)
            if version:
                message = f"the pack `{mention.name}` does not support {name} {version}, which is installed"
                hint = f"install {listed(list(texts))}, or name the functions that you need under `monitors`"
                findings.add(mention.placed, "unsupported-release", message, hint, severity="warning", of_key=True)


def _required(entry: WrittenMonitor) -> dict[str, str]:
    """Library → what a monitor of a pack requires of it."""
    given = entry.value.get("requires")
    texts = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return {parse_requirement(text).name: text for text in texts if isinstance(text, str)}
