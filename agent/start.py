"""What every Python process of the machine pays for: one file of code, one small read, one finder.

A plan that is fresh (`config.cache` made it, nothing that it was made from has changed) costs a few `stat` calls. A
`Lookout` then waits on `sys.meta_path` for the import of a module that a monitor names; only that import brings in the
rest of the agent. Where there is no fresh plan, `bootstrap` finds out why. Nothing here imports anything that a bare
interpreter has not imported already.
"""

import marshal
import os
import sys
from _imp import source_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    #: (configuration, [(file, stamp)…], [(variable, value)…], [(folder, stamp, names, suffix)…], early, processes,
    #: is `__main__` named, what tells it from other plans)
    Header = tuple[Any, ...]
    #: Where something lies in a plan file: its offset after the index, its size.
    Place = tuple[int, int]
    #: (file, header, index as it was read, where what follows it begins, what tells the file from a later one)
    Head = tuple[str, Header, bytes, int, tuple[int, ...]]

#: First line of a plan file: this word, the version of Python, the sizes of the header, of the index, and of the rest.
FORMAT = b"erp-agent-plan-14"

#: A plan of more bytes is not read: a file of this name that large is no plan.
LARGEST_PLAN = 256 << 20

#: Followed by the number of a user, the folder of one without a home.
SHARED = "/var/tmp/erp-sentry-agent-"  # noqa: S108  (made 0700, owner checked)

#: Plans of at most so many bytes are kept in memory whole once a module of theirs is imported.
SMALL_PLAN = 256 << 10

#: Bytes of the checksum behind each piece of a plan.
CHECKSUM = 8

#: To open what the agent has written: without following a link, and without waiting for who writes into a pipe.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
FOLDER, FILE = 0o040000, 0o100000  # as in st_mode

_OFF = ("", "0", "false", "no", "off")


def is_on(variable: str) -> bool:
    value = os.environ.get(variable)
    return value is not None and value.strip().lower() not in _OFF


def config_path(environ: "Mapping[str, str]") -> str:
    """AGENT_CONFIG, or monitors.yaml beside sitecustomize.py; never the current directory."""
    named = environ.get("AGENT_CONFIG")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "monitors.yaml")


def state_folder(environ: "Mapping[str, str]", config: str) -> str:
    """The folder for everything that the agent writes for this configuration.

    AGENT_STATE_DIR or the user's state folder; in it, one folder for each configuration file, so that two ERPs of one
    user never mix their events. Users who share AGENT_STATE_DIR get a folder each.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    named = environ.get("AGENT_STATE_DIR")
    base = os.path.abspath(os.path.expanduser(named)) if named else _base(environ, user)
    folder = os.path.join(base, folder_name(config))
    try:
        status = os.lstat(folder)
    except ours(OSError):
        return folder
    if (status.st_uid != user and hasattr(os, "geteuid")) or status.st_mode & 0o170000 != 0o040000:
        folder += "-%d" % user  # another user's, or a link, which is not followed
    return folder


def folder_name(config: str) -> str:
    return "%s-%08x" % (os.path.basename(os.path.dirname(config)) or "root", _hash(config))


def _base(environ: "Mapping[str, str]", user: int) -> str:
    home = environ.get("XDG_STATE_HOME") or (
        os.path.join(environ["HOME"], ".local", "state") if environ.get("HOME") else ""
    )
    if os.path.isabs(home):
        base = os.path.join(home, "erp-sentry-agent")
        if _may_write(base, user):
            return base
    return shared_base(user)


def shared_base(user: int) -> str:
    """Where the state folders of a user lie who has no home folder to write to."""
    base = SHARED + "%d" % user
    try:
        status = os.lstat(base)
    except ours(OSError):
        return base
    if status.st_uid != user or status.st_mode & 0o170000 != 0o040000:
        return os.devnull + "/somebody-else-has-taken-" + os.path.basename(base)  # nothing can ever be written there
    return base


def _may_write(base: str, user: int) -> bool:
    """Is this the user's own home? It may be read-only, or that of whoever called sudo."""
    there = base
    while True:
        try:
            owner = os.stat(there).st_uid
        except ours(OSError):
            if there == os.path.dirname(there):
                return False
            there = os.path.dirname(there)
            continue
        # root could write anywhere, and must not leave files in other people's homes
        return (owner == user or (there != base and user != 0)) and os.access(there, os.W_OK)


