"""What each process reads at its start: where the agent's files lie, how they are read, and the head of the plan.

Each process loads this file at its start: it imports nothing that a bare interpreter has not imported already.
"""

import marshal
import os
import sys
import time
from _imp import source_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from typing import Any

    #: (configuration, [(file, stamp)…], [(variable, value)…], [(folder, stamp, names, suffix)…], early, processes,
    #: is `__main__` named, what identifies it, when it is over, when it is to be compiled again)
    Header = tuple[Any, ...]
    #: The place of a piece in a plan file: its offset after the index, its size.
    Place = tuple[int, int]
    #: (file, header, index as it was read, where what follows it begins, what identifies the file)
    Head = tuple[str, Header, bytes, int, tuple[int, ...]]

#: In a tuple, since a host's tests replace names in modules. `clocks` would be one more file for each process to read.
_CLOCK = (time.time,)

#: The folder that this package was loaded from.
PACKAGE = os.path.dirname(os.path.dirname(__file__))

#: Followed by the number of a user, the folder of one without a home.
SHARED = "/var/tmp/erp-sentry-agent-"  # noqa: S108  (made 0700, owner checked)

#: To open what the agent has written: without following a link, and without waiting for who writes into a pipe.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
FOLDER, FILE = 0o040000, 0o100000  # as in st_mode

#: First line of a plan file: this word, the version of Python, the sizes of the header, of the index, and of the rest.
FORMAT = b"erp-agent-plan-25"

#: Where the index of a plan has the lines that are watched: no module is called so.
LINES = "<lines>"

#: A plan of more bytes is not read: a file of this name that large is no plan.
LARGEST_PLAN = 256 << 20

#: Plans of at most so many bytes are kept in memory whole once a module of theirs is imported.
SMALL_PLAN = 256 << 10

#: Bytes of the checksum behind each piece of a plan.
CHECKSUM = 8

_OFF = ("", "0", "false", "no", "off")


def is_on(variable: str, environ: "Mapping[str, str]" = os.environ) -> bool:
    value = environ.get(variable)
    return value is not None and value.strip().lower() not in _OFF


def config_path(environ: "Mapping[str, str]") -> str:
    """AGENT_CONFIG, or monitors.yaml beside sitecustomize.py; never the current directory."""
    named = environ.get("AGENT_CONFIG")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    return os.path.join(os.path.dirname(PACKAGE), "monitors.yaml")


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
    return "%s-%08x" % (os.path.basename(os.path.dirname(config)) or "root", name_hash(config))


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


def name_hash(text: str) -> int:
    """FNV-1a, 32 bits: a name that stays the same from process to process, with nothing imported."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "surrogateescape"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def open_own(file: str) -> "tuple[int, os.stat_result]":
    """Open a regular file of this user's in a folder of this user's. Return the descriptor and its `fstat` result.

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


