"""The rules that keep the architecture: who may import whom, and which one file imports each heavy library."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "agent"
FILES = sorted(path for path in PACKAGE.rglob("*.py"))

#: Imports point one way: a part may import parts of its own rank or below, never above.
RANK = {
    "model": 0, "errors": 0, "slots": 0, "dsn": 0, "interrupts": 0,
    "start": 0, "plan": 0, "lookout": 1, "version": 0, "private": 0, "users": 1, "wildcards": 0, "programs": 0, "old": 0,
    "imports": 1, "command": 1, "guard": 1, "postponed": 1, "ending": 1, "health": 1,
    "config": 2, "hook": 2, "observe": 3, "deliver": 4,
    "integrations": 5, "engine": 6, "inforce": 6, "bootstrap": 7, "loud": 8,
    "running": 8, "api": 9, "decorate": 9, "testing": 9,
    "cli": 8, "__main__": 9, "__init__": 0, "packs": 0,
}  # fmt: skip

#: Who reaches up all the same, and why.
EXCEPTIONS = {
    ("start", "bootstrap"): "what every process loads calls what few do, when it comes to that",
    ("start", "guard"): "the same",
    ("start", "loud"): "the same",
    ("start", "command"): "the same",
    ("start", "lookout"): "the same",
    ("start", "users"): "the same",
    ("start", "postponed"): "the same",
    ("users", "bootstrap"): "before a fork of root's, what a child could not read",
    ("lookout", "bootstrap"): "the same",
    ("integrations", "engine"): "for its type only",
    ("integrations", "bootstrap"): "sentry_test asks for the agent of this process",
    ("integrations", "cli"): "sentry_test is `python -m agent test` under another name",
}

ONE_FILE = {
    "yaml": "agent/config/tree.py",
    "jsonschema": "agent/config/schema.py",
    "sentry_sdk": "agent/deliver/sentry.py",
    "urllib3": "agent/deliver/transport.py",
    "packaging": "agent/config/requirements.py",
    "importlib_metadata": "agent/config/requirements.py",
    "rich": "agent/cli/terminal.py",
}


def part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return (
        relative.parts[0].removesuffix(".py") if hasattr(str, "removesuffix") else relative.parts[0].replace(".py", "")
    )


def imports(path: Path):
    """(top-level module or "." + part of the agent, line, at module level and not for types only)"""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for child in ast.walk(node)
    }
    functions = {
        child
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.walk(node)
    }
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(tree):
        level = node not in functions and node not in typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno, level, node in typing_only
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield (node.module or "").partition(".")[0], node.lineno, level, node in typing_only
            elif node.level == depth:
                names = [node.module.partition(".")[0]] if node.module else [alias.name for alias in node.names]
                for name in names:
                    yield "." + name, node.lineno, level, node in typing_only


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    own = part(path)
    for name, line, _, typing_only in imports(path):
        if not name.startswith(".") or name[1:] not in RANK or typing_only:
            continue
        other = name[1:]
        allowed = RANK[other] <= RANK[own] or (own, other) in EXCEPTIONS
        assert allowed, f"{path.relative_to(ROOT)}:{line}: {own} imports {other}, which stands above it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_inside_the_package_imports_are_relative(path):
    """It is also loaded as _erp_agent: an absolute import would load it twice, or load a host's `agent`."""
    if path.name == "__main__.py" and path.parent == PACKAGE:
        return  # runs only as `python -m agent`
    for name, line, _, _ in imports(path):
        assert name not in ("agent", "_erp_agent"), f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("library", ONE_FILE)
def test_each_heavy_library_is_imported_by_one_file_inside_a_function(library):
    users = {}
    for path in FILES:
        for name, line, at_module_level, typing_only in imports(path):
            if name == library and not typing_only:
                users[path.relative_to(ROOT).as_posix()] = (line, at_module_level)
    assert set(users) == {ONE_FILE[library]}
    assert not users[ONE_FILE[library]][1], f"{library} is imported at the top of {ONE_FILE[library]}"


def test_the_hot_path_imports_next_to_nothing():
    names = {name for name, _, level, _ in imports(PACKAGE / "hook" / "trampoline.py") if level}
    assert names <= {"sys", "time", "types", "typing"}


def test_start_up_files_import_next_to_nothing():
    assert {name for name, _, level, _ in imports(PACKAGE / "start.py") if level} <= {"os", "sys", "marshal", "_imp"}
    for name in (
        "bootstrap.py",
        "guard.py",
        "programs.py",
        "private.py",
        "plan.py",
        "lookout.py",
        "imports.py",
        "command.py",
        "inforce.py",
        "loud.py",
        "interrupts.py",
        "postponed.py",
        "config/cache.py",
        "config/store.py",
        "config/child.py",
        "hook/finder.py",
        "__init__.py",
    ):
        names = {name for name, _, level, _ in imports(PACKAGE / name) if level}
        assert names <= {
            "os",
            "sys",
            "time",
            "marshal",
            "_thread",
            ".imports",
            ".guard",
            ".slots",
            ".config",
            ".start",
            ".version",
            ".programs",
            ".private",
            ".plan",
            ".inforce",
            ".bootstrap",
            ".lookout",
            ".interrupts",
            ".postponed",
        }, (name, names)


#: What runs in no process of the host's: commands, the compiler, and the clauses that `ours` itself is made of.
NOT_IN_A_HOST = re.compile(
    r"agent/(?:cli/|config/(?!cache|child)|old\.py|command\.py|integrations/erp_agent/management/)"
)


def test_what_catches_on_a_hosts_thread_asks_whose_exception_it_is():
    """A time limit of the host's strikes anywhere: a clause that catches by type alone would swallow it."""
    seen = 0
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        if NOT_IN_A_HOST.match(name):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
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
            asks = isinstance(node.type, ast.Call) and ast.unparse(node.type.func) in ("ours", "start.ours")
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
            # A stack that is full has no room to ask anybody.
            full = (
                name == "agent/observe/probe.py"
                and node.type is not None
                and ast.unparse(node.type) == "RecursionError"
            )
            assert asks or goes_on or full, f"{name}:{node.lineno}: write `except ours(…)`, from agent/interrupts.py"
            seen += asks
    assert seen > 150


def test_files_stay_small():
    sizes = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    too_long = {name: size for name, size in sizes.items() if size > 620}
    assert not too_long


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


@pytest.mark.parametrize("path", sorted(PACKAGE.joinpath("cli").glob("*.py")), ids=lambda path: path.name)
def test_commands_print_through_the_terminal_alone(path):
    """Which escapes what a terminal would obey: nothing may be printed beside it."""
    if path.name == "terminal.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            beside = called in ("print", "os.write", "Console") or (
                re.match(r"sys\.(__)?std(out|err)(__)?\.", called) and called.endswith(("write", "writelines"))
            )
            assert not beside, f"{path.name}:{node.lineno}: {called}"
        assert not (isinstance(node, ast.keyword) and node.arg == "file"), f"{path.name}: print(…, file=…)"
