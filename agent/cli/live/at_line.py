"""`watch --line FILE:LINE`: which line that is, as far as the file can be read here."""

from __future__ import annotations

import os
import sys
from types import CodeType

from ...base.errors import ConfigError
from ...base.model import LineData
from ...live import lines


def parse(given: str) -> LineData:
    """Raises ConfigError for what is no FILE:LINE, and for a line that no function of this file holds code on."""
    file, colon, number = given.rpartition(":")
    if not colon or not file or not (number.isascii() and number.isdigit()) or not int(number):
        raise ConfigError(f"--line {given}: write FILE:LINE, such as sales/services.py:120")
    path = _path_of(file)
    line: LineData = {"file": file, "path": path, "number": int(number), "function": ""}
    code = _compiled(path) if path and lines.POSSIBLE else None
    if code is not None:
        from ...hook.targets import at_line

        holding, _ = at_line.holding([code], line["number"])
        if not holding:
            raise ConfigError(at_line.nothing_on([code], file, line["number"]))
        line["function"] = at_line.names(holding)
    return line


def _path_of(file: str) -> str:
    """Where the file is for this command. "": processes compare it with the ends of the paths that they have loaded."""
    folders = ["", *[entry for entry in sys.path if isinstance(entry, str)]]
    found = (os.path.abspath(os.path.join(folder, os.path.expanduser(file))) for folder in folders)
    return next((path for path in found if os.path.isfile(path)), "")


def _compiled(path: str) -> CodeType | None:
    """None where this Python cannot read it: the processes' may."""
    try:
        with open(path, "rb") as stream:
            return compile(stream.read(), path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return None
