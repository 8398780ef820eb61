"""New Relic's newrelic.ini: what it wraps by name, and the settings that monitors.yaml has too."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from typing import Any

from ...language.targets import TargetError, parse_dotted, parse_target
from .found import Carried, Found, Remark
from .newrelic import DECORATORS, UNUSED
from .sentry_init import ALWAYS_IGNORED
from .use import escaped, keys

_SECTION = re.compile(r"\s*\[([^\]]+)\]")
_TAKEN = ("name", "group", "library")
_LARGEST = 1_000_000  # bytes
_MARKS = (b"[newrelic]", b"-trace:", b"[import-hook:")


def is_newrelic(data: bytes) -> bool:
    return len(data) <= _LARGEST and any(mark in data for mark in _MARKS)


def read(file: str, data: bytes, found: Found) -> None:
    """Collect what the file contains into `found`."""
    text = data.decode("utf-8-sig", "replace")
    lines = {
        match.group(1).strip(): number
        for number, line in enumerate(text.splitlines(), 1)
        if (match := _SECTION.match(line))
    }
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        found.leave(file, 1, Remark("the file", str(error).splitlines()[0], "correct it, and run this again"))
        return
    for section in parser.sections():
        _section(file, section, dict(parser.items(section)), lines.get(section, 1), found)


def _section(file: str, section: str, values: dict[str, str], line: int, found: Found) -> None:
    form, colon, label = section.partition(":")
    name = form.replace("-", "_")
    written = f"[{section}]"
    if form == "newrelic" and not colon:
        for target in _listed(values):
            _add(file, line, "transaction_tracer.function_trace", target, {}, found)
        _settings(file, line, values, found)
    elif form == "newrelic":
        why = f"it is only for New Relic's environment `{label}`"
        found.leave(file, line, Remark(written, why, "`environments` of a monitor lists Sentry's environments"))
    elif form == "import-hook":
        why = "it runs code when a module is imported"
        found.leave(file, line, Remark(written, why, f"name the functions of `{label}` that matter in monitors"))
    elif name in DECORATORS and colon:
        if values.get("enabled", "").strip().lower() not in ("true", "on", "1", "yes"):
            return
        kind = DECORATORS[name][0]
        text = escaped(values.get("name", "").strip()[:100])
        rest = sorted(values.keys() - {"enabled", "function", *_TAKEN, *UNUSED})
        if rest:
            why, instead = "a monitor has no such setting", "docs/configuration.md lists what there is"
            found.leave(file, line, Remark(f"{written}: {', '.join(rest)}", why, instead))
        tags = {tag: values.get(tag, "").strip() for tag in ("group", "library")}
        made = keys(
            kind=kind if kind != "function" else "",
            name=text if kind == "transaction" else "",
            operation=text if kind != "transaction" else "",
            tags={tag: text for tag, text in tags.items() if text and text != "Function" and len(text) <= 200},
        )
        _add(file, line, written, values.get("function", "").strip(), made, found)
    elif colon:
        why = "New Relic alone has this"
        found.leave(file, line, Remark(written, why, "name the function in a monitor, if it matters"))


def _listed(values: dict[str, str]) -> Iterator[str]:
    for key in ("transaction_tracer.function_trace", "transaction_tracer.generator_trace"):
        yield from re.split(r"[\s,]+", values.get(key, "").strip()) if values.get(key, "").strip() else ()


def _add(file: str, line: int, written: str, text: str, made: dict[str, Any], found: Found) -> None:
    try:
        parse_target(text)
    except TargetError as error:
        found.leave(file, line, Remark(written, f"`{text[:60]}`: {error}", "name the function in a monitor"))
        return
    module, colon, attribute = text.partition(":")
    target = f"{module}.{attribute}" if colon and "." in module and "." not in attribute else text
    found.add(Carried(target, made, file, line, (written,)))


def _settings(file: str, line: int, values: dict[str, str], found: Found) -> None:
    for key in ("error_collector.ignore_errors", "error_collector.ignore_classes"):
        for name in values.get(key, "").replace("builtins:", "").replace(":", ".").split():
            try:
                ignored = parse_dotted(name)
            except TargetError:
                found.leave(file, line, Remark(key, f"`{name[:60]}` is no dotted name", "write it by hand"))
                continue
            known = found.sentry.setdefault("ignore_errors", list(ALWAYS_IGNORED))
            if ignored not in known:
                known.append(ignored)
    name = values.get("app_name", "").partition(";")[0].strip()
    if name and len(name) <= 200:
        found.sentry.setdefault("tags", {})["app_name"] = name
    if "license_key" in values:
        instead = "Sentry needs a DSN: set SENTRY_DSN"
        found.leave(file, line, Remark("license_key", "it is New Relic's, and a secret", instead))
    if values.get("transaction_tracer.transaction_threshold", "apdex_f").strip() != "apdex_f":
        why = "it is the threshold of requests and tasks, a monitor's is that of a function"
        instead = "write `threshold` into monitors, or `defaults`"
        found.leave(file, line, Remark("transaction_tracer.transaction_threshold", why, instead))
