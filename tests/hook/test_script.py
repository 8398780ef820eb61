"""Files that servers in C run: as they do it, through the interpreter's own function. test_wsgi.py runs uWSGI."""

import ctypes
import sys

import pytest

from agent.hook.imports import main_module, script


def run(name, source):
    """What uWSGI and mod_wsgi do."""
    execute = ctypes.pythonapi.PyImport_ExecCodeModuleEx
    execute.restype, execute.argtypes = ctypes.py_object, [ctypes.c_char_p, ctypes.py_object, ctypes.c_char_p]
    try:
        return execute(name.encode(), compile(source, "/srv/erp.wsgi", "exec"), b"/srv/erp.wsgi")
    finally:
        sys.modules.pop(name, None)


SOURCE = """
def helper(): return application
def application(): return "made first"
made_first = application
application = lambda: "served"
assert helper() is application
later = 1
"""


@pytest.mark.parametrize("name", ["uwsgi_file_erp_wsgi", "_mod_wsgi_7ceb6204"])
def test_an_application_is_found_once_it_is_defined_for_good(name):
    swallowed, seen = [], []

    def begins(namespace):
        follower = main_module.Follower(lambda _: (), defined, swallowed.append, ["application"])
        follower.follow(namespace=namespace)

    def defined(known_as, namespace, names):
        if names is None:
            seen.append((known_as, namespace["application"](), "later" in namespace))

    before = sys.gettrace()
    sys.settrace(None)  # coverage
    scripts = script.Scripts(begins)
    try:
        module = run(name, SOURCE)
        assert run("erp_plugin", SOURCE).later == 1  # another program's: it is left alone
    finally:
        traces = sys.gettrace()
        assert scripts.undo()
        sys.settrace(before)
    assert (module.__name__, module.later) == (name, 1)
    assert seen == [(name, "served", False)]
    assert swallowed == [] and traces is None
    run(name, SOURCE)
    assert len(seen) == 1


def test_what_a_file_raises_goes_on():
    scripts = script.Scripts(lambda _: None)
    try:
        with pytest.raises(ZeroDivisionError) as caught:
            run("uwsgi_file_erp_wsgi", "1 / 0")
    finally:
        scripts.undo()
    assert caught.traceback[-1].frame.code.raw.co_filename == "/srv/erp.wsgi"
