"""A guest: the sitecustomize that is shadowed runs, the host's own packages stay its own, old interpreters start."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.host import ROOT

GOOD = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"
SHOP = "def f(x=1):\n    raise ValueError(x)\n"


def test_the_next_sitecustomize_runs(host, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import sys\nprint('theirs', __name__)\nvalue = 5\n")
    host.write(monitors__yaml=GOOD)
    done = host.run(
        "-c", "import sitecustomize; print(sitecustomize.value, sitecustomize.__file__)",
        PYTHONPATH=os.pathsep.join([str(ROOT), str(other)]),
    )  # fmt: skip
    assert done.stdout.splitlines() == ["theirs sitecustomize", f"5 {other / 'sitecustomize.py'}"]
    # In front of ours, theirs is the one that Python runs: then the agent is not switched on, and nothing breaks.
    done = host.run("-c", "print(1)", PYTHONPATH=os.pathsep.join([str(other), str(ROOT)]))
    assert done.stdout.splitlines() == ["theirs sitecustomize", "1"]


def test_errors_of_the_next_sitecustomize_are_its_own(host, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("raise RuntimeError('theirs')\n")
    host.write(monitors__yaml=GOOD)
    both = host.run("-c", "print(1)", PYTHONPATH=os.pathsep.join([str(ROOT), str(other)]))
    alone = host.run("-c", "print(1)", agent=False, PYTHONPATH=str(other))
    assert (both.stdout, both.stderr) == (alone.stdout, alone.stderr)


@pytest.mark.parametrize("layout", ["package", "module"])
def test_a_host_with_a_package_called_agent(host, layout):
    if layout == "package":
        (host.folder / "agent").mkdir(exist_ok=True)
        (host.folder / "agent" / "__init__.py").write_text("name = 'the host own'\n")
    else:
        host.write(agent__py="name = 'the host own'\n")
    host.write(
        shop__py=SHOP, monitors__yaml=GOOD,
        main__py="import agent, shop\nprint(agent.name)\ntry: shop.f()\nexcept ValueError: pass\nprint(agent.name)\n",
    )  # fmt: skip
    assert host.run("main.py").stdout == "the host own\n" * 2
    assert len(host.events()) == 1


@pytest.fixture
def site_packages(tmp_path):
    """A folder behind ours on the path, as site-packages is."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("layout", ["package", "module", "namespace package"])
def test_a_package_called_agent_that_is_installed_for_the_host(host, site_packages, layout):
    if layout == "module":
        (site_packages / "agent.py").write_text("name = 'the host own'\n")
    else:
        (site_packages / "agent").mkdir()
        (site_packages / "agent" / "core.py").write_text("name = 'the host own'\n")
        if layout == "package":
            (site_packages / "agent" / "__init__.py").write_text("from .core import name\n")
    what = "agent.core" if layout == "namespace package" else "agent"
    host.write(
        shop__py=SHOP, monitors__yaml=GOOD,
        main__py=f"import {what}, shop\nprint({what}.name)\ntry: shop.f()\nexcept ValueError: pass\n",
    )  # fmt: skip
    path = os.pathsep.join([str(ROOT), str(site_packages)])
    assert host.run("main.py", PYTHONPATH=path).stdout == "the host own\n"
    assert len(host.events()) == 1
    # The kill switch does not bring ours in front of it.
    assert host.run("main.py", PYTHONPATH=path, AGENT_DISABLED="1").stdout == "the host own\n"
    done = host.run("-m", "agent", "validate", PYTHONPATH=path, check=False)
    if layout == "module":  # which `-m` can run: that is what it means
        assert (done.returncode, done.stdout) == (0, "")
    else:
        assert "1 monitor" in done.stdout and done.returncode == 0, (done.stdout, done.stderr)
    assert "1 monitor" in host.run("-m", "_erp_agent", "validate", PYTHONPATH=path).stdout


@pytest.mark.parametrize("runs", [True, False])
def test_the_command_in_a_folder_with_an_agent_of_the_hosts(host, runs):
    """What the host can run, it runs; what it cannot run is no reason not to run ours."""
    host.write(shop__py=SHOP, monitors__yaml=GOOD)
    (host.folder / "agent").mkdir()
    (host.folder / "agent" / "__init__.py").write_text("name = 'the host own'\n")
    if runs:
        (host.folder / "agent" / "__main__.py").write_text("print('the host own program')\n")
    for switches in ({}, {"AGENT_DISABLED": "1"}):
        done = host.run("-m", "agent", "validate", **switches)
        assert ("the host own program" if runs else "1 monitor") in done.stdout
        assert "1 monitor" in host.run("-m", "_erp_agent", "validate", **switches).stdout
    assert host.run("-c", "import agent; print(agent.name)").stdout == "the host own\n"


