"""A program that a monitor names, and a debugger that begins among its definitions: it sees what it sees without us."""

import subprocess

import pytest

MONITORS = (
    "version: 1\nmodules: {m: {description: M}}\nmonitors:\n"
    "  - {target: main.first, module: m, operation: a}\n  - {target: __main__.second, module: m, operation: b}\n"
)
FIRST = "import sys\ndef first(n):\n    return n + 1\n"
REST = "\nx = first(1)\ndef second():\n    y = x\n    return y\nsecond()\nprint(x, sys.gettrace() is None)\nsys.settrace(None)\n"
BDB = """
import bdb
class Watcher(bdb.Bdb):
    def user_line(self, frame):
        if frame.f_code.co_filename == __file__:
            print(frame.f_code.co_name, frame.f_lineno)
        self.set_step()
watcher = Watcher()
watcher.set_trace()
"""
DEBUGGERS = {
    "pdb": "import pdb\npdb.set_trace()",
    "breakpoint": "breakpoint()",
    "bdb": BDB,
    "two stops": "breakpoint()\nz = 1\nbreakpoint()",
}


@pytest.mark.parametrize("debugger", DEBUGGERS)
def test_it_stops_where_it_stops_without_the_agent(host, debugger):
    host.write(main__py=FIRST + DEBUGGERS[debugger] + REST, monitors__yaml=MONITORS, warm__py="")
    host.run("warm.py")  # the plan is there

    def said(agent):
        done = subprocess.run([host.python, "main.py"], cwd=host.folder, env=host.environment(agent), capture_output=True,
                              input="w\nn\nn\np x\ns\nw\nc\nc\n", text=True, timeout=60)  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    assert said(agent=True) == said(agent=False)
