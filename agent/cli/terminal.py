"""All that the commands print goes through here. The only file that imports rich.

On a terminal: colour and tables that fit. Through a pipe, or with NO_COLOR: no escape codes, and one line stays one
line, however long, so that `grep` and `awk` see what a person sees.

What customers typed, and what a Sentry or a proxy replied, is in what the commands show: control characters in it would
be obeyed by the terminal of whoever is on call. They are printed as escapes; in JSON as JSON spells them.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from ..base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.progress import Progress
    from rich.segment import Segment
    from rich.table import Table
    from rich.text import Text
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

R = TypeVar("R")

_ENDLESS = 100_000

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan", "fatal": "bold red", "info": "cyan"}


#: C0 but for line feed and tab, DEL, C1, what turns the direction of text or ends a line, invisible tags, and halves of
#: surrogate pairs, which no encoding can write.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """The text with control characters as escapes."""
    return _CONTROLS.sub(_escape, text)


def one_line(text: object) -> str:
    """The text, cleaned, on one line: for what must not look like a line of our own."""
    return clean(str(text)).replace("\n", "\\n").replace("\t", " ")


def _escape(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def json_text(value: object, indent: int | None = None) -> str:
    """JSON that reads back as `value` and holds no control character."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    ascii_only = not encoding.lower().replace("-", "").startswith("utf")
    return _CONTROLS.sub(_json_escape, json.dumps(value, indent=indent, ensure_ascii=ascii_only))


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found.group())[1:-1]


def out(text: str = "", end: str = "\n") -> None:
    """Print a text on stdout."""
    _stream(sys.stdout).write(clean(text) + end)


def err(text: object) -> None:
    """Print a line on stderr."""
    _stream(sys.stderr).write(clean(str(text)) + "\n")


def _stream(stream: Any) -> Any:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # a terminal that cannot spell a character still gets the rest
    return stream


def _with_rich(function: Callable[P, R]) -> Callable[P, R]:
    """What a function that imports rich becomes: it raises ConfigError without rich."""

    @wraps(function)
    def needing(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return function(*arguments, **options)
        except ImportError as error:
            raise ConfigError(
                f"this command needs rich, which this Python cannot import ({one_line(error)}): "
                "python -m pip install rich"
            ) from None

    return needing


@lru_cache(maxsize=1)
def console_class() -> type[Console]:
    from rich.console import Console

    class Cleaned(Console):
        def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
            for segment in super().render(*arguments, **options):
                yield segment if segment.control else segment._replace(text=clean(segment.text))

    return Cleaned


@_with_rich
def console(*, stderr: bool = False) -> Console:
    """Made anew for each command, since tests and pipes replace the streams. Raises ConfigError without rich."""
    stream = _stream(sys.stderr if stderr else sys.stdout)
    terminal = _is_terminal(stream)
    return console_class()(
        file=stream,
        color_system="auto" if terminal and not os.environ.get("NO_COLOR") else None,
        force_terminal=terminal,
        width=None if terminal else _ENDLESS,
        soft_wrap=True,
        markup=False,
        highlight=False,
        emoji=False,
    )


@_with_rich
def table(*columns: str, right: tuple[str, ...] = (), folding: str = "") -> Table:
    """An empty table; the columns named in `right` are aligned there.

    On a narrow terminal the column named `folding` gives way, the others stay whole: its cells are broken into lines,
    or cut short where they are made by `cut`. Through a pipe nothing gives way.
    """
    from rich import box
    from rich.table import Table

    terminal = is_terminal()
    made = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for column in columns:
        whole = not terminal or (bool(folding) and column != folding)
        made.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=whole)
    return made


def show_table(made: Table) -> None:
    """Print a table; through a pipe without the spaces that would fill its last column."""
    target = console()
    if is_terminal():
        target.print(made, soft_wrap=False)
        return
    with target.capture() as capture:
        target.print(made, soft_wrap=False)
    out("\n".join(line.rstrip() for line in capture.get().split("\n")[:-1]))


@_with_rich
def progress_bar(what: str) -> Progress:
    """A bar with its numbers and the time that is left; it vanishes when it is stopped."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console(), transient=True)


@_with_rich
def styled(*parts: str | tuple[str, str]) -> Text:
    """A line of plain texts and (text, style) pairs; nothing in them is read as markup."""
    from rich.text import Text

    cleaned = [clean(part) if isinstance(part, str) else (clean(part[0]), part[1]) for part in parts]
    return Text.assemble(*cleaned)


@_with_rich
def cut(text: str) -> Text:
    """A cell that is cut short rather than broken into lines."""
    from rich.text import Text

    return Text(one_line(text), no_wrap=True, overflow="ellipsis")


@_with_rich
def progress(what: str) -> Progress:
    """A started progress bar on stderr with one task; it leaves no trace. Stop it."""
    from rich.progress import Progress

    bar = Progress(console=console(stderr=True), transient=True)
    bar.add_task(what)
    bar.start()
    return bar


@_with_rich
def width_of(text: str) -> int:
    """How many columns a text takes on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def fail(error: object) -> int:
    """Print on stderr why a command could not run; returns its exit status, 2."""
    err(error)
    return 2


def moment(stamp: object, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Seconds since the epoch as local time; what a file holds in their place may be anything."""
    try:
        return time.strftime(form, time.localtime(float(stamp)))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return one_line(stamp or "-")[:20]


def shown_path(path: str) -> str:
    """Relative to the current directory where the file lies in it."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if relative.startswith(os.pardir) else relative


def is_terminal() -> bool:
    """Whether a person reads stdout, rather than a pipe."""
    return _is_terminal(sys.stdout)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False
