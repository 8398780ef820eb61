"""Source code → proposed monitors, each with the reason. Nothing is imported: the text of the modules is read."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...config.read.tree import resolve_scalar
from ..attributes import Bodies
from ..bindings import Function, ModuleIndex, last_name
from ..lookup import Lookup
from ..modules import ModuleFile
from ..names import Thing
from ..roots import NO_PACKAGES
from .callers import Callers
from .handled import Handlers
from .queues import task_of

_VIEW_DECORATORS = ("api_view", "require_http_methods", "require_GET", "require_POST", "require_safe", "route")
#: Decorators that bind a function to a path: `@app.route("/orders")`, `@router.get("/orders")`.
_ROUTES = frozenset(
    ("route", "get", "post", "put", "patch", "delete", "head", "options", "view", "api_route", "websocket",
     "websocket_route")
)  # fmt: skip
_WITHOUT_METHOD = frozenset(("route", "view", "api_route"))
_MUTATIONS = ("mutate", "mutate_and_get_payload", "perform_mutation")
_SERVICES = frozenset(("services", "service", "usecases", "use_cases", "operations", "workflows", "actions", "facade"))
_VIEWS = frozenset(("views", "api", "endpoints", "viewsets", "resources"))
#: Below these, a module called `services` or `actions` holds what is stored or shown.
_NO_SERVICES = frozenset(
    ("models", "ui", "forms", "templates", "templatetags", "admin", "tables", "widgets", "serializers")
)
_JOBS = ("Job", "JobRunner", "Task")
_RUNS = ("run", "perform", "execute")
_VERBS = ("get", "post", "put", "patch", "delete", "list", "retrieve", "create", "update", "partial_update", "destroy")
_SECURITY = re.compile(
    r"(?:^|_)(?:log_?in|log_?out|sign_?in|sign_?out|authenticate|check_password|user_for_token|verify_token|"
    r"reset_password|change_password)(?:_|$)"
)
#: Names of exceptions that refuse somebody what they may not do.
_REFUSAL = re.compile(
    r"(?:\w*PermissionDenied|AccessDenied|Not(?:Authenticated|Authori[sz]ed|Permitted)|Forbidden|Unauthori[sz]ed|"
    r"AuthenticationFailed|LoginRequired|InvalidCredentials)(?:Error|Exception)?"
)
_SKIPPED = frozenset(("tests", "test", "testing", "migrations", "conftest", "settings", "fixtures", "locale"))
#: Packages that hold the parts of a system, and are none themselves.
_CONTAINERS = frozenset(
    ("lib", "libs", "apps", "addons", "modules", "plugins", "packages", "components", "contrib", "domains")
)
_ROLES = (
    _SERVICES | _VIEWS | {"tasks", "managers", "models", "querysets", "management", "commands", "receivers", "signals"}
)


class Proposal(NamedTuple):
    target: str
    kind: str
    module: str
    operation: str
    detail: dict[str, str]  # the kind's own key
    reason: str
    role: str  # task | service | view | command | manager | security; function: none of these
    expect: tuple[str, ...] = ()  # exceptions that its callers handle, dotted


def modules_below(lookup: Lookup, name: str) -> Iterator[ModuleFile]:
    """A package and all its modules, tests and migrations left out."""
    module = lookup.module(name)
    if module is None:
        return
    yield module
    for tail in lookup.finder.submodules(module) if module.locations else ():
        if tail not in _SKIPPED and not tail.startswith(("test_", "_")):
            yield from modules_below(lookup, f"{name}.{tail}")


def applications(lookup: Lookup, name: str) -> Iterator[str]:
    """The Django apps in a package, dotted; the package itself, where it is one."""
    module = lookup.module(name)
    if module is None:
        return
    below = lookup.finder.submodules(module) if module.locations else []
    config = lookup.module(f"{name}.apps") if "apps" in below else None
    if (config is not None and not config.locations) or ("models" in below and "migrations" in below):
        yield name
    for tail in below:
        inside = f"{name}.{tail}"
        made = tail in NO_PACKAGES and (found := lookup.module(inside)) is not None and found.kind == "namespace"
        if tail not in _SKIPPED and not made:
            yield from applications(lookup, inside)


def discover(lookup: Lookup, package: str, handlers: Handlers | None = None) -> list[Proposal]:
    """`handlers` is shared by packages whose classes have bases in common."""
    apps = set(applications(lookup, package.partition(".")[0]))
    handlers = handlers or Handlers(lookup, Bodies())
    bodies = handlers.bodies
    modules = [module for module in modules_below(lookup, package) if module.kind == "source"]
    added = {job for module in modules for job in _added_jobs(lookup.index(module))}
    callers = Callers(lookup, bodies, modules)
    found: list[Proposal] = []
    for module in modules:
        jobs = {name for place, name in added if place == module.name}
        index = lookup.index(module)
        proposals = _of_module(lookup, index, _application(lookup, module, apps), bodies, jobs)
        found += [each._replace(expect=_handled(handlers, callers, index, each)) for each in proposals]
    return found


def _handled(handlers: Handlers, callers: Callers, index: ModuleIndex, proposal: Proposal) -> tuple[str, ...]:
    if proposal.kind != "function":
        return ()
    cls, _, method = proposal.target.partition(":")[2].partition(".")
    if not method:
        return callers.of(index.name, proposal.target.replace(":", ".").rpartition(".")[2])
    return tuple(handlers.around(Thing(index, index.names[cls][0]), method))


def refusals(lookup: Lookup, package: str) -> list[str]:
    """Exceptions of a package that refuse somebody what they may not do, by their names, dotted."""
    return [
        f"{module.name}.{name}"
        for module in modules_below(lookup, package)
        if module.kind == "source"
        for name, bindings in lookup.index(module).names.items()
        if isinstance(bindings[0].node, ast.ClassDef) and bindings[0].node.bases and _REFUSAL.fullmatch(name)
    ]


def _added_jobs(index: ModuleIndex) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of the functions that a module gives to an APScheduler: `scheduler.add_job(nightly, …)`."""
    with open(index.file, "rb") as opened:
        source = b"" if index.unreadable else opened.read()
    if b".add_job(" not in source:
        return
    nodes = list(ast.walk(ast.parse(source)))
    imported = {}  # also inside functions: `ready()` of a Django app imports its jobs
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            module = index.absolute(node.module or "", node.level)
            imported.update({each.asname or each.name: (module, each.name) for each in node.names})
    for node in nodes:
        if isinstance(node, ast.Call) and last_name(node.func) == "add_job":
            given = [*node.args[:1], *(each.value for each in node.keywords if each.arg == "func")]
            if given and isinstance(given[0], ast.Name):
                yield imported.get(given[0].id, (index.name, given[0].id))
            elif given and _text(given[0]):  # "erp.jobs:nightly"
                yield _text(given[0]).partition(":")[::2]
            elif given and isinstance(given[0], ast.Attribute) and isinstance(given[0].value, ast.Name):
                yield ".".join(imported.get(given[0].value.id, (given[0].value.id,))), given[0].attr