def _hash(text: str) -> int:
    """FNV-1a, 32 bits: a name that stays the same from process to process, with nothing imported."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "surrogateescape"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def plan_file(state: str, kind: str = "plan", variant: str = "") -> str:
    """Where the plan for this Python and this environment (`sys.prefix`) lies.

    What is installed decides what `requires` finds and whether yaml can be imported at all: two environments that share
    a configuration must not share a plan.
    """
    return os.path.join(state, "%s-%d.%d-%08x%s.bin" % (kind, *sys.version_info[:2], _hash(sys.prefix), variant))


def variant_of(header: "Header") -> str:
    """Processes whose environment variables differ take turns: each set of values has a plan of its own."""
    return "-%08x" % _hash(repr([os.environ.get(name) for name, _ in header[2]]))


def stamp(name: str) -> "tuple[int, int, int] | None":
    """What changes when a file or folder does."""
    try:
        status = os.stat(name)
    except ours(OSError):
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def unchanged(header: "Header", environment: bool = True) -> bool:
    """Are the files, and the variables, that a plan was made from as they were?"""
    if environment:
        for name, value in header[2]:
            if os.environ.get(name) != value:
                return False
    for name, stamped in header[1]:
        if stamp(name) != stamped:
            return False
    for name, stamped, names, suffix in header[3]:
        # Other files come and go in such a folder, too: only those that would be included matter.
        if stamp(name) != stamped and listing(name, suffix) != names:
            return False
    return True


def listing(folder: str, suffix: str) -> "list[str]":
    try:
        return sorted([name for name in os.listdir(folder) if name.endswith(suffix)])
    except ours(OSError):
        return []


def open_own(file: str) -> "tuple[int, os.stat_result]":
    """A descriptor of a regular file of this user's, in a folder of this user's, and what it says of itself.

    The one way in which anything is opened that the agent has written. Nobody else may write either, neither is a link,
    and both are checked after they were opened: what they are cannot be exchanged in between. Raises OSError.
    """
    folder, name = os.path.split(file)
    above = descriptor = -1
    try:
        if hasattr(os, "O_DIRECTORY"):
            above = os.open(folder, _READ | os.O_DIRECTORY)
            check_own(os.fstat(above), FOLDER, folder)
            descriptor = os.open(name, _READ, dir_fd=above)
        else:
            descriptor = os.open(file, _READ)
        status = os.fstat(descriptor)
        check_own(status, FILE, file)
    except BaseException:
        if descriptor >= 0:
            os.close(descriptor)
        raise
    finally:
        if above >= 0:
            os.close(above)
    return descriptor, status


def check_own(status: os.stat_result, kind: int, path: str, others: int = 0o022) -> None:
    """Raises OSError for what is no FOLDER (or FILE), is somebody else's, or gives `others` any of these rights."""
    why = ""
    if status.st_mode & 0o170000 != kind:
        why = "is not a folder" if kind == FOLDER else "is not a regular file"
    elif hasattr(os, "geteuid"):
        if status.st_uid != os.geteuid():
            why = "belongs to uid %d, not to uid %d" % (status.st_uid, os.geteuid())
        elif status.st_mode & others:
            why = "may be written by other users"
    if why:
        raise PermissionError(1, why, path)


