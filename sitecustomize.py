# Python imports this file at start-up, because its folder is on PYTHONPATH. It starts the agent and then hands over to
# the sitecustomize that it shadows. It is read by every Python that inherits PYTHONPATH, also by those that the agent
# does not support: so it is written in what Python 2.7 and all later ones understand, and says nothing.
import sys


def _start_agent():
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    # In a checkout the package lies beside this file; in an installed wheel this file lies inside the package.
    package = os.path.join(here, "agent")
    if not os.path.isfile(os.path.join(package, "start.py")):
        package = os.path.dirname(here)
    # The package gets a name that no host has, so that a host's own package called "agent" stays importable. It is
    # made by hand: its __init__ would be one more file to read in every process.
    sys.modules["_erp_agent"] = module = type(sys)("_erp_agent")
    module.__path__ = [package]
    module.__package__ = "_erp_agent"
    module.__file__ = os.path.join(package, "__init__.py")
    from _erp_agent.start import start

    start()


def _may_hold_one(entry):
    # Far cheaper than a search, which lists every folder on the path.
    import os

    if not os.path.isdir(entry or os.curdir):
        return os.path.exists(entry)  # a zip file, say: only a search can tell
    name = os.path.join(entry, "sitecustomize")
    if os.path.isfile(name + ".py") or os.path.exists(name) or os.path.isfile(name + ".pyc"):
        return True
    return False


def _run_shadowed():
    # The next sitecustomize on the path (a distribution's, the user's own, another agent's), as if this one were not
    # there. Its own errors are its own: site reports them, as it does for any sitecustomize.
    import os

    here = os.path.normcase(os.path.realpath(os.path.dirname(os.path.abspath(__file__))))
    rest = [entry for entry in sys.path if os.path.normcase(os.path.realpath(entry or os.curdir)) != here]
    if sys.version_info[0] < 3:
        import imp

        try:
            found = imp.find_module("sitecustomize", rest)
        except ImportError:
            return
        imp.load_module("sitecustomize", *found)
        return
    if not any(_may_hold_one(entry) for entry in rest):
        return
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    # Whoever imports sitecustomize from now on means the one that this file shadows.
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


if sys.version_info >= (3, 9) and sys.implementation.name == "cpython":
    try:
        _start_agent()
    except Exception:
        sys.modules.pop("_erp_agent", None)
        if sys.stderr is not None:
            try:
                sys.stderr.write("agent: could not start: %s\n" % (sys.exc_info()[1],))
            except Exception:
                pass

_run_shadowed()
