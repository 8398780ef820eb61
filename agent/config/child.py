"""Has another interpreter compile the configuration, so that the host imports nothing that validation needs.

`run` is the host's side: it starts this interpreter's twin with `posix_spawn`, waits for what comes through a pipe, and
imports nothing either. `main` is the other side.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Seconds after which the host goes on without a plan.
PATIENCE = 15.0

_PROGRAM = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
sys.modules["_erp_agent"] = package = type(sys)("_erp_agent")
package.__path__ = [{package!r}]
package.__package__ = "_erp_agent"
from _erp_agent.config.child import main
main({path!r}, {descriptor})
"""


def run(path: str) -> "bytes | str":
    """What `cache` can decode, or one line that says why there is none."""
    interpreter = _interpreter()
    if interpreter is None:
        return "no interpreter was found to read the configuration with; run `python -m agent validate` once"
    reading, writing = os.pipe()
    try:
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        program = _PROGRAM.format(package=package, path=path, descriptor=writing)
        environment = {**os.environ, "AGENT_DISABLED": "1"}
        arguments = [interpreter, "-c", program]
        os.set_inheritable(writing, True)
        try:
            pid = _spawn(interpreter, arguments, environment, (reading, writing))
        finally:
            os.close(writing)
        data = _receive(reading, pid)
    except OSError as error:
        return f"the configuration could not be read in another interpreter: {error}"
    finally:
        os.close(reading)
    return data


def _spawn(interpreter: str, arguments: "list[str]", environment: "dict[str, str]", pipe: "tuple[int, int]") -> int:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        actions: "list[Any]" = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2) if number not in pipe]
        return os.posix_spawn(interpreter, arguments, environment, file_actions=actions)
    finally:
        os.close(null)


def _receive(reading: int, pid: int) -> "bytes | str":
    os.set_blocking(reading, False)
    deadline = time.monotonic() + PATIENCE
    data = b""
    while True:
        try:
            chunk = os.read(reading, 1 << 20)
            if not chunk:
                break
            data += chunk
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                return "reading the configuration took more than %d s" % PATIENCE
            time.sleep(0.002)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:  # the host reaps every child
        status = 0
    if data[:1] == b"\x01":
        return data[1:]
    if data[:1] == b"\x00":
        return data[1:].decode("utf-8", "replace")
    return "the interpreter that reads the configuration ended with status %d and said nothing" % status


def _interpreter() -> "str | None":
    """The program to run: this interpreter, also where it is embedded in another program."""
    version = "python%d.%d" % sys.version_info[:2]
    candidates = [sys.executable or ""]
    if not os.path.basename(candidates[0]).lower().startswith(("python", "pypy")):
        candidates = [os.path.join(prefix, "bin", version) for prefix in (sys.prefix, sys.base_prefix)]
    return next((name for name in candidates if name and os.access(name, os.X_OK)), None)


def main(path: str, descriptor: int) -> None:
    """Compile `path` and send the result: byte 1 and what `cache` decodes, or byte 0 and a line of text."""
    answer = _answer(path)
    data = b"\x01" + answer if isinstance(answer, bytes) else b"\x00" + answer.encode("utf-8", "replace")
    with open(descriptor, "wb") as stream:
        stream.write(data)


def _answer(path: str) -> "bytes | str":
    from ..errors import ConfigError
    from . import cache
    from .load import examine

    try:
        loaded = examine(path, os.environ)
    except ConfigError as error:  # a library is missing: until something is installed, no process need try again
        return cache.encode_bad(path, [path, *cache.package_folders()], {}, [str(error)])
    except Exception as error:
        return f"{path}: {type(error).__name__}: {error}"
    lines = [
        "%s:%d:%d: %s%s [%s]" % (p.file, p.line, p.column, p.path + ": " if p.path else "", p.message, p.slug)
        for p in loaded.problems
        if p.severity == "error"
    ]
    if loaded.plan is None:
        files = sorted({path, *loaded.files, *(problem.file for problem in loaded.problems)})
        return cache.encode_bad(path, files, loaded.environment, lines or [f"{path} gives no plan"])
    return cache.encode(loaded.plan, lines)