def read(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(descriptor, size - len(data))
        if not chunk:
            break
        data += chunk
    return data


def checksum(before: bytes, at: int, data: bytes) -> bytes:
    """Of a piece of a plan that lies `at` so many bytes, after what has the checksum `before`.

    So no piece is taken for another one, of the same plan or of an earlier one.
    """
    return source_hash(int.from_bytes(before[:7], "little") + at, data)


def open_head(file: str, path: str) -> "Head | None":
    """The head of the plan in `file` for the configuration `path`, fresh or not.

    None for one that is damaged or of another making. `plan.PlanFile` reads what follows.
    """
    try:
        descriptor, status = open_own(file)
    except ours(OSError):
        return None
    try:
        if status.st_size > LARGEST_PLAN:
            return None
        data = os.read(descriptor, 16384)
        found = split(data, status.st_size, lambda more: read(descriptor, more))
    except ours(ValueError, OSError):
        return None
    finally:
        os.close(descriptor)
    if found is None or found[0][0] != path:
        return None
    return (file, *found, (status.st_ino, status.st_size, status.st_mtime_ns))


def split(data: bytes, size: int, read_on: "Any") -> "tuple[Header, bytes, int] | None":
    """(header, index between two checksums, where the rest begins) of a plan of `size` bytes that begins with `data`.

    `read_on` returns so many more bytes. None, or a ValueError, for what is no plan.
    """
    line = data[: data.find(b"\n") + 1]
    words = line.split()
    if len(words) != 5 or words[0] != FORMAT or words[1] != b"%d.%d" % sys.version_info[:2]:
        return None
    first, second, third = int(words[2]), int(words[3]), int(words[4])
    header = len(line) + first
    at = header + CHECKSUM + second + CHECKSUM
    if min(first, second, third) < 0 or at + third != size:
        return None
    if len(data) < at:  # many included files, or many packages
        data += read_on(at - len(data))
    if checksum(b"", 0, data[:header]) != data[header : header + CHECKSUM]:
        return None
    return marshal.loads(data[len(line) : header]), data[header:at], at  # noqa: S302


def index_in(raw: bytes) -> "Any":
    """The index of a plan, as `split` leaves it. Raises ValueError for one that is damaged."""
    index = raw[CHECKSUM:-CHECKSUM]
    if checksum(raw[:CHECKSUM], 0, index) != raw[-CHECKSUM:]:
        raise ValueError("the index of the plan is damaged")
    return marshal.loads(index)  # noqa: S302  (the user's own file: the owner was checked)


def program_names(file: str) -> "list[str]":
    """What the file of a program would be called if it were imported.

    "close" for bin/close.py; and "erp.bin.close" where it lies in packages. Nothing for a file without .py, which
    cannot be imported, nor where a package of that name lies beside it, which would be imported instead.
    """
    if not file or file in ("-c", "-m"):
        return []
    folder, name = os.path.split(os.path.abspath(file))
    if not name.endswith(".py"):
        if not os.path.isdir(file):
            return []
        folder, name = os.path.join(folder, name), "__main__.py"
    name = name[:-3]
    names = [name] if name != "__main__" and not os.path.isdir(os.path.join(folder, name)) else []
    whole = name
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        whole = package + "." + whole
    return [*names, whole] if whole != name else names


def program() -> "list[str]":
    """The names that monitors may have for what this process is going to run as `__main__`; none once it runs."""
    if "__file__" in sys.modules["__main__"].__dict__:
        return []
    return ["__main__", *program_names(sys.argv[0] if sys.argv else "")]


#: Module of a framework → the integration that wants to know of its import.
HOOKS = {
    "django.core.handlers.base": "django",
    "django.core.handlers.wsgi": "django",
    "django.core.handlers.asgi": "django",
    "django.core.management": "django",
    "rest_framework.views": "django",
    "celery.app.amqp": "celery",
    "celery.app.trace": "celery",
    "celery.beat": "celery",
    "celery.concurrency.asynpool": "celery",
    "celery.worker.request": "celery",
    "coverage.inorout": "coverage",
    "sentry_sdk.transport": "sentry_client",
}
FRAMEWORKS = ("django", "rest_framework", "celery", "coverage", "sentry_sdk")


def ours(*kinds: "Any") -> "Any":
    """`interrupts.ours`, which is loaded only for what may be an interruption: not for a failed system call."""
    error, trace = sys.exc_info()[1:]
    if error is None or trace is None or (trace.tb_next is None and error.args):
        return kinds
    try:
        from . import interrupts
    except ours(ImportError):
        return kinds  # our own files are gone
    return interrupts.ours(*kinds)


#: The process that the agent was started in; forked children have it from there.
started_in = 0

#: Whom this process belonged to when it started. A server that root starts may give its workers to another user.
user = os.geteuid() if hasattr(os, "geteuid") else 0


def start(here: str = "") -> None:
    """Start the agent, if it is wanted here. What goes wrong is said on one line of stderr at most.

    `here` is the folder on the path that sitecustomize.py lies in.
    """
    global started_in
    try:
        if started_in:
            return
        started_in = os.getpid()
        stand_back(here)
        if sys.argv[:1] == ["-m"]:  # `python -m agent`, perhaps
            from . import command

            command.make_way()
        if not is_on("AGENT_DISABLED"):
            _start()
    except ours(Exception):
        from . import guard

        guard.say("could not start: %s" % (sys.exc_info()[1],))
        if is_on("AGENT_STRICT") and not is_on("AGENT_DISABLED"):
            stop("the agent could not start")
        if guard.LOUD:
            raise


def stop(why: str) -> None:
    """AGENT_STRICT: before the program has run a line of its own, which makes `os._exit` the clean way."""
    try:
        from . import guard

        guard.say("AGENT_STRICT stops this process: " + why)
        if sys.stderr is not None:
            sys.stderr.flush()
    finally:
        os._exit(2)


def _start() -> None:
    path = config_path(os.environ)
    state = state_folder(os.environ, path)
    if is_on("AGENT_DEBUG") or is_on("AGENT_STRICT"):
        from . import loud

        loud.begin(path, state)
        return
    if not look_out(path, state):
        if not os.environ.get("AGENT_CONFIG") and not os.path.exists(path):
            return  # nothing was ever configured here: no reason to bother every Python of the machine
        from . import bootstrap

        bootstrap.begin(path, state)
        if user == 0:
            _prepare_for_another_user(path, state)


def _prepare_for_another_user(path: str, state: str) -> None:
    """A server that root starts forks its workers, and they become somebody who can read less than root."""

    def before_fork() -> None:
        try:
            from . import users

            users.before_fork(path, state)
        except BaseException as error:  # a time limit of the host's: it may not be raised here
            from . import postponed

            postponed.owe(error)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before_fork)


