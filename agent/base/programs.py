"""Which program this process runs, and whether it is one to monitor: `processes` in monitors.yaml.

Used when a module that a monitor names is imported, or where the configuration would have to be compiled: most
processes never need it.
"""

import os
import sys

from .places import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Tools that install, build, check and complete, and are no part of an ERP: skipped where `skip` is not given.
SKIPPED = (
    "pip", "pip[0-9.]", "__pip-runner__.py", "get-pip.py", "ensurepip", "pipx", "virtualenv", "venv", "easy_install",
    "setup.py", "build", "pyproject-build", "_in_process.py", "pip-compile", "pip-sync", "pip-review", "wheel",
    "poetry", "pdm", "hatch", "flit", "twine", "conda", "mamba", "pipenv", "compileall", "py_compile",
    "pre-commit", "mypy", "dmypy", "pylint", "flake8", "ruff", "black", "isort", "pylsp", "jedi-language-server",
    "pyright", "basedpyright", "python-argcomplete-check-easy-install-script", "pydoc", "idle", "2to3",
)  # fmt: skip

#: The console script, beside `python -m agent`.
COMMAND = "erp-agent"

#: The program that delivers in the background, and what a program that `-c` names has if it compiles a plan.
COURIER = "erp_agent_courier.py"
_COMPILER = "_erp_agent"

#: Options of the interpreter without a value. Of the others, c, m, W and X take the rest of their word or the next.
_SWITCHES = "bBdEhiIOPqRsStuvVx?"

_CHILD_OF_MULTIPROCESSING = "--multiprocessing-fork"

#: Processes of Python's own (multiprocessing, billiard, loky) that clean up after others, and run nothing of the host.
_TRACKERS = ("resource_tracker", "semaphore_tracker")


def arguments() -> "list[str]":
    """The command line as it was given, the interpreter's own options included where that can be known."""
    given = getattr(sys, "orig_argv", None)  # from Python 3.10 on, also before sys.argv is set
    if given:
        return list(given)
    try:
        with open("/proc/self/cmdline", "rb") as stream:
            return [os.fsdecode(word) for word in stream.read().split(b"\0")[:-1]]
    except ours(OSError):
        return [sys.executable or "python", *getattr(sys, "argv", [])]


def names(words: "Sequence[str]") -> "list[str]":
    """What the program of a command line may be called in `only` and `skip`, the most telling name first.

    manage.py, manage, "manage.py migrate"; for `python -m celery.bin -A erp` celery.bin and celery; -c for a command.
    """
    if not words:
        return ["python"]
    option, rest = _program(words)
    if option == "c":
        return ["-c"]
    if option == "m":
        module = rest[0] if rest else ""
        return [module, module.partition(".")[0], *_with_command(module, rest[1:2])]
    if not rest:
        return ["python"]
    name = os.path.basename(rest[0]) or rest[0]
    short = name.rpartition(".")[0] if name.endswith((".py", ".exe", ".pyc", ".pyz")) else name
    if short == "__main__":
        short = os.path.basename(os.path.dirname(rest[0]))
    return [*dict.fromkeys((name, short)), *_with_command(name, rest[1:2])]


def module_of(words: "Sequence[str]") -> str:
    """The module that `python -m` names, "" where the program is something else."""
    option, rest = _program(words)
    return rest[0] if option == "m" and rest else ""


def is_command(words: "Sequence[str]") -> bool:
    """Is it a command of the agent, and no program of the host?"""
    option, rest = _program(words) if words else ("", [])
    if option == "m":
        return bool(rest) and rest[0] in ("agent", "_erp_agent")
    return not option and bool(rest) and os.path.basename(rest[0]) == COMMAND


def is_background(words: "Sequence[str]") -> bool:
    """Is it a process that the agent has started beside the host, to deliver or to compile?"""
    option, rest = _program(words) if words else ("", [])
    if option == "c":
        return bool(rest) and _COMPILER in rest[0]
    return not option and bool(rest) and os.path.basename(rest[0]) == COURIER


def _program(words: "Sequence[str]") -> "tuple[str, list[str]]":
    """("c", "m" or "", the program and its arguments): past the interpreter's own options, which may be joined."""
    if not _is_python(words[0]):  # embedded, or frozen: the program itself
        return "", list(words)
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        word = words[at]
        at += 1
        if word.startswith("--"):
            at += word == "--check-hash-based-pycs"
            continue
        letters = word[1:].lstrip(_SWITCHES)
        if letters[:1] in ("W", "X"):
            at += len(letters) == 1  # its value is the next word
        elif letters:
            return letters[0], [*filter(None, [letters[1:]]), *words[at:]]
    return "", list(words[at:])


def title() -> str:
    """What this program is called where people read it; never an argument, which may be a secret.

    manage.py; uvicorn for `python -m uvicorn` and for a folder or an archive that is run. "" where that is not known.
    """
    given = getattr(sys, "argv", None) or getattr(sys, "orig_argv", None) or [""]
    path = given[0] if type(given[0]) is str else ""
    name = os.path.basename(path)
    if name == "__main__.py":
        name = os.path.basename(os.path.dirname(path)) or name
    # A host may write what it likes into sys.argv, as servers do to be recognised in `ps`.
    return name if name.replace("-", "").replace(".", "").replace("_", "").replace("+", "").isalnum() else ""


