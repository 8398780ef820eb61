"""Sentry's stack frames, from a traceback or a frame: without local variables, and without the agent's own frames.

A frame is built and scrubbed once for each place in the code, and then shared between events: most stacks of a process
contain the same lines again and again.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, cast

from ...base.interrupts import ours
from ...privacy import literals, source
from ...privacy.names import forgetful
from ...privacy.redact import text
from ...privacy.scrub import Clean
from .the_erp import looks_like_the_erp

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, TracebackType

MOST_FRAMES = 100

_MANY, _FEW = 20, 5  # frames of an event that is reduced: of the traceback, of the callers
_CONTEXT = 5
_LONGEST_LINE = 200
_DEEPEST = 5_000

_known: dict[tuple[Any, ...], Clean] = {}
_MOST_KNOWN = 2_000
_files: dict[str, tuple[str, str, bool]] = {}
forgetful += (_known.clear, _files.clear)


def stacktrace(
    traceback: TracebackType | None,
    frame: FrameType | None,
    *,
    own: Callable[[CodeType], bool],
    limit: int = MOST_FRAMES,
) -> dict[str, Any] | None:
    """Sentry's `stacktrace`: the callers that end in `frame`, then what `traceback` passed through; oldest first.

    Of more than `limit` frames, both ends are kept, and `frames_omitted` has the range of the others. None where
    there is no frame.
    """
    found = _callers(frame, own) + _passed(traceback, own)
    if not found:
        return None
    head = limit // 2
    tail = len(found) - (limit - head)
    kept = found if len(found) <= limit else found[:head] + found[tail:]
    trace: dict[str, Any] = {"frames": [frame_of(place, line) for place, line in kept]}
    if len(kept) < len(found):
        trace["frames_omitted"] = [head, tail]
    return trace


def passed_frames(traceback: TracebackType | None, *, own: Callable[[CodeType], bool]) -> list[Clean]:
    """The nearest frames of what `traceback` passed through, oldest first."""
    return [frame_of(place, line) for place, line in _passed(traceback, own)[-MOST_FRAMES:]]


def places(
    traceback: TracebackType | None,
    frame: FrameType | None,
    *,
    own: Callable[[CodeType], bool],
) -> list[dict[str, Any]]:
    """The nearest frames of `stacktrace`, without source: reads no file, and keeps nothing."""
    nearest = [*_callers(frame, own, _FEW), *_passed(traceback, own)[-_MANY:]]
    found = []
    for place, line in nearest:
        code = place.f_code
        module, _ = module_of(place)
        built: dict[str, Any] = {
            "function": getattr(code, "co_qualname", code.co_name),
            "lineno": line,
            "filename": code.co_filename,
            "in_app": looks_like_the_erp(code.co_filename),
        }
        if module is not None:
            built["module"] = module
        found.append(built)
    return found


def module_of(frame: FrameType) -> tuple[str | None, str | None]:
    """The name and the file of the module that `frame` runs in, without running code of the host's."""
    space = frame.f_globals
    if not issubclass(type(space), dict):
        return None, None
    name, file = dict.get(space, "__name__"), dict.get(space, "__file__")
    return name if type(name) is str else None, file if type(file) is str else None


def _callers(
    frame: FrameType | None, own: Callable[[CodeType], bool], deepest: int = _DEEPEST
) -> list[tuple[FrameType, int]]:
    found: list[tuple[FrameType, int]] = []
    for _ in range(deepest):
        if frame is None:
            break
        if not own(frame.f_code):
            found.append((frame, frame.f_lineno or 0))
        frame = frame.f_back
    return found[::-1]


def _passed(traceback: TracebackType | None, own: Callable[[CodeType], bool]) -> list[tuple[FrameType, int]]:
    found: list[tuple[FrameType, int]] = []
    for _ in range(_DEEPEST):
        if traceback is None:
            break
        frame = traceback.tb_frame
        if not own(frame.f_code):
            found.append((frame, traceback.tb_lineno or 0))
        traceback = traceback.tb_next
    return found


def frame_of(frame: FrameType, line: int) -> Clean:
    """Sentry's `frame` for one place in the code: shared between events, so never change it."""
    code = frame.f_code
    module, file = module_of(frame)
    name = cast("str", getattr(code, "co_qualname", code.co_name))
    key = (code.co_filename, line, name, module)
    known = _known.get(key)
    if known is None:
        known = bare_frame(code, line, module, file)
        try:
            _add_source(known, code.co_filename, line)
        except ours(OSError, MemoryError):
            return known  # not kept: the source may be readable next time
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = known
    return known


def bare_frame(code: CodeType, line: int, module: str | None, file: str | None) -> Clean:
    """Sentry's `frame` for a line of code, without source; `file` is that of its module."""
    path, name = code.co_filename, cast("str", getattr(code, "co_qualname", code.co_name))
    # Compiled modules give their frames the path that they were compiled from, and their full name to functions.
    if module is not None and name.startswith(module + "."):
        name = name[len(module) + 1 :]
    installed = None if path.startswith("<") or os.path.isabs(path) or os.path.exists(path) else file or "<built-in>"
    return _build(path, line, name, module, installed)


def _build(path: str, line: int, name: str, module: str | None, installed: str | None) -> Clean:
    if installed is None:
        absolute, relative, ours = _file(path)
    else:
        absolute = relative = text(path)
        ours = looks_like_the_erp(installed)
    frame = Clean(function=text(name), lineno=line, abs_path=absolute, filename=relative, in_app=ours)
    if module is not None:
        frame["module"] = text(module)
    return frame


def _add_source(frame: Clean, path: str, line: int) -> None:
    lines = source.lines(path, line + _CONTEXT)
    if 0 < line <= len(lines):
        first = max(0, line - 1 - _CONTEXT)
        shown = literals.shown(lines, first, line + _CONTEXT, _LONGEST_LINE)
        at = line - 1 - first
        frame["pre_context"], frame["context_line"], frame["post_context"] = shown[:at], shown[at], shown[at + 1 :]


def _file(path: str) -> tuple[str, str, bool]:
    """The absolute path, the path relative to its `sys.path` entry, and whether it looks like the ERP's."""
    known = _files.get(path)
    if known is None:
        absolute = path if path.startswith("<") else _absolute(path)
        best = ""
        for entry in sys.path:
            if type(entry) is str and len(entry) > len(best) and absolute.startswith(entry.rstrip(os.sep) + os.sep):
                best = entry.rstrip(os.sep)
        relative = absolute[len(best) + 1 :] if best else absolute
        known = (text(absolute), text(relative), looks_like_the_erp(absolute))
        if len(_files) >= _MOST_KNOWN:
            _files.clear()
        _files[path] = known
    return known


def relative_path(path: str) -> str:
    """The path of a file relative to its `sys.path` entry, as frames have it."""
    return _file(path)[1]


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except ours(OSError, ValueError):  # a relative path, and the current directory is gone
        return path
