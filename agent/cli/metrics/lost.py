"""Lost events over all processes, in a sum that does not fall when the state files of ended processes are removed.

What was seen of each file is kept in `lost.json` in the state folder: a file that is gone keeps its part of the sum.
"""

from __future__ import annotations

import json
import os
from collections import Counter

from ...base import own_folders
from ...deliver.spool import files
from ..state.processes import LOSSES, Process

_FILE = "lost.json"


class Lost:
    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, _FILE)
        self._known: tuple[dict[str, int], dict[str, dict[str, int]]] = ({}, {})

    def totals(self, found: list[Process]) -> dict[str, int]:
        """Lost events by reason: all reasons, also those that did not occur."""
        before = self._load()
        gone, seen = Counter(before[0]), before[1]
        now = {f"{process.pid}-{process.started!r}": process.lost() for process in found}
        for name, lost in seen.items():
            if name not in now:
                gone.update(lost)
        after = (dict(gone), {name: lost for name, lost in now.items() if lost})
        if after != before:
            self._known = after
            try:
                own_folders.replace(self._path, json.dumps(after).encode("ascii"))
            except OSError:
                pass  # remembered by this process all the same
        return {reason: gone[reason] + sum(lost.get(reason, 0) for lost in now.values()) for reason in LOSSES}

    def _load(self) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        try:
            gone, seen = json.loads(files.read_own(self._path) or b"")
            return {str(reason): int(number) for reason, number in gone.items()}, {
                str(name): {str(reason): int(number) for reason, number in lost.items()} for name, lost in seen.items()
            }
        except (OSError, ValueError, TypeError, AttributeError, files.UnreadableError):
            return self._known