def test_what_lies_beside_ours_is_not_on_the_hosts_path(host, site_packages):
    host.write(monitors__yaml=GOOD)
    for name in ("tests", "docs", "schema", "bench", "examples"):
        for under in (True, False):
            done = host.run("-c", f"import {name}; print('found', *{name}.__path__)", agent=under, check=False)
            assert (done.stdout, "ModuleNotFoundError" in done.stderr) == ("", True)
    (host.folder / "tests").mkdir()  # without __init__.py, where every folder on the path would have a part in it
    paths = [host.run("-c", "import tests; print(*tests.__path__)", agent=under).stdout for under in (True, False)]
    assert paths == [f"{host.folder / 'tests'}\n"] * 2
    assert host.run("-c", "import agent; print(agent.__file__)").stdout == f"{ROOT / 'agent' / '__init__.py'}\n"


def test_a_folder_that_holds_more_than_ours_is_left_as_it_is(host, tmp_path):
    """Somebody who copies sitecustomize.py and agent/ into the ERP's own folder, and puts that on the path."""
    together = tmp_path / "together"
    together.mkdir()
    for name in ("agent", "schema", "sitecustomize.py"):
        (together / name).symlink_to(ROOT / name)
    (together / "tests").mkdir()
    (together / "tests" / "__init__.py").write_text("name = 'the host own'\n")
    (together / "erp.py").write_text("import sys\n")
    host.write(monitors__yaml=GOOD)
    code = "import erp, tests, sys; print(tests.name, '_erp_agent' in sys.modules)"
    assert host.run("-c", code, PYTHONPATH=str(together)).stdout == "the host own True\n"


def test_modules_that_appear_in_our_folder_are_found_once_caches_are_invalidated(host, tmp_path):
    folder = tmp_path / "ours"
    folder.mkdir()
    for name in ("agent", "schema", "sitecustomize.py"):
        (folder / name).symlink_to(ROOT / name)
    host.write(monitors__yaml=GOOD)
    code = (
        "import importlib, json, sys\ntry: import late\nexcept ImportError: print('not there')\n"
        f"open({str(folder / 'late.py')!r}, 'w').close(); importlib.invalidate_caches(); import late; print(late.__name__)\n"
    )
    assert host.run("-c", code, PYTHONPATH=str(folder)).stdout == "not there\nlate\n"


@pytest.mark.parametrize("when", ["before any import", "after one", "after a monitored one"])
def test_our_files_may_be_removed_while_a_process_runs(host, tmp_path, when):
    """As an upgrade does: what the process has, goes on; what it has not yet, is not missed."""
    folder = tmp_path / "ours"
    folder.mkdir()
    shutil.copytree(ROOT / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "schema", folder / "schema")
    shutil.copy(ROOT / "sitecustomize.py", folder)
    host.write(shop__py=SHOP, other__py=SHOP, monitors__yaml=GOOD)
    before = {"before any import": "", "after one": "import json\n", "after a monitored one": "import shop\n"}[when]
    host.write(
        main__py=f"import sys\n{before}sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.readline()\n"
        "import shop, other, decimal\nfor f in (shop.f, other.f):\n  try: f()\n  except ValueError: print('as always')\n"
    )
    environment = host.environment(PYTHONPATH=str(folder), AGENT_TESTING="0", PYTHONDONTWRITEBYTECODE="1")
    subprocess.run([sys.executable, "-c", "pass"], env=environment, check=True)
    running = subprocess.Popen([sys.executable, "main.py"], cwd=host.folder, env=environment, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert running.stdout.readline() == "ready\n"
    shutil.rmtree(folder)
    out, said = running.communicate("\n", timeout=60)
    assert (running.returncode, out) == (0, "as always\nas always\n"), said
    assert "Traceback" not in said and said.count("\n") <= 2


def test_hosts_with_folders_called_schema_and_tests(host):
    for name in ("schema", "tests", "examples", "bench", "docs"):
        (host.folder / name).mkdir()
        (host.folder / name / "__init__.py").write_text(f"name = {name!r}\n")
    host.write(monitors__yaml=GOOD, main__py="import schema, tests; print(schema.name, tests.name)")
    assert host.run("main.py").stdout == "schema tests\n"


def old_interpreters():
    found = []
    for pattern in ("2.7.*", "3.6.*", "3.7.*", "3.8.*"):
        for folder in sorted(Path.home().joinpath(".pyenv", "versions").glob(pattern)):
            python = folder / "bin" / "python"
            if python.exists():
                found.append(str(python))
    named = os.environ.get("AGENT_TEST_OLD", "").split(os.pathsep)  # PyPy, say, where it is not installed
    found += [name for name in (*named, "/usr/bin/python2.7", "/usr/bin/pypy3") if os.path.exists(name)]
    return found


@pytest.mark.parametrize(
    "python", old_interpreters() or [pytest.param("", marks=pytest.mark.skip("no old interpreter here"))]
)
def test_interpreters_that_are_not_supported_start_silently(host, tmp_path, python):
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("print('theirs')\n")
    host.write(monitors__yaml=GOOD)
    done = subprocess.run(
        [python, "-c", "print('fine')"], capture_output=True, text=True, cwd=host.folder,
        env=host.environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(other)]), PYTHONDONTWRITEBYTECODE="1"),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "theirs\nfine\n", "")


