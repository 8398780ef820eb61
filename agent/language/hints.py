"""What people mean who write what the language does not have: words of other tools, shapes that seem natural."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .nearest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config.read.node import Key

#: Keys that a monitor, a rule or the file itself does not have → what they are called here.
_MONITOR_KEYS = {
    "target": ("function", "functions", "func", "path", "callable", "class", "method", "import", "pattern"),
    "threshold": ("timeout", "slow", "slow_threshold", "duration", "max_duration", "latency", "limit"),
    "severity": ("level", "priority"),
    "capture": ("params", "parameters", "args", "arguments", "values", "context", "extra", "data", "fields"),
    "expect": ("ignore", "ignored", "expected", "except"),
    "errors": ("exceptions", "exception", "raises"),
    "rate_limit": ("rate", "throttle", "max_rate"),
    "rules": ("conditions", "when", "checks", "assert"),
    "operation": ("description", "label", "title"),
    "kind": ("type",),
}
_RULE_KEYS = {
    "when": ("if", "condition", "expression", "expr", "check", "unless"),
    "message": ("then", "text", "msg", "description", "title", "name"),
    "severity": ("level", "priority"),
}
_SENTRY_KEYS = (
    "dsn", "environment", "release", "sample_rate", "traces_sample_rate", "debug", "user", "ignore_errors", "scrub",
)  # fmt: skip
_KINDS = {
    "api": ("http", "https", "rest", "view", "views", "endpoint", "web", "request", "route", "graphql"),
    "transaction": ("celery", "task", "job", "cron", "worker", "queue", "command"),
    "database": ("sql", "db", "orm", "query", "model", "repository"),
    "security": ("auth", "login", "authentication", "permission", "audit"),
    "business": ("process", "workflow", "service", "domain"),
    "function": ("method", "func", "callable", "any", "default", "error", "performance", "slow"),
}  # fmt: skip

#: Methods that people call in expressions → what does the same without running the ERP's code.
_METHODS = {
    ("startswith",): "for a first character write `{0}[0] == 'A'`, for a part `'A' in {0}`",
    ("endswith",): "for a last character write `{0}[-1] == 'A'`, for a part `'A' in {0}`",
    ("lower", "upper", "casefold", "strip", "title", "capitalize"): "compare with each spelling: `{0} in ('a', 'A')`",
    ("get", "getlist"): "write `{0}['key']`, and `'key' in {0} and …` before it where it may be missing",
    ("keys",): "write `keys({0})`",
    ("match", "search", "fullmatch", "findall"): "there are no regular expressions: `'part' in text` looks for a part",
    ("exists", "count", "all", "filter", "first", "aggregate"): "it would run a query; let the ERP return what it is",
    ("contains", "__contains__"): "write `part in {0}`",
    ("is_authenticated", "has_perm"): "read an attribute, or let the ERP's function return it",
}  # fmt: skip
_FUNCTIONS = {
    "isinstance": "compare the name of its class: `type(error) == 'KeyError'`",
    "hasattr": "an attribute that is not there is no error: the expression has no value then",
    "getattr": "write `order.number`; an attribute that is not there is no error",
    "bool": "write the value alone, or `not not x`", "list": "write the value alone", "repr": "write `str(x)`",
    "sorted": "`min` and `max` find the ends", "set": "`in` looks into lists as well",
}  # fmt: skip


def for_key(given: str, known: Iterable[str], path: tuple[Key, ...], title: str) -> tuple[str, str]:
    """(hint, the key that is meant, or "") for a key that is not known at `path`, where `title` names its mapping."""
    keys = list(known)
    aliases = {"monitor": _MONITOR_KEYS, "rule": _RULE_KEYS}.get(title, {})
    meant = next((key for key, others in aliases.items() if given.lower() in others), "")
    if meant:
        return f"it is called `{meant}` here", meant
    if title == "monitor" and re.fullmatch(r"[\w*]+([.:][\w*]+)+", given):
        return f"write `target: {given}`, and what belongs to it beside it", "target"
    if not path and given in _SENTRY_KEYS:
        return f"it belongs under `sentry`: `sentry: {{{given}: …}}`", ""
    if not path and given in ("target", "threshold", "severity", "capture", "rules", "operation", "module", "expect"):
        return "it belongs to a monitor: indent it as far as the `target` above it", ""
    near = did_you_mean(given, keys)
    return near or f"the keys here are {listed(sorted(keys), 40)}", near[14:-2]


def for_kind(given: str) -> str:
    return next((f"did you mean `{kind}`?" for kind, others in _KINDS.items() if given.lower() in others), "")


def for_shape(key: str, wanted: list[str], instance: Any, text: str | None, items: list[str | None]) -> str:
    """For a value that is a list (of `items` as written), a mapping or text, where another of these is wanted."""
    if "array" in wanted and isinstance(instance, dict):
        return _for_mapping(key, instance)
    if "object" in wanted and isinstance(instance, list):
        names = [each if each and each.isidentifier() else "name" for each in items[:3]] or ["name"]
        value = {"errors": "warning", "modules": "{}"}.get(key, "value")
        return f"write a name and a value each: `{{{', '.join(f'{name}: {value}' for name in names)}}}`"
    if "object" in wanted and isinstance(instance, str) and text:
        if re.fullmatch(r"(?:target|targets|name|when|message):\S.*", text):
            return "a space belongs after the `:`"
        if re.fullmatch(r"[\w*]+([.:][\w*]+)+", text):
            return f"write `target: {text}`"
        return f'write `when: "{text}"` and a `message`' if " " in text and '"' not in text else ""
    if "string" in wanted and isinstance(instance, list):
        return "write several under `targets`" if key == "target" else ""
    return ""


def _for_mapping(key: str, instance: dict[str, Any]) -> str:
    names = [str(name) for name in instance][:3]
    if any(re.match(r"-\S|-\xa0", name) for name in names):
        return "a space belongs after the `-`, an ordinary one"
    if key == "monitors":
        return "each monitor is an item of a list: `- target: package.module.function`, its other keys below `target`"
    if key == "rules":
        return "begin each rule with `- `: `- when: …`, its other keys below `when`"
    return f"did you mean `[{', '.join(names)}]`?" if names else ""


def for_duration(text: str) -> str:
    """For a text that is no duration, but holds one, or the word for none."""
    if text.strip().lower() in ("none", "never", "disabled", "no", "false", "unlimited", "infinite", "inf"):
        return "did you mean `off`?"
    found = re.findall(r"(?<![\w.,])([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)(?![A-Za-z])", text)
    iso = re.fullmatch(r"PT([0-9]+)([SMH])", text.strip())
    if iso:
        return f"did you mean `{iso.group(1)}{iso.group(2).lower()}`?"
    return f"did you mean `{found[0][0]}{found[0][1]}`?" if len(found) == 1 else ""


def for_fraction(text: str | None) -> str:
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?)\s*(%?)", text or "")
    per_cent = found is not None and 0 < float(found.group(1)) <= 100
    return f"did you mean `{float(found.group(1)) / 100:g}`?" if found is not None and per_cent else ""


def for_method(method: str, holder: str) -> str:
    """For a call of `holder.method()` in an expression."""
    hint = next((hint for names, hint in _METHODS.items() if method in names), "")
    if hint:
        return hint.format(holder if len(holder) <= 40 else "x")
    return "read an attribute or an item (`order.number`, `order['number']`), or let the ERP's function return it"


def for_function(name: str, known: Iterable[str]) -> str:
    return _FUNCTIONS.get(name) or did_you_mean(name, known)


def for_expression(source: str) -> str:
    """For what is not Python, or not in its subset."""
    if "===" in source:
        return "did you mean `==`?"
    if "<>" in source:
        return "did you mean `!=`?"
    if "&&" in source or "||" in source:
        return "did you mean `and` or `or`?"
    if source.startswith("{"):
        return "write it without braces"
    if "$" in source:
        return "write names without `$`"
    if source.startswith("!") or " !" in source.replace("!=", ""):
        return "did you mean `not`?"
    if "=" in source and not any(symbol in source for symbol in ("==", "!=", "<=", ">=", ":=")):
        return "did you mean `==`?"
    return ""


def for_target(text: str) -> str:
    """For a target that is written as a regular expression, a file, a call or as other tools spell it."""
    imported = re.fullmatch(r"from\s+([\w.]+)\s+import\s+(\w+)", text.strip())
    if imported:
        return f"did you mean `{imported.group(1)}.{imported.group(2)}`?"
    called = re.fullmatch(r"([\w.:]*\w)\(.*\)", text)
    if called:
        return f"did you mean `{called.group(1)}`?"
    path, divider, rest = re.sub(r"::|->|#", ":", text).replace("\\", "/").partition(":")
    if re.fullmatch(r"[\w./-]+", path) and ("/" in path or path.endswith(".py")):
        dotted = re.sub(r"\.py$|/__init__\.py$", "", path).strip("./").replace("/", ".")
        return f"did you mean `{dotted}:{rest}`?" if rest else f"did you mean `{dotted}.FUNCTION`, or `{dotted}.*`?"
    if divider and re.fullmatch(r"[\w.]+", path) and re.fullmatch(r"[\w.]+", rest):
        return f"did you mean `{path}:{rest}`?"
    if any(mark in text for mark in "^$()|+[]\\?"):
        plain = re.sub(r"\\\.", ".", text).strip("^$").replace(".*", "*")
        plain = re.sub(r"(?<=\w)\*$", ".*", plain)
        good = re.fullmatch(r"\w+(?:\.[\w*]+)+", plain)
        return "a target is no regular expression: `*` matches any characters in one segment" + (
            f"; did you mean `{plain}`?" if good else ""
        )
    return ""


def for_yaml(line: str, column: int) -> str:
    """For a line that YAML cannot read, with the column (from 1) where it gave up."""
    if re.search(r"(?<![\"'\w])\$\{[^}]*\}", line):
        return 'quote the variable inside `{…}` and `[…]`: "${NAME}"'
    if re.match(r"\s*(?:- )?\s*[\w.-]+:\s+\*\S", line) or line[column - 2 : column - 1] == "*":
        return "quote a text that begins with `*`"
    if re.search(r"[{,]\s*\w+:\s+[^'\"\[{\s][^'\"\[{]*[\[{'\"]", line):
        return "inside `{…}` quote a text that holds `{`, `[`, `,` or quotes, or write the keys on lines of their own"
    if re.match(r"\s*(?:- )?\s*[\w.-]+:\s+(?:(['\"]).*\1|[\[{].*[\]}])\s*\S", line):
        return "quote the whole text: one that begins with a quote, `{` or `[` ends where that is closed"
    return ""
