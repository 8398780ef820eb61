"""What every Python process of the machine pays for: one file of code, one small read, one finder.

A plan that is fresh (`config.cache` made it, nothing that it was made from has changed) costs a few `stat` calls. A
`Lookout` then waits on `sys.meta_path` for the import of a module that a monitor names; only that import brings in the
rest of the agent. Where there is no fresh plan, `bootstrap` finds out why. Nothing here imports anything that a bare
interpreter has not imported already.
"""

import os
import sys

from ..base import places
from ..base.places import (
    config_path,
    index_in,
    is_on,
    open_head,
    ours,
    plan_file,
    program,
    state_folder,
    unchanged,
    user,
    variant_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..base.places import Head


def start(here: str = "") -> None:
    """Start the agent, if it is wanted here. A failure writes at most one line to stderr.

    `here` is the folder on the path that holds sitecustomize.py.
    """
    try:
        if places.started_in:
            return
        places.started_in = os.getpid()
        stand_back(here)
        if sys.argv[:1] == ["-m"]:  # `python -m agent`, perhaps
            from . import command

            command.make_way()
        if not is_on("AGENT_DISABLED"):
            _start()
    except ours(Exception):
        from ..base import guard

        guard.write_line("could not start: %s" % (sys.exc_info()[1],))
        if is_on("AGENT_STRICT") and not is_on("AGENT_DISABLED"):
            stop("the agent could not start")
        if guard.TESTING:
            raise


def stop(why: str) -> None:
    """AGENT_STRICT: before the program has run a line of its own, which makes `os._exit` the clean way."""
    try:
        from ..base import guard

        guard.write_line("AGENT_STRICT stops this process: " + why)
        if sys.stderr is not None:
            sys.stderr.flush()
    finally:
        os._exit(2)


def _start() -> None:
    path = config_path(os.environ)
    state = state_folder(os.environ, path)
    if is_on("AGENT_DEBUG") or is_on("AGENT_STRICT"):
        from . import explained

        explained.begin(path, state, look_out, stop)
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
            from . import other_user

            other_user.before_fork(path, state)
        except BaseException as error:  # a time limit of the host's: it may not be raised here
            from ..base import postponed

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

            instead = lookout.take_over(waiting, state, fresh, _begin, step_aside)
        except ours(Exception):
            step_aside(waiting, "beginning to look out")
            return None
        return instead.find_spec(name, path, target) if instead is not None else None

    waiting = _until_the_first_import(find_spec=find_spec)
    sys.meta_path.insert(0, waiting)
    if user == 0:
        _prepare_for_another_user(path, state)
    # A module that is imported before the agent, or by it, is named; or the program, which nothing imports. Or a server
    # has embedded Python, and there are no arguments yet: the file that it runs may import nothing.
    if head[1][4] or _names_the_program(head) or _is_embedded():
        from . import lookout

        early = lookout.take_over(waiting, state, fresh, _begin, step_aside)
        if early is not None:
            early.give_way()
    return True


def _is_embedded() -> bool:
    if getattr(sys, "argv", [""]) != [""]:
        return False
    from . import lookout

    return lookout.embeds()


def _begin(path: str, state: str, instead_of: "Any") -> "Any":
    """Make the agent of this process, once a module is imported that a monitor names; its Finder, or None."""
    from . import bootstrap

    return bootstrap.begin(path, state, instead_of=instead_of)


def _names_the_program(head: "Head") -> bool:
    names = program()
    if names == ["__main__"]:  # a command: the header has it, without the index
        return bool(head[1][6])
    if not names:
        return False
    try:
        packages = index_in(head[2])[0]
        if not any(name.partition(".")[0] in packages for name in names):
            return False
        from ..plan import file as plan

        found = plan.PlanFile(*head)
        return any(name in found for name in names)
    except ours(ValueError, OSError):
        return True  # damaged, or gone: that is seen to at once


def step_aside(finder: "Any", where: str) -> None:
    """Our own files may be gone: removed, or exchanged for newer ones, while the process runs."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    try:
        from ..base import guard
    except ours(ImportError):
        return
    guard.swallow(where)


#: The class of the placeholder in the import system until something is imported. To make one of our own would cost as
#: much as everything else that a process without imports pays for here.
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
    # It may be a zip file: only a search shows what is in it.
    return here(entry or os.curdir, os.F_OK) and not os.path.isdir(entry or os.curdir)
