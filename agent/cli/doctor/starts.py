"""Does the agent start? In this shell, and in each running process of the ERP: PYTHONPATH, flags, sitecustomize."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...base import places, programs
from ..state import other_processes
from ..state.other_folders import user_name
from ..terminal import counted
from .finding import FAIL, OK, SKIPPED, WARN, Finding
from .installation import Erp, Installation, named
from .permissions import may

_OLDEST = (3, 9)
#: Parts of the folders of other agents' sitecustomize.py → whether that one runs the next one on the path.
_RUN_THE_NEXT = {"ddtrace/bootstrap": True, "newrelic/bootstrap": True, "opentelemetry/instrumentation": False}


class _Kind(NamedTuple):
    slug: str
    state: str
    words: str  # after "3 processes"
    detail: str = ""
    hint: str = ""


def check(installation: Installation) -> Iterator[Finding]:
    yield from _shell(installation)
    if not installation.proc:
        yield Finding("processes-unknown", SKIPPED, "the ERP's processes cannot be looked at",
                      "this system has no /proc", "run doctor in the environment in which the ERP starts")  # fmt: skip
        return
    if not installation.erp:
        yield Finding("no-process", SKIPPED, "no running process of the ERP was found",
                      "looked for gunicorn, celery, uwsgi, manage.py, odoo-bin, trytond, bench and others, and for "
                      "Python processes in the configuration's folder",
                      "start the ERP, or name one of its processes: --pid PID")  # fmt: skip
        return
    kinds: dict[_Kind, list[Erp]] = {}
    for process in installation.erp:
        kinds.setdefault(_kind(process, installation), []).append(process)
    for kind, those in kinds.items():
        title = f"{counted(len(those), 'process', 'processes')} {_verb(kind.words, len(those))}"
        detail = named(those) + (f": {kind.detail}" if kind.detail else "")
        yield Finding(kind.slug, kind.state, title, detail, kind.hint)


def _verb(words: str, number: int) -> str:
    """`words` begin with a verb in the plural."""
    verb, _, rest = words.partition(" ")
    one = {"are": "is", "cannot": "cannot"}.get(verb, verb + "s")
    return f"{one if number == 1 else verb} {rest}"


def _shell(installation: Installation) -> Iterator[Finding]:
    if not installation.agent:
        yield Finding("agent-damaged", FAIL, "the agent has no sitecustomize.py", f"beside {places.PACKAGE}",
                      "install the agent again")  # fmt: skip
        return
    entries = entries_of(os.environ, os.getcwd())
    ours = os.path.realpath(installation.agent)
    if ours in map(os.path.realpath, entries):
        first = _first(entries)
        if first and os.path.realpath(os.path.dirname(first)) != ours:
            yield Finding("shell-shadowed", WARN, "another sitecustomize.py comes first in this shell", first,
                          f"put {installation.agent} first in PYTHONPATH")  # fmt: skip
        else:
            yield Finding("shell-path", OK, "PYTHONPATH of this shell has the agent's folder", installation.agent)
            later = _first([each for each in (*entries, *sys.path[1:]) if os.path.realpath(each) != ours])
            if later:
                yield Finding("sitecustomize-next", OK, "the agent runs the sitecustomize.py that it shadows", later)
    else:
        yield Finding("shell-path-missing", WARN, "PYTHONPATH of this shell lacks the agent's folder",
                      "what is started from here runs without the agent",
                      f"export PYTHONPATH={installation.agent}${{PYTHONPATH:+:$PYTHONPATH}}")  # fmt: skip
    if places.is_on("AGENT_DISABLED"):
        yield Finding("shell-disabled", WARN, "AGENT_DISABLED is set in this shell",
                      "what is started from here runs without the agent", "unset AGENT_DISABLED")  # fmt: skip


def _kind(process: Erp, installation: Installation) -> _Kind:
    """What is true of a process: the first thing that keeps the agent from working, else that it works."""
    agent = installation.agent
    if process.version is not None and process.version < _OLDEST:
        number = "%d.%d" % process.version
        return _Kind("python-too-old", FAIL, f"run Python {number}, which the agent does not support", "",
                     "run the ERP on Python 3.9 or later; the agent steps aside in older ones")  # fmt: skip
    if process.reported is not None:
        return _Kind("process-watched", OK, "run with the agent, which has reported in")
    environ = process.environ
    if environ is None:
        user = user_name(process.owner)
        return _Kind("process-unreadable", SKIPPED, f"belong to user {user} and cannot be read from here", "",
                     f"run doctor as root or as {user}")  # fmt: skip
    flags = ignoring_flags(process.words)
    if flags:
        return _Kind("process-ignores-path", FAIL, "run a Python that ignores the agent", f"started with {flags}",
                     "start Python without -E, -I and -S: these switch PYTHONPATH or sitecustomize off")  # fmt: skip
    entries = entries_of(environ, process.folder)
    if not any(other_processes.is_ours(entry) for entry in entries):
        late = "" if not _sets_it_late(process) else " (the server's own options set it after Python has started)"
        return _Kind("process-without-agent", FAIL, "run without the agent",
                     f"PYTHONPATH does not have {agent}{late}",
                     f"set PYTHONPATH={agent} where the service is defined (systemd: Environment=, "
                     "supervisor: environment=, Docker: ENV), and restart it")  # fmt: skip
    if not may(process.owner, os.path.join(agent, "sitecustomize.py"), 4):
        return _Kind("agent-unreadable", FAIL, "cannot read the agent's folder",
                     f"user {user_name(process.owner)} may not read {agent}",
                     f"let that user read {agent}: it and all folders above it need r-x")  # fmt: skip
    first = _first(entries)
    if first and not other_processes.is_ours(os.path.dirname(first)):
        runs_next = next((runs for part, runs in _RUN_THE_NEXT.items() if f"{part}/" in first), False)
        if not runs_next:
            return _Kind(
                "process-shadowed",
                FAIL,
                "run another sitecustomize.py instead of the agent's",
                first,
                f"put {agent} before its folder in PYTHONPATH: the agent runs the one that it shadows",
            )
    if places.is_on("AGENT_DISABLED", environ):
        return _Kind("process-disabled", WARN, "run with AGENT_DISABLED", "", "unset it there, and restart them")
    return _started(process, environ, installation)


def _started(process: Erp, environ: Mapping[str, str], installation: Installation) -> _Kind:
    """The agent has started there: with which configuration?"""
    config = other_processes.config_of(environ, process.folder)
    if config != installation.config:
        return _Kind(
            "process-other-configuration",
            WARN,
            "run with another configuration",
            config,
            f"if that is right: doctor --config {config}; else set AGENT_CONFIG there, and restart them",
        )
    skipped = installation.configured and programs.why_not(None, process.words)
    if skipped:
        return _Kind("process-skipped", SKIPPED, "are not meant to be monitored", skipped)
    return _Kind("process-waiting", OK, "run with the agent, without an import of a monitored module so far")


def entries_of(environ: Mapping[str, str], folder: str) -> list[str]:
    """The entries of PYTHONPATH in order, as absolute paths."""
    given = environ.get("PYTHONPATH", "")
    return [os.path.normpath(os.path.join(folder, entry)) for entry in given.split(os.pathsep)] if given else []


def ignoring_flags(words: list[str]) -> str:
    """The interpreter's options that keep it from the agent, as in "-E -S"; "" for none."""
    if not os.path.basename(words[0]).startswith("python"):
        return ""
    found = []
    at = 1
    while at < len(words) and re.fullmatch(r"-[A-Za-z?].*", words[at]):
        letters = re.match(r"-([bBdEhiIOPqRsStuvVx?]*)(.?)", words[at])
        assert letters is not None
        found += [letter for letter in letters[1] if letter in "EIS"]
        if letters[2] in ("c", "m"):
            break
        if letters[2] in ("W", "X") and words[at].endswith(letters[2]):
            at += 1  # its value is the next word
        at += 1
    return " ".join(f"-{letter}" for letter in dict.fromkeys(found))


def _first(entries: list[str]) -> str:
    """The first sitecustomize.py on this part of the path. Folders of PYTHONPATH come before all others."""
    files = (os.path.join(entry, "sitecustomize.py") for entry in entries)
    return next((file for file in files if os.path.isfile(file)), "")


def _sets_it_late(process: Erp) -> bool:
    """`gunicorn --env PYTHONPATH=…`"""
    return any("PYTHONPATH=" in word for word in process.words[1:])
