"""Reads files of counts as `agent/measure/layout.py` describes them, by itself."""

import json
import struct
import sys
from pathlib import Path

from agent.measure import layout
from agent.measure.counts import Counts


def read(file):
    """(facts of the process, {(monitor, operation): Counts}) of one file."""
    data = Path(file).read_bytes()
    assert data.startswith(layout.MAGIC)
    version, used = struct.unpack_from("=2q", data, layout.VERSION_AT)
    assert version == layout.VERSION
    facts = json.loads(data[layout.FACTS_AT : layout.PAGE].rstrip(b"\0"))
    lines = Path(file).with_suffix(".names").read_text().splitlines()
    assert len(lines) >= used
    found = {}
    for number, line in zip(range(used), lines):
        monitor, operation, _, _ = json.loads(line)
        row = data[layout.PAGE + number * layout.ROW :][: layout.ROW]
        integers = [int.from_bytes(row[at : at + 8], sys.byteorder, signed=True) for at in range(0, 768, 8)]
        counts = Counts(tuple(integers), row[768:])
        found[monitor, operation] = found.get((monitor, operation), Counts()) + counts
    return facts, found


def processes(state):
    """The same of each process, by the time at which it began to count."""
    files = sorted(Path(state, "counts").glob("*.counts"), key=lambda file: file.stem.rpartition("-")[2])
    return [read(file) for file in files]


def by_monitor(state):
    """Monitor → Counts, over all processes."""
    summed = {}
    for _, found in processes(state):
        for (monitor, _), counts in found.items():
            summed[monitor] = summed.get(monitor, Counts()) + counts
    return summed
