"""What a live monitor has seen: read from the files of the processes, printed as it comes, and summed up."""

from __future__ import annotations

import json
import os
from typing import Any

from ...base.errors import AgentError
from ...deliver.history.facts import section, what
from ...measure import layout
from ..terminal import moment, one_line, out
from .passes import Passes

_WIDTH = 40  # characters of the longest bar
_WORDS = {"slow": "slow", "rule": "held", "audit": "ok", "error": "failed"}
_NAMES = 16  # characters of the longest name of a variable that others are aligned with


class Seen:
    def __init__(self, folder: str, *, as_json: bool) -> None:
        self.lines = 0
        self.passes = Passes()
        self._folder = folder
        self._as_json = as_json
        self._buckets = [0] * layout.BUCKETS
        self._read: dict[str, int] = {}  # file → bytes that were read
        self._events: list[dict[str, Any]] = []  # that were read and not printed yet

    def read(self) -> None:
        """Read what processes have written since the last time."""
        for each in [each for file in self._files() for each in self._new(file)]:
            if "note" in each:
                self.passes.take(each["pid"], each["note"])
            else:
                self._events.append(each)

    def show_new(self, limit: int) -> None:
        """Print what has been seen since the last time, oldest first."""
        self.read()
        for text in self.passes.texts():
            if not self._as_json:
                out(text)
        events, self._events = self._events, []
        for event in sorted(events, key=lambda each: each.get("timestamp") or 0):
            if self.lines >= limit:
                return
            self.lines += 1
            erp = section(event, "contexts", "erp")
            duration = erp.get("duration_ms")
            if duration is not None:
                bucket = int((duration / 1000) ** 2 * layout.SCALE).bit_length()
                self._buckets[min(bucket, layout.BUCKETS - 1)] += 1
            if "seen" in erp:
                self.passes.count(section(event, "contexts", "process").get("pid", 0), erp["seen"], erp["looked"])
            out(json.dumps(event) if self._as_json else line(event))

    def _files(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if name.endswith(".jsonl"))
        except OSError:
            raise AgentError("the monitor was taken out by another command") from None

    def _new(self, name: str) -> list[dict[str, Any]]:
        at = self._read.get(name, 0)
        with open(os.path.join(self._folder, name), "rb") as stream:
            stream.seek(at)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read[name] = at + len(whole)
        return [json.loads(each) for each in whole.splitlines()]

    def summarize(self) -> None:
        """Print how long the calls took that were shown."""
        if not self._as_json:
            for text in histogram(self._buckets):
                out(text)


def line(event: dict[str, Any]) -> str:
    """12:43:01 pid 411  12.3 ms  ok      customer=C-17; of a line of code, its variables one below the other."""
    erp = section(event, "contexts", "erp")
    tags = section(event, "tags")
    duration = erp.get("duration_ms")
    captured = section(event, "contexts", "erp", "captured")
    failed = section(event, "contexts", "erp", "capture_failed")
    report = str(tags.get("erp.report"))
    when, pid = moment(event.get("timestamp"), "%H:%M:%S"), section(event, "contexts", "process").get("pid", "?")
    if report == "line":
        width = min(max(map(len, captured), default=0), _NAMES)
        variables = [f"    {name:<{width}}  {one_line(value)}" for name, value in captured.items()]
        variables += [f"    {name:<{width}}  ({one_line(why)})" for name, why in failed.items()]
        return "\n".join([f"{when}  pid {pid}  {one_line(erp.get('operation'))}", *variables])
    words = [f"{name}={one_line(value)}" for name, value in captured.items()]
    words += [f"{name}: {one_line(why)}" for name, why in failed.items()]
    if report in ("error", "rule"):
        words.append(one_line(what(event)))
    return "{}  pid {:<7} {:>9}  {:<6}  {}".format(
        when, pid, took(duration / 1000) if duration is not None else "-", _WORDS.get(report, report), "  ".join(words)
    )


def histogram(buckets: list[int]) -> list[str]:
    """A bar for each bucket from the first to the last that has calls."""
    used = [index for index, number in enumerate(buckets) if number]
    if not used:
        return []
    most = max(buckets)
    return [
        "{:>11} {:<{}} {}".format(
            "≤ " + took(layout.bound(index)), "█" * -(-buckets[index] * _WIDTH // most), _WIDTH, buckets[index]
        )
        for index in range(used[0], used[-1] + 1)
    ]


def took(seconds: float) -> str:
    """Three digits: 12.3 ms."""
    size, unit = next((each for each in ((1.0, "s"), (1e-3, "ms")) if seconds >= each[0]), (1e-6, "µs"))
    return f"{seconds / size:.3g} {unit}"