def look_out(path: str, state: str) -> bool:
    """Is there a fresh plan? Then a lookout for what it names is on `sys.meta_path`, or the agent is there already."""
    head = open_head(plan_file(state), path)
    if head is None:
        return False
    if not unchanged(head[1]):
        head = open_head(plan_file(state, variant=variant_of(head[1])), path)
        if head is None or not unchanged(head[1]):
            return False
    waiting: "Any" = None
    fresh = head

    def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if name.startswith("_erp_agent"):
            return None
        try:
            from . import lookout

            instead = lookout.take_over(waiting, state, fresh)
        except ours(Exception):
            step_aside(waiting, "beginning to look out")
            return None
        return instead.find_spec(name, path, target) if instead is not None else None

    waiting = _until_the_first_import(find_spec=find_spec)
    sys.meta_path.insert(0, waiting)
    if user == 0:
        _prepare_for_another_user(path, state)
    # A module that is imported before the agent, or by it, is named; or the program, which no import tells of.
    if head[1][4] or _names_the_program(head):
        from . import lookout

        early = lookout.take_over(waiting, state, fresh)
        if early is not None:
            early.give_way()
    return True


def _names_the_program(head: "Head") -> bool:
    names = program()
    if names == ["__main__"]:  # a command, say: whether that is named, the header tells without the index
        return bool(head[1][6])
    if not names:
        return False
    try:
        packages = index_in(head[2])[0]
        if not any(name.partition(".")[0] in packages for name in names):
            return False
        from . import plan

        found = plan.PlanFile(*head)
        return any(name in found for name in names)
    except ours(ValueError, OSError):
        return True  # damaged, or gone: that is seen to at once


def step_aside(finder: "Any", where: str) -> None:
    """Our own files may be gone: removed, or exchanged for newer ones, while the process runs."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    try:
        from . import guard
    except ours(ImportError):
        return
    guard.swallow(where)


#: What stands in the import system until something is imported: a class of our own would have to be made, which costs
#: as much as everything else that a process without imports pays for here.
_until_the_first_import: "Any" = type(sys.implementation)


def stand_back(here: str) -> None:
    """Have the folder that is on the path hold our names only, and a package `agent` of the host's come before ours."""
    theirs = sys.path_importer_cache.get(here)
    if theirs is None:
        return

    def find_spec(name: str, target: "Any" = None) -> "Any":
        finder: "Any" = theirs
        try:
            from . import lookout

            finder = lookout.Folder(here, theirs)
        except ours(ImportError):
            pass  # our files are gone
        sys.path_importer_cache[here] = finder
        return finder.find_spec(name, target)

    sys.path_importer_cache[here] = _until_the_first_import(find_spec=find_spec)


def run_shadowed(file: str) -> None:
    """Run the next sitecustomize on the path (a distribution's, the user's own, another agent's).

    As if the agent's, which is `file`, were not there. Its errors are its own: site reports them, as it does for any.
    """
    here = os.path.dirname(os.path.abspath(file))
    # Far cheaper than a search, which lists every folder on the path.
    rest = [entry for entry in sys.path if entry != here and _may_hold_one(entry)]
    if not rest:
        return
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    _have_run.add(os.path.realpath(here))
    for entry in rest:
        real = os.path.realpath(entry or os.curdir)
        spec = PathFinder.find_spec("sitecustomize", [entry]) if real not in _have_run else None
        if spec is None or spec.loader is None:
            continue
        _have_run.add(real)
        module = module_from_spec(spec)
        # Whoever imports sitecustomize from now on means the one that this file shadows.
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)
        return


#: Folders whose sitecustomize has run. One that we run may run ours again, as the next one after its own.
_have_run: "set[str]" = set()


def _may_hold_one(entry: str) -> bool:
    name = (entry or os.curdir) + "/sitecustomize"
    here = os.access
    if here(name + ".py", os.F_OK) or here(name, os.F_OK) or here(name + ".pyc", os.F_OK):
        return True
    # A zip file, say: only a search can tell.
    return here(entry or os.curdir, os.F_OK) and not os.path.isdir(entry or os.curdir)
