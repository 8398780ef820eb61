"""The text's word against the interpreter's: what is said to be found stands where an import finds it."""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import types

import pytest

from agent.codebase.lookup import Lookup
from agent.codebase.search import here

MODULES = [
    "json", "json.decoder", "logging", "logging.handlers", "argparse", "asyncio", "asyncio.tasks", "email.message",
    "http.client", "concurrent.futures", "unittest", "xml.dom.minidom", "collections", "typing", "dataclasses", "enum",
    "urllib.request", "contextlib", "functools", "subprocess", "threading", "decimal", "pathlib", "datetime", "os",
    "yaml", "jsonschema", "packaging.version", "rich.console", "django.db.models", "django.http", "django.core.cache",
    "django.db.backends.utils", "django.views.generic", "django.forms", "celery.app.base",
    "celery.app.task", "celery.canvas", "kombu", "kombu.messaging", "sentry_sdk",
]  # fmt: skip


def candidates(module):
    """Dotted paths of what a process could name in a module, with the function there, where it is a plain one."""
    for name, value in list(vars(module).items()):
        if isinstance(value, types.FunctionType):
            yield name, value
        elif isinstance(value, type) and issubclass(value, enum.Enum):
            continue  # its metaclass exchanges methods
        elif isinstance(value, type):
            for cls in value.__mro__[:3]:
                for attribute, raw in list(vars(cls).items()):
                    inner = raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw
                    inner = inner.fget if isinstance(inner, property) else inner
                    if isinstance(inner, types.FunctionType) and attribute not in vars(value).keys() - vars(cls).keys():
                        actual = next(vars(c)[attribute] for c in value.__mro__ if attribute in vars(c))
                        if actual is raw:
                            yield f"{name}.{attribute}", inner


@functools.lru_cache(1)
def lookup():
    return Lookup(here())


@pytest.mark.slow(reason="imports and reads large libraries")
@pytest.mark.parametrize("name", MODULES)
def test_what_the_text_says_is_what_python_finds(name):
    top = name.partition(".")[0]
    pytest.importorskip(top)
    module = importlib.import_module(name)
    wrong, seen, found = [], 0, 0
    for path, function in candidates(module):
        seen += 1
        outcome = lookup().outcome(f"{name}.{path}", name)
        if outcome.status == "not found":
            wrong.append((path, outcome.reason))
        if not outcome.found:
            continue
        found += 1
        written = inspect.unwrap(function)
        if written.__code__.co_filename != outcome.file or not outcome.parameters.certain:
            continue  # made by a decorator or factory of another module
        first = written.__code__.co_firstlineno
        if not 0 <= outcome.line - first <= 30 and "<" not in written.__qualname__:
            wrong.append((path, outcome.line, first))
    assert not wrong, wrong[:10]
    assert found >= seen * 0.2 or name in ("datetime", "decimal"), (found, seen)


def test_names_that_no_module_has_are_never_found():
    for name in MODULES:
        outcome = lookup().outcome(f"{name}.no_such_name_anywhere", name)
        assert not outcome.found