#: Module of a framework → the integration to install once it is imported.
HOOKS = {
    "django.core.handlers.base": "integrations.django.install",
    "django.core.handlers.wsgi": "integrations.django.install",
    "django.core.handlers.asgi": "integrations.django.install",
    "django.core.management": "integrations.django.install",
    "rest_framework.views": "integrations.django.install",
    "celery.app.amqp": "integrations.celery.install",
    "celery.app.trace": "integrations.celery.install",
    "celery.beat": "integrations.celery.install",
    "celery.concurrency.asynpool": "integrations.celery.install",
    "celery.worker.request": "integrations.celery.install",
    "rq.cron": "integrations.tasks.rq",
    "rq.job": "integrations.tasks.rq",
    "rq.queue": "integrations.tasks.rq",
    "rq.worker": "integrations.tasks.rq",
    "rq_scheduler.scheduler": "integrations.tasks.rq",
    "dramatiq.broker": "integrations.tasks.dramatiq",
    "dramatiq.worker": "integrations.tasks.dramatiq",
    "huey.api": "integrations.tasks.huey",
    "django_q.monitor": "integrations.tasks.django_q",
    "django_q.signals": "integrations.tasks.django_q",
    "django_q.timeout": "integrations.tasks.django_q",
    "apscheduler.executors.base": "integrations.tasks.apscheduler",
    "apscheduler.executors.base_py3": "integrations.tasks.apscheduler",
    "coverage.inorout": "integrations.coverage",
    "sentry_sdk.transport": "sdk.hosts_transport",
    "cheroot.wsgi": "integrations.web.install",
    "daphne.server": "integrations.web.install",
    "eventlet.wsgi": "integrations.web.install",
    "gevent.pywsgi": "integrations.web.install",
    "granian.asgi": "integrations.web.install",
    "granian.wsgi": "integrations.web.install",
    "gunicorn.asgi.protocol": "integrations.web.install",
    "gunicorn.asgi.websocket": "integrations.web.install",
    "gunicorn.workers.base_async": "integrations.web.install",
    "gunicorn.workers.gthread": "integrations.web.install",
    "gunicorn.workers.sync": "integrations.web.install",
    "hypercorn.app_wrappers": "integrations.web.install",
    "mod_wsgi.server": "integrations.web.install",
    "paste.httpserver": "integrations.web.install",
    "rocket3": "integrations.web.install",
    "tornado.wsgi": "integrations.web.install",
    "twisted.web.wsgi": "integrations.web.install",
    "uvicorn.protocols.http.h11_impl": "integrations.web.install",
    "uvicorn.protocols.http.httptools_impl": "integrations.web.install",
    "uvicorn.protocols.http.zttp_h2_impl": "integrations.web.install",
    "uvicorn.protocols.http.zttp_impl": "integrations.web.install",
    "uvicorn.protocols.websockets.websockets_impl": "integrations.web.install",
    "uvicorn.protocols.websockets.websockets_sansio_impl": "integrations.web.install",
    "uvicorn.protocols.websockets.wsproto_impl": "integrations.web.install",
    "waitress.task": "integrations.web.install",
    "werkzeug.serving": "integrations.web.install",
    "wsgiref.handlers": "integrations.web.install",
    "aiohttp.web_protocol": "integrations.web.handlers",
    "flask.app": "integrations.web.handlers",
    "frappe": "integrations.frappe",
    "frappe.api": "integrations.frappe",
    "frappe.app": "integrations.frappe",
    "frappe.core.doctype.scheduled_job_type.scheduled_job_type": "integrations.frappe",
    "frappe.handler": "integrations.frappe",
    "frappe.utils.background_jobs": "integrations.frappe",
    "frappe.website.page_renderers.error_page": "integrations.frappe",
    "frappe.website.serve": "integrations.frappe",
    "trytond.ir.cron": "integrations.tryton",
    "trytond.ir.queue": "integrations.tryton",
    "trytond.ir.queue_": "integrations.tryton",
    "trytond.pool": "integrations.tryton",
    "trytond.protocols.dispatcher": "integrations.tryton",
    "trytond.rpc": "integrations.tryton",
    "trytond.worker": "integrations.tryton",
    "trytond.wsgi": "integrations.tryton",
    "graphql.error.located_error": "integrations.web.graphql",
    "graphql.execution.execute": "integrations.web.graphql",
    "graphql.execution.executor": "integrations.web.graphql",
    "graphql.execution.utils": "integrations.web.graphql",
    "odoo.addons.base.controllers.rpc": "integrations.odoo",
    "odoo.addons.base.models.ir_cron": "integrations.odoo",
    "odoo.api": "integrations.odoo",
    "odoo.http": "integrations.odoo",
    "odoo.service.model": "integrations.odoo",
    "bottle": "integrations.web.handlers",
    "cherrypy._cptree": "integrations.web.handlers",
    "falcon.app": "integrations.web.handlers",
    "falcon.asgi.app": "integrations.web.handlers",
    "litestar.app": "integrations.web.handlers",
    "ombott.ombott": "integrations.web.handlers",
    "quart.app": "integrations.web.handlers",
    "starlette.applications": "integrations.web.handlers",
    "tg.wsgiapp": "integrations.web.handlers",
    "pyramid.router": "integrations.web.handlers",
    "pyramid.view": "integrations.web.handlers",
    "starlette._exception_handler": "integrations.web.handlers",
    "litestar.exceptions.responses": "integrations.web.handlers",
    "litestar.middleware.exceptions.middleware": "integrations.web.handlers",
    "starlette.responses": "integrations.web.handlers",
    "tornado.web": "integrations.web.tornado",
    "ZPublisher.mapply": "integrations.web.handlers",
}
#: The top-level packages of these modules.
FRAMEWORKS = {module.partition(".")[0] for module in HOOKS}
#: Of HTTP clients. Their import alone begins nothing: many a program loads them that nobody monitors.
CLIENTS = dict.fromkeys(
    (
        "http.client",
        "httpcore._sync.connection_pool",
        "httpcore._async.connection_pool",
        "aiohttp.client_reqrep",
    ),
    "integrations.http_clients",
)


