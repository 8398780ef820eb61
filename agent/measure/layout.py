"""The file in which a process counts: a page with facts of the process, then one row of numbers for each operation.

Whoever reads such a file may run while the process counts, and after it was killed, so each number is written in one
step and only grows. Rows are 1,024 bytes: 96 integers of 64 bits in the byte order of the machine, then registers of
one byte each, from which the number of distinct users is estimated.

A duration is counted in a bucket whose bounds grow by the square root of two: bucket `i` contains durations of less
than 2 ** ((i - 40) / 2) seconds that the bucket below does not. These are the bounds of Prometheus' native histograms
of schema 1. A quantile is therefore known to within a fifth, whatever the duration, and sums over processes, minutes
and hosts lose nothing.
"""

from __future__ import annotations

#: Where the files are in the state folder; a process's are called PID-STARTED (milliseconds), with these suffixes.
FOLDER = "counts"
COUNTS, NAMES = ".counts", ".names"

MAGIC = b"erp-agent counts"
VERSION = 1
PAGE = 4096  # bytes of the header: MAGIC, VERSION, the number of rows in use, and JSON that ends with a NUL
VERSION_AT, USED_AT = 16, 24  # where VERSION and the number of rows stand, 64 bits each
FACTS_AT = 32

ROW = 1024  # bytes
INTEGERS = 96
REGISTERS = 256

#: The index of the bucket of a duration is the bit length of its square in units of 2**-40 s², at most BUCKETS - 1.
BUCKETS = 64
SCALE = 2.0**40
FINEST = -40  # bucket i ends at 2 ** ((i + FINEST) / 2) seconds

#: Indexes of the other integers.
UNTIMED = 64  # calls whose duration is unknown
FAILURES = 65  # five, in the order of SEVERITIES
EXPECTED = 70
SLOW = 71  # calls beyond the lowest threshold
RULES = 72  # rules that held
HELD_RATE, HELD_SAMPLE, HELD_OTHER = 73, 74, 75  # what was worth a report that limits held back
REPORTED = 76  # events made
LONGEST = 77  # nanoseconds
TOTAL = 78  # nanoseconds, of all calls that have a duration
LAST_FAILURE = 79  # milliseconds since the epoch
UNCOUNTED = 80  # milliseconds, of all processes together, in which only failures were counted, or not even those

SEVERITIES = ("debug", "info", "warning", "error", "fatal")

#: Integers of which the greatest counts, where rows are added. All others are sums.
GREATEST = (LONGEST, LAST_FAILURE)


def bound(bucket: float) -> float:
    """Return where a bucket ends, in seconds; the last one has no end."""
    return 2.0 ** ((bucket + FINEST) / 2)  # type: ignore[no-any-return]
