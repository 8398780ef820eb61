"""Other projects' test suites, unmodified, without the agent and with the agent on every function of the package.

    python tests/compat/run.py                    every package below; needs a network and about an hour
    python tests/compat/run.py attrs jinja2       some of them
    python tests/compat/run.py --python python3.13 --work /tmp/compat --trampolines
    python tests/compat/run.py --watch rule       monitors that look at every result and report those that are None
    python tests/compat/run.py django --dsn       with all that a DSN switches on

Downloads source distributions from PyPI through pip, into a folder of its own with a virtual environment for each
Python; runs each suite twice; prints one line for each package and one for each test whose outcome differs. A test that
differs has its suite run again both ways: where it does not differ then, that is told and not counted. Exits with 1 where a test
differs that is not named in `KNOWN…`, whose entries docs/limits.md explains.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

TOOLS = ["pytest<9", "hypothesis", "pyyaml", "jsonschema", "packaging", "sentry-sdk", "importlib-metadata", "rich"]


class Package(NamedTuple):
    name: str
    version: str
    modules: tuple[str, ...]  # what is monitored, whole
    tests: tuple[str, ...]  # folders of the source distribution, or `pkg:sub` in the installed package
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    django: bool = False
    older: dict[str, str] = {}  # version of Python → the release that still runs there; "" for none


PACKAGES = [
    Package("attrs", "23.2.0", ("attr", "attrs"), ("tests",), ("cloudpickle",)),
    Package("jinja2", "3.1.4", ("jinja2",), ("tests",)),
    Package("pluggy", "1.5.0", ("pluggy",), ("testing",), (), ("--ignore-glob=*benchmark*",)),
    Package("click", "8.1.7", ("click",), ("tests",)),
    Package("jsonschema", "4.23.0", ("jsonschema",), ("jsonschema/tests",)),
    Package("more-itertools", "10.5.0", ("more_itertools",), ("tests",)),
    Package("packaging", "24.1", ("packaging",), ("tests",), ("pretend",)),
    Package("boltons", "24.0.0", ("boltons",), ("tests",)),
    Package("itsdangerous", "2.2.0", ("itsdangerous",), ("tests",), ("freezegun",)),
    Package("werkzeug", "3.0.4", ("werkzeug",), ("tests",), ("pytest-xprocess<1", "ephemeral-port-reserve", "watchdog", "cryptography"), ("--ignore-glob=*test_serving*",)),
    Package("pyparsing", "3.1.4", ("pyparsing",), ("tests",), ("railroad-diagrams", "jinja2")),
    Package("toolz", "0.12.1", ("toolz",), ("pkg:toolz",)),
    Package("networkx", "3.3", ("networkx",), ("pkg:networkx/classes", "pkg:networkx/utils", "pkg:networkx/readwrite",
        "pkg:networkx/generators", "pkg:networkx/algorithms/shortest_paths", "pkg:networkx/algorithms/flow",
        "pkg:networkx/algorithms/tests/test_dag.py", "pkg:networkx/algorithms/tests/test_cycles.py"),
        older={"3.9": "3.2.1"}),
    Package("celery", "5.4.0", ("celery",), ("t/unit/app", "t/unit/tasks", "t/unit/utils", "t/unit/events",
        "t/unit/concurrency", "t/unit/fixups"), ("pytest-celery", "moto==4.2", "pytest-click", "pytest-subtests")),
    Package("django", "5.2.19", ("django",), ("utils_tests", "signals", "dispatch", "forms_tests", "template_tests",
        "model_fields", "queries", "expressions", "auth_tests", "middleware", "urlpatterns_reverse", "validators",
        "transactions", "migrations", "admin_views", "test_utils", "view_tests", "cache", "deprecation", "user_commands", "handlers",
        "asgi", "wsgi", "responses", "httpwrappers", "middleware_exceptions", "test_client", "test_client_regress",
        "logging_tests", "csrf_tests", "file_uploads", "requests_tests"),
        ("sqlparse", "asgiref", "jinja2", "pytz", "bcrypt", "tblib", "docutils", "argon2-cffi", "pymemcache", "redis"),
        (), True, older={"3.9": "4.2.16"}),
    # DB_CACHE=FOLDER saves both runs from making the same database for each module of tests.
    Package("trytond", "8.2.1", ("trytond",), tuple(f"pkg:trytond/tests/test_{each}.py" for each in (
        "access", "backend", "bus", "cache", "copy", "descriptors", "field_depends", "filestore", "history", "i18n",
        "ir", "mixins", "model", "model_index", "model_log", "model_match", "modelsingleton", "modelsql",
        "modelstorage", "modelview", "mptt", "order", "protocols", "pyson", "report", "res", "rest", "routing", "rpc",
        "rule", "security", "sendmail", "sequence", "tools", "transaction", "tree", "trigger", "union", "user", "wizard",
        "workflow", "wsgi")), older={"3.9": ""}),
    # Chosen blindly, after the engine was finished.
    Package("sqlparse", "0.5.1", ("sqlparse",), ("tests",)),
    Package("marshmallow", "3.22.0", ("marshmallow",), ("tests",), ("pytz", "simplejson")),
    Package("python-dateutil", "2.9.0.post0", ("dateutil",), ("tests",), ("freezegun", "six")),
    Package("babel", "2.16.0", ("babel",), ("tests",), ("freezegun", "pytz")),
    Package("tornado", "6.4.1", ("tornado",), ("pkg:tornado/test",)),
    Package("typeguard", "4.3.0", ("typeguard",), ("tests",), ("mypy",), ("--ignore-glob=*mypy*",)),
    Package("wrapt", "1.16.0", ("wrapt",), ("tests",)),
    Package("sympy", "1.13.3", ("sympy",), ("pkg:sympy/core/tests/test_basic.py", "pkg:sympy/core/tests/test_expr.py",
        "pkg:sympy/core/tests/test_function.py", "pkg:sympy/parsing", "pkg:sympy/printing/tests/test_str.py",
        "pkg:sympy/utilities/tests/test_decorator.py", "pkg:sympy/utilities/tests/test_iterables.py",
        "pkg:sympy/utilities/tests/test_deprecated.py")),
    Package("cachetools", "5.5.0", ("cachetools",), ("tests",)),
    Package("tenacity", "9.0.0", ("tenacity",), ("tests",), ("tornado", "typeguard")),
    Package("structlog", "24.4.0", ("structlog",), ("tests",), ("freezegun", "pretend", "pytest-asyncio", "simplejson")),
]  # fmt: skip

#: "package: test" → why it differs. Each has a paragraph in docs/limits.md.
KNOWN = {
    "django: test_sync_streaming (handlers.tests.AsyncHandlerRequestTests.test_sync_streaming)": "warns of its caller's line, from an asynchronous generator that is timed",
    "tenacity: tests.test_asyncio.TestContextManager.test_sleeps": "has to take less than 1.1 ms",
}

#: The same with --trampolines alone: where these begin.
KNOWN_TRAMPOLINES = {
    "structlog: tests.test_threadlocal.": "counts frames to find its caller, and does not warn",
    "structlog: tests.processors.test_renderers.TestJSONRenderer.test_FallbackEncoder_handles_ThreadLocal": "the same",
}

#: How deep packages and classes are nested, at most.
_DEPTH = 6

_THRESHOLD = "threshold: 50s"
_NOTHING = "rules: [{when: result is None, message: nothing, severity: info}]"
_CAPTURE = "capture: {answer: result, reason: error, took: duration}"
_NOWHERE = "sentry: {dsn: 'http://key@127.0.0.1:9/1', traces_sample_rate: 1.0}"

#: --watch → the lines of the monitor, and of the file beside it.
_WATCH = {
    "threshold": ([_THRESHOLD], []),
    "errors": ([], []),
    "rule": ([_NOTHING], []),  # an event for calls that answer None, as far as their rate allows
    "capture": ([_THRESHOLD, _CAPTURE, _NOTHING], []),
    "span": ([_THRESHOLD, "span: always"], [_NOWHERE]),  # transactions are sampled, and wait on disk
}


def _patterns(root: str) -> list[str]:
    """Every function of a package, public or not, in modules and classes at every depth."""
    found = [f"{root}.*", f"{root}._*"]
    for depth in range(2, _DEPTH + 1):
        within = ["*"] * (depth - 2)
        found += [".".join([root, *within, *last]) for last in (("*", "*"), ("*", "_*"), ("_*", "*"), ("_*", "_*"))]
    return found


class Result(NamedTuple):
    outcomes: dict[str, str]
    seconds: float
    output: str


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", help="names; default: all")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "agent-compat")
    parser.add_argument("--agent", type=Path, default=ROOT, help="the folder to put on PYTHONPATH")
    parser.add_argument("--trampolines", action="store_true", help="inject nothing: a trampoline for every function")
    parser.add_argument("--dsn", action="store_true", help="with the DSN of a Sentry that does not answer")
    parser.add_argument("--watch", choices=sorted(_WATCH), default="threshold", help="what the monitors ask for")
    options = parser.parse_args(arguments)
    unknown = set(options.packages) - {package.name for package in PACKAGES}
    if unknown:
        parser.error("unknown packages: " + ", ".join(sorted(unknown)))
    wanted = [package for package in PACKAGES if not options.packages or package.name in options.packages]
    python, version = _environment(options.python, options.work)
    wanted = [package._replace(version=package.older.get(version, package.version)) for package in wanted]
    wanted = [package for package in wanted if package.version]
    print(f"Python {version}, with monitors of --watch {options.watch}{', trampolines' * options.trampolines}")
    print(f"{'package':16}{'functions':>10}{'tests':>8}{'passed':>8}{'changed':>9}{'without':>9}{'with':>8}")
    unexplained = 0
    functions = tests = differing = 0
    for package in wanted:
        try:
            number, plain, watched = _compare(package, python, options)
        except subprocess.CalledProcessError as error:
            print(f"{package.name:16} could not be run: {error}\n{_tail(error.stderr or error.output)}")
            unexplained += 1
            continue
        changed = _changed(plain, watched)
        if any(_known(package, name, options) is None for name in changed):
            # Once more, both ways: some suites have tests whose outcome is a matter of luck.
            again = _changed(*_compare(package, python, options)[1:])
            for name in sorted(set(changed) - set(again)):
                print(f"    {name}: {' → '.join(changed.pop(name))} once, the same a second time")
        passed = sum(outcome == "passed" for outcome in plain.outcomes.values())
        print(
            f"{package.name:16}{number:10}{len(plain.outcomes):8}{passed:8}{len(changed):9}"
            f"{plain.seconds:8.1f}s{watched.seconds:7.1f}s",
            flush=True,
        )
        if not plain.outcomes or not number:
            print("    nothing ran:", _tail(plain.output), _tail(watched.output))
            unexplained += 1
        for name, (before, after) in changed.items():
            why = _known(package, name, options)
            unexplained += why is None
            print(f"    {name}: {before} → {after}{'  (known: ' + why + ')' if why else ''}")
        for line in sorted({line for line in watched.output.splitlines() if line.startswith("agent: ")}):
            unexplained += 1
            print("    " + line)
        functions, tests, differing = functions + number, tests + len(plain.outcomes), differing + len(changed)
    print(f"{'in all':16}{functions:10}{tests:8}{'':8}{differing:9}")
    return 1 if unexplained else 0


def _known(package: Package, test: str, options: argparse.Namespace) -> str | None:
    """Why the test differs."""
    name = f"{package.name}: {test}"
    begun = (why for start, why in KNOWN_TRAMPOLINES.items() if options.trampolines and name.startswith(start))
    return KNOWN.get(name) or next(begun, None)


def _changed(plain: Result, watched: Result) -> dict[str, tuple[str, str]]:
    """Test → its outcome without and with the agent, where they differ."""
    return {
        name: (plain.outcomes.get(name, "absent"), watched.outcomes.get(name, "absent"))
        for name in sorted({*plain.outcomes, *watched.outcomes})
        if plain.outcomes.get(name) != watched.outcomes.get(name)
    }


def _environment(python: str, work: Path) -> tuple[Path, str]:
    """A virtual environment with the suites' common needs, made once for each Python; and that Python's version."""
    version = subprocess.check_output(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True
    ).strip()
    folder = work / f"venv-{version}"
    if not (folder / "ready").exists():
        subprocess.check_call([python, "-m", "venv", folder])
        subprocess.check_call([folder / "bin" / "python", "-m", "pip", "install", "-q", *TOOLS])
        (folder / "ready").touch()
    return folder / "bin" / "python", version


def _compare(package: Package, python: Path, options: argparse.Namespace) -> tuple[int, Result, Result]:
    source = _source(package, options.work)
    # Each time, because another package may have wanted another version since.
    _run([python, "-m", "pip", "install", "-q", f"{package.name}=={package.version}", *package.needs])
    with tempfile.TemporaryDirectory(prefix="agent-compat-") as temporary:
        here = Path(temporary)
        config = here / "monitors.yaml"
        asked, beside = _WATCH[options.watch]
        lines = ["version: 1", *beside, "monitors:"]
        for root in package.modules:
            lines += [f"  - name: all of {root}", "    operation: '{qualname}'", *("    " + line for line in asked)]
            lines += ["    targets:", *(f"      - '{pattern}'" for pattern in _patterns(root))]
        config.write_text("\n".join(lines) + "\n")
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AGENT_", "SENTRY_", "PYTHON", "PYTEST"))
        }
        watched = {
            **clean,
            "PYTHONPATH": str(options.agent),
            "AGENT_CONFIG": str(config),
            "AGENT_STATE_DIR": str(here / "s"),
        }
        if options.dsn:
            watched.update(SENTRY_DSN="http://public@127.0.0.1:9/1", SENTRY_RELEASE="compat@1")
        if options.trampolines:
            watched["AGENT_INJECTION"] = "0"
        one = _suite(package, python, source, here / "plain", clean)
        other = _suite(package, python, source, here / "watched", watched)
        return _functions(here / "s"), one, other


def _source(package: Package, work: Path) -> Path:
    archive = work / "sdist"
    archive.mkdir(parents=True, exist_ok=True)

    def found() -> list[Path]:
        stem = re.compile(re.escape(package.name).replace(r"\-", "[-_]"), re.IGNORECASE)
        return [each for each in archive.glob("*.tar.gz")
                if stem.match(each.name) and each.name.endswith(f"-{package.version}.tar.gz")]  # fmt: skip

    if all(folder.startswith("pkg:") for folder in package.tests):
        return work
    if not found():
        requirement = f"{package.name}=={package.version}"
        _run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", archive,
              requirement])  # fmt: skip
    file = found()[0]
    folder = work / "src" / file.name[: -len(".tar.gz")]
    if not folder.exists():
        with tarfile.open(file) as content:
            content.extractall(work / "src", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    # The installed package is what is tested: the source tree beside the tests must not be imported instead.
    return folder


def _suite(package: Package, python: Path, source: Path, here: Path, environment: dict[str, str]) -> Result:
    here.mkdir()
    tests = here / "tests"
    if package.django:
        return _django(package, python, source, here, environment)
    site = python.parents[1] / "lib"
    site = next(site.glob("python*")) / "site-packages"
    paths = []
    for folder in package.tests:
        if folder.startswith("pkg:"):
            paths.append(str(site / folder[4:]))
            continue
        top = folder.split("/")[0]
        if top == package.modules[0]:  # tests inside the package, which the source distribution brings along
            paths += ["--pyargs", folder.replace("/", ".")]
            if (source / "json").exists():
                environment = {**environment, "JSON_SCHEMA_TEST_SUITE": str(source / "json")}
            continue
        if not (tests / top).exists():
            shutil.copytree(source / top, tests / top, symlinks=True)
            for name in ("pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", "conftest.py", "docs", "README.rst",
                         "examples", "requirements"):  # fmt: skip
                if (source / name).is_dir():
                    shutil.copytree(source / name, tests / name, symlinks=True, dirs_exist_ok=True)
                elif (source / name).exists():
                    shutil.copy(source / name, tests / name)
        paths.append(str(tests / folder))
    tests.mkdir(exist_ok=True)
    report = here / "report.xml"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly",
               "-W", "default", "--tb=line", f"--junitxml={report}", "-o", "addopts=", "-o", "junit_family=xunit1",
               *package.options, *paths]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run([str(item) for item in command], cwd=tests, env=environment, text=True, timeout=1500,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, errors="replace")  # fmt: skip
    seconds = time.monotonic() - started
    outcomes: dict[str, str] = {}
    if report.exists():
        for case in ET.parse(report).iter("testcase"):
            kinds = {child.tag for child in case}
            outcome = next((kind for kind in ("error", "failure", "skipped") if kind in kinds), "passed")
            name = f"{case.get('classname')}.{case.get('name')}".replace(str(here), "…")
            name = re.sub(r"0x[0-9a-f]+|\d\d:\d\d:\d\d", "…", name)  # what is another each time
            outcomes[name] = outcome
    return Result(outcomes, seconds, done.stdout)


def _django(package: Package, python: Path, source: Path, here: Path, environment: dict[str, str]) -> Result:
    shutil.copytree(source / "tests", here / "tests")
    command = [str(python), "runtests.py", "-v2", "--parallel=1", "--noinput", *package.tests]
    started = time.monotonic()
    done = subprocess.run(command, cwd=here / "tests", env=environment, text=True, timeout=1500, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")  # fmt: skip
    seconds = time.monotonic() - started
    outcomes = {}
    pending = ""
    for line in done.stdout.splitlines():
        start = re.match(r"(\w+ \([\w.]+\))", line)
        if start:
            pending = start.group(1)
        end = re.search(r"\.\.\. (ok|FAIL|ERROR|skipped|expected failure|unexpected success)", line)
        if end is None:
            end = re.match(r"(ok|FAIL|ERROR)$", line)
        if end and pending:
            outcomes[pending] = {"ok": "passed"}.get(end.group(1), end.group(1))
            pending = ""
    return Result(outcomes, seconds, done.stdout)


def _functions(state: Path) -> int:
    """How many different functions the agent says that it has patched."""
    patched = set()
    for file in state.glob("**/*.state"):
        for line in file.read_text(errors="replace").splitlines():
            if line.startswith("('patched'"):
                patched.add(ast.literal_eval(line)[2])
    return len(patched)


def _run(command: list[object]) -> None:
    subprocess.run([str(item) for item in command], check=True, capture_output=True, text=True)


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-15:])


if __name__ == "__main__":
    sys.exit(main())
