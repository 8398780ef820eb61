"""Has another interpreter compile the configuration, so that the host imports nothing that validation needs.

`run` starts this interpreter's twin with `posix_spawn`, waits for what comes through a pipe, and imports nothing
either. `start` does not wait: what it starts keeps the plan itself. `config.child` is the other side.
"""

import os
import sys
import time

from ..base import clocks, places, programs
from ..base.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Seconds after which the host goes on without a new plan.
PATIENCE = 30.0

#: The host's sitecustomize and usercustomize (another agent's, for example) must not run in it.
_PROGRAM = """
import gc, sys, site
gc.disable()
site.execsitecustomize = site.execusercustomize = lambda: None
site.main()
sys.path[:] = [entry for entry in sys.path if entry]
sys.modules["_erp_agent"] = package = type(sys)("_erp_agent")
package.__path__ = [{package!r}]
package.__package__ = "_erp_agent"
from _erp_agent.config import child
"""
#: In another environment's, maybe of another version: this one's packages count.
_FOR_US = """
from _erp_agent.base import places
places.made_for = {python!r}
"""
_SEND = "child.main({path!r}, {descriptor})"
_KEEP = "child.keep({path!r}, {state!r})"

#: What makes other tools take part in every interpreter that starts.
_NOT_FOR_US = (
    "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONWARNINGS",
    "PYTHONPROFILEIMPORTTIME", "PYTHONVERBOSE", "PYTHONTRACEMALLOC", "PYTHONMALLOCSTATS", "LD_PRELOAD",
)  # fmt: skip


def run(path: str, borrowed: "str | None" = None) -> "bytes | str":
    """Return bytes for `index.decode`, or one line with the reason why there are none.

    `borrowed` is another environment's interpreter.
    """
    interpreter = borrowed or programs.interpreter()
    if interpreter is None:
        return (
            f"no interpreter was found to read the configuration with ({sys.executable or 'this program'} is none): "
            "name one in AGENT_PYTHON"
        )
    try:
        reading, writing = os.pipe()
    except ours(OSError) as error:
        return f"the configuration could not be read in another interpreter: {error}"
    try:
        # No other child of the host's, which may be started meanwhile, is to have it: so it is given to this one alone.
        given = next(number for number in range(3, 7) if number not in (reading, writing))
        program = _program(_SEND, borrowed, path=path, descriptor=given)
        try:
            pid = _spawn(interpreter, [interpreter, "-S", "-c", program], _environment(), (writing, given))
        finally:
            os.close(writing)
        return _receive(reading, pid, interpreter)
    except ours(OSError) as error:
        return f"the configuration could not be read with {interpreter}: {error}"
    finally:
        os.close(reading)


def _program(work: str, borrowed: "str | None", **values: object) -> str:
    if borrowed or os.environ.get("AGENT_PYTHON"):
        work = _FOR_US + work
        values["python"] = (sys.version_info[:2], sys.prefix, [entry for entry in sys.path if type(entry) is str])
    return (_PROGRAM + work).format(package=places.PACKAGE, **values)


def _environment() -> "dict[str, str]":
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_US}
    environment["AGENT_DISABLED"] = "1"
    return environment


def start(path: str, state: str, variables: "Mapping[str, str | None]") -> str:
    """Have another process compile `path` and keep what it gives in `state`. Takes as long as a shell takes to start.

    `variables` are those that the configuration reads, with the values that count. Return why it cannot be done, or "".
    Raises BlockingIOError where a process compiles it already.
    """
    from fcntl import LOCK_EX, LOCK_NB, flock

    from ..base import detached
    from . import borrowed

    other = None if os.environ.get("AGENT_PYTHON") else borrowed.in_use(state)
    interpreter = other or programs.interpreter()
    if interpreter is None:
        return "no interpreter was found to read the configuration with: name one in AGENT_PYTHON"
    environment = _environment()
    for name, value in variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    try:
        descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)  # which the other process holds until it ends
            program = _program(_KEEP, other, path=path, state=state)
            detached.spawn([interpreter, "-S", "-c", program], environment, descriptor)
        finally:
            os.close(descriptor)
    except ours(BlockingIOError):
        raise
    except ours(OSError, NotImplementedError, AttributeError) as error:
        return f"the configuration could not be read with {interpreter}: {error}"
    return ""


def _spawn(interpreter: str, arguments: "list[str]", environment: "dict[str, str]", pipe: "tuple[int, int]") -> int:
    actions: "list[Any]" = [(os.POSIX_SPAWN_DUP2, *pipe)]
    actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0))
    actions += [(os.POSIX_SPAWN_DUP2, 0, number) for number in (1, 2)]
    return os.posix_spawn(interpreter, arguments, environment, file_actions=actions, setsigmask=())


def _receive(reading: int, pid: int, interpreter: str) -> "bytes | str":
    os.set_blocking(reading, False)
    deadline = clocks.monotonic() + PATIENCE
    data = b""
    status: "int | None" = None
    while True:
        try:
            chunk = os.read(reading, 1 << 20)
            if not chunk:
                break
            data += chunk
        except ours(BlockingIOError):
            if status is not None:
                break  # a child that the host has forked meanwhile has the other end as well: it does not close
            status = _ended(pid)
            if status is not None:
                continue  # for what it wrote last
            if clocks.monotonic() > deadline:
                _end(pid)
                return "reading the configuration took more than %d s" % PATIENCE
            time.sleep(0.002)
    if status is None:
        status = _wait(pid)
    if data[:1] == b"\x01":
        return data[1:]
    if data[:1] == b"\x00":
        return data[1:].decode("utf-8", "replace")
    return "the interpreter that reads the configuration (%s) ended with status %d and printed nothing" % (
        interpreter,
        os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status),
    )


def _end(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ours(OSError):
        pass
    _wait(pid)


def _ended(pid: int) -> "int | None":
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ours(OSError):  # the host reaps every child
        return 0
    return status if found else None


def _wait(pid: int) -> int:
    try:
        return os.waitpid(pid, 0)[1]
    except ours(OSError):  # the host reaps every child
        return 0
