"""The syntax of targets and patterns: `package.module.Class.method`, `package.module:Class.method`, `package.module.*`.

`*` matches any characters inside one segment; every segment but the first may hold one. The first names the
package whose imports a finder must look at, so it is always spelled out.
"""

from __future__ import annotations

import keyword
from collections import Counter
from typing import TYPE_CHECKING

from ..base.model import TargetData
from ..base.places import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..base.model import MonitorData, SentryData


class TargetError(ValueError):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def parse_target(text: str) -> TargetData:
    """`path` is dotted throughout, also where the text has a colon. Raises TargetError."""
    module, colon, attribute = text.partition(":")
    _whole(text)
    if colon:
        if ":" in attribute:
            raise TargetError("a target holds one `:` at most, between the module and what is in it")
        if not attribute:
            raise TargetError("there is nothing after the `:`", "write `package.module:function`")
        _packages(module, within=0)
        _segments(attribute, pattern=True, within=len(attribute))
        return {"path": f"{module}.{attribute}", "module": module, "attribute": attribute, "pattern": "*" in text}
    if "." not in text:
        raise TargetError("a target names a module and a function in it", f"write `module.{text}`")
    _packages(text)
    return {"path": text, "module": None, "attribute": None, "pattern": "*" in text}


def parse_exclude(text: str) -> str:
    """A dotted path or pattern; every segment may hold `*`. Raises TargetError."""
    _whole(text)
    module, colon, attribute = text.partition(":")
    dotted = f"{module}.{attribute}" if colon else text
    _segments(dotted, pattern=True)
    return dotted


def parse_dotted(text: str) -> str:
    """A plain dotted name, as of an exception class; a bare builtin (`ValueError`) is one too. Raises TargetError."""
    _whole(text)
    if ":" in text:
        raise TargetError("a name is dotted throughout, without `:`", f"write `{text.replace(':', '.')}`")
    _segments(text, pattern=False)
    return text


def own_packages(monitors: Iterable[MonitorData], sentry: SentryData) -> list[str]:
    """The packages that are the ERP: those of `sentry.in_app_include`; without it, the top-level packages that the
    user's own monitors name, those that most of them name first, and that of the web application.

    What a pack watches is not the ERP, even where a monitor of the user's names a function of it.
    """
    named_there = sentry.get("in_app_include")
    if named_there is not None:
        return named_there
    named: Counter[str] = Counter()
    watched: set[str] = set()
    for monitor in monitors:
        roots = [target["path"].partition(".")[0] for target in monitor["targets"]]
        if monitor["where"].startswith("packs/"):
            watched.update(roots)
        else:
            named.update(roots)
    found = [name for name, _ in named.most_common() if name not in FRAMEWORKS and name not in watched]
    application = (sentry.get("application") or "").partition(".")[0]
    return [*found, application] if application and application not in found else found


def _whole(text: str) -> None:
    if not text or text.isspace():
        raise TargetError("the name is empty")
    if len(text) > 500:
        raise TargetError("the name is longer than 500 characters")
    if text.split() != [text]:
        raise TargetError("a name holds no spaces", f"did you mean `{''.join(text.split())}`?")
    if "<" in text:
        raise TargetError(
            "what is made inside a function (`<locals>`, `<lambda>`) cannot be named", "name the function around it"
        )
    if text.endswith("()"):
        raise TargetError("a name is not a call", f"did you mean `{text[:-2]}`?")
    if "/" in text or "\\" in text:
        dotted = text.replace("\\", "/").replace(".py", "").strip("/").replace("/", ".")
        raise TargetError("a name is a dotted path, not a file", f"did you mean `{dotted}`?")


def _packages(text: str, within: int = 1) -> None:
    """The segments of a path that begins with a package."""
    first = text.partition(".")[0]
    if "*" in first:
        raise TargetError("`*` is not allowed in the first segment", "spell the package out: `package.*.function`")
    _segments(text, pattern=True, within=within)


def _segments(text: str, *, pattern: bool, within: int = 1) -> None:
    """`within` of the last segments are no modules."""
    segments = text.split(".")
    for place, segment in enumerate(segments):
        if not segment:
            hint = "a target is an absolute path" if text.startswith(".") else ""
            raise TargetError("an empty segment: two dots in a row, or one at an end", hint)
        bare = segment.replace("*", "x") if segment.startswith("*") else segment.replace("*", "")
        if "*" in segment and not pattern:
            raise TargetError("`*` is not allowed in the name of a class")
        if "**" in segment:
            raise TargetError("`**` has no meaning: `*` matches any characters in one segment")
        # A module may be called as no statement can import it: a command of Django is found in `commands/import.py`.
        inside = 0 < place < len(segments) - within
        if not bare.isidentifier() or (keyword.iskeyword(bare) and "*" not in segment and not inside):
            hint = f"did you mean `{segment.replace('-', '_')}`?" if "-" in segment else ""
            raise TargetError(f"`{segment}` is not a Python name", hint)
