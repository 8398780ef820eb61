# What runs where Python is too old for the agent, or no CPython: nothing of the agent, and the next sitecustomize.
# Python 2.7 reads this file.
# mypy: ignore-errors
import os
import sys


def start(here):
    """There is nothing to start."""


def run_shadowed(file):
    here = os.path.realpath(os.path.dirname(os.path.abspath(file)))
    rest = [entry for entry in sys.path if os.path.realpath(entry or os.curdir) != here]
    if sys.version_info[0] < 3:
        import imp

        try:
            found = imp.find_module("sitecustomize", rest)
        except ImportError:
            return
        imp.load_module("sitecustomize", *found)
        return
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)
