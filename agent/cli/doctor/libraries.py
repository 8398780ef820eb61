"""What is installed beside the agent, in this interpreter and in those of the ERP's processes.

Known from the metadata of installed packages: nothing is imported, and no other interpreter is started.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import NamedTuple

from ...base import imports
from ...base.errors import ConfigError
from ...config import requirements
from ...plan import borrowed
from ..state import copies
from .finding import FAIL, OK, SKIPPED, WARN, Finding
from .installation import Erp, Installation, named
from .starts import entries_of


class Library(NamedTuple):
    package: str  # as pip knows it
    module: str
    oldest: str
    without: str  # what does not work without it
    state: str


_NO_PLAN = "a changed configuration cannot be compiled, and nothing is monitored"
_NO_REQUIRES = "`requires:` in the configuration and in packs cannot be checked"

#: As in pyproject.toml; urllib3 is there because sentry-sdk needs it.
LIBRARIES = (
    Library("pyyaml", "yaml", "5.4", _NO_PLAN, FAIL),
    Library("jsonschema", "jsonschema", "4.0", _NO_PLAN, FAIL),
    Library("packaging", "packaging", "21", _NO_REQUIRES, FAIL),
    Library("importlib-metadata", "importlib_metadata", "4.0", _NO_REQUIRES, WARN),
    Library("urllib3", "urllib3", "1.26", "no event is delivered", FAIL),
    Library("sentry-sdk", "sentry_sdk", "1.40", "traces and release health are not sent", WARN),
    Library("rich", "rich", "12", "commands can print JSON only", WARN),
)  # fmt: skip


#: What another environment's interpreter does for one that lacks them: it compiles the configuration, and delivers.
_BORROWED = {"pyyaml", "jsonschema", "packaging", "importlib-metadata", "urllib3"}


class Environment(NamedTuple):
    """An interpreter, or a virtual environment, and the folders in which it looks for packages."""

    name: str
    path: list[str]
    processes: str  # those that use it, "" for this shell's
    other: str = ""  # whose interpreter compiles and delivers for it, and why that one


def environments(installation: Installation) -> list[Environment]:
    """Those of the ERP's processes; this interpreter's own if none is known."""
    found: dict[str, list[Erp]] = {}
    for process in installation.erp:
        if process.environ is not None:
            found.setdefault(process.program, []).append(process)
    made = []
    for program, those in found.items():
        folders = packages_of(program, those[0].version)
        if folders:
            before = entries_of(those[0].environ or {}, those[0].folder)
            bundled = [each for entry in before for each in imports.bundled_for(entry, those[0].version)]
            path = [*before, *folders, *bundled]
            made.append(Environment(program, path, named(those), _other(installation, those[0])))
    return made or [Environment(sys.executable or "python", [entry or os.getcwd() for entry in sys.path], "")]


def _other(installation: Installation, process: Erp) -> str:
    named_one = (process.environ or {}).get("AGENT_PYTHON")
    if named_one:
        return f"{named_one} (AGENT_PYTHON)"
    reported = process.reported.prefix if process.reported is not None else ""
    prefix = reported or os.path.dirname(os.path.dirname(process.program))
    used = borrowed.of(installation.state, process.version, prefix) if process.version else None
    return f"{used} (found beside the agent's folder, or used for this file before)" if used else ""


def packages_of(program: str, version: tuple[int, int] | None) -> list[str]:
    """The folders of installed packages of an interpreter that is not started for it; none where unknown."""
    bases = [os.path.dirname(os.path.dirname(program))]
    system = True
    try:
        with open(os.path.join(bases[0], "pyvenv.cfg"), encoding="utf-8", errors="replace") as stream:
            settings = dict(re.findall(r"^([\w-]+)\s*=\s*(.*?)\s*$", stream.read(), re.MULTILINE))
        system = settings.get("include-system-site-packages", "").lower() == "true"
        if system and settings.get("home"):
            bases.append(os.path.dirname(settings["home"]))
    except OSError:
        bases.append(os.path.dirname(os.path.dirname(os.path.realpath(program))))
    number = "python%d.%d" % version if version else "python3"
    kinds = [f"lib/{number}/site-packages", f"lib64/{number}/site-packages"]
    if system:
        kinds += [f"local/lib/{number}/dist-packages", f"lib/{number}/dist-packages", "lib/python3/dist-packages"]
    folders = (os.path.join(base, kind) for base in dict.fromkeys(bases) for kind in kinds)
    return list(dict.fromkeys(os.path.realpath(folder) for folder in folders if os.path.isdir(folder)))


def check(installation: Installation) -> Iterator[Finding]:
    for environment in environments(installation):
        yield from _libraries(environment)
        yield from _other_agent(environment)


def _libraries(environment: Environment) -> Iterator[Finding]:
    where = environment.name + (f" ({environment.processes})" if environment.processes else "")
    missing: list[Library] = []
    good = True
    for library in LIBRARIES:
        try:
            why = requirements.unmet(requirements.parse_requirement(_wanted(library)), environment.path)
        except ConfigError as error:
            yield Finding("libraries-unknown", SKIPPED, "the installed libraries cannot be compared", str(error))
            return
        if why.endswith("is not installed"):
            missing.append(library)
        elif not why and PathFinder.find_spec(library.module, environment.path) is None:
            why = f"{library.package} is listed as installed, but its files are missing"
        if why:
            good = False
        if why and library not in missing:
            yield Finding("library-unfit", library.state, why, f"in {where}: {library.without}",
                          f"{environment.name} -m pip install --upgrade {_wanted(library)!r}")  # fmt: skip
    lent = [each.package for each in missing if environment.other and each.package in _BORROWED]
    if lent:
        good = False
        missing = [each for each in missing if each.package not in lent]
        why = f"because {', '.join(lent)} {'is' if len(lent) == 1 else 'are'} not installed in {where}"
        yield Finding("libraries-borrowed", OK, "another environment's interpreter compiles and delivers",
                      f"{environment.other}, {why}")  # fmt: skip
    if missing:
        state = FAIL if any(each.state == FAIL for each in missing) else WARN
        names = ", ".join(each.package for each in missing)
        without = "; ".join(dict.fromkeys(each.without for each in missing))
        wanted = " ".join(repr(_wanted(each)) for each in missing)
        yield Finding("library-missing", state, f"not installed: {names}", f"in {where}: {without}",
                      f"{environment.name} -m pip install {wanted}")  # fmt: skip
    if good:
        yield Finding("libraries", OK, "all libraries are installed and new enough", where)


def _wanted(library: Library) -> str:
    return f"{library.package}>={library.oldest}"


def _other_agent(environment: Environment) -> Iterator[Finding]:
    file = copies.first_other(environment.path)
    if file and copies.is_agent(os.path.dirname(file)):
        yield Finding("two-agents", WARN, "another copy of the agent is installed",
                      " for ".join(filter(None, (copies.beside(environment.path), environment.processes))),
                      copies.HINT)  # fmt: skip
    elif file:
        yield Finding("foreign-agent", OK, "the ERP has a package of its own called `agent`",
                      f"{file}: the ERP gets its own; `python -m agent` may run it",
                      "use erp-agent or python -m _erp_agent for the agent's commands")  # fmt: skip
