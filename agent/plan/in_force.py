"""Which plan is in force where the stored one is not fresh: a new one, or for a bounded time the last good one.

Another interpreter makes the new one (`config.child`), so that neither yaml nor jsonschema nor anything they import is
loaded into the host.
"""

import os
import sys
import time

from ..base import clocks, guard, places, programs
from ..base.interrupts import ours
from . import index as plan_index
from . import write

#: Seconds for which the last good plan stays in force where AGENT_LAST_GOOD is not set.
LAST_GOOD = 24 * 3600.0

#: Seconds until a configuration is tried again whose compilation failed for a reason that is not in it.
_RETRY = 60.0

#: Why the configuration is not in force.
reasons: "list[str]" = []


def renew(path: str, state: str, index: "plan_index.Index | None") -> "plan_index.Index | None":
    """A new plan, or the last good one, which is `index`, or None."""
    bad = plan_index.load_bad(state, path)
    known = bad
    if bad is None or not _still_holds(bad):
        with _Turn(state) as waited:
            if waited:  # another process has just done it
                index = plan_index.load(state, path)
                if index is not None and places.unchanged(index.header):
                    return index
                bad = known = plan_index.load_bad(state, path)
            if bad is None or not waited or not _still_holds(bad):
                made = _compile(path, state, bad)
                if isinstance(made, plan_index.Index):
                    return made
                bad = made
    return _last_good(index, bad, path, state, reported=bad is known and bool(bad.lacking))


def _still_holds(bad: "plan_index.Bad") -> bool:
    return places.unchanged(bad.header) and (bad.until is None or 0.0 <= bad.until - clocks.time() <= _RETRY)


def _compile(path: str, state: str, before: "plan_index.Bad | None") -> "plan_index.Index | plan_index.Bad":
    began = clocks.monotonic()
    response = _response(path, state)
    if guard.DEBUG:
        guard.step("another interpreter read the configuration in %.0f ms" % ((clocks.monotonic() - began) * 1000))
    made = keep(response, path, state, before)
    if isinstance(made, plan_index.Index):
        plan_index.report_partial(made)  # by the process that finds the change only: afterwards `status` shows it
    return made


def _response(path: str, state: str) -> "bytes | str":
    """What this environment's interpreter makes of the configuration, or another's where this one lacks libraries."""
    from . import borrowed, compile_elsewhere

    if os.environ.get("AGENT_PYTHON"):
        return compile_elsewhere.run(path)
    other = borrowed.in_use(state)
    response = compile_elsewhere.run(path, other)
    try:
        lacks = _lacks(response, path)
        if other is not None and lacks:
            borrowed.forget(state)
            return _response(path, state)
        if lacks == write.LIBRARIES:
            for each in borrowed.candidates(state):
                found = compile_elsewhere.run(path, each)
                if not _lacks(found, path):
                    borrowed.use(state, each)
                    guard.write_line(
                        f"this Python ({sys.prefix}) lacks the libraries that read {path}: {each} reads it from now on "
                        "(AGENT_PYTHON names another)"
                    )
                    return found
        elif other is None and not lacks:
            borrowed.compiled_with(state, programs.interpreter() or "")
    except ours(OSError):
        pass  # nothing can be kept there, which `keep` reports
    return response


def _lacks(response: "bytes | str", path: str) -> str:
    """What the interpreter lacks that was to read the configuration, as far as it is known; "" where it has all."""
    decoded = plan_index.decode(response, path) if isinstance(response, bytes) else None
    return "a plan" if decoded is None else decoded.lacking if isinstance(decoded, plan_index.Bad) else ""


def keep(
    response: "bytes | str", path: str, state: str, before: "plan_index.Bad | None"
) -> "plan_index.Index | plan_index.Bad":
    """Decode what a compiler made, and store it. `before` is the failure that is stored already, if there is one."""
    decoded = plan_index.decode(response, path) if isinstance(response, bytes) else None
    if isinstance(decoded, plan_index.Index) and isinstance(response, bytes):
        try:
            write.store(state, decoded, response)
            _keep_bytecode(state)
        except ours(OSError) as error:
            decoded.notes.append(f"the compiled plan cannot be kept, each process makes it anew: {error}")
            guard.write_line(f"{state} cannot be written, so that events are kept in memory only: {error}")
        return decoded
    # Since when nothing newer than the last good plan could be had: the first failure counts, not the last.
    since = before.since if before is not None else clocks.time()
    if isinstance(decoded, plan_index.Bad):
        data = write.bad_bytes(decoded.header, decoded.problems, since, lacking=decoded.lacking)
    else:
        named = os.environ.get("AGENT_PYTHON")
        why = response if isinstance(response, str) else "the compiler's output could not be read"
        lacking = "a plan" if named and not isinstance(response, str) else ""
        if lacking:  # `places.checksum` is another function before 3.11
            version = "3.11 or later" if sys.version_info >= (3, 11) else "3.9 or 3.10"
            why = f"{named} cannot compile the configuration for this Python: AGENT_PYTHON has to name Python {version}"
        chosen = {"AGENT_PYTHON": named}  # another interpreter is another try
        until = None if lacking else clocks.time() + _RETRY
        data = write.encode_bad(path, [path], chosen, [why], since=since, until=until, lacking=lacking)
    bad = plan_index.decode(data, path)
    assert isinstance(bad, plan_index.Bad)
    try:
        write.store(state, bad, data)
    except ours(OSError) as error:
        bad.problems.append(f"{state} cannot be written, so that each process tries again: {error}")
    return bad


