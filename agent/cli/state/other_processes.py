"""The Python processes of this machine, and why each of them has not reported in under a configuration.

What a process was started with is read from /proc, as far as the user may.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...base import places, programs
from ...base.errors import AgentError
from ..path import folder
from ..terminal import counted
from .other_folders import user_name

_MOST = 8  # processes that are named for one reason


class Running(NamedTuple):
    pid: int
    owner: int
    words: list[str]
    program: str  # the file that runs
    environ: Mapping[str, str] | None  # None: this user may not read it
    folder: str


def reasons_by_process(path: str, *, elsewhere: bool = False) -> Iterator[str]:
    """Yield a line for each reason, with the processes that it is true of.

    With `elsewhere`, only those whose agent has another configuration or another state folder.
    """
    reasons: dict[str, list[str]] = {}
    near = os.path.dirname(path)
    # Processes in the configuration's own folder come first, then the newest.
    for process in sorted(pythons(), key=lambda each: (not each.folder.startswith(near), -each.pid)):
        named = f"{process.pid} {programs.names(process.words)[0] or 'python'}"
        reasons.setdefault(_reason(process, path), []).append(named)
    for reason, those in reasons.items():
        if elsewhere and "started with another" not in reason:
            continue
        more = f" and {len(those) - _MOST} more" if len(those) > _MOST else ""
        number = counted(len(those), "Python process", "Python processes")
        yield f"{number} {reason}: {', '.join(those[:_MOST])}{more}"


def _reason(process: Running, path: str) -> str:
    environ = process.environ
    if environ is None:
        return f"of {user_name(process.owner)}, whose environment only that user and root may read"
    entries = environ.get("PYTHONPATH", "").split(os.pathsep)
    if not any(is_ours(os.path.join(process.folder, entry)) for entry in entries if entry):
        return f"started without the agent (no {_agent()} in PYTHONPATH)"
    if places.is_on("AGENT_DISABLED", environ):
        return "started with AGENT_DISABLED"
    config = config_of(environ, process.folder)
    if config != path:
        return f"started with another configuration ({config if environ.get('AGENT_CONFIG') else 'no AGENT_CONFIG'})"
    if process.owner != os.geteuid() or environ.get("AGENT_STATE_DIR") != os.environ.get("AGENT_STATE_DIR"):
        base = environ.get("AGENT_STATE_DIR")
        return f"of {user_name(process.owner)} started with another state folder (AGENT_STATE_DIR={base or 'not set'})"
    return "started with the agent and this configuration, but without an import of a monitored module so far"


def config_of(environ: Mapping[str, str], folder: str) -> str:
    """The configuration of a process with these variables, which was started in `folder`."""
    path = places.config_path(environ)
    given = environ.get("AGENT_CONFIG")
    return os.path.normpath(os.path.join(folder, os.path.expanduser(given))) if given else path


def is_ours(entry: str) -> bool:
    return os.path.realpath(entry) == os.path.realpath(_agent())


def _agent() -> str:
    try:
        return folder()
    except AgentError:
        return "folder of sitecustomize.py"


def pythons(embedding: tuple[str, ...] = ()) -> Iterator[Running]:
    """Yield the Python processes of this machine, except the agent's own; none where there is no /proc.

    `embedding` names other programs that run a Python.
    """
    try:
        pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    except OSError:
        return
    for pid in pids:
        place = f"/proc/{pid}"
        try:
            words = _fields(place + "/cmdline")
            owner = os.stat(place).st_uid
            program = os.readlink(place + "/exe") if os.access(place + "/exe", os.R_OK) else words[0]
        except (OSError, IndexError):
            continue
        if pid in (os.getpid(), os.getppid()) or not os.path.basename(program).startswith(("python", *embedding)):
            continue
        if programs.is_command(words) or programs.is_background(words) or programs.is_tracker(words):
            continue
        try:
            environ = dict(each.partition("=")[::2] for each in _fields(place + "/environ"))
            where = os.readlink(place + "/cwd")
        except OSError:
            environ, where = None, "/"
        yield Running(pid, owner, words, program, environ, where)


def _fields(file: str) -> list[str]:
    with open(file, "rb") as stream:
        return [os.fsdecode(field) for field in stream.read(1 << 20).split(b"\0") if field]
