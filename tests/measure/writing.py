"""Writes files of counts as processes do, at any time and for any process: see agent/measure/layout.py."""

import json
import os
import struct
from array import array
from hashlib import sha256
from pathlib import Path

from agent.base import own_folders, programs
from agent.measure import layout

#: No process has this one: Linux counts to 4,194,304.
ENDED = 4_194_400


class Process:
    """`pid` is one that runs, or ENDED and above."""

    def __init__(self, state, *, pid=None, started=1_700_000_000.0, **facts):
        self.state = str(state)
        pid = os.getpid() if pid is None else pid
        self.facts = {"pid": pid, "born": programs.born(pid), "started": started, **facts}
        self.name = f"{pid}-{int(started * 1000)}"
        self.lines = []
        self.rows = []

    def row(self, monitor, operation="", module="sales", kind="function"):
        """The numbers of one operation, as an array of 64-bit integers; made if need be."""
        line = [monitor, operation or monitor, module, kind]
        if line not in self.lines:
            self.lines.append(line)
            self.rows.append(array("Q", bytes(layout.ROW)))
        return self.rows[self.lines.index(line)]

    def count(self, monitor, duration=None, number=1, *, failed="", at=0.0, user=None, **more):
        """So many calls of this duration in seconds. `failed`: a severity."""
        row = self.row(monitor, **more)
        if duration is None:
            row[layout.UNTIMED] += number
        else:
            row[min(int(duration * duration * layout.SCALE).bit_length(), layout.BUCKETS - 1)] += number
            row[layout.TOTAL] += int(duration * 1e9) * number
            row[layout.LONGEST] = max(row[layout.LONGEST], int(duration * 1e9))
        if failed:
            row[layout.FAILURES + layout.SEVERITIES.index(failed)] += number
            row[layout.LAST_FAILURE] = max(row[layout.LAST_FAILURE], int(at * 1000))
            if user is not None:
                affect(row, user)

    def write(self):
        folder = os.path.join(self.state, "counts")
        own_folders.make(folder)
        head = layout.MAGIC + struct.pack("=2Q", layout.VERSION, len(self.rows)) + json.dumps(self.facts).encode()
        names = "".join([json.dumps(line) + "\n" for line in self.lines]).encode()
        Path(folder, self.name + ".names").write_bytes(names)
        data = head.ljust(layout.PAGE, b"\0") + b"".join([row.tobytes() for row in self.rows])
        Path(folder, self.name + ".counts").write_bytes(data)

    def written(self, at):
        """The file was changed last then."""
        os.utime(os.path.join(self.state, "counts", self.name + ".counts"), (at, at))


def affect(row, user):
    """Add a user to those that failures have affected."""
    number = int.from_bytes(sha256(str(user).encode()).digest()[:8], "little")
    registers = memoryview(row).cast("B")[layout.INTEGERS * 8 :]
    registers[number & 255] = max(registers[number & 255], 57 - (number >> 8).bit_length())
