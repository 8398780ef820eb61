"""The rules that keep the architecture: layers, rooms, and which one file imports each heavy library."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "agent"
FILES = sorted(PACKAGE.rglob("*.py"))

#: From the ground up: a room imports rooms below it, never above, lazy imports included.
LAYERS = (
    "version", "base", "language", "plan", "privacy", "hook", "observe", "measure", "deliver", "traces", "live", "sdk", "integrations", "boot",
    "api", "decorate",
    # Never in the host's processes, but for the ERP's own tests and `manage.py sentry_test`:
    "config", "codebase", "sentry_project", "cli", "testing", "__main__",
)  # fmt: skip
NEVER_IN_THE_HOST = {"config", "codebase", "sentry_project", "cli"}
MAY_COMPILE = {"config", "codebase", "sentry_project", "cli", "testing", "__main__"}

#: All that an ERP may import, and the entry points.
TOP = {"__init__", "__main__", "api", "decorate", "testing"}

#: What is read at a glance.
MOST_FILES = 17
MOST_LINES = 500

ONE_FILE = {
    "yaml": "agent/config/read/tree.py",
    "jsonschema": "agent/config/schema.py",
    "sentry_sdk": "agent/sdk/scope.py",
    "urllib3": "agent/deliver/http/transport.py",
    "packaging": "agent/config/requirements.py",
    "importlib_metadata": "agent/config/requirements.py",
    "rich": "agent/cli/terminal.py",
}


def dotted(path: Path) -> str:
    """ "deliver.spool.names" for agent/deliver/spool/names.py; "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path): path for path in FILES}


def room(name: str) -> str:
    return name.partition(".")[0]


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file, which every test here shares."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> "tuple[tuple[str, int, bool], ...]":
    """(top-level module, or "." + the agent's own; line; at module level) of all imports that are not for types only."""
    package = dotted(path).split(".") if path.name == "__init__.py" else dotted(path).split(".")[:-1]
    found: "list[tuple[str, int, bool]]" = []

    def look(node: ast.AST, at_module_level: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name.partition(".")[0], node.lineno, at_module_level) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(((node.module or "").partition(".")[0], node.lineno, at_module_level))
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1]
            base = ".".join([*above, node.module] if node.module else above)
            for alias in node.names:
                whole = f"{base}.{alias.name}" if base else alias.name
                found.append(("." + (whole if whole in NAMES else base), node.lineno, at_module_level))
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return
        elif not isinstance(node, ast.expr):
            at_module_level = at_module_level and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            for child in ast.iter_child_nodes(node):
                look(child, at_module_level)

    look(tree_of(path), True)
    return tuple(found)


def own(path: Path) -> "list[tuple[str, int]]":
    return [(name[1:], line) for name, line, _ in imports(path) if name.startswith(".") and name != "."]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    here = dotted(path)
    if not here:
        return
    for name, line in own(path):
        where = f"{path.relative_to(ROOT)}:{line}: {here} imports {name}"
        assert LAYERS.index(room(name)) <= LAYERS.index(room(here)), f"{where}, a room above it"
        assert room(name) not in NEVER_IN_THE_HOST or room(here) in MAY_COMPILE, f"{where}, which no host may load"


def test_there_is_no_circle():
    """Files that import one another, lazily or not, can only be understood together."""
    graph = {dotted(path): {name for name, _ in own(path)} - {dotted(path)} for path in FILES}
    left = dict(graph)
    while True:
        free = [name for name, needs in left.items() if not needs & set(left)]
        if not free:
            break
        for name in free:
            del left[name]
    # The rest is on a circle, or above one.
    while True:
        above = [name for name in left if not any(name in needs for needs in left.values())]
        if not above:
            break
        for name in above:
            del left[name]
    assert not left, {name: sorted(needs & set(left)) for name, needs in left.items()}


def test_the_top_contains_only_what_an_erp_may_import():
    assert {path.stem for path in PACKAGE.glob("*.py")} == TOP


def test_each_room_has_one_subject_and_is_read_at_a_glance():
    for init in PACKAGE.rglob("__init__.py"):
        folder = init.parent
        if folder == PACKAGE or "management" in folder.parts:
            continue
        subject = ast.get_docstring(tree_of(init)) or ""
        assert subject.partition("\n")[0].endswith("."), f"{init.relative_to(ROOT)} does not state its subject"
        files = [path for path in folder.glob("*.py") if path != init]
        assert len(files) <= MOST_FILES or folder.name == "cli", (folder, len(files))
        assert len(folder.relative_to(PACKAGE).parts) <= 2, folder


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_inside_the_package_imports_are_relative(path):
    """It is also loaded as _erp_agent: an absolute import would load it twice, or load a host's `agent`."""
    if (path.name == "__main__.py" and path.parent == PACKAGE) or path.name == "erp_agent_courier.py":
        return  # programs: they say themselves under which name the package is loaded
    for name, line, _ in imports(path):
        assert name not in ("agent", "_erp_agent"), f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("library", ONE_FILE)