def ours(*kinds: "Any") -> "Any":
    """`interrupts.ours`, which is loaded only for what may be an interruption: not for a failed system call."""
    error, trace = sys.exc_info()[1:]
    if error is None or trace is None or (trace.tb_next is None and error.args):
        return kinds
    try:
        from ..base import interrupts
    except ours(ImportError):
        return kinds  # our own files are gone
    return interrupts.ours(*kinds)


#: The process that the agent was started in; forked children have it from there.
started_in = 0

#: Whom this process belonged to when it started. A server that root starts may give its workers to another user.
user = os.geteuid() if hasattr(os, "geteuid") else 0


def on_path(code: "Any", packages: "Container[str]") -> "list[str]":
    """What imports would call the file that `code` was read from, as far as it is in one of these packages."""
    parts = code.co_filename.rpartition(".")[0].split(os.sep)
    names = []
    for number, part in enumerate(parts):
        if part in packages:
            folder = os.sep.join(parts[:number]) or os.sep
            if folder in sys.path or ("" in sys.path and folder == os.getcwd()):
                names.append(".".join(parts[number:-1] if parts[-1] == "__init__" else parts[number:]))
    return names


# ----------------------------------------------------------------------------------------------- the head of a plan


#: (version, `sys.prefix`, `sys.path`) of the Python that plans are made for, where another one makes them.
made_for: "tuple[tuple[int, int], str, list[str]] | None" = None


def plan_file(state: str, kind: str = "plan", variant: str = "") -> str:
    """Return the path of the plan for this Python and this environment (`sys.prefix`).

    What is installed decides what `requires` finds and whether yaml can be imported at all: two environments that share
    a configuration must not share a plan.
    """
    version, prefix = made_for[:2] if made_for else (sys.version_info[:2], sys.prefix)
    return os.path.join(state, "%s-%d.%d-%08x%s.bin" % (kind, *version, name_hash(prefix), variant))


def variant_of(header: "Header", value: "Any" = None) -> str:
    """Processes whose environment variables differ take turns: each set of values has a plan of its own."""
    value = value or os.environ.get
    return "-%08x" % name_hash(repr([value(name) for name, _ in header[2]]))


def stamp(name: str) -> "tuple[int, int, int] | None":
    """What changes when a file or folder does."""
    try:
        status = os.stat(name)
    except ours(OSError):
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def unchanged(header: "Header", environment: bool = True) -> bool:
    """Are the files, and the variables, that a plan was made from as they were, and is it not over?"""
    if header[8] and header[8] <= _CLOCK[0]():
        return False
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


def checksum(before: bytes, at: int, data: bytes) -> bytes:
    """Return the checksum of a piece of a plan at offset `at`, after what has the checksum `before`.

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


def plan_version() -> bytes:
    return b"%d.%d" % (made_for[0] if made_for else sys.version_info[:2])


def split(data: bytes, size: int, read_on: "Any") -> "tuple[Header, bytes, int] | None":
    """(header, index between two checksums, where the rest begins) of a plan of `size` bytes that begins with `data`.

    `read_on` returns so many more bytes. None, or a ValueError, for what is no plan.
    """
    line = data[: data.find(b"\n") + 1]
    words = line.split()
    if len(words) != 5 or words[0] != FORMAT or words[1] != plan_version():
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
