"""One use of a tool's decorator, as its file of this room reads it: the name, and the arguments by their names."""

from __future__ import annotations

import ast
import re
from typing import Any

from ...language import units
from ...language.placeholders import PlaceholderError, placeholders
from .found import Remark
from .names import COMPUTED, Names

_REPLACED = frozenset(("name", "qualname", "module", "class"))
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_TAG = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


class Use:
    def __init__(self, name: str, call: ast.Call | None, names: Names, parameters: list[str]) -> None:
        self.name = name
        self.names = names
        self.parameters = parameters  # of the decorated function
        self.remarks: list[Remark] = []
        self._call = call
        self._given: dict[str, ast.expr] = {}

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def written(self) -> str:
        return f"@{self.last}" if self.last != "init" else self.name

    def signature(self, *positional: str) -> None:
        """Name the arguments that the decorator takes by position. To be called first."""
        if self._call is None:
            return
        for name, argument in zip(positional, self._call.args):
            if not isinstance(argument, ast.Starred):
                self._given[name] = argument
        for keyword in self._call.keywords:
            if keyword.arg is not None:
                self._given[keyword.arg] = keyword.value
        starred = [each for each in self._call.args if isinstance(each, ast.Starred)]
        if starred or any(keyword.arg is None for keyword in self._call.keywords):
            self.remark("*", "the arguments are computed", "write what they are into the monitor")
        elif len(self._call.args) > len(positional):
            self.remark("an argument", "its name is not known", "write what it means into the monitor")

    def remark(self, key: str, why: str, instead: str) -> None:
        self.remarks.append(Remark(f"{self.written}: {key}", why, instead))

    def take(self, key: str) -> ast.expr | None:
        return self._given.pop(key, None)

    def value(self, key: str) -> Any:
        """A literal; None where it is absent, or computed, which is remarked."""
        node = self.take(key)
        value = self.names.value(node) if node is not None else None
        if value is COMPUTED:
            self.remark(f"{key}=…", "it is computed when the program runs", f"write the value of `{key}` by hand")
            return None
        return value

    def text(self, key: str, longest: int = 2000) -> str:
        """A text that is written out; "" where there is none."""
        value = self.value(key)
        if value is None or value == "":
            return ""
        if not isinstance(value, str) or not value.strip():
            self.remark(f"{key}={_short(value)}", "it is not a text", f"write `{key}` by hand")
            return ""
        if len(value) > longest:
            self.remark(f"{key}=…", f"it is longer than {longest} characters", "write a shorter one by hand")
            return ""
        return value.encode("utf-8", "replace").decode("utf-8")

    def operation(self, key: str, longest: int = 2000) -> str:
        """A text in which monitors.yaml would replace {name}; other braces are written so that they stay."""
        text = self.text(key, longest // 2)
        try:
            known = set(placeholders(text)) <= _REPLACED
        except PlaceholderError:
            known = False
        return text if known else escaped(text)

    def module(self, key: str) -> str:
        text = self.text(key)
        if text and not _MODULE.fullmatch(text):
            self.remark(f"{key}={text!r:.60}", "a module's name has letters, digits and _.-", "choose a module by hand")
            return ""
        return text

    def severity(self, key: str) -> str:
        text = self.text(key)
        try:
            return units.severity(text.lower()) if text else ""
        except units.UnitError:
            self.remark(f"{key}={text!r:.60}", "it is no severity of Sentry's", "choose a `severity` by hand")
            return ""

    def duration(self, key: str) -> Any:
        value = self.value(key)
        if value is None:
            return None
        try:
            seconds = units.duration(value)
        except units.UnitError as error:
            self.remark(f"{key}={_short(value)}", str(error), "write a `threshold` by hand, such as 2s")
            return None
        return value.strip() if isinstance(value, str) else units.format_duration(seconds)

    def tags(self, key: str) -> dict[str, str]:
        value = self.value(key)
        if not isinstance(value, dict):
            return {}
        made: dict[str, str] = {}
        for name, text in value.items():
            if isinstance(name, str) and _TAG.fullmatch(name) and isinstance(text, (str, int, float, bool)):
                spelled = str(text).lower() if isinstance(text, bool) else str(text)
                if spelled and len(spelled) <= 200:
                    made[name] = spelled.encode("utf-8", "replace").decode("utf-8")
                    continue
            self.remark(f"{key}: {name!r:.60}", "Sentry has no such tag", "write another one under `tags`")
        return made

    def rest(self, ignored: tuple[str, ...] = ()) -> None:
        """Remark on the arguments that nobody took."""
        for key in self.left():
            if key not in ignored:
                self.remark(f"{key}=…", "a monitor has no such setting", "docs/configuration.md lists what there is")

    def left(self) -> list[str]:
        return list(self._given)


def escaped(text: str) -> str:
    """As monitors.yaml spells braces that stay."""
    return text.replace("{", "{{").replace("}", "}}")


def keys(**given: Any) -> dict[str, Any]:
    """The keys of a monitor that have a value."""
    return {name: value for name, value in given.items() if value not in (None, "", {}, [])}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
