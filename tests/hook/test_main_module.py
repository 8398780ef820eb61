"""The parts of following a program that can be held without one; tests/acceptance/test_programs.py runs real ones."""

import dis
import sys

import pytest
from support import Watch, module, monitor

from agent.base import places
from agent.hook.imports import main_module


def test_the_operations_are_this_interpreters():
    assert {dis.opname[op] for op in main_module.STORES} == {"STORE_NAME", "STORE_GLOBAL"}
    assert main_module.EXTENDED == dis.opmap["EXTENDED_ARG"]


def last(source, heads=None):
    """The line of the last definition that matters; 0 where there is none."""
    code = compile(source, "<program>", "exec")
    at = main_module.last_store(code, heads)
    if at < 0:
        return 0
    starts = [(offset, line) for offset, line in dis.findlinestarts(code) if offset <= at]
    return starts[-1][1]


def test_where_the_last_definition_is():
    source = "import os\ndef f(): pass\nclass C: pass\nx = 1\nf()\n"
    assert last(source, {"f"}) == 2
    assert last(source, {"x", "f"}) == 4
    assert last(source, {"absent"}) == 0
    assert last(source) == 3
    many = "".join(f"n{number} = {number}\n" for number in range(700))
    assert last(many + "def f(): pass\nf()\n", {"f"}) == 701


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new syntax")
def test_generic_functions_count_as_definitions():
    assert last("def f[T](x: T): pass\nclass C[T]: pass\nC()\n") == 2


def test_a_namespace_without_a_module_can_be_looked_into():
    space = {"__name__": "shop_nowhere"}
    exec("def f(): raise ValueError(1)\nclass C:\n def m(self): raise ValueError(2)\n", space)
    made = main_module.module_in(space)
    assert (made.__name__, made.__dict__ is space) == ("shop_nowhere", True)
    watch = Watch(monitor("shop.f", "shop.C.m"))
    watch.applier.defined("shop", made, None)
    assert [line[2] for line in watch.records] == ["shop.f", "shop.C.m"]
    for call in (space["f"], space["C"]().m):
        with pytest.raises(ValueError):
            call()
    assert len(watch.observed) == 2
    shop = module("def f(): pass\n")
    assert main_module.module_in(vars(shop)) is shop


def test_only_what_has_been_named_is_looked_at():
    shop = module("def f(): pass\ndef g(): pass\n", name="__mp_main__")
    watch = Watch(monitor("close.f", "close.g"), monitor("close.*", name="all"))
    watch.applier.defined("close", shop, {"g"})
    assert [line[:3] for line in watch.records] == [("patched", "close.f", "close.g")]
    watch.applier.defined("close", shop, None)
    assert [line[2] for line in watch.records] == ["close.g", "close.f"]


def test_main_is_what_the_program_itself_defines():
    module("def main(): pass\n", name="shop")
    program = module("from shop import main\ndef own(): pass\n", name="__mp_main__")
    watch = Watch(monitor("__main__.main", "__main__.own"))
    watch.applier.defined("__main__", program, None)
    assert [line[:3] for line in watch.records] == [
        ("waiting", "__main__.main", "__main__.main"),
        ("patched", "__main__.main", "__main__.own"),
    ]


def test_what_a_program_is_called(tmp_path):
    for name in ("bin", "erp/jobs", "shadowed"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("erp/__init__.py", "erp/jobs/__init__.py"):
        (tmp_path / name).write_text("")
    names = lambda name: places.program_names(str(tmp_path / name))
    assert names("bin/close.py") == ["close"]
    assert names("erp/jobs/close.py") == ["close", "erp.jobs.close"]
    assert names("erp") == ["erp.__main__"]
    assert names("erp/__main__.py") == ["erp.__main__"]
    assert names("bin") == names("bin/close") == names("shadowed.py") == []
    assert places.program_names("") == places.program_names("-c") == places.program_names("-m") == []


def test_what_the_last_line_of_a_followed_program_defines(tmp_path):
    """Whoever runs it, runpy for one, may call that afterwards."""
    file = tmp_path / "close.py"
    code = compile("def helper(): raise ValueError(1)\n", str(file), "exec")
    looked = []
    follower = main_module.Follower(
        lambda name: [monitor("close.helper")] if name == "close" else [], lambda *each: looked.append(each), print
    )
    follower.follow(code)
    space = {"__name__": "run", "__file__": str(file)}
    exec(code, space)
    follower.stop()
    assert any(name == "close" and "helper" in there for name, there, _ in looked)
    assert looked[-1] == ("close", space, None)
