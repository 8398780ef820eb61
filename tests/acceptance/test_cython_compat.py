"""Modules that Cython compiles as they are imported: `pytest -m compat`. Needs a C compiler, and makes an environment."""

import shutil
import subprocess
import sys

import pytest
from acceptance.host import Host, summary

pytestmark = [pytest.mark.compat, pytest.mark.skipif(not shutil.which("gcc"), reason="needs a C compiler")]

PACKAGES = ["cython", "setuptools", "pyyaml", "jsonschema", "packaging", "sentry-sdk", "rich", "importlib-metadata"]

FAST = """
def f(x):
    if x > 1: raise ValueError(x)
    return x
class Thing:
    def run(self, x): raise ValueError(x)
cdef class Typed:
    def run(self, x): raise ValueError(x)
def numbers(x):
    yield x
    raise ValueError(x)
async def later(x): raise ValueError(x)
"""
MAIN = """
import pyximport, sys; pyximport.install(build_dir=sys.argv[1], language_level=3)
import asyncio, pickle, fast, other
def attempt(call, *args):
    try: call(*args)
    except ValueError as error: print(error)
attempt(fast.f, 5)
attempt(other.alias, 6)
attempt(fast.Thing().run, 7)
attempt(fast.Typed().run, 8)
attempt(lambda: list(fast.numbers(9)))
attempt(lambda: asyncio.run(fast.later(10)))
print(pickle.loads(pickle.dumps(fast.f)) is fast.f, type(fast.__loader__).__name__, fast.f(1))
"""
MONITORS = (
    "version: 1\nmodules: {m: {description: M}}\nmonitors:\n"
    "  - {targets: [fast.f, fast.Thing.run, fast.Typed.run, fast.numbers, fast.later], module: m, operation: '{qualname}'}\n"
)


def test_functions_that_cython_compiles(tmp_path, request):
    if "compat" not in request.config.option.markexpr:
        pytest.skip("installs Cython into an environment of its own: run with -m compat")
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin" / "pip", "install", "-q", *PACKAGES]
    if subprocess.run(pip, capture_output=True, check=False).returncode:
        pytest.skip("Cython cannot be installed here")
    host = Host(tmp_path, str(environment / "bin" / "python"))
    host.write(fast__pyx=FAST, other__py="from fast import f as alias\n", main__py=MAIN, monitors__yaml=MONITORS)
    plain, watched = (host.run("main.py", str(tmp_path / "built"), agent=agent, timeout=300) for agent in (False, True))
    assert watched.stdout.splitlines()[-7:] == plain.stdout.splitlines()[-7:]
    assert [summary(event)[1] for event in host.events()] == ["f", "f", "Thing.run", "numbers", "later"]
    (process,) = [each for each in host.status() if each["program"].startswith("main.py")]
    assert [row["target"] for row in process["failed"]] == ["fast.Typed.run"]
