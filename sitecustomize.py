# Python imports this file at start-up, because its folder is on PYTHONPATH. It starts the agent and then hands over to
# the sitecustomize that it shadows. It is read by every Python that inherits PYTHONPATH, also by those that the agent
# does not support: so it is written in what Python 2.7 and all later ones understand, and says nothing.
import sys


def _start_agent():
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    # In a checkout the package lies beside this file; in an installed wheel this file lies inside the package.
    package = os.path.join(here, "agent")
    if not os.path.isfile(os.path.join(package, "bootstrap.py")):
        package = os.path.dirname(here)
    # The package gets a name that no host has, so that a host's own package called "agent" stays importable.
    # (The frozen modules are there already; importlib.util, which is the same, would cost every process milliseconds.)
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import spec_from_file_location

    spec = spec_from_file_location(
        "_erp_agent", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    sys.modules["_erp_agent"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    from _erp_agent import bootstrap

    bootstrap.start()


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
