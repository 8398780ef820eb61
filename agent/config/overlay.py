"""What people changed for a time beside monitors.yaml: monitors that are off, and monitors that were put in.

One file of the state folder, which the compiler reads with the configuration. So it counts as soon as a running process
follows a change, for each process that starts meanwhile, and until its time is over, whoever is there then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..base import own_folders
from ..base.wildcards import segment_match

_LARGEST = 1 << 20  # bytes


class Off(NamedTuple):
    """Monitors that are switched off: those whose names match."""

    pattern: str
    since: float  # seconds since the epoch, as all times here
    until: float | None  # None: until somebody switches them on
    by: str  # the user


class Put(NamedTuple):
    """A monitor that was put in."""

    name: str
    monitor: dict[str, Any]  # as monitors.yaml would have it; or with a `line` (LineData) in place of a target
    since: float
    until: float
    by: str

    @property
    def target(self) -> str:
        """What it looks at: a dotted path, or FILE:LINE."""
        line = self.monitor.get("line")
        if line:
            return "{file}:{number}".format(**line)
        targets = self.monitor.get("targets") or [self.monitor.get("target")]
        return ", ".join(map(str, targets[:3])) + (f" and {len(targets) - 3} more" if len(targets) > 3 else "")


class Overlay(NamedTuple):
    off: tuple[Off, ...] = ()
    put: tuple[Put, ...] = ()

    def at(self, now: float) -> Overlay:
        """What is left of it."""
        off = tuple([each for each in self.off if each.until is None or each.until > now])
        return Overlay(off, tuple([each for each in self.put if each.until > now]))

    def expires(self) -> float:
        """When the next part of it is over; 0.0 for never."""
        times = [each.until for each in self.off] + [each.until for each in self.put]
        return min([each for each in times if each is not None], default=0.0)

    def switches_off(self, name: str) -> Off | None:
        return next((each for each in self.off if segment_match(each.pattern, name)), None)


def path_in(state: str) -> str:
    return os.path.join(state, "live.json")


def read(state: str, now: float) -> Overlay:
    """What counts at `now`. Raises OSError and ValueError where the file cannot be read, which is then nobody's."""
    file = path_in(state)
    try:
        own_folders.check_own(state)
        with open(file, "rb") as stream:
            data = stream.read(_LARGEST)
    except FileNotFoundError:
        return Overlay()
    found = json.loads(data)
    off = [Off(**each) for each in found.get("off", ())]
    return Overlay(tuple(off), tuple([Put(**each) for each in found.get("put", ())])).at(now)


def write(state: str, overlay: Overlay) -> None:
    """Raises OSError. Without anything in it, there is no file."""
    own_folders.make(state)
    if not overlay.off and not overlay.put:
        try:
            os.unlink(path_in(state))
        except FileNotFoundError:
            pass
        return
    text = {"off": _plain(overlay.off), "put": _plain(overlay.put)}
    own_folders.replace(path_in(state), json.dumps(text, indent=1).encode())


def _plain(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [each._asdict() for each in items]
