"""What runs as `__main__` is monitored, however it is run, from its first call on; and is what it would have been."""

import re
import subprocess
import sys
import zipfile

import pytest
from acceptance.host import ROOT, Host, other_pythons, summary

PROGRAM = """
import csv, sys
def helper(x):
    if x > 1: raise ValueError(x)
    return x
class Job:
    def run(self, x):
        return helper(x)
def main():
    frame = sys._getframe(1)
    print(__name__, sys.gettrace(), frame.f_trace, frame.f_code.co_name)
    if sys.version_info >= (3, 12): print([sys.monitoring.get_tool(tool) for tool in range(6)])
    try: Job().run(5)
    except ValueError: print("as always")
if __name__ in ("__main__", "__mp_main__"):
    main()
"""
MONITORS = """
version: 1
modules: {m: {description: M}}
monitors:
  - {name: helper, targets: TARGETS, module: m, operation: op}
"""


def monitors(*targets):
    return MONITORS.replace("TARGETS", "[" + ", ".join(f"'{target}'" for target in targets) + "]")


@pytest.fixture
def erp(host):
    """A script, a package with a module and a __main__, and a folder that can be run."""
    for name in ("bin/close.py", "erp/jobs/close.py", "erp/__main__.py", "tool/__main__.py"):
        path = host.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROGRAM)
    for name in ("erp/__init__.py", "erp/jobs/__init__.py"):
        (host.folder / name).write_text("")
    with zipfile.ZipFile(host.folder / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", PROGRAM)
    host.write(run__py="import runpy, sys\nrunpy.run_path(sys.argv[1], run_name='__main__')\n",
               run_module__py="import runpy, sys\nrunpy.run_module(sys.argv[1], run_name='__main__')\n")  # fmt: skip
    return host


WAYS = [
    ("close.helper", ["bin/close.py"]),
    ("__main__.helper", ["bin/close.py"]),
    ("close.h*", ["bin/close.py"]),
    ("erp.jobs.close.helper", ["erp/jobs/close.py"]),
    ("erp.jobs.close.helper", ["-m", "erp.jobs.close"]),
    ("erp.jobs.*.helper", ["-m", "erp.jobs.close"]),
    ("erp.__main__.helper", ["-m", "erp"]),
    ("erp.__main__.helper", ["erp"]),
    ("__main__.helper", ["-m", "erp.jobs.close"]),
    ("__main__.helper", ["tool"]),
    ("__main__.helper", ["app.pyz"]),
    ("close.helper", ["run.py", "bin/close.py"]),
    ("erp.jobs.close.helper", ["run_module.py", "erp.jobs.close"]),
]


@pytest.mark.parametrize(
    ("target", "command"), WAYS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_every_way_to_run_a_program(erp, target, command):
    """Seen as one: the main function finds no tracer, no tool of sys.monitoring, and its caller is the module."""
    erp.write(monitors__yaml=monitors(target))
    for _ in range(2):  # with no plan yet, and with a fresh one
        assert erp.run(*command).stdout == erp.run(*command, agent=False).stdout
    assert [summary(event) for event in erp.events()] == [("error", "op", "error")] * 2
    (patched,) = {line["target"] for process in erp.status() for line in process["patched"]}
    assert patched == target.replace("h*", "helper").replace(".*.", ".close.")


@pytest.mark.parametrize(
    "python", other_pythons() or [pytest.param("", marks=pytest.mark.skip("no other Python here"))]
)
def test_in_every_version(erp, python):
    erp.write(monitors__yaml=monitors("close.helper", "erp.jobs.close.helper", "__main__.Job.run"))
    other = Host(erp.folder / "x", python)
    other.folder, other.config, other.state_base = erp.folder, erp.config, erp.state_base
    for command in (["bin/close.py"], ["-m", "erp.jobs.close"], ["app.pyz"], ["run.py", "bin/close.py"]):
        assert other.run(*command).stdout == other.run(*command, agent=False).stdout
    assert len(erp.events()) == 4


POOL = """
import multiprocessing, sys
def work(x):
    if x > 1: raise ValueError(x)
    return x
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(1) as pool:
        try: pool.map(work, [1, 2])
        except ValueError as error: print("as always", error)
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("target", ["close.work", "__main__.work"])
def test_functions_of_a_program_in_the_processes_that_it_starts(host, method, target):
    host.write(close__py=POOL, monitors__yaml=monitors(target))
    assert host.run("close.py", method).stdout == "as always 2\n"
    (event,) = host.events()
    assert event["exception"]["values"][-1]["value"] == "2"


def test_the_traceback_of_a_program_that_fails_is_its_own(erp):
    """From Python 3.11 on, as for any monitored function; the exit status always."""
    text = PROGRAM.replace("except ValueError", "except KeyError")
    (erp.folder / "bin/close.py").write_text(text)
    (erp.folder / "erp/jobs/close.py").write_text(text)
    erp.write(monitors__yaml=monitors("close.helper", "erp.jobs.close.helper"))
    for command in (["bin/close.py"], ["-m", "erp.jobs.close"], ["run.py", "bin/close.py"]):
        plain, watched = (erp.run(*command, agent=agent, check=False) for agent in (False, True))
        assert plain.returncode == watched.returncode == 1
        if sys.version_info >= (3, 11):
            assert watched.stderr == plain.stderr
    assert len(erp.events()) == 3


def test_a_program_that_cannot_be_compiled_says_so_as_always(erp):
    (erp.folder / "erp/jobs/close.py").write_text("def helper(:\n")
    erp.write(monitors__yaml=monitors("erp.jobs.close.helper"))
    plain, watched = (erp.run("-m", "erp.jobs.close", agent=agent, check=False) for agent in (False, True))
    assert (watched.returncode, watched.stdout) == (plain.returncode, plain.stdout) == (1, "")
    if sys.version_info >= (3, 11):
        assert watched.stderr == plain.stderr


def test_definitions_of_every_shape(host):
    """Each is monitored from the moment it stands in the module, whatever is defined, imported or called around it."""
    host.write(
        other__py="import sys\nTRACED = sys.gettrace()\ndef stranger(): raise ValueError('stranger')\n",
        close__py="""
import sys
def fails(call, *args):
    try: call(*args)
    except ValueError: pass
def early(): raise ValueError("early")
fails(early)
from other import TRACED, stranger
print(TRACED)
if sys.argv:
    def conditional(): raise ValueError("conditional")
else:
    def conditional(): pass
fails(conditional)
for name in "ab":
    def again(): raise ValueError("again " + name)
    fails(again)
def decorate(function):
    import functools
    @functools.wraps(function)
    def wrapper(*args): return function(*args)
    return wrapper
@decorate
def decorated(): raise ValueError("decorated")
fails(decorated)
fails(stranger)
class Job:
    @classmethod
    def make(cls): raise ValueError("make")
    class Step:
        def run(self): raise ValueError("step")
fails(Job.make)
fails(Job.Step().run)
globals()["by_hand"] = lambda: (_ for _ in ()).throw(ValueError("by hand"))
import json.tool
fails(by_hand)
""",
        monitors__yaml=monitors(
            *(f"close.{name}" for name in ("early", "conditional", "again", "decorated", "Job.make", "Job.Step.run", "by_hand")),
            "__main__.stranger",
        ),
    )  # fmt: skip
    done = host.run("close.py")
    assert (done.stdout, done.stderr) == ("None\n", "")
    values = [event["exception"]["values"][-1]["value"] for event in host.events()]
    assert sorted(values) == ["again a", "again b", "by hand", "conditional", "decorated", "early", "make", "step"]


def test_a_program_beside_a_tracer_of_somebody_elses(erp):
    """But on Python 3.12 who traces first keeps the trace function, and what is defined is found with the next import."""
    (erp.folder / "other").mkdir()
    (erp.folder / "other" / "sitecustomize.py").write_text(
        "import sys\ndef trace(frame, event, arg): return trace\nsys.settrace(trace)\n"
    )
    erp.write(monitors__yaml=monitors("close.helper"))
    (erp.folder / "late").mkdir()
    (erp.folder / "late" / "close.py").write_text(PROGRAM.replace("def main", "import json.tool\ndef main"))
    path = f"{ROOT}:{erp.folder / 'other'}"
    for command in (["late/close.py"], ["bin/close.py"]):
        assert "<function trace" in erp.run(*command, PYTHONPATH=path).stdout
    assert len(erp.events()) == (2 if sys.version_info[:2] == (3, 12) else 1)


def test_programs_that_no_monitor_names_pay_nothing(erp):
    code = "import sys\nprint(sorted(name for name in sys.modules if name.startswith('_erp_agent')))\n"
    for name in ("bin/other.py", "erp/jobs/other.py", "bin/close"):
        (erp.folder / name).write_text(code)
    erp.write(monitors__yaml=monitors("close.helper", "erp.jobs.close.helper"))
    erp.run("-c", "pass")
    parts = ("base", "base.places", "boot", "boot.start")
    least = ["_erp_agent", *("_erp_agent." + part for part in parts)]
    for name in ("bin/other.py", "bin/close"):
        assert erp.run(name).stdout == f"{least}\n"
    # It lies in a package that monitors name: the index has to be asked.
    assert erp.run("erp/jobs/other.py").stdout == f"{sorted([*least, '_erp_agent.plan', '_erp_agent.plan.file'])}\n"


def test_a_debugger_as_the_program(erp):
    """It runs the script itself, as code of its own; the script is what it would have been."""
    erp.write(monitors__yaml=monitors("close.helper", "__main__.helper"))
    script = [sys.executable, "-m", "pdb", "-c", "b 4", "-c", "c", "-c", "c", "-c", "q", "bin/close.py"]

    def run(agent):
        done = subprocess.run(
            script, cwd=erp.folder, env=erp.environment(agent), capture_output=True, text=True, timeout=60
        )
        return done.returncode, re.sub("0x[0-9a-f]+", "0x", done.stdout), done.stderr

    assert run(True) == run(False)
