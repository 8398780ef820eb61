"""What all checks look at: the configuration, the state folder, and the ERP's processes, as far as they can be read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...base import places, programs
from ...base.errors import AgentError
from .. import options
from ..options import Configured
from ..path import folder
from ..state import other_processes, processes
from ..state.other_processes import Running
from ..state.processes import Process

#: Programs that serve or work for an ERP.
PROGRAMS = frozenset(
    ("gunicorn", "celery", "celeryd", "uwsgi", "manage.py", "manage", "django-admin", "odoo-bin", "odoo",
     "openerp-server", "trytond", "trytond-worker", "trytond-cron", "bench", "frappe", "uvicorn", "daphne", "hypercorn",
     "waitress-serve", "rq", "rqworker", "huey_consumer", "huey_consumer.py", "dramatiq", "flask", "granian",
     "mod_wsgi-express")
)  # fmt: skip
_EMBEDDING = ("uwsgi",)  # programs that are no Python, and run one


class Erp(NamedTuple):
    """A running process of the ERP. What this user may not read of it is None or empty."""

    pid: int
    owner: int
    name: str  # of the program; never an argument
    words: list[str]
    environ: Mapping[str, str] | None
    folder: str  # its working directory
    program: str  # the file of its interpreter, as it was called
    version: tuple[int, int] | None
    reported: Process | None  # its state file


class Installation(NamedTuple):
    config: str
    why: str  # why this configuration, for people
    state: str
    agent: str  # the folder for PYTHONPATH; "" where it has no sitecustomize.py
    configured: Configured | None  # None: the file gives no settings
    unusable: str  # why
    erp: list[Erp]
    proc: bool  # whether this system has a /proc to read


def look(config: str | None, pid: int | None) -> Installation:
    """Raises AgentError where no process has the number `pid`, or it cannot be one to look at."""
    path, why = _config(config)
    state = places.state_folder(os.environ, path)
    settings, unusable = None, ""
    try:
        settings = options.configured_by(path)
    except AgentError as error:
        unusable = str(error)
    try:
        agent = folder()
    except AgentError:
        agent = ""
    proc = os.path.isdir("/proc/self")
    found = erp_processes(path, state, pid) if proc else []
    if pid is not None and not found:
        what = (
            f"no Python process has the number {pid}" if proc else "--pid needs /proc, which this system does not have"
        )
        raise AgentError(f"{what}; to look at all processes of the ERP, leave --pid out")
    return Installation(path, why, state, agent, settings, unusable, found, proc)


def named(those: Iterable[Erp]) -> str:
    return processes.by_program((each.name, each.pid) for each in those)


def _config(given: str | None) -> tuple[str, str]:
    if given:
        return options.config_path(given), "named with --config"
    if os.environ.get("AGENT_CONFIG"):
        return places.config_path(os.environ), "AGENT_CONFIG names it"
    return places.config_path(os.environ), "beside sitecustomize.py, because AGENT_CONFIG is not set in this shell"


def erp_processes(path: str, state: str, pid: int | None) -> list[Erp]:
    try:
        reported = {
            each.pid: each for each in processes.read(os.path.join(state, "run")) if each.alive and not each.command
        }
    except AgentError:
        reported = {}  # the state folder's own check reports it
    near = os.path.dirname(path)
    near = "" if near in ("/", os.path.dirname(places.PACKAGE)) else near
    found = []
    for each in other_processes.pythons(_EMBEDDING):
        name = program_name(each.words)
        theirs = bool(name) or each.pid in reported or bool(near and _inside(each.folder, near))
        if each.pid == pid or (pid is None and theirs):
            found.append(_erp(each, name or _plain(programs.names(each.words)[0]), reported.get(each.pid)))
    return sorted(found, key=lambda each: each.pid)


def _inside(folder: str, above: str) -> bool:
    return folder == above or folder.startswith(above + "/")


def program_name(words: list[str]) -> str:
    """The program's name if it is one of PROGRAMS: also `gunicorn: master [erp]`, as servers rename themselves."""
    renamed = os.path.basename(re.split(r"[:\s]", words[0].lstrip("["))[0])
    return next((name for name in (*programs.names(words), renamed) if name in PROGRAMS), "")


def _plain(name: str) -> str:
    return name if re.fullmatch(r"[\w.+-]{1,40}", name) and name != "-c" else "python"


def _erp(each: Running, name: str, reported: Process | None) -> Erp:
    program = each.words[0]
    if not os.path.basename(program).startswith("python"):
        program = each.program  # it has renamed itself, or is no Python
    elif "/" in program:
        program = os.path.normpath(os.path.join(each.folder, program))
    else:
        program = _on_path(program, each.environ or {}) or each.program
    numbers = re.search(r"python(\d)\.(\d+)", os.path.realpath(program)) or re.search(
        r"python(\d)\.(\d+)", each.program
    )
    version = (int(numbers[1]), int(numbers[2])) if numbers else None
    if reported is not None:
        version = reported.version or version
    return Erp(each.pid, each.owner, name, each.words, each.environ, each.folder, program, version, reported)


def _on_path(program: str, environ: Mapping[str, str]) -> str:
    from shutil import which

    return which(program, path=environ.get("PATH", "")) or ""
