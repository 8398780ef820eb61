"""What only CPython 3.9 and 3.10 need is in one folder, but for these places: all to be edited when they go."""

import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[3] / "agent"
MENTION = re.compile(r"until_310|version_info *(?:<|>=) *\(3, *1[01]\)")

PLACES = {
    "base/health.py": "one step, for counters",
    "plan/in_force.py": "which versions AGENT_PYTHON may have",
    "measure/tally.py": "one step, for the numbers of calls",
    "boot/lookout.py": "how the end of imports is noticed",
    "integrations/logged.py": "watches no logger where a frame of ours would be counted by `stacklevel`",
    "hook/code/inject.py": "calls until_310.blocks",
    "hook/code/operations.py": "takes the opcodes from until_310.operations",
    "hook/code/patch.py": "calls until_310.replace_code; names of code objects",
    "hook/code/trampoline.py": "calls until_310.lines; names of code objects; frames in tracebacks",
    "live/lines.py": "refuses to put code at a line",
    "observe/call/repeats.py": "3.9 alone: a mark in a frame that carries nothing",
    "observe/failure/bursts.py": "one step, for what a limit drops: none where others come between",
}


def test_the_places_that_mention_the_two_interpreters_are_known():
    folder = PACKAGE / "hook" / "until_310"
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if folder not in path.parents and MENTION.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(PLACES)
