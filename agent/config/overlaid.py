"""What is changed for a time beside the file (`overlay`), as the compiler applies it to the monitors."""

from __future__ import annotations

import json

from ..base.model import MonitorData
from .build.merge import Settings, monitors_of
from .build.monitor import build
from .build.monitor_names import name_all
from .findings import Findings
from .overlay import Overlay
from .read.sources import make_document
from .read.tree import parse
from .schema import check

#: How problems of a monitor that was put in name its file.
FILE = "(put in)"

#: In place of the target of a monitor that looks at a line, until its expressions are built.
_AT_A_LINE = "watched.line"


class Overlaid:
    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self.expires = overlay.expires()

    def applied(self, monitors: list[MonitorData], settings: Settings, findings: Findings) -> list[MonitorData]:
        """The monitors of the file that are on, and those that were put in and are right."""
        found = [monitor for monitor in monitors if self._overlay.switches_off(monitor["name"]) is None]
        lines = {each.name: each.monitor["line"] for each in self._overlay.put if "line" in each.monitor}
        put = [{**each.monitor, "name": each.name} for each in self._overlay.put]
        for given in put:
            if given.pop("line", None) is not None:
                given["target"] = _AT_A_LINE
        if not put:
            return found
        text = json.dumps({"version": 1, "monitors": put})
        root, _ = parse(text)
        document, _ = make_document(FILE, FILE, text, root, {}, {})
        check(document, findings)
        added = [build(written, settings, findings) for written in monitors_of([document], pack=False)]
        right = [monitor for monitor in added if monitor is not None]
        name_all(right)
        for monitor in right:
            monitor["live"] = True
            if monitor["name"] in lines:
                monitor["line"], monitor["targets"] = lines[monitor["name"]], []
                monitor["metrics"] = False  # no calls are counted
        return [*found, *right]
