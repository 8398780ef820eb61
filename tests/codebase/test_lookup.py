"""What a target leads to, told from text alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codebase.lookup import Lookup
from agent.codebase.search import here

BASE = """
class Root:
    def root(self): ...

class Base(Root):
    def save(self, a, b=1): ...
    def over(self): ...
"""


def test_functions_and_methods(shop):
    lookup = shop(
        "def f(a, /, b, *c, d=1, **e): ...\n"
        "async def g(): ...\n"
        "class A:\n    class B:\n        @staticmethod\n        def m(x): ...\n"
        "    @property\n    def p(self): ...\n    @p.setter\n    def p(self, value): ...\n"
    )
    outcome = lookup.outcome("shop.f")
    assert outcome.status == "found"
    assert outcome.parameters.names == ("a", "b", "d", "c", "e")
    assert outcome.parameters.text == "(a, /, b, *c, d=1, **e)"
    assert lookup.outcome("shop.g").status == "found"
    assert lookup.outcome("shop.A.B.m").line == 6
    assert lookup.outcome("shop.A.p").parameters.names == ("self",)
    assert lookup.outcome("shop.A.p", "shop").line == 8


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("try:\n    from nowhere import f\nexcept ImportError:\n    def f(a): ...\n", 4),
        ("import sys\nif sys.version_info >= (3,):\n    def f(a): ...\nelse:\n    def f(b): ...\n", 3),
        ("import sys\nif sys.version_info < (3,):\n    def f(b): ...\nelse:\n    def f(a): ...\n", 5),
        ("if FLAG:\n    def f(a): ...\n", 2),
        ("with x():\n    def f(a): ...\n", 2),
        ("for i in x:\n    def f(a): ...\n", 2),
        ("try:\n    pass\nfinally:\n    def f(a): ...\n", 4),
        ("f = None\nif FLAG:\n    def f(a): ...\n", 3),
        ("def f(b): ...\ndef f(a): ...\n", 2),
        ("def f(a): ...\nif __name__ == '__main__':\n    def f(b): ...\n", 1),
        ("from typing import overload\n@overload\ndef f(b): ...\ndef f(a): ...\n", 4),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nowhere import f\nelse:\n    def f(a): ...\n",
            5,
        ),
        ("f = lambda a: a\n", 1),
        ("def _f(a): ...\nf = _f\n", 1),
        ("def f(a): ...\nf = wrap(f)\n", 1),
        ("def f(a): ...\nf = wrap(1)(f)\n", None),
        ("from functools import partial\ndef g(a): ...\nf = partial(g, 1)\n", 2),
        ("f, g = lambda a: 1, 2\n", 1),
        ("(f := 1)\n@wrap\ndef f(a): ...\n", 3),
    ],
)
def test_definitions_of_many_forms(shop, text, line):
    outcome = shop(text).outcome("shop.f")
    if line is not None:
        assert outcome.found, outcome
        assert (outcome.line, outcome.parameters.names) == (line, ("a",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("f = make()\n", "at run time with make(…)"),
        ("def __getattr__(name): ...\n", "__getattr__"),
        ("globals()['f'] = 1\n", "globals()"),
        ("for n in 'f':\n    globals()[n] = 1\n", "globals()"),
        ("globals().update(x)\n", "globals()"),
        ("import sys\nsetattr(sys.modules[__name__], 'f', 1)\n", "setattr()"),
        ("import sys\nsys.modules[__name__] = Thing()\n", "sys.modules"),
        ("exec('def f(): ...')\n", "exec()"),
        ("from math import *\n", "it is built into the interpreter|it is compiled"),
        ("def f(: ...\n", "cannot be parsed"),
        ("for f in x: pass\n", "at run time"),
        ("with x() as f: pass\n", "at run time"),
        ("f = [g for g in x][0]\n", "at run time"),
        ("from shop import f\n", "circle"),
        ("from nowhere import f\n", "there is no module `nowhere`"),
    ],
)
def test_what_the_text_does_not_tell_cannot_be_checked(shop, text, reason):
    outcome = shop(text).outcome("shop.f")
    assert outcome.status == "cannot be checked"
    assert any(part in outcome.reason for part in reason.split("|")), outcome.reason


def test_re_exports_are_found_elsewhere(project):
    lookup = project({
        "pack/__init__.py": "from .impl import f, C as D\nfrom . import sub\nfrom .stars import *\nimport pack.impl as i\n",
        "pack/impl.py": "from .deep.er import f\nclass C:\n    def m(self): ...\n",
        "pack/deep/__init__.py": "", "pack/deep/er.py": "\ndef f(a): ...\n",
        "pack/sub.py": "def g(): ...", "pack/stars.py": "__all__ = ['h']\n__all__ += ['_k']\ndef h(): ...\ndef _k(): ...\ndef no(): ...",
    })  # fmt: skip
    outcome = lookup.outcome("pack.f")
    assert (outcome.status, outcome.module, outcome.line) == ("found elsewhere", "pack.deep.er", 2)
    assert outcome.note == "re-exported from pack.deep.er, patched there"
    assert lookup.outcome("pack.D.m").status == "found elsewhere"
    assert lookup.outcome("pack.i.C.m").status == "found elsewhere"
    assert lookup.outcome("pack.sub.g").status == "found"
    assert lookup.outcome("pack.h").status == "found elsewhere"
    assert lookup.outcome("pack._k").status == "found elsewhere"
    assert lookup.outcome("pack.no").status == "not found"


def test_a_package_imports_its_own_modules(project):
    lookup = project({
        "pack/__init__.py": "from . import fields\nfrom . import models\n",
        "pack/fields.py": "", "pack/models.py": "class Model:\n    def save(self): ...\n",
        "pack/addons/__init__.py": "",
        "pack/addons/users.py": "from pack import fields, models\nclass Users(models.Model):\n    name = fields.Char()\n",
    })  # fmt: skip
    inherited = lookup.outcome("pack.addons.users.Users.save")
    assert (inherited.status, inherited.module) == ("found", "pack.models")
    assert lookup.outcome("pack.addons.users.Users.gone").status == "not found"


def test_methods_through_base_classes_of_other_modules(shop):
    lookup = shop(
        "import base\nfrom base import Root as R\nclass Mid(base.Base):\n    def over(self): ...\n"
        "class A(Mid, R): ...\nclass G(list): ...\nclass X(Unknown()): ...\n",
        base=BASE,
    )
    saved = lookup.outcome("shop.A.save")
    assert (saved.status, saved.module, saved.note) == ("found", "base", "inherited from base.Base")
    assert lookup.outcome("shop.A.over").module == "shop"
    assert lookup.outcome("shop.A.root").found
    missing = lookup.outcome("shop.A.sav")
    assert (missing.status, missing.hint) == ("not found", "did you mean `save`?")
    assert missing.reason == "the class `shop.A` exists, and has no attribute `sav`"
    assert lookup.outcome("shop.G.append").status == "cannot be checked"
    assert lookup.outcome("shop.X.anything").status == "cannot be checked"
    assert lookup.outcome("shop.A.__init__").status == "cannot be checked"


def test_the_mro_is_pythons(shop):
    lookup = shop(
        "class O:\n    def m(self): ...\nclass A(O): ...\nclass B(O):\n    def m(self): ...\nclass D(A, B): ...\n"
        "class Loop(Loop): ...\nclass P(Q): ...\nclass Q(P): ...\n"
    )
    assert lookup.outcome("shop.D.m").line == 5
    assert lookup.outcome("shop.Loop.m").status in ("not found", "cannot be checked")
    assert lookup.outcome("shop.P.m").status in ("not found", "cannot be checked")


@pytest.mark.parametrize(
    ("text", "path", "by"),
    [
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n", "A.__init__", "@dataclass"),
        ("from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    x: int\n", "A.__eq__", "@dataclass"),
        ("from typing import NamedTuple\nclass A(NamedTuple):\n    x: int\n", "A._replace", "NamedTuple"),
        ("@dataclass(slots=True)\nclass A:\n    x: int\n", "A.__setstate__", "@dataclass"),
        ("class A(metaclass=Meta): ...\n", "A.m", "Meta"),
        ("@register\nclass A: ...\n", "A.m", "@register"),
        ("class A: ...\nfor n in 'm': setattr(A, n, 1)\n", "A.m", "setattr()"),
        ("class A: ...\nA.register('m', 1)\n", "A.m", "line 2"),
        ("@apply\nclass A: ...\n", "A", "@apply"),
        ("class A:\n    vars()['m'] = 1\n", "A.m", "vars()"),
    ],
)  # fmt: skip
def test_generated_methods_are_created_at_run_time(shop, text, path, by):
    outcome = shop(text).outcome(f"shop.{path}")
    assert (outcome.status, by in outcome.reason) == ("cannot be checked", True), outcome


def test_bases_out_of_typing_are_those_of_collections_abc(shop):
    lookup = shop("import typing\nclass A(typing.MutableMapping[str, str]): ...\n")
    assert lookup.outcome("shop.A.update").note == "inherited from _collections_abc.MutableMapping"
    assert lookup.outcome("shop.A.updat").status == "not found"


def test_methods_that_are_assigned_to_a_class(shop):
    outcome = shop("class A: ...\ndef save(self, x): ...\nA.m = save\n").outcome("shop.A.m")
    assert (outcome.found, outcome.line) == (True, 2)


def test_instances(shop):
    lookup = shop("class H:\n    def __call__(self, x): ...\n    def run(self): ...\nh = H()\nclass N: ...\nn = N()\n")
    assert lookup.outcome("shop.h").line == 2
    assert lookup.outcome("shop.h.run").line == 3
    assert lookup.outcome("shop.n").status == "cannot be checked"


def test_classes_and_modules_are_not_functions(shop):
    lookup = shop("import json\nclass A: ...\nx = 3\n")
    outcome = lookup.outcome("shop.A")
    assert (outcome.status, outcome.kind) == ("not found", "class")
    assert "shop.A.__init__" in outcome.hint
    assert lookup.outcome("shop.json").status == "not found"
    assert lookup.outcome("shop.x").reason.endswith("it is a value, not a function")


def test_a_colon_tells_the_module_from_the_attribute(project):
    lookup = project({"a/__init__.py": "class b:\n    def c(self): ...\n", "a/b.py": "def c(x): ...\n"})
    assert lookup.outcome("a.b.c", "a").parameters.names == ("self",)
    assert lookup.outcome("a.b.c", "a.b").parameters.names == ("x",)
    assert lookup.outcome("a.b.c").parameters.names == ("x",)


@pytest.mark.parametrize(
    ("path", "reason", "hint"),
    [
        ("pack.sevices.f", "the package `pack` exists, and has no attribute `sevices`", "`services`"),
        ("pack.services.crate", "the module `pack.services` exists, and has no attribute `crate`", "`create`"),
        ("pack.services.create.x.y", "is a function", ""),
        ("pack.other.deep.f", "has no attribute `other`", ""),
    ],
)
def test_what_is_not_there_names_the_nearest(project, path, reason, hint):
    lookup = project({"pack/__init__.py": "", "pack/services.py": "def create(): ..."})
    outcome = lookup.outcome(path)
    assert not outcome.found
    assert reason in outcome.reason
    assert hint in outcome.hint


def test_a_module_that_ends_the_process_is_checked_like_any_other(shop):
    lookup = shop("raise SystemExit(9)\ndef f(): ...\n")
    assert lookup.outcome("shop.f").status == "found"


def test_source_in_another_encoding(project, tmp_path):
    lookup = project({"x.py": ""})
    (tmp_path / "latin.py").write_bytes("# -*- coding: latin-1 -*-\nname = 'é'\ndef f(): ...\n".encode("latin-1"))
    (tmp_path / "bad.py").write_bytes(b"name = '\xff'\ndef f(): ...\n")
    (tmp_path / "null.py").write_bytes(b"\0")
    assert lookup.outcome("latin.f").line == 3
    assert lookup.outcome("bad.f").status == "cannot be checked"
    assert lookup.outcome("null.f").status == "cannot be checked"


def test_exceptions(shop):
    lookup = shop("class Bad(Exception): ...\ndef f(): ...\n")
    assert lookup.exception("shop.Bad").found
    assert lookup.exception("ValueError").found
    assert lookup.exception("ValueErorr").hint == "did you mean `ValueError`?"
    assert lookup.exception("shop.Badd").hint == "did you mean `Bad`?"
    assert lookup.exception("shop.f").status == "not found"


_lines = st.sampled_from([
    "def f(a): ...", "class A(B): ...", "class B(A): ...", "class A:\n    f = f\n    g = A.f", "f = g", "g = f", "A.f = f",
    "from shop import *", "from . import f", "from .. import f", "from .shop import g as f", "import shop as f",
    "f = A()", "f = f(f)", "f = f.f.f", "if x:\n    f = 1\nelse:\n    def f(): ...", "del f", "A = f", "class f(f.f): ...",
    "__all__ = x", "__all__ = ['f']", "f, *g = A", "try:\n    import f\nexcept:\n    f = A", "f: int", "class A(metaclass=f): ...",
])  # fmt: skip


@pytest.mark.slow(reason="a large space: 200 examples")
@settings(max_examples=200, deadline=None)
@given(st.lists(_lines, max_size=8))
def test_any_module_gives_an_outcome(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("any")
    (folder / "shop.py").write_text("\n".join(lines), encoding="utf-8")
    lookup = Lookup(here()._replace(entries=(str(folder),)))
    for path in ("shop.f", "shop.A.f", "shop.A.g", "shop.f.f.f", "shop.B.nothing"):
        outcome = lookup.outcome(path)
        assert outcome.found or outcome.reason
