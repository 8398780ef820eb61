"""What was found: monitors, settings, and what could not be carried over."""

from __future__ import annotations

from typing import Any, NamedTuple


class Carried(NamedTuple):
    """A monitor, as it will be written."""

    target: str
    keys: dict[str, Any]  # of monitors.yaml, without the target
    file: str
    line: int
    written: tuple[str, ...]  # the decorators that it replaces
    defined: int = 0  # the line of the function; 0: not known


class Left(NamedTuple):
    """Something that monitors.yaml cannot contain."""

    file: str
    line: int
    what: str
    why: str
    instead: str


class Remark(NamedTuple):
    """The same, before its place is known."""

    what: str
    why: str
    instead: str


class NotCarried(Exception):
    """A tool knows this decorator, and monitors.yaml has nothing like it."""

    def __init__(self, why: str, instead: str) -> None:
        super().__init__(why)
        self.why = why
        self.instead = instead


class Found:
    def __init__(self) -> None:
        self.monitors: dict[str, Carried] = {}  # by target, dotted throughout
        self.left: list[Left] = []
        self.sentry: dict[str, Any] = {}
        self.sentry_place = ""  # the file and line that `sentry` comes from
        self.removable: dict[
            str, list[tuple[int, int]]
        ] = {}  # file → first and last lines of decorators carried in full
        self.files = 0

    def leave(self, file: str, line: int, remark: Remark) -> None:
        self.left.append(Left(file, line, *remark))

    def add(self, one: Carried) -> bool:
        """Combine it with what is known of its target. False: an earlier one differs, and stays."""
        path = one.target.replace(":", ".")
        known = self.monitors.get(path)
        if known is None:
            self.monitors[path] = one
            return True
        again = bool(known.defined and one.defined) and (known.file, known.defined) != (one.file, one.defined)
        if (again and known.keys != one.keys) or not _agree(known.keys, one.keys):
            why = f"`{one.target}` has other settings from {known.file}:{known.line}"
            instead = "a function has one monitor: complete that one by hand"
            self.leave(one.file, one.line, Remark(one.written[0], why, instead))
            return False
        self.monitors[path] = known._replace(
            keys={**one.keys, **known.keys}, written=tuple(dict.fromkeys((*known.written, *one.written)))
        )
        return True


def _agree(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether one monitor can do both. A plain function agrees with every kind; the first operation counts."""
    return all(first.get(key, value) == value for key, value in second.items() if key not in ("operation", "name"))
