"""Everything that the commands print. The only file that imports rich.

On a terminal: colours, and tables that fit. Through a pipe, or with NO_COLOR: no escape codes, and one line stays one
line, however long, so that `grep` and `awk` find what a person reads.

The output contains what customers typed and what Sentry or a proxy replied. A terminal would obey the control
characters in it, so they are printed as escapes, and in JSON as JSON spells them.
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
    from rich.progress import Progress as Bar
    from rich.segment import Segment
    from rich.table import Table
    from rich.text import Text
    from typing_extensions import ParamSpec, Self

    P = ParamSpec("P")

R = TypeVar("R")

_ENDLESS = 100_000
_WORTH_A_BAR = 1.0  # seconds

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan", "fatal": "bold red", "info": "cyan"}


#: C0 but for line feed and tab, DEL, C1, what turns the direction of text or ends a line, invisible tags, and halves of
#: surrogate pairs, which no encoding can write.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """The text with control characters as escapes."""
    return text if _is_clean(text) else _CONTROLS.sub(_escape, text)


def _is_clean(text: str) -> bool:
    """None of them is printable, and of a long text that is known much sooner."""
    return text.replace("\n", "").isprintable()


def one_line(text: object) -> str:
    """The text, cleaned, on one line: it cannot look like a line of the command's own."""
    return clean(str(text)).replace("\n", "\\n").replace("\t", " ")


def _escape(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def json_text(value: object, indent: int | None = None) -> str:
    """JSON that reads back as `value` and holds no control character."""
    text = json.dumps(value, indent=indent, ensure_ascii=not prints_unicode())
    return text if _is_clean(text) else _CONTROLS.sub(_json_escape, text)


def json_as_sent(data: bytes) -> str:
    """JSON as it is, with control characters as JSON's own escapes: it reads back as the same value."""
    if not prints_unicode():
        return json_text(json.loads(data))
    return _CONTROLS.sub(_json_escape, data.decode("utf-8", "replace"))


def prints_unicode() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").startswith("utf")


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found.group())[1:-1]


def out(text: str = "", end: str = "\n") -> None:
    """Print a text on stdout."""
    _stream(sys.stdout).write(clean(text) + end)


def out_bytes(data: bytes) -> None:
    """Write what a program reads on stdout as it is; on a terminal as text."""
    if is_terminal():
        out(data.decode("utf-8", "replace"), end="")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def err(text: object) -> None:
    """Print a line on stderr."""
    _stream(sys.stderr).write(clean(str(text)) + "\n")


def _stream(stream: Any) -> Any:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # a terminal that lacks a character still gets the others
    return stream


def _with_rich(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function that imports rich raise ConfigError where rich is missing."""

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
    """A console on the stream that is in place now. Raises ConfigError without rich."""
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
def table(*columns: str, right: tuple[str, ...] = (), folding: str = "", dense: bool = False) -> Table:
    """An empty table. `right` names the columns that are aligned right; a `dense` one has no lines.

    On a narrow terminal only the column named `folding` is narrowed: its cells are broken into lines, or cut short if
    they were made by `cut`. Through a pipe no column is.
    """
    from rich import box
    from rich.table import Table

    terminal = is_terminal()
    made = Table(
        box=box.SIMPLE_HEAD if terminal and not dense else None,
        pad_edge=False,
        header_style="bold",
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        whole = not terminal or (bool(folding) and column != folding)
        made.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=whole)
    return made


def show_table(made: Table) -> None:
    """Print a table; through a pipe without trailing spaces."""
    target = console()
    if is_terminal():
        target.print(made, soft_wrap=False)
        return
    with target.capture() as capture:
        target.print(made, soft_wrap=False)
    out("\n".join(line.rstrip() for line in capture.get().split("\n")[:-1]))


@_with_rich
def facts(rows: Iterable[tuple[str, Text]], width: int = 14) -> Table:
    """A line for each label and what is known; on a terminal, long ones are broken into lines beside the label."""
    from rich.table import Table

    made = Table.grid(padding=(0, 1, 0, 0))
    terminal = is_terminal()
    made.add_column(width=width, no_wrap=True)
    made.add_column(overflow="fold", no_wrap=not terminal)
    for label, text in rows:
        made.add_row(styled((label, "dim")), text)
    return made


def lines_of(parts: Iterable[Text | Table]) -> list[str]:
    """What these look like, line by line, with the codes of the terminal; through a pipe without trailing spaces."""
    target = console()
    terminal = is_terminal()
    with target.capture() as capture:
        for part in parts:
            # Rich joins a text to others first, and forgets that it is cut.
            is_cut = bool(getattr(part, "no_wrap", False)) or None
            target.print(part, soft_wrap=False, no_wrap=is_cut, overflow="ellipsis" if is_cut else None)
    lines = capture.get().split("\n")[:-1]
    return lines if terminal else [line.rstrip() for line in lines]


def put(text: str) -> None:
    """Write what `lines_of` returned, or codes of the terminal."""
    stream = _stream(sys.stdout)
    stream.write(text)
    stream.flush()


class Progress:
    """A bar on stderr with its numbers and the time that is left, for what takes longer than a second."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, total: int) -> None:
        if self._bar is None:
            if not _is_terminal(sys.stderr) or time.monotonic() - self._began < _WORTH_A_BAR:
                return
            self._bar = _started_bar(self._what)
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)


@_with_rich
def _started_bar(what: str) -> Bar:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console(stderr=True), transient=True)
    bar.add_task(what)
    bar.start()
    return bar


@_with_rich
def styled(*parts: str | tuple[str, str]) -> Text:
    """A line made of plain texts and (text, style) pairs, without markup."""
    from rich.text import Text

    cleaned = [clean(part) if isinstance(part, str) else (clean(part[0]), part[1]) for part in parts]
    return Text.assemble(*cleaned)


@_with_rich
def cut(text: str) -> Text:
    """A cell that is cut short rather than broken into lines."""
    from rich.text import Text

    return Text(one_line(text), no_wrap=True, overflow="ellipsis")


@_with_rich
def width_of(text: str) -> int:
    """The number of columns that a text takes on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def write_new(path: str, text: str, *, replace: bool = False) -> None:
    """Write a file for a person. Raises ConfigError where it cannot be written, or exists and is not to be replaced."""
    try:
        with open(path, "w" if replace else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} exists already and was not changed: name another file with --output") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def counted(number: int, noun: str, plural: str = "") -> str:
    """1 event, 2 events"""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def size_text(number: float) -> str:
    """12 bytes, 3.4 KB, 1.0 GB"""
    size, unit = next((each for each in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")) if number >= each[0]), (1, ""))
    return f"{number / size:.1f} {unit}" if unit else f"{number:.0f} bytes"


def moment(stamp: object, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Seconds since the epoch as local time. A damaged file may hold anything in their place."""
    try:
        return time.strftime(form, time.localtime(float(stamp)))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return one_line(stamp or "-")[:20]


def shown_path(path: str) -> str:
    """The path, relative to the current folder if it is inside it."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if relative.startswith(os.pardir) else relative


def is_terminal() -> bool:
    """Is stdout a terminal?"""
    return _is_terminal(sys.stdout)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def has_cursor() -> bool:
    """Is stdout a terminal on which the cursor can be moved?"""
    return is_terminal() and os.environ.get("TERM") != "dumb"


def end_echo() -> None:
    """Ctrl-C has ended a command: the shell's prompt begins on a line of its own, after the terminal's `^C`."""
    if is_terminal():
        put("\n")