def test_each_heavy_library_is_imported_by_one_file_inside_a_function(library):
    users = {}
    for path in FILES:
        for name, line, at_module_level in imports(path):
            if name == library:
                users[path.relative_to(ROOT).as_posix()] = (line, at_module_level)
    assert set(users) == {ONE_FILE[library]}
    assert not users[ONE_FILE[library]][1], f"{library} is imported at the top of {ONE_FILE[library]}"


def at_module_level(name: str) -> "set[str]":
    return {imported for imported, _, level in imports(PACKAGE / name) if level}


def test_the_hot_path_imports_next_to_nothing():
    assert at_module_level("hook/code/trampoline.py") <= {"_io", "sys", "types", ".base.records", ".base.slots"}


def test_start_up_files_import_next_to_nothing():
    assert at_module_level("base/places.py") <= {"os", "sys", "time", "marshal", "_imp"}
    assert at_module_level("boot/start.py") <= {"os", "sys", ".base.places", ".base"}
    for path in (*PACKAGE.glob("boot/*.py"), *PACKAGE.glob("plan/*.py"), PACKAGE / "hook/imports/finder.py"):
        names = at_module_level(path.relative_to(PACKAGE).as_posix())
        ours = {name for name in names if name.startswith(".")}
        assert {room(name[1:]) for name in ours} <= {"", "base", "plan", "boot", "hook"}, (path, ours)
        if path.name not in ("engine.py", "running.py"):
            assert names - ours <= {"os", "sys", "time", "marshal", "_thread", "_imp", "__future__", "typing"}, path


#: What runs in no process of the host's: commands, the compiler, and the clauses that `ours` itself is made of.
NOT_IN_A_HOST = re.compile(
    r"agent/(?:cli|config|codebase|sentry_project)/|agent/deliver/courier/(?:run|erp_agent_courier)\.py|agent/boot/(?:unsupported|command)\.py"
)


def test_an_except_clause_on_a_hosts_thread_checks_whose_exception_it_is():
    """A time limit of the host's strikes anywhere: a clause that catches by type alone would swallow it."""
    checked = 0
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        if NOT_IN_A_HOST.match(name):
            continue
        tree = tree_of(path)
        deciding = {
            each
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and function.name == "ours"
            for each in ast.walk(function)
        }
        assert not any(isinstance(node, ast.Name) and node.id == "suppress" for node in ast.walk(tree)), name
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or node in deciding:
                continue
            checks = isinstance(node.type, ast.Call) and ast.unparse(node.type.func) in ("ours", "places.ours")
            last = node.body[-1]
            leaves = (ast.Return, ast.Continue, ast.Break)
            goes_on = isinstance(last, ast.Raise) and last.exc is None
            goes_on = goes_on and not any(isinstance(each, leaves) for each in ast.walk(node))
            # …or once something else was done: `struck = error`, and `raise struck` further on.
            if isinstance(last, ast.Expr) and re.search(r"\b(owe|later)\(error\b", ast.unparse(last)):
                goes_on = True  # in a hook, where it cannot
            if isinstance(last, ast.Assign) and ast.unparse(last.value) == node.name:
                goes_on = any(
                    isinstance(each, ast.Raise) and ast.unparse(each) == f"raise {ast.unparse(last.targets[0])}"
                    for each in ast.walk(tree)
                )
            # A full stack has no room for that check.
            full = (
                name == "agent/observe/call/verdict.py"
                and node.type is not None
                and ast.unparse(node.type) == "RecursionError"
            )
            assert checks or goes_on or full, (
                f"{name}:{node.lineno}: write `except ours(…)`, from agent/base/interrupts.py"
            )
            checked += checks
    assert checked > 150


#: Where `base.clocks` would be one more file that most processes read: they hold a clock where nobody replaces it.
OWN_CLOCKS = {"base.clocks", "base.places", "boot.lookout"}
CLOCKS = {"gmtime", "localtime", "monotonic", "perf_counter", "strftime", "strptime", "time"}


def test_nothing_in_the_host_reads_a_clock_that_its_tests_may_replace():
    found = []
    for name, path in NAMES.items():
        if room(name) in NEVER_IN_THE_HOST | TOP - {"api"} or name in OWN_CLOCKS:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "time" and not node.level:
                found += [f"{name}: {each.name}" for each in node.names if each.name != "sleep"]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
                found += [f"{name}:{node.lineno}: time.{node.attr}"] if node.attr in CLOCKS else []
    assert not found


def test_files_stay_small():
    sizes = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: size for name, size in sizes.items() if size > MOST_LINES}


def test_each_test_file_has_a_name_of_its_own():
    """Two of one name, in folders that are no packages, are one module to pytest: the second would not be run."""
    names = [path.name for path in ROOT.joinpath("tests").rglob("test_*.py")]
    assert len(names) > 80
    assert not {name for name in names if names.count(name) > 1}


