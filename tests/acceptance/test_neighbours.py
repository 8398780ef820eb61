"""A guest: the sitecustomize that is shadowed runs, the host's own packages stay its own, old interpreters start."""

import os
import subprocess
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
    found += [name for name in ("/usr/bin/python2.7", "/usr/bin/pypy3") if os.path.exists(name)]
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
    assert under - bare == {
        "sitecustomize",
        "_erp_agent",
        "_erp_agent.start",
    }


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
