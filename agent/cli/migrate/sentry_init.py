"""`sentry_sdk.init(…)` → the section `sentry`. No secret is copied: where a DSN is, `${SENTRY_DSN:-}` is written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from ...language.targets import TargetError, parse_dotted, parse_target
from .names import COMPUTED
from .use import Use, keys

#: Key → what a value may be.
_TEXTS = {"environment": re.compile(r"[^/\s]{0,64}"), "release": re.compile(r"[^\n]{0,200}")}
_SHARES = {"sample_rate": 1.0, "traces_sample_rate": 0.0, "profiles_sample_rate": 0.0}  # and the SDK's defaults
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What `sentry.ignore_errors` has if it is not given: it replaces the list.
ALWAYS_IGNORED = ["django.http.Http404", "django.core.exceptions.PermissionDenied"]
_ADVICE = {
    "integrations": "`integrations: auto` finds the libraries that the process imports",
    "send_default_pii": "an event has the user's id alone; `sentry.user` lists what else it may contain",
    "before_send": "`unless` of a monitor holds a report back, `sentry.scrub` masks values",
    "traces_sampler": "write `traces_sample_rate`",
    "before_send_transaction": "`traces` decides which transactions are kept",
}


def settings(use: Use) -> dict[str, Any]:
    """The section. What it cannot contain is remarked on."""
    use.signature("dsn")
    made: dict[str, Any] = {}
    dsn = use.take("dsn")
    if dsn is not None:
        made["dsn"] = _dsn(use, dsn)
    for key, allowed in _TEXTS.items():
        node = use.take(key)
        if node is not None:
            found = _text(use, node, allowed)
            if found is None:
                use.remark(f"{key}=…", "it is computed, or not allowed there", f"set `sentry.{key}` by hand")
            elif found:
                made[key] = found
    for key, default in _SHARES.items():
        node = use.take(key)
        share = _share(use, node, default) if node is not None else None
        if share is not None:
            made[key] = share
        elif node is not None and use.names.value(node) is not None:
            use.remark(f"{key}=…", "it is no number from 0 to 1 that is written out", f"set `sentry.{key}` by hand")
    for key in ("strict_trace_continuation", "debug"):
        if use.value(key) is True:
            made[key] = True
    targets = use.value("trace_propagation_targets")
    if isinstance(targets, (list, tuple)):
        written = [each.replace("$", "$$") for each in targets if isinstance(each, str) and each.isprintable() and each]
        if len(written) == len(targets):
            made["trace_propagation_targets"] = written
        else:
            advice = "set `sentry.trace_propagation_targets` by hand"
            use.remark("trace_propagation_targets=…", "not all of it is text that is written out", advice)
    ignored = use.take("ignore_errors")
    if ignored is not None:
        names = list(_exceptions(use, ignored))
        if names:
            made["ignore_errors"] = list(dict.fromkeys([*ALWAYS_IGNORED, *names]))
    return made


def functions_to_trace(use: Use) -> Iterator[tuple[str, dict[str, Any]]]:
    """(target, keys of a monitor) of each. To be called after `settings`; remarks on the arguments that are left."""
    given = use.take("functions_to_trace")
    for node in use.names.elements(given) if given is not None else ():
        each = use.names.value(node)
        if each is None:
            continue
        if each is COMPUTED:
            why = f"`{ast.unparse(node)[:60]}` is computed when the program runs"
            use.remark("functions_to_trace", why, "name its functions in monitors by hand")
            continue
        name = each.get("qualified_name") if isinstance(each, dict) else each
        try:
            target = parse_target(name)["path"] if isinstance(name, str) else ""
        except TargetError:
            target = ""
        if target:
            yield target, keys()
        else:
            use.remark("functions_to_trace", f"{each!r:.60} is no dotted path", "name the function in a monitor")
    for key in use.left():
        advice = _ADVICE.get(key, "nothing to do")
        use.remark(f"{key}=…", "it belongs to the ERP's own client, where it stays in force", advice)


def _dsn(use: Use, node: ast.expr) -> str:
    found = _lookup(use, use.names.expression(node))
    return f"${{{found[0]}:-}}" if found is not None else "${SENTRY_DSN:-}"


def _text(use: Use, node: ast.expr, allowed: re.Pattern[str]) -> str | None:
    """As monitors.yaml spells it; None where the source does not show it, or it is not `allowed`."""
    node = use.names.expression(node)
    found = _lookup(use, node)
    if found is not None:
        defaults = [found[1], ""] if allowed.fullmatch(found[1]) else [""]
        spellings = [f"${{{found[0]}:-{default}}}" for default in defaults]
        return next((each for each in spellings if allowed.fullmatch(each)), None)
    value = use.names.value(node)
    if value is None:
        return ""
    spelled = value.encode("utf-8", "replace").decode("utf-8").replace("$", "$$") if isinstance(value, str) else "\n"
    return spelled if allowed.fullmatch(spelled) else None


def _share(use: Use, node: ast.expr, default: float) -> float | str | None:
    node = use.names.expression(node)
    if isinstance(node, ast.Call) and use.names.dotted(node.func) == "float" and len(node.args) == 1:
        node = node.args[0]
    found = _lookup(use, node)
    text: object = found[1] or str(default) if found is not None else use.names.value(node)
    try:
        number = float(text) if isinstance(text, (str, int, float)) and not isinstance(text, bool) else -1.0
    except ValueError:
        return None
    if not 0 <= number <= 1:
        return None
    return f"${{{found[0]}:-{text}}}" if found is not None else number


def _lookup(use: Use, node: ast.expr) -> tuple[str, str] | None:
    """(variable, default) of `os.environ["NAME"]`, `os.environ.get("NAME", "default")` and `os.getenv(…)`."""
    if isinstance(node, ast.Subscript):
        whole: list[ast.expr] = [node.slice] if use.names.dotted(node.value) == "os.environ" else []
    elif isinstance(node, ast.Call) and use.names.dotted(node.func) in ("os.environ.get", "os.getenv"):
        whole = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "default")]
    else:
        return None
    values = [use.names.value(each) for each in whole[:2]]
    if not values or not isinstance(values[0], str) or not _VARIABLE.fullmatch(values[0]):
        return None
    default = values[1] if len(values) > 1 and values[1] not in (None, COMPUTED) else ""
    spelled = str(default)
    return values[0], "" if any(each in "${}\\" or not each.isprintable() for each in spelled) else spelled[:200]


def _exceptions(use: Use, node: ast.expr) -> Iterator[str]:
    for each in use.names.elements(node):
        value = use.names.value(each)
        name = value if isinstance(value, str) and ("." in value or use.names.class_name(ast.Name(value))) else ""
        name = name or (use.names.class_name(each) if value is COMPUTED else "")
        try:
            yield parse_dotted(name)
        except TargetError:
            use.remark("ignore_errors: an exception", "its dotted name is not known", "write it by hand")
