"""One event for a person to read: what happened, to whom, where in the code, and what was logged before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..deliver.history.facts import section, what
from . import waterfall
from .terminal import STYLES, console, moment, one_line, styled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from ..sentry_project.links import Links

_SHORT_RUN = 2  # library frames that are shown one by one
_MOST_FRAMES = 60
_MOST_LINES = 20  # of an exception's message


def show(event: dict[str, Any], fate: str, pages: Links | None = None, trace: str = "") -> None:
    """Print it.

    `fate` is what becomes of the event, `trace` how to see its trace, if that was kept; `pages` are given where Sentry
    has it.
    """
    target = console()
    for line in lines(event, fate, pages, trace):
        target.print(line)


def lines(event: dict[str, Any], fate: str, pages: Links | None = None, trace: str = "") -> Iterator[Text]:
    """Yield its lines, as `show` prints them."""
    is_trace = event.get("type") == "transaction"
    level = "trace" if is_trace else str(event.get("level", "info"))
    heading = event.get("transaction") if is_trace else title(event)
    yield styled((one_line(level.upper()), STYLES.get(level, "")), "  ", (one_line(heading), "bold"))
    facts = [*_facts(event), *([("its trace", trace)] if trace else []), ("now", fate)]
    for name, value in [*facts, *(pages_of(event, pages) if pages is not None else ())]:
        yield styled(("  %-12s " % name, "dim"), one_line(value))
    if is_trace:
        spans = waterfall.waterfall(event)
        yield styled(("\n  " + waterfall.headline(spans), "bold"))
        yield from waterfall.lines(spans)
    for heading, found in (
        ("captured", _pairs(section(event, "contexts", "erp").get("captured"))),
        ("not captured", _pairs(section(event, "contexts", "erp").get("capture_failed"))),
        ("failed in", _pairs(section(event, "contexts", "erp").get("failed_in"))),
        ("context that failed", _pairs(section(event, "contexts", "erp").get("context_failed"))),
        *((name, _pairs(values)) for name, values in _own_contexts(event)),
        ("most of the time went into", list(_inside(event))),
        ("it ran", list(_repeats(event))),
        ("logged before", list(_breadcrumbs(event))),
    ):
        if found:
            yield styled(("\n  " + one_line(heading), "bold"))
        for line in found:
            yield styled("    " + one_line(line))
    for exception in _values(event, "exception"):
        first, *others = str(exception.get("value") or "").split("\n")
        yield styled("\n  ", (one_line(f"{exception.get('type')}: "), "bold"), one_line(first))
        for line in others[: _MOST_LINES - 1]:
            yield styled("    ", one_line(line))
        yield from _stack(exception)
    for thread in _values(event, "threads"):
        yield styled(("\n  called from", "bold"))
        yield from _stack(thread)


def pages_of(event: dict[str, Any], pages: Links) -> Iterator[tuple[str, str]]:
    """Where Sentry shows it: what there is, and the address."""
    yield "in Sentry", pages.event(str(event.get("event_id")))
    trace = section(event, "contexts", "trace").get("trace_id")
    if trace:
        yield "trace", pages.trace(str(trace))
    module = section(event, "tags").get("erp.module")
    if module:
        yield "of the module", pages.issues(str(module))


def title(event: dict[str, Any]) -> str:
    tags = section(event, "tags")
    where = " ".join(str(tags[name]) for name in ("erp.module", "erp.operation") if tags.get(name))
    return f"{where}: {what(event)}" if where else what(event)


def _values(event: dict[str, Any], name: str) -> list[dict[str, Any]]:
    values = section(event, name).get("values")
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _pairs(values: Any) -> list[str]:
    if isinstance(values, list):
        return [str(each) for each in values]
    return [f"{name} = {value}" for name, value in values.items()] if isinstance(values, dict) else []


def _facts(event: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    erp = section(event, "contexts", "erp")
    yield "event", event.get("event_id")
    yield "when", moment(event.get("timestamp"))
    if erp.get("monitor"):
        yield "monitor", f"{erp['monitor']} ({erp.get('kind') or 'function'}, {erp.get('defined') or 'decorated'})"
    if erp.get("function"):
        yield "function", erp["function"]
    if erp.get("called_from"):
        yield "called from", erp["called_from"]
    if isinstance(erp.get("operations"), list) and len(erp["operations"]) > 1:
        yield "operations", " › ".join(map(str, erp["operations"]))
    if erp.get("owner"):
        yield "owner", erp["owner"]
    if erp.get("duration_ms") is not None:
        slow = section(event, "tags").get("erp.report") == "slow" and erp.get("threshold_ms")
        yield "duration", f"{erp['duration_ms']} ms" + (f" (limit {erp['threshold_ms']} ms)" if slow else "")
    if erp.get("suppressed"):
        yield "not sent", f"{erp['suppressed']} equal ones before it, because of limits"
    for name, values in (("user", section(event, "user")), ("task", section(event, "contexts", "task"))):
        if values:
            yield name, ", ".join(f"{key}={value}" for key, value in values.items())
    request = section(event, "request")
    if request:
        status = section(event, "contexts", "response").get("status_code")
        line = f"{request.get('method') or ''} {request.get('url') or ''}".strip()
        yield "request", f"{line} → {status}" if status else line
    if event.get("transaction") and event.get("type") != "transaction":
        yield "transaction", event["transaction"]
    for name, label in (("environment", "environment"), ("release", "release"), ("server_name", "server")):
        if event.get(name):
            yield label, event[name]
    process = section(event, "contexts", "process")
    if process:
        yield "process", ", ".join(f"{name} {value}" for name, value in process.items())


def _own_contexts(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the ERP's own providers added."""
    known = ("erp", "runtime", "process", "request", "response", "task", "trace")
    for name, values in section(event, "contexts").items():
        if name not in known and isinstance(values, dict):
            yield name, values


