"""A module without the bodies of its functions: the same definitions, on the same lines."""

from __future__ import annotations

import ast
import importlib.util
import os
import py_compile
import sys

import pytest

from agent.codebase import bindings
from agent.codebase.outline import compiles, outline

MODULES = [
    "argparse", "ast", "asyncio.events", "contextlib", "dataclasses", "datetime", "decimal", "difflib", "doctest",
    "email.message", "enum", "functools", "http.client", "inspect", "locale", "logging", "pickle", "pydoc", "random",
    "tarfile", "tokenize", "typing", "unittest.mock", "xml.dom.minidom", "yaml.scanner", "jsonschema.validators",
    "django.db.models.query", "django.forms.models", "celery.app.task", "kombu.connection", "sentry_sdk.client",
]  # fmt: skip


def definitions(source):
    """All that the text holds, but for what is in functions, and for the column at which a block ends."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = []
        if hasattr(node, "body") and hasattr(node, "end_col_offset"):
            node.end_col_offset = 0
    return ast.dump(tree, include_attributes=True)


@pytest.mark.parametrize("name", MODULES)
def test_of_real_modules_every_definition_stays_on_its_lines(name):
    pytest.importorskip(name.partition(".")[0])
    found = importlib.util.find_spec(name)
    with open(found.origin, "rb") as stream:
        source = stream.read()
    short = outline(source)
    assert definitions(short) == definitions(source)
    assert short.count(b"\n") == source.count(b"\n")
    assert short == source or len(short) < len(source)


ODD = {
    "a string with what looks like a definition": 'def f():\n    return """\ndef g():\n    pass\n"""\nx = 1\n',
    "a bracket that is indented less": "class C:\n    def f(self):\n        return g(\n1,\n  2)\n\n    y = 2\n",
    "a header of several lines": "def f(\n    a, b={'}': ')'},  # (\n) -> 'x:':\n    return 1\n@d(lambda: 0)\ndef g(): pass\n",
    "a line that goes on": "def f():\n    x = 1 + \\\n2\n    return x\nz = 3\n",
    "comments that are indented less": "if 1:\n    def f():\n        a = 1\n# here\n        b = 2\n    # there\nelse:\n    c = 3\n",
    "quotes in comments and strings": "def f():  # it's\n    return 'a\\'#' + \"'\" + r'\\\\\\''\ndef g():\n    '''it's \"\"\" '''\n",
    "functions in functions": "def f():\n    async def g():\n        yield\n    class D:\n        def h(self): ...\n    return g\nx = f()\n",
    "one line": "def f(): return {1: 2}\ndef g(): x = [1,\n 2]\nclass C: pass\n",
    "no line break at the end": "class C:\n  async  def f(self):\n    pass",
    "nothing but a text": 'def f():\n    """Text.\n\n    More.\n    """\n\n\nclass C:\n    def g(self):\n        "x"\n    z = 1\n',
    "a decorator": "class C:\n    @a(\n        b)\n    def f(self, x: int = 3, *y, **z):\n        pass\n    f = d(f)\n",
}  # fmt: skip


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_what_looks_like_something_else_is_not_taken_for_it(text):
    source = text.encode()
    assert definitions(outline(source)) == definitions(source)
    assert outline(source) != source or text == ODD["one line"]


@pytest.mark.parametrize(
    "source",
    [
        b"def f():\n\treturn 1\n",
        b"def f():\r\n    return 1\r\n",
        b"# coding: shift-jis\ndef f():\n    return '\x83\x5c'\n",
        b"x = 1\n",
        b"def f():\n    \\\n    return 1\n",
        b"def f():\n    return 1 \\\n    # one\n\nx = 2\n",
    ],
)
def test_what_is_unusual_stays_as_it_is(source):
    assert outline(source) == source


@pytest.mark.skipif(sys.version_info < (3, 12), reason="an f-string ends at its quote")
@pytest.mark.parametrize("inner", ['{d["\'#("]}', "{'\"'}(", "{\n1}"])
def test_an_fstring_with_its_own_quote_inside_is_not_cut(inner):
    source = f'def f(d):\n    return f"{inner}"\ndef g():\n    return 1\n'.encode()
    assert definitions(outline(source)) == definitions(source)


def test_only_what_python_has_compiled_is_known_to_compile(tmp_path):
    file = tmp_path / "shop.py"
    file.write_text("def create():\n    return 1\n")
    source = file.read_bytes()
    assert not compiles(str(file), source)
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    assert compiles(str(file), source)
    assert not compiles(str(file), source + b"#")
    os.utime(file, (1, 1))
    assert not compiles(str(file), source)


def test_an_error_in_the_body_of_a_function_makes_a_module_unreadable(tmp_path):
    file = tmp_path / "old.py"
    file.write_text("def create():\n    print 1\n")
    index = bindings.read("old", str(file), file.read_bytes(), package=False, version=sys.version_info[:3])
    assert "line 2" in index.unreadable


def test_of_a_module_that_was_compiled_no_body_is_parsed(tmp_path, monkeypatch):
    file = tmp_path / "shop.py"
    file.write_text("class Shop:\n    def create(self, order):\n        return 1\n")
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    parsed, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda source: parsed.append(source) or parse(source))
    index = bindings.read("shop", str(file), file.read_bytes(), package=False, version=sys.version_info[:3])
    assert b"return" not in parsed[0]
    assert "create" in index.inside(index.names["Shop"][0].node).names