def _application(lookup: Lookup, module: ModuleFile, apps: set[str]) -> str:
    """What part of the ERP a module of code belongs to: its Django app; else the package right below the outermost.

    Where all parts lie in a package called `lib` or `addons`, it is the package below that one.
    """
    parts = module.name.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in apps:
            return parts[length - 1]
    inside = 1
    while inside < len(parts) and parts[inside] in _CONTAINERS:
        inside += 1
    for at in range(min(inside, len(parts) - 1), 0, -1):
        found = lookup.module(".".join(parts[: at + 1]))
        if found is not None and found.locations and parts[at] not in _ROLES:
            return parts[at]
    return parts[0]


def _of_module(
    lookup: Lookup, index: ModuleIndex, erp_module: str, bodies: Bodies, jobs: set[str]
) -> Iterator[Proposal]:
    parts = index.name.split(".")
    role = parts[-1]
    within = set(parts)
    for name, bindings in index.names.items():
        node = bindings[0].node
        if name.startswith("_"):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            task = task_of(lookup, index, node) or ("an APScheduler job (add_job)" if name in jobs else "")
            proposal = _of_function(index, node, within, erp_module, task)
            if proposal is not None and not bodies.returns_a_function(Thing(index, bindings[0])):
                yield proposal
        elif isinstance(node, ast.ClassDef):
            yield from _of_class(index, node, role, within, erp_module)