#: Programs whose first argument names what they do. Of any other it may be anything: a customer, a password.
_WITH_COMMANDS = (
    "manage.py", "manage", "django-admin", "django-admin.py", "celery", "flask", "alembic", "odoo-bin", "odoo", "bench",
    "rq", "frappe",
)  # fmt: skip


def title_with_command() -> str:
    """As `title`, and the command of a program that has some: `manage.py migrate`."""
    name = title()
    words = [word for word in (getattr(sys, "argv", None) or [])[1:2] if type(word) is str and word.isidentifier()]
    return " ".join([name, *words]) if name in _WITH_COMMANDS else name


def _with_command(name: str, command: "Sequence[str]") -> "list[str]":
    return [name + " " + command[0]] if command and not command[0].startswith("-") else []


def _is_python(word: str) -> bool:
    return os.path.basename(word).lower().startswith(("python", "pypy"))


def is_child(words: "Sequence[str]") -> bool:
    """Did multiprocessing start it, in an interpreter of its own?"""
    return _CHILD_OF_MULTIPROCESSING in words


def is_tracker(words: "Sequence[str]") -> bool:
    option, rest = _program(words) if words else ("", [])
    if option == "m":
        return bool(rest) and rest[0].rpartition(".")[2] in _TRACKERS
    return (
        option == "c"
        and bool(rest)
        and rest[0].startswith("from ")
        and any(tracker + " import main" in rest[0] for tracker in _TRACKERS)
    )


def born(pid: int) -> str:
    """Return the start time of a process, which identifies it among those of its number; "" where it is unknown."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
        return fields[19].decode() if fields[0] not in (b"Z", b"X") else "ended"
    except ours(OSError, IndexError, ValueError):
        return ""


def container() -> str:
    """Identifies the container whose processes this one can see by their numbers; "" if unknown."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except ours(OSError):
        return ""


def why_not(processes: "Mapping[str, Sequence[str]] | None", words: "Sequence[str] | None" = None) -> str:
    """Why this process is not one to monitor; "" where it is."""
    words = arguments() if words is None else words
    if is_child(words):
        return ""  # of a process that was checked
    if is_tracker(words):
        return "it tracks the resources of multiprocessing"
    called = names(words)
    only = (processes or {}).get("only") or ()
    skip = (processes or {}).get("skip")
    if only and not any(matches(name, pattern) for name in called for pattern in only):
        return f"{called[0]} is not among `only` of `processes`"
    for pattern in () if only and skip is None else SKIPPED if skip is None else skip:
        if any(matches(name, pattern) for name in called) and (
            skip is not None or pattern.endswith(".py") or not _is_the_hosts(words)
        ):
            return f"{called[0]} is skipped: `processes` has `{pattern}`"
    return ""


def _is_the_hosts(words: "Sequence[str]") -> bool:
    """Is a program with the name of a tool one of the host's? Tools are installed: as commands, modules or archives."""
    option, rest = _program(words)
    if option == "m":
        module = rest[0].replace(".", os.sep)  # the current folder comes first
        return os.path.exists(module + ".py") or os.path.exists(os.path.join(module, "__main__.py"))
    path = rest[0].rstrip(os.sep)
    if os.path.basename(path) in ("__main__.py", "__main__.pyc"):
        path = os.path.dirname(path)
    elif not path.endswith((".py", ".pyc")) and not os.path.isdir(path):
        return False
    folder = os.path.dirname(path)
    return folder != os.path.dirname(os.__file__) and not folder.endswith(("site-packages", "dist-packages"))


def matches(name: str, pattern: str) -> bool:
    """`*` stands for any characters, and at the end `[0-9.]` for a version: pip[0-9.] is pip3 and pip3.12."""
    if pattern.endswith("[0-9.]"):
        stem = pattern[: -len("[0-9.]")]
        return name.startswith(stem) and bool(name[len(stem) :]) and not name[len(stem) :].strip("0123456789.")
    from .wildcards import segment_match

    return segment_match(pattern, name)


def interpreter() -> "str | None":
    """The program of this interpreter, also where it is embedded in another one; None where none was found."""
    named = os.environ.get("AGENT_PYTHON")
    if named:
        return named
    version = "python%d.%d" % sys.version_info[:2]
    executable = sys.executable or ""
    candidates = []
    if os.path.basename(executable).lower().startswith("python"):
        candidates = [executable, getattr(sys, "_base_executable", "") or ""]
    if not getattr(sys, "frozen", False):
        candidates += [os.path.join(prefix, "bin", version) for prefix in (sys.prefix, sys.base_prefix)]
        # Embedded in a server, sys.executable may be another environment's than the one that the server was given.
        candidates.sort(key=lambda name: not name.startswith(sys.prefix + os.sep))
    return next((name for name in candidates if os.access(name, os.X_OK) and os.path.isfile(name)), None)