def _inside(event: dict[str, Any]) -> Iterator[str]:
    inside = section(event, "contexts", "erp").get("inside")
    for part in inside if isinstance(inside, list) else ():
        if isinstance(part, dict):
            share = part.get("share")
            percent = f", {share:.0%}" if isinstance(share, (int, float)) else ""
            yield f"{part.get('operation')}: {part.get('times')} ×, {part.get('duration_ms')} ms{percent}"


def _repeats(event: dict[str, Any]) -> Iterator[str]:
    repeats = section(event, "contexts", "erp", "repeats")
    if repeats:
        share = repeats.get("share")
        percent = f", {share:.0%} of the time so far" if isinstance(share, (int, float)) else ""
        yield f"{repeats.get('times')} × in {repeats.get('inside')}, {repeats.get('duration_ms')} ms in all{percent}"
    lines = repeats.get("lines")
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, dict):
            yield f"{line.get('file')}:{line.get('line')}, in {line.get('function')}: {line.get('times')} ×"


def _breadcrumbs(event: dict[str, Any]) -> Iterator[str]:
    for crumb in _values(event, "breadcrumbs"):
        level, category, message = (crumb.get(name) or "" for name in ("level", "category", "message"))
        yield f"{moment(crumb.get('timestamp'), '%H:%M:%S')} {level} {category}: {message}"


def _stack(holder: dict[str, Any]) -> Iterator[Text]:
    """The frames, innermost last: the ERP's own with their source line, runs of library frames as one line."""
    frames = section(holder, "stacktrace").get("frames")
    frames = [frame for frame in frames if isinstance(frame, dict)] if isinstance(frames, list) else []
    if len(frames) > _MOST_FRAMES:
        yield styled((f"    … {len(frames) - _MOST_FRAMES} frames further out", "dim"))
        frames = frames[-_MOST_FRAMES:]
    library: list[dict[str, Any]] = []
    for frame in [*frames, None]:
        if frame is not None and not frame.get("in_app"):
            library.append(frame)
            continue
        if len(library) > _SHORT_RUN:
            packages = dict.fromkeys(str(item.get("module")).partition(".")[0] for item in library)
            yield styled((one_line(f"    … {len(library)} frames of {', '.join(packages)}"), "dim"))
        else:
            for item in library:
                yield styled(("    " + one_line(_place(item)), "dim"))
        library = []
        if frame is not None:
            yield styled(("  ▸ ", "bold"), one_line(_place(frame)))
            if frame.get("context_line"):
                yield styled(("        " + one_line(str(frame["context_line"]).strip()), "dim"))


def _place(frame: dict[str, Any]) -> str:
    return f"{frame.get('filename')}:{frame.get('lineno')} in {frame.get('function')}"