def _of_function(index: ModuleIndex, node: Function, within: set[str], module: str, task: str) -> Proposal | None:
    target = f"{index.name}:{node.name}" if "." not in index.name else f"{index.name}.{node.name}"
    decorators = [last_name(decorator) for decorator in node.decorator_list]
    if task:
        detail = {"name": f"{module}.{node.name}"}
        return Proposal(target, "transaction", module, node.name, detail, task, "task")
    if any(name in ("fixture", "property", "overload", "contextmanager", "register") for name in decorators):
        return None
    if _SECURITY.search(node.name) and "receiver" not in decorators:  # a receiver of a signal: what sends it signs in
        detail = {"event_type": node.name}
        return Proposal(target, "security", module, node.name, detail, "its name is about signing in", "security")
    if _is_mutation(node):
        return Proposal(target, "function", module, node.name, {}, "a mutation of GraphQL", "view")
    route = _route(node)
    if route:
        return Proposal(target, "api", module, node.name, {"endpoint": route}, f"the view of `{route}`", "view")
    view = next((name for name in decorators if name in _VIEW_DECORATORS), "")
    first = node.args.args[0].arg if node.args.args else ""
    if view or (within & _VIEWS and first == "request"):
        reason = f"a view (@{view})" if view else f"a view: it takes a request, in `{index.name}`"
        return Proposal(target, "api", module, node.name, {"endpoint": f"{module}.{node.name}"}, reason, "view")
    return Proposal(target, "function", module, node.name, {}, f"a public function of `{index.name}`", _role(within))


def _role(within: set[str]) -> str:
    return "service" if within & _SERVICES and not within & _NO_SERVICES else "function"


def _route(node: Function) -> str:
    """`GET /orders/<number>`, of a function that a decorator binds to that path; Pyramid names the route instead."""
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call):
            continue
        name = last_name(decorator)
        if name == "view_config":
            found = next((_text(each.value) for each in decorator.keywords if each.arg == "route_name"), "")
            if found:
                return found
        if name not in _ROUTES or not isinstance(decorator.func, ast.Attribute):
            continue
        given = [*decorator.args[:1], *(each.value for each in decorator.keywords if each.arg in ("path", "rule"))]
        path = _text(given[0]) if given else ""
        if path.startswith("/"):
            method = "" if name in _WITHOUT_METHOD else name.partition("_")[0].upper()
            return f"{method} {path}".strip()
    return ""


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_mutation(node: Function) -> bool:
    """Of strawberry (`@strawberry.mutation`) or ariadne (`@mutation.field("createOrder")`)."""
    for decorator in node.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if last_name(call) == "mutation":
            return True
        if isinstance(call, ast.Attribute) and call.attr == "field" and last_name(call.value) == "mutation":
            return True
    return False


