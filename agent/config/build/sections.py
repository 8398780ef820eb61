"""The sections besides monitors: their checks, and their plain form with every default applied."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ...base.model import ContextData, ScrubData, SentryData, SpoolData, TracesData
from ...language import units
from ...language.dsn import DsnError, parse_dsn
from ..findings import Findings
from ..read.document import Document, Placed
from . import project, stances, tasks, values
from .merge import Settings
from .values import check_bare_number, check_inheritable, check_unit, is_exception_name

DEFAULT_ENVIRONMENT = "production"
_VERSION = re.compile(r"\[0-9\.\]$")  # at the end of a pattern of `processes`
_TRUE = ("1", "true", "yes", "on", "y", "t")

_EXPECTED: dict[str, type] = {
    "include": list, "sentry": dict, "delivery": dict, "defaults": dict, "modules": dict, "monitors": list,
    "processes": dict, "context": list, "tasks": dict, "celery": dict, "web": dict,
}  # fmt: skip

#: Keys of `sentry` that can fall back to nothing when they are wrong: less is sent, or with less on it, or not set up.
_HARMLESS = ("dsn", "release", "tags", "project")


def is_usable(document: Document, findings: Findings) -> bool:
    """Whether a Plan may be made of a file at all.

    A wrong monitor, module, pack, default, provider of context or unknown key at the top loses itself alone. The whole
    file is refused (and the last good plan stays in force) where a guess could send what should stay, or silently
    monitor less than before: an unknown version, a section of the wrong type or given twice, anything wrong in
    `include`, `delivery` and `processes`, and anything wrong in `sentry` but its dsn, release, tags and project.
    """
    if document.value.get("version") != 1 or findings.has(document.at("version")):
        return False
    for section, kind in _EXPECTED.items():
        wrong_type = section in document.value and not isinstance(document.value[section], kind)
        if wrong_type or findings.has(document.at(section)):
            return False
    if any(findings.is_wrong(document.at(section)) for section in ("include", "delivery", "processes")):
        return False
    return not any(findings.is_wrong(each) for key, each in document.at("sentry").fields() if key not in _HARMLESS)


def check_sections(document: Document, findings: Findings) -> None:
    """Report what the schema cannot check in every section but `monitors`, `packs` and `context`."""
    check_inheritable(document.at("defaults"), findings)
    stances.check(document.at("defaults"), findings)
    check_unit(document.at("budget"), units.share, "bad-share", findings, off=True)
    for _, module in document.at("modules").fields():
        check_inheritable(module.at("defaults"), findings)
        stances.checked(module.at("defaults"), findings)
    spool = document.at("delivery", "spool")
    check_unit(spool.at("max_size"), units.size, "bad-size", findings)
    check_unit(spool.at("max_age"), units.duration, "bad-duration", findings)
    check_unit(spool.at("max_rate"), units.spool_rate, "bad-rate", findings, off=True)
    history = document.at("delivery", "history")
    check_unit(history.at("max_age"), units.duration, "bad-duration", findings)
    check_unit(history.at("max_size"), units.size, "bad-size", findings)
    tasks.check(document.at("tasks"), findings)
    tasks.check(document.at("celery"), findings)
    values.target(document.at("web", "application"), findings, of_one_function=True)
    for key in ("only", "skip"):
        for pattern in document.at("processes", key).items():
            _check_program(pattern, findings)
    _check_sentry(document.at("sentry"), findings)


def sentry_data(
    settings: Settings,
    context: list[ContextData],
    environ: Mapping[str, str],
    variables: dict[str, str | None],
    main: Document,
    findings: Findings,
) -> SentryData:
    given = {key: placed.value for key, placed in settings.sentry.items()}

    def text(key: str, variable: str) -> str | None:
        value = given.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        variables[variable] = environ.get(variable)
        return (variables[variable] or "").strip() or None

    dsn = text("dsn", "SENTRY_DSN")
    wrong = _wrong_dsn(dsn)
    if wrong:
        if "dsn" not in settings.sentry or variables.get("SENTRY_DSN") == dsn:
            findings.add(
                main.at("sentry", "dsn"),
                "bad-dsn",
                f"SENTRY_DSN in the environment is not a Sentry DSN: {wrong}",
                "it looks like https://public_key@host/project",
                severity="warning",
            )
        dsn = None
    debug = given.get("debug")
    if not isinstance(debug, bool):
        variables["SENTRY_DEBUG"] = environ.get("SENTRY_DEBUG")
        debug = (variables["SENTRY_DEBUG"] or "").strip().lower() in _TRUE
    own = given.get("in_app_include")
    targets = given.get("trace_propagation_targets")
    return {
        "dsn": dsn,
        "environment": text("environment", "SENTRY_ENVIRONMENT") or DEFAULT_ENVIRONMENT,
        "release": text("release", "SENTRY_RELEASE"),
        "sample_rate": float(given.get("sample_rate", 1.0)),
        "traces_sample_rate": float(given.get("traces_sample_rate", 0.0)),
        "profiles_sample_rate": float(given.get("profiles_sample_rate", 0.0)),
        "tracing": str(given.get("tracing", "agent")),
        "traces": _traces_data(given.get("traces")),
        "trace_propagation_targets": None if targets is None else list(targets),
        "propagate_traceparent": bool(given.get("propagate_traceparent", False)),
        "strict_trace_continuation": bool(given.get("strict_trace_continuation", False)),
        "org_id": given.get("org_id"),
        "debug": debug,
        "metrics": bool(given.get("metrics", False)),
        "user": list(given.get("user", ["id"])),
        "stances": stances.stances_data(settings, given.get("ignore_errors"), findings),
        "modules": {name: _owner(settings, name) for name in settings.modules},
        "ignore_loggers": list(given.get("ignore_loggers", [])),
        "integrations": given.get("integrations", "auto"),
        "tags": dict(given.get("tags", {})),
        "scrub": _scrub_data(given.get("scrub") or {}),
        "context": context,
        "tasks": tasks.data(settings),
        "celery": tasks.celerys(settings),
        "project": project.data(given.get("project")),
        "in_app_include": None if own is None else list(own),
        "application": settings.web["application"].value.replace(":", ".") if "application" in settings.web else None,
    }


def _owner(settings: Settings, module: str) -> str | None:
    given = (placed.at("owner").value for placed in settings.module(module) if "owner" in placed.value)
    owner = next(given, None)
    return owner if isinstance(owner, str) and owner else None


def _traces_data(section: Mapping[str, Any] | None) -> TracesData:
    given = section or {}
    slow, rate = given.get("keep_slow", "2s"), given.get("rate_limit", "30/min")
    return {
        "given": section is not None,
        "keep_slow": None if units.is_off(slow) else units.duration(slow),
        "keep_failed": bool(given.get("keep_failed", True)),
        "rate_limit": None if units.is_off(rate) else units.rate(rate),
        "max_spans": int(given.get("max_spans", 1000)),
    }


def _scrub_data(given: Mapping[str, Any]) -> ScrubData | None:
    if not given:
        return None
    return {
        "names": list(given.get("names", [])),
        "national_ids": list(given.get("national_ids", [])),
        "forms": dict(given.get("forms", {})),
    }


def spool_data(settings: Settings, main: Document) -> SpoolData:
    """A relative directory is relative to the main file, never to the current directory."""
    given = {key: placed.value for key, placed in settings.spool.items()}
    given_rate = given.get("max_rate")
    events, seconds = (0.0, 1.0) if units.is_off(given_rate) else units.spool_rate(given_rate)
    history = given.get("history", {})
    kept = {} if units.is_off(history) else history
    directory = given.get("directory") or None
    if directory is not None:
        directory = os.path.join(os.path.dirname(os.path.abspath(main.file)), os.path.expanduser(directory))
    return {
        "directory": directory,
        "max_size": units.size(given.get("max_size", "256MB")),
        "max_age": units.duration(given.get("max_age", "7d")),
        "max_files": int(given.get("max_files", 50_000)),
        "max_rate": events / seconds,
        "durable": bool(given.get("durable", False)),
        "keep_interpreter": bool(given.get("keep_interpreter", True)),
        "courier": bool(given.get("courier", True)),
        "host_client": bool(given.get("host_client", True)),
        "history_age": units.duration(kept.get("max_age", "7d")),
        "history_size": 0 if units.is_off(history) else units.size(kept.get("max_size", "64MB")),
    }


def processes_data(settings: Settings) -> dict[str, list[str]] | None:
    """None where nothing is given: programs.py has its own list of what to skip."""
    return {key: list(placed.value) for key, placed in settings.processes.items()} or None


def _check_program(pattern: Placed, findings: Findings) -> None:
    """Report a pattern that could never match: it would silently leave out, or let in, every program."""
    if not isinstance(pattern.value, str) or findings.has(pattern):
        return
    program, space, command = pattern.value.partition(" ")
    if "/" in program or "\\" in program:
        name = re.split(r"[/\\]", program)[-1]
        plain = pattern.text == pattern.value  # what came from the environment is not repeated
        hint = f"write `{name}{space}{command}`" if name and plain else ""
        findings.add(pattern, "bad-value", f"{pattern.quoted} is a path: programs go by their names here", hint)
    elif not {"?", "["}.isdisjoint(_VERSION.sub("", pattern.value)):
        hint = "`*` matches any characters, and `[0-9.]` at the end a version"
        findings.add(pattern, "bad-value", f"{pattern.quoted}: `?` and `[…]` have no meaning here", hint)


def _wrong_dsn(dsn: str | None) -> str:
    """What is wrong with it; "" where nothing is, or where there is none."""
    try:
        if dsn is not None:
            parse_dsn(dsn)
    except DsnError as error:
        return str(error).partition("; ")[0]
    return ""


def _check_sentry(sentry: Placed, findings: Findings) -> None:
    project.check(sentry.at("project"), findings)
    traces = sentry.at("traces")
    check_unit(traces.at("keep_slow"), units.duration, "bad-duration", findings, off=True)
    check_bare_number(traces.at("keep_slow"), findings)
    check_unit(traces.at("rate_limit"), units.rate, "bad-rate", findings, off=True)
    dsn = sentry.at("dsn")
    wrong = _wrong_dsn(dsn.value) if isinstance(dsn.value, str) and dsn.value.strip() else ""
    if wrong and not findings.has(dsn):
        hint = "it looks like https://public_key@host/project; leave it empty to send nothing"
        findings.add(dsn, "bad-dsn", f"this is not a Sentry DSN: {wrong}", hint)
    for target in sentry.at("trace_propagation_targets").items():
        if isinstance(target.value, str) and not findings.has(target):
            try:
                re.compile(target.value)
            except re.error as error:
                hint = "a dot is written `\\.`, and an asterisk repeats what stands before it"
                findings.add(target, "bad-value", f"{target.quoted} is not a regular expression: {error}", hint)
    for name in sentry.at("ignore_errors").items():
        if isinstance(name.value, str) and not findings.has(name):
            is_exception_name(name, name.value, findings)
