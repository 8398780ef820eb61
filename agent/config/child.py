"""The side of `plan.compile_elsewhere` in the other interpreter: compiles, and sends the plan or stores it."""

from __future__ import annotations

import glob
import os
import sys
import time
from typing import cast

from ..base import imports, places
from ..base.errors import ConfigError
from ..base.model import PlanData
from ..boot import untested
from ..measure.figures import Figures
from ..plan import borrowed, in_force, index, write
from . import learn, levels, overlay
from .compile import Examined
from .load import examine
from .read.pieces import Memory

_MOST_FOLDERS = 200
_TRIES = 4
_MOMENT = 0.02  # seconds: clocks of file systems are that coarse


def main(path: str, descriptor: int) -> None:
    """Compile `path` and send the result: byte 1 and what `plan.index` decodes, or byte 0 and a line of text."""
    result = compiled(path)
    data = b"\x01" + result if isinstance(result, bytes) else b"\x00" + result.encode("utf-8", "replace")
    with open(descriptor, "wb") as stream:
        stream.write(data)


def keep(path: str, state: str) -> None:
    """Compile `path` and store the result in `state`, where running processes look for it."""
    made = in_force.keep(compiled(path, state), path, state, index.load_bad(state, path))
    if isinstance(made, index.Index) and made.header[9]:  # something learns
        monitors = made.all_monitors()
        changes = levels.follow(state, monitors, Figures(state), time.time())
        if changes:
            levels.report(changes, monitors, made, state)
            in_force.keep(compiled(path, state), path, state, None)


def compiled(path: str, state: str = "") -> bytes | str:
    """The bytes of the plan, or of the Problems; a text where neither could be made.

    `state`: the folder with what was changed beside the file and what was learned, if it is not the environment's: a
    process may have changed its user or its working folder since it started.
    """
    imports.use_bundled()
    state = state or places.state_folder(os.environ, path)
    for _ in range(_TRIES):
        began = time.time()
        result, files = _compiled(path, state)
        if not any(_was_written(file, began) for file in files):
            break
    return result


def _was_written(file: str, began: float) -> bool:
    """May it have changed while it was read? An editor may save several times in a second."""
    try:
        return os.stat(file).st_mtime >= began - _MOMENT
    except OSError:
        return False


def _compiled(path: str, state: str) -> tuple[bytes | str, list[str]]:
    """The same, and the files that were read for it."""
    reason = _unfit()
    if reason:
        return write.encode_bad(path, [path, *write.package_folders()], {}, [reason], lacking="a tested Python"), []
    changed = overlay.path_in(state)
    try:
        loaded = examine(path, os.environ, overlay=_overlay(state), memory=Memory(state))
    except ConfigError as error:  # a library is missing: until something is installed, no process need try again
        until = [path, *write.package_folders(), *borrowed.possible(state)]
        return write.encode_bad(path, until, {}, [str(error)], lacking=write.LIBRARIES), []
    except Exception as error:
        return f"{path}: {type(error).__name__}: {error}", []
    lines = [
        "%s:%d:%d: %s%s [%s]" % (p.file, p.line, p.column, p.path + ": " if p.path else "", p.message, p.slug)
        for p in loaded.problems
        if p.severity == "error" or p.slug == "unsupported-release"
    ]
    folders = _include_folders(loaded)
    if loaded.plan is None:
        files = sorted({path, *loaded.files, *(problem.file for problem in loaded.problems)})
        return write.encode_bad(path, files, loaded.environment, lines or [f"{path} gives no plan"], folders), files
    now = time.time()
    renew = learn.learn(loaded.plan["monitors"], Figures(state), now, levels.slower(state))
    plan = {**loaded.plan, "files": [*loaded.plan["files"], changed], "renew": renew}
    data = write.encode(cast("PlanData", plan), lines, folders, injects=_injects())
    return data, [*loaded.files, changed]


def _unfit() -> str:
    """Why nothing can be monitored in this Python, which the agent was not tested with."""
    if not untested.UNTESTED or places.made_for is not None:  # where another Python compiles, nobody knows
        return ""
    from . import self_check

    found = self_check.difference()
    version = "%d.%d" % sys.version_info[:2]
    return f"Python {version} was not tested with this release, and with a monitor {found}" if found else ""


def _injects() -> bool:
    """Whether code may be put into functions of this Python."""
    if not untested.UNTESTED or places.made_for is not None:
        return False  # which only an untested Python reads
    from . import self_check

    return self_check.injects()


def _overlay(state: str) -> overlay.Overlay:
    try:
        return overlay.read(state, time.time())
    except (OSError, ValueError, TypeError):
        return overlay.Overlay()  # damaged, or somebody else's


def _include_folders(loaded: Examined) -> list[tuple[str, str]]:
    """(folder, end of the names): where a file would have to appear, or vanish, to be included or not."""
    folders: dict[tuple[str, str], None] = {}
    for document in loaded.documents:
        patterns = document.value.get("include")
        for pattern in patterns if isinstance(patterns, list) else ():
            if not isinstance(pattern, str) or not pattern:
                continue
            wanted = os.path.join(os.path.dirname(os.path.abspath(document.file)), os.path.expanduser(pattern))
            above, name = os.path.split(wanted)
            suffix = "" if glob.has_magic(os.path.splitext(name)[1]) else os.path.splitext(name)[1]
            try:
                found = [entry for entry in glob.glob(above, recursive=True) if os.path.isdir(entry)]
            except (ValueError, OSError, RecursionError):
                found = []
            folders.update({(entry, suffix): None for entry in found})
            while glob.has_magic(above):  # folders in folders: another may appear
                above = os.path.dirname(above)
                folders.update(
                    {(entry, ""): None for entry in glob.glob(above, recursive=True) if os.path.isdir(entry)}
                )
            while not os.path.isdir(above) and above != os.path.dirname(above):
                above, missing = os.path.split(above)
                if os.path.isdir(above):
                    folders[above, missing] = None
    return list(folders)[:_MOST_FOLDERS]