def _keep_bytecode(state: str) -> None:
    """For sitecustomize.py, where none is written beside the source: every process would compile these files again."""
    from _frozen_importlib_external import MAGIC_NUMBER
    from marshal import dumps

    for room, module in (("base", "places"), ("boot", "start")):
        folder = os.path.join(places.PACKAGE, room)
        source = os.path.join(folder, module + ".py")
        name = "%s.%s.pyc" % (module, sys.implementation.cache_tag)
        status = os.stat(source)
        head = MAGIC_NUMBER + b"\0\0\0\0"
        for number in (int(status.st_mtime), status.st_size):
            head += (number & 0xFFFFFFFF).to_bytes(4, "little")
        if _begins_with(os.path.join(folder, "__pycache__", name), head):
            continue
        with open(source, "rb") as stream:
            code = compile(stream.read(), source, "exec", dont_inherit=True)
        write.write(os.path.join(os.path.dirname(state), "bytecode", name), head + dumps(code))


def _begins_with(file: str, head: bytes) -> bool:
    try:
        with open(file, "rb") as stream:
            return stream.read(len(head)) == head
    except ours(OSError):
        return False


def _last_good(
    index: "plan_index.Index | None", bad: "plan_index.Bad", path: str, state: str, *, reported: bool
) -> "plan_index.Index | None":
    """`reported`: a Python without the libraries is no mistake of the configuration's, and is reported once."""
    first = bad.problems[0] if bad.problems else "unknown reason"
    more = " (and %d more)" % (len(bad.problems) - 1) if len(bad.problems) > 1 else ""
    reasons[:] = bad.problems or [first]
    if index is not None:
        allowed = last_good_for(os.environ.get("AGENT_LAST_GOOD"))
        if clocks.time() - bad.since < allowed:
            index.stale, index.stale_since, index.reported = first + more, bad.since, reported
            return index
        reasons.append("the last good plan is no longer in force: AGENT_LAST_GOOD is %d s" % allowed)
    if reported:
        return None
    guard.write_line(f"nothing is monitored: {first}{more}; see: python -m agent validate")
    from ..base.health import Health

    health = Health(os.path.join(state, "run"), path)
    for problem in reasons:
        health.record("problem", problem)
    health.flush()
    return None


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def last_good_for(text: "str | None") -> float:
    """Seconds: `24h`, `7d`, `30m`, `90s`, a bare number of seconds, `0` for never."""
    if text is None or not text.strip():
        return LAST_GOOD
    text = text.strip().lower()
    try:
        if text[-1] in _UNITS:
            return max(0.0, float(text[:-1]) * _UNITS[text[-1]])
        return max(0.0, float(text))
    except ours(ValueError):
        guard.write_line(f"AGENT_LAST_GOOD is {text[:40]!r}, which is no duration such as 24h: taken as 24h")
        return LAST_GOOD


class _Turn:
    """One process compiles, others that start at that moment wait for it. Entering returns whether this one waited."""

    def __init__(self, state: str) -> None:
        self._folder = state
        self._descriptor = -1

    def __enter__(self) -> bool:
        try:
            from fcntl import LOCK_EX, LOCK_NB, flock

            from ..base import own_folders
            from .compile_elsewhere import PATIENCE

            own_folders.make(self._folder)
            self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            deadline = clocks.monotonic() + PATIENCE + 5
            waited = False
            while True:
                try:
                    flock(self._descriptor, LOCK_EX | LOCK_NB)
                    return waited
                except ours(BlockingIOError):
                    waited = True
                    if clocks.monotonic() > deadline:
                        return True
                    time.sleep(0.01)
        except ours(ImportError, OSError):
            return False  # each for itself

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
