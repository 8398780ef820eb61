"""Where no process has reported in: what else there is that may be the reason.

Other state folders that hold something of this configuration, and the Python processes of this machine with the
environment that they were started with, as far as it may be read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ...base import places, programs
from ...base.errors import AgentError
from ..path import folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST = 8  # processes that are named for one reason


def clues(path: str, state: str) -> list[str]:
    """Sentences, those that explain most first."""
    found = ["AGENT_DISABLED is set in this shell."] if places.is_on("AGENT_DISABLED") else []
    found += [f"{who} has reported in {where}" for where, who in _other_folders(path, state)]
    return found + list(_of_processes(path))


# -------------------------------------------------------------------------------------------------------- folders


def _other_folders(path: str, state: str) -> Iterator[tuple[str, str]]:
    """(state folder of this configuration that has something of a process, whose it is and how to look there)."""
    name = os.path.basename(places.state_folder({"AGENT_STATE_DIR": os.sep}, path))
    usual = places.state_folder({**os.environ, "AGENT_STATE_DIR": ""}, path)
    bases = dict.fromkeys(map(os.path.dirname, (state, usual)))
    for home in _homes():
        bases[os.path.join(home, ".local", "state", "erp-sentry-agent")] = None
    try:
        bases.update((os.path.join("/var/tmp", each), None)  # noqa: S108
                     for each in os.listdir("/var/tmp") if each.startswith("erp-sentry-agent-"))  # noqa: S108  # fmt: skip
    except OSError:
        pass
    for base in bases:
        try:
            inside = [os.path.join(base, each) for each in os.listdir(base) if each.startswith(name)]
        except OSError:
            continue
        for each in inside:
            try:
                owner = os.lstat(each).st_uid
            except OSError:
                continue
            if each != state and (not os.access(each, os.R_OK) or os.path.isdir(os.path.join(each, "run"))):
                yield each, _who(owner, base)


def _who(owner: int, base: str) -> str:
    if hasattr(os, "geteuid") and owner != os.geteuid():
        return f"another user, {_user(owner)} (look as that user: sudo -u {_user(owner)} …),"
    return f"a process with another state folder (AGENT_STATE_DIR={base})"


def _homes() -> list[str]:
    try:
        import pwd
    except ImportError:
        return []
    return [each.pw_dir for each in pwd.getpwall() if each.pw_dir not in ("", "/", "/nonexistent")]


def _user(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"uid {number}"


# ------------------------------------------------------------------------------------------------------ processes


class _Running(NamedTuple):
    pid: int
    owner: int
    words: list[str]
    environ: Mapping[str, str] | None  # None: it may not be read
    folder: str


def _of_processes(path: str) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    near = os.path.dirname(path)
    # Those in the configuration's own folder first, then the newest.
    for process in sorted(_pythons(), key=lambda each: (not each.folder.startswith(near), -each.pid)):
        named = f"{process.pid} {programs.names(process.words)[0] or 'python'}"
        reasons.setdefault(_reason(process, path), []).append(named)
    for reason, those in reasons.items():
        more = f" and {len(those) - _MOST} more" if len(those) > _MOST else ""
        number = "1 Python process" if len(those) == 1 else f"{len(those)} Python processes"
        yield f"{number} {reason}: {', '.join(those[:_MOST])}{more}"


def _reason(process: _Running, path: str) -> str:
    environ = process.environ
    if environ is None:
        return f"of {_user(process.owner)}, whose environment only that user and root may read"
    entries = environ.get("PYTHONPATH", "").split(os.pathsep)
    if not any(_is_ours(os.path.join(process.folder, entry)) for entry in entries if entry):
        return f"started without the agent (no {_agent()} in PYTHONPATH)"
    if environ.get("AGENT_DISABLED", "") not in ("", "0"):
        return "started with AGENT_DISABLED"
    named = environ.get("AGENT_CONFIG")
    config = os.path.normpath(os.path.join(process.folder, os.path.expanduser(named))) if named else ""
    if (config or places.config_path({})) != path:
        return f"started with another configuration ({config or 'no AGENT_CONFIG'})"
    if process.owner != os.geteuid() or environ.get("AGENT_STATE_DIR") != os.environ.get("AGENT_STATE_DIR"):
        base = environ.get("AGENT_STATE_DIR")
        return f"of {_user(process.owner)} started with another state folder (AGENT_STATE_DIR={base or 'not set'})"
    return "started with the agent and this configuration: no module that a monitor names has been imported there"


def _is_ours(entry: str) -> bool:
    return os.path.realpath(entry) == os.path.realpath(_agent())


def _agent() -> str:
    try:
        return folder()
    except AgentError:
        return "folder of sitecustomize.py"


def _pythons() -> Iterator[_Running]:
    """The Python processes of this machine, but for this command's; nothing where there is no /proc."""
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
        if pid in (os.getpid(), os.getppid()) or not os.path.basename(program).startswith("python"):
            continue
        if programs.module_of(words) in ("agent", "_erp_agent") or programs.is_tracker(words):
            continue
        try:
            environ = dict(each.partition("=")[::2] for each in _fields(place + "/environ"))
            where = os.readlink(place + "/cwd")
        except OSError:
            environ, where = None, "/"
        yield _Running(pid, owner, words, environ, where)


def _fields(file: str) -> list[str]:
    with open(file, "rb") as stream:
        return [os.fsdecode(field) for field in stream.read(1 << 20).split(b"\0") if field]