def test_what_a_bare_process_imports(host):
    """To the module: a process that imports no target pays for this and nothing else."""
    host.write(monitors__yaml=GOOD)
    code = "import sys; print(' '.join(sorted(sys.modules)))"
    host.run("-c", "pass")  # compiles the plan
    bare = set(host.run("-c", code, agent=False).stdout.split())
    under = set(host.run("-c", code).stdout.split())
    # From Python 3.13 on the interpreter itself looks for a module in order to run `-c`.
    assert (under - bare) - ({"_erp_agent.boot.lookout"} if sys.version_info >= (3, 13) else set()) == {
        "sitecustomize",
        "_erp_agent",
        "_erp_agent.base",
        "_erp_agent.base.places",
        "_erp_agent.boot",
        "_erp_agent.boot.start",
    }
    host.run("-c", "import json")
    code = "import json, sys; print(' '.join(sorted(sys.modules)))"
    bare = set(host.run("-c", code, agent=False).stdout.split())
    under |= {"_erp_agent.boot.lookout"}
    assert set(host.run("-c", code).stdout.split()) - bare == {name for name in under if "_erp_agent" in name} | {
        "sitecustomize"
    }


def test_what_a_monitored_process_has_the_interpreter_compile(host):
    """No text: the first one costs milliseconds, for the types of syntax trees, and every later one some more."""
    host.write(
        shop__py=SHOP + "def quiet(x): return x\n", monitors__yaml=GOOD.replace("shop.f,", "shop.quiet, threshold: 5s, "
        "rules: [{when: result > 5, message: m}], capture: {x: x},"),
        # `exec` and `eval` of text go another way, which needs no such types.
        main__py="import builtins\nseen, real = [], builtins.compile\n"
        "builtins.compile = lambda *given, **named: seen.append(given) or real(*given, **named)\n"
        "import shop\nshop.quiet(1)\nprint(seen)\n",
    )  # fmt: skip
    host.run("-c", "import shop", PYTHONDONTWRITEBYTECODE=None)  # bytecode
    host.run("main.py", PYTHONDONTWRITEBYTECODE=None)
    for dsn in (None, "http://key@127.0.0.1:9/1"):  # with which more is made ready
        host.run("-c", "import shop", PYTHONDONTWRITEBYTECODE=None, SENTRY_DSN=dsn)
        done = host.run("main.py", PYTHONDONTWRITEBYTECODE=None, SENTRY_DSN=dsn)
        assert done.stdout == "[]\n"


def test_what_reporting_without_a_dsn_imports(host):
    """Neither the SDK nor anything that opens a socket or starts a thread, before the host itself needs it."""
    host.write(
        shop__py=SHOP, monitors__yaml=GOOD,
        main__py="import shop, sys\ntry: shop.f()\nexcept ValueError: pass\nprint(' '.join(sorted(sys.modules)))\n",
    )  # fmt: skip
    loaded = set(host.run("main.py").stdout.split())
    assert len(host.events()) == 1
    assert not loaded & {
        "sentry_sdk", "yaml", "jsonschema", "ssl", "socket", "asyncio", "logging", "threading", "urllib3", "_ssl",
        "subprocess", "uuid", "datetime", "dataclasses", "inspect", "hashlib",
    }  # fmt: skip


def test_a_sitecustomize_that_runs_the_next_one_itself(host, tmp_path):
    """As other agents' do: theirs may find ours as the next one, after ours has run it, and a third one still runs."""
    chains = (
        "import os, sys\nprint('theirs')\nhere = os.path.dirname(__file__)\nkept = list(sys.path)\n"
        "sys.path[:] = [entry for entry in sys.path if entry != here]\ndel sys.modules['sitecustomize']\n"
        "import sitecustomize\nsys.path[:] = kept\n"
    )
    for name, text in (("one", chains), ("two", "print('the third')\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sitecustomize.py").write_text(text)
    host.write(shop__py=SHOP, monitors__yaml=GOOD, main__py="import shop\ntry: shop.f()\nexcept ValueError: pass\n")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    for order in ([str(ROOT), one, two], [one, str(ROOT), two]):
        before = len(host.events())
        done = host.run("main.py", PYTHONPATH=os.pathsep.join(order))
        assert (done.stdout, done.stderr) == ("theirs\nthe third\n", "")
        assert len(host.events()) == before + 1


def test_usercustomize_runs_as_ever(host, tmp_path):
    (tmp_path / "usercustomize.py").write_text("print('the user own')\n")
    host.write(monitors__yaml=GOOD)
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    code = "import site; print(site.ENABLE_USER_SITE)"
    bare = host.run("-c", code, agent=False, PYTHONPATH=str(tmp_path)).stdout
    assert host.run("-c", code, PYTHONPATH=path).stdout == bare


def test_a_host_that_refuses_to_load_beside_a_second_thread(host):
    """Neither the start nor a report without a DSN begins a thread."""
    host.write(
        shop__py=SHOP, monitors__yaml=GOOD,
        main__py="import os, shop\ntry: shop.f()\nexcept ValueError: pass\nprint(len(os.listdir('/proc/self/task')))\n",
    )  # fmt: skip
    if os.path.isdir("/proc/self/task"):
        assert host.run("main.py").stdout == "1\n"
    assert len(host.events()) == 1