def test_nothing_of_the_project_names_a_machine():
    """Neither where this checkout lies nor anybody's home folder."""
    home = re.compile(r"/(?:home|Users|root)/[.\w]")
    written = (".py", ".md", ".toml", ".yaml", ".txt", ".json", ".html", ".css")
    folders = ("agent", "bench", "docs", "examples", "schema", "tests")
    files = [path for folder in folders for path in ROOT.joinpath(folder).rglob("*") if path.suffix in written]
    files += [*(path for path in ROOT.glob("*.*") if path.suffix in written), ROOT / "Makefile", *ROOT.glob(".ci/*")]
    files = [path for path in files if path.is_file() and "var" not in path.relative_to(ROOT).parts]
    assert len(files) > 300
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert str(ROOT) not in text, path
        assert not home.search(text), (path, home.search(text))


@pytest.mark.parametrize("path", sorted(PACKAGE.joinpath("cli").rglob("*.py")), ids=lambda path: path.name)
def test_commands_print_through_the_terminal_alone(path):
    """Which escapes what a terminal would obey: nothing may be printed beside it."""
    if path.name == "terminal.py":
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            beside = called in ("print", "os.write", "Console") or (
                re.match(r"sys\.(__)?std(out|err)(__)?\.", called) and called.endswith(("write", "writelines"))
            )
            assert not beside, f"{path.name}:{node.lineno}: {called}"
        assert not (isinstance(node, ast.keyword) and node.arg == "file"), f"{path.name}: print(…, file=…)"


#: Private names of the agent that tests use, with the reason. Nothing is added here: what a test needs is public.
PRIVATE = {
    ("deliver/test_sink.py", "_keep"): "a time limit strikes at each line, and this function's are an exception",
    ("deliver/test_sweeper.py", "_process"): "a file is put into the spool behind the back of its memory",
    ("live/test_budget.py", "_apply_rules"): "stands for any fault of the agent's own code in a call",
}


def private_definitions() -> "set[str]":
    """Private names that files of the agent bind: functions, classes, variables, attributes."""
    binds = re.compile(r"(?:(?:def|class) |^|\bself\.)(_(?!replace\b)[a-zA-Z]\w*)(?=\(|:| = )", re.MULTILINE)
    return {name for path in FILES for name in binds.findall(path.read_text(encoding="utf-8"))}


def private_uses(tree: ast.Module) -> "Iterator[str]":
    """Private names that a file reaches for: `thing._x`, `from agent.y import _x`, `setattr(thing, "_x", …)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if node.attr[0] == "_" and ast.unparse(node.value) not in ("self", "cls", "os", "sys", "celery"):
                yield node.attr
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").startswith("agent"):
                yield from (each.name for each in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("attr"):
            names = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
            yield from (name.rpartition(".")[2] for name in names if isinstance(name, str))


def test_tests_use_public_names_of_the_agent():
    """A test that reaches for a private name holds how something is written, and not what it does."""
    private, tests = private_definitions(), ROOT / "tests"
    looks_so = re.compile(r"""(?:(?<!self)(?<!cls)\.|["']|import .*)(_[a-zA-Z]\w*)""")
    found = {
        (str(path.relative_to(tests)), name)
        for path in tests.rglob("*.py")
        if not private.isdisjoint(looks_so.findall(path.read_text(encoding="utf-8")))
        for name in private.intersection(private_uses(tree_of(path)))
    }
    assert found == PRIVATE.keys()


def test_the_files_that_the_architecture_names_exist():
    text = ROOT.joinpath("docs", "architecture.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`([a-z_0-9]+(?:/[a-z_0-9.]+)+)`", text)):
        found = [*PACKAGE.glob(f"{name}*"), *PACKAGE.glob(f"*/{name}.py"), *ROOT.glob(name)]
        assert found or name.partition("/")[0] in ("run", "counts", "spool", "history"), name


def test_a_value_is_followed_through_as_many_files_as_the_architecture_counts():
    text = ROOT.joinpath("docs", "architecture.md").read_text(encoding="utf-8")
    for number, list_ in re.findall(r"^\*\*.*\*\*, (\d+) files in this order:\n(.*?)^(?=\*\*|## )", text, re.M | re.S):
        main, *_ = list_.partition("\n   While a process runs")
        rest = list_[len(main) :].partition("\n7. ")[2]
        files = set(re.findall(r"`([a-z_0-9]+(?:/[a-z_0-9.]+)+)`", main + rest)) - {"hook/until_310/blocks"}
        assert len(files) == int(number), sorted(files)


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md", "tests/README.md"])
def test_each_room_is_on_the_map(page):
    text = ROOT.joinpath(*page.split("/")).read_text(encoding="utf-8")
    rooms = {path.name for path in PACKAGE.iterdir() if path.joinpath("__init__.py").exists()}
    tests = {path.name for path in ROOT.joinpath("tests").iterdir()}
    rooms &= {"docs/architecture.md": rooms, "tests/README.md": tests}.get(page, rooms - {"base", "plan"})
    assert not {name for name in rooms if not re.search(rf"`(agent/)?{name}(/|`)", text)}
