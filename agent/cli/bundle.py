"""`bundle`: one folder with the agent and its libraries, for machines where nothing may be installed.

pip installs the libraries, for each interpreter into a folder of its own (`base.imports` finds it).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import RawDescriptionHelpFormatter
from typing import NamedTuple

from ..base import places
from ..base.errors import AgentError
from ..base.version import __version__
from ..config.read import shipped
from . import path
from .doctor.libraries import LIBRARIES
from .terminal import one_line, out

HELP = "make one folder with the agent and its libraries, for machines where nothing may be installed"

_DESCRIPTION = """\
Make one folder with the agent and its libraries. Put it on PYTHONPATH where it
is used: nothing has to be installed there.

  python -m agent bundle /srv/erp-agent --python /srv/erp/venv

The libraries are there for the agent alone: those that the ERP has come first,
and the ERP sees no others."""

_MANIFEST = "bundle.json"
_LIBRARIES = "libraries"
_COMMAND = "erp_agent_command.py"
#: Prints, in the interpreter that a bundle is for, what this one must know of it. The agent's package is its argument.
_ASK = """
import sys
sys.modules["_erp_agent"] = package = type(sys)("_erp_agent")
package.__path__ = [sys.argv[1]]
from _erp_agent.base import imports
print("%d.%d.%d" % sys.version_info[:3], imports.TAG, sys.executable)
"""
_SMALLEST = "version: 1\nmodules: {sales: {}}\nmonitors:\n  - {target: os.getcwd, module: sales}\n"


class _Python(NamedTuple):
    program: str
    version: str
    tag: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="DIR", help="folder to make")
    parser.add_argument(
        "--python",
        metavar="PATH",
        action="append",
        help="interpreter, or virtual environment, that is to use the bundle; may be repeated (default: this one)",
    )
    parser.add_argument("--replace", action="store_true", help="replace a bundle that is there")


def run(arguments: argparse.Namespace) -> int:
    """0: made and tried with each interpreter. Raises AgentError, and leaves what was there."""
    target = os.path.abspath(arguments.folder)
    _check_free(target, replace=arguments.replace)
    pythons = {each.tag: each for each in map(_asked, arguments.python or [sys.executable])}
    made = f"{target}.{os.getpid()}"
    os.makedirs(made)
    try:
        _copy_agent(made)
        for python in pythons.values():
            out(f"installing libraries for Python {python.version} ({python.program})")
            _install(python, made)
            _compile(python, made)
            _try(python, made)
        _describe(made, list(pythons.values()))
        _put(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    versions = ", ".join(python.version for python in pythons.values())
    out(f"made {target}: {_megabytes(target)} MB, for Python {versions}")
    out("Copy it with its times (cp -a, rsync -a, tar, COPY in a Dockerfile). Where it is used:")
    out(f"  export PYTHONPATH={shlex.quote(target)} AGENT_CONFIG=/path/to/monitors.yaml")
    out("  python -m agent validate")
    return 0


def _check_free(target: str, *, replace: bool) -> None:
    if not os.path.lexists(target) or (os.path.isdir(target) and not os.listdir(target)):
        return
    if not os.path.isfile(os.path.join(target, _MANIFEST)):
        raise AgentError(f"{target} is there, and is no bundle: name a folder that does not exist yet")
    if not replace:
        raise AgentError(f"{target} is a bundle already: --replace puts the new one in its place")


def _asked(name: str) -> _Python:
    """What the interpreter reports of itself. Raises AgentError."""
    program = next(
        (each for each in (os.path.join(name, "bin", "python"), shutil.which(name) or "") if os.path.isfile(each)), ""
    )
    if not program:
        raise AgentError(f"there is no interpreter {name}: name a program, or the folder of a virtual environment")
    output = _run([program, "-S", "-c", _ASK, places.PACKAGE], f"{program} cannot use the agent")
    version, tag, executable = output.strip().split(" ", 2)
    if tuple(map(int, version.split(".")[:2])) < (3, 9):
        raise AgentError(f"{program} is Python {version}, and the agent needs 3.9 or later")
    return _Python(executable or program, version, tag)


def _copy_agent(made: str) -> None:
    """As in a checkout. Times are kept: bytecode counts for a source of a certain time."""
    above = os.path.dirname(places.PACKAGE)
    ignored = shutil.ignore_patterns("__pycache__", "schema", "site")
    shutil.copytree(places.PACKAGE, os.path.join(made, "agent"), ignore=ignored)
    os.mkdir(os.path.join(made, "schema"))
    shutil.copy2(shipped.schema_path(), os.path.join(made, "schema"))
    shutil.copy2(os.path.join(path.folder(), "sitecustomize.py"), made)
    shutil.copy2(os.path.join(above, _COMMAND), made)


def _install(python: _Python, made: str) -> None:
    wanted = [f"{each.package}>={each.oldest}" for each in LIBRARIES]
    target = os.path.join(made, _LIBRARIES, python.tag)
    with tempfile.TemporaryDirectory() as folder:
        _run(
            [*_pip(python, folder), "install", "--quiet", "--no-compile", "--target", target, *wanted],
            f"pip could not install the libraries for Python {python.version}",
        )
    shutil.rmtree(os.path.join(target, "bin"), ignore_errors=True)  # programs that name this machine's interpreter


def _pip(python: _Python, folder: str) -> list[str]:
    """The interpreter's own, one in an environment that is made in `folder`, or that of this interpreter.

    The last may not support the other's version.
    """
    options = ["-m", "pip", "--disable-pip-version-check"]
    if _works([python.program, *options, "--version"]):
        return [python.program, *options]
    if _works([python.program, "-m", "venv", folder]):
        return [os.path.join(folder, "bin", "python"), *options]
    return [sys.executable, *options, "--python", python.program]


def _works(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True, env=_environment()).returncode == 0


def _compile(python: _Python, made: str) -> None:
    """Bytecode, because the folder may be read only where it is used."""
    parts = [os.path.join(made, part) for part in ("agent", "sitecustomize.py", f"{_LIBRARIES}/{python.tag}")]
    program = [python.program, "-I", "-m", "compileall", "-q", "-s", made]
    subprocess.run([*program, *parts], check=False, capture_output=True)  # what does not compile is not imported


def _try(python: _Python, made: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "monitors.yaml")
        with open(config, "w", encoding="utf-8") as stream:
            stream.write(_SMALLEST)
        command = [python.program, "-I", os.path.join(made, _COMMAND), "validate", "--no-targets", config]
        _run(command, f"the bundle does not work with Python {python.version}")


def _describe(made: str, pythons: list[_Python]) -> None:
    found = {
        "agent": __version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "pythons": [
            {"version": each.version, "folder": f"{_LIBRARIES}/{each.tag}", "libraries": _installed(made, each.tag)}
            for each in pythons
        ],
    }
    with open(os.path.join(made, _MANIFEST), "w", encoding="utf-8") as stream:
        json.dump(found, stream, indent=2)
        stream.write("\n")


def _installed(made: str, tag: str) -> list[str]:
    names = os.listdir(os.path.join(made, _LIBRARIES, tag))
    return sorted(name[: -len(".dist-info")] for name in names if name.endswith(".dist-info"))


def _put(made: str, target: str) -> None:
    """In place of what is there. Processes that run have loaded what they need, or find the same files."""
    old = f"{made}.old"
    try:
        os.rename(target, old)
    except FileNotFoundError:
        pass
    os.rename(made, target)
    shutil.rmtree(old, ignore_errors=True)


def _run(command: list[str], what: str) -> str:
    """Return what it printed. Raises AgentError with the end of what it wrote to stderr."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=_environment(),
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise AgentError(f"{what}: {error}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise AgentError(f"{what}: {one_line(lines[-1])}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Nothing of the agent, nor of another Python's settings."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AGENT_"))}
    return {**found, "AGENT_DISABLED": "1"}


def _megabytes(folder: str) -> int:
    size = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)
    return round(size / 1e6)