def _of_class(index: ModuleIndex, node: ast.ClassDef, role: str, within: set[str], module: str) -> Iterator[Proposal]:
    bases = [last_name(base) for base in node.bases]
    scope = index.inside(node)
    methods = [name for name, bindings in scope.names.items()
               if isinstance(bindings[0].node, (ast.FunctionDef, ast.AsyncFunctionDef))]  # fmt: skip
    path = f"{index.name}:{node.name}"
    if "commands" in within and node.name == "Command" and "handle" in methods:
        operation = f"command.{role}"
        yield Proposal(f"{path}.handle", "function", module, operation, {}, "a management command", "command")
        return
    base = next((base for base in bases if base.endswith(_JOBS)), "")
    if base and (run := next((name for name in _RUNS if name in methods), "")):
        yield Proposal(
            f"{path}.{run}", "function", module, f"job.{node.name}", {}, f"a background job (a {base})", "task"
        )
        return
    mutation = next((base for base in bases if base.endswith("Mutation")), "")
    if mutation:
        for name in [name for name in _MUTATIONS if name in methods][:1]:
            reason = f"a mutation of GraphQL (a {mutation})"
            yield Proposal(f"{path}.{name}", "function", module, node.name, {}, reason, "view")
        return
    fields = [name for name in methods if _is_mutation(scope.names[name][0].node)]  # type: ignore[arg-type]
    if fields:
        for name in fields:
            yield Proposal(f"{path}.{name}", "function", module, name, {}, "a mutation of GraphQL", "view")
        return
    base = next((base for base in bases if base.endswith(("View", "ViewSet", "Resource", "HTTPEndpoint"))), "")
    if base:
        for verb in [verb for verb in _VERBS if verb in methods]:
            endpoint = {"endpoint": f"{module}.{node.name}.{verb}"}
            yield Proposal(f"{path}.{verb}", "api", module, f"{node.name}.{verb}", endpoint, f"a {base}", "view")
        return
    base = next((base for base in bases if base.endswith(("Manager", "QuerySet"))), "")
    if base:
        model = re.sub(r"(?:Manager|QuerySet)$", "", node.name) or node.name
        for name in methods:
            if not name.startswith("_"):
                yield Proposal(f"{path}.{name}", "database", module, name, {"model": model}, f"of a {base}", "manager")
        return
    if not any(base.endswith(("Error", "Exception", "Enum", "Config")) for base in bases):
        role = _role(within)
        for name in methods:
            decorators = {last_name(item) for item in getattr(scope.names[name][0].node, "decorator_list", ())}
            if not name.startswith("_") and "property" not in decorators:
                reason = f"a public method of `{index.name}`"
                yield Proposal(f"{path}.{name}", "function", module, name, {}, reason, role)


# As YAML


def distinct(proposals: list[Proposal]) -> list[Proposal]:
    """The same, where two functions of one name share an application with the parts of their modules that differ.

    A file's monitors have names of their own: `plugins.smtp.send_mail` and `plugins.sendgrid.send_mail`.
    """
    sharing: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        sharing.setdefault(proposal.detail.get("name", ""), []).append(proposal)
    names: dict[str, str] = {}  # by target
    for name, group in sharing.items():
        if name and len(group) > 1:
            paths = {each.target: each.target.replace(":", ".").split(".") for each in group}
            shared = set.intersection(*map(set, paths.values()))
            head, _, last = name.rpartition(".")
            longer = {
                target: ".".join((head, *(part for part in path if part not in shared), last))
                for target, path in paths.items()
            }
            names.update(longer if len(set(longer.values())) == len(longer) else dict(zip(paths, paths)))
    return [
        each._replace(detail={**each.detail, "name": names[each.target]}) if each.target in names else each
        for each in proposals
    ]


def module_lines(names: Iterable[str]) -> list[str]:
    return [f"  {scalar(name)}: {{}}" for name in dict.fromkeys(names)]


def monitor_lines(proposal: Proposal, threshold: str = "") -> list[str]:
    """One monitor of the list under `monitors:`, its reason as a comment."""
    given = {"target": proposal.target, "module": proposal.module}
    if proposal.kind != "function":
        given["kind"] = proposal.kind
    given.update(proposal.detail)
    given["operation"] = proposal.operation
    if threshold:
        given["threshold"] = threshold
    keys = [f"{key}: {scalar(value)}" for key, value in given.items()]
    if proposal.expect:
        keys.append(f"expect: [{', '.join(map(scalar, proposal.expect))}]  # its callers handle it")
    return [f"  # {proposal.reason}", f"  - {keys[0]}", *(f"    {key}" for key in keys[1:])]


def scalar(text: str) -> str:
    """A text as YAML: plain where every YAML parser reads it as that text."""
    plain = re.fullmatch(r"[^\W\d][\w.]*(?::[^\W\d][\w.]*)?(?: [\w.]+)*|\d+(?:\.\d+)?(?:ms|s|m|h|d)", text)
    words = ("yes", "no", "on", "off", "y", "n", "true", "false", "null")
    if plain and resolve_scalar(text) == text and text.lower() not in words:
        return text
    # JSON spells a character beyond U+FFFF as two halves, which YAML reads as two characters.
    return re.sub(r"\\u(d[89ab]..)\\u(d[c-f]..)", lambda pair: f"\\U{_whole(*pair.groups()):08x}", json.dumps(text))


def _whole(high: str, low: str) -> int:
    """The character that two halves of a surrogate pair stand for."""
    return 0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00
