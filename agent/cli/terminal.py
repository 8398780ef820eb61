"""What the commands share about the terminal. The only file that imports rich.

On a terminal: colour and tables that fit. Through a pipe, or with NO_COLOR: no escape codes, and one line stays one
line, however long, so that `grep` and `awk` see what a person sees.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

_ENDLESS = 100_000

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan", "fatal": "bold red", "info": "cyan"}


def console(*, stderr: bool = False) -> Console:
    """Made anew for each command, since tests and pipes replace the streams. Raises ConfigError without rich."""
    try:
        from rich.console import Console
    except ImportError:
        raise ConfigError(
            "this command needs rich, which this Python does not have: python -m pip install rich"
        ) from None
    stream = sys.stderr if stderr else sys.stdout
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # a terminal that cannot spell a character still gets the rest
    terminal = _is_terminal(stream)
    return Console(
        file=stream,
        color_system="auto" if terminal and not os.environ.get("NO_COLOR") else None,
        force_terminal=terminal,
        width=None if terminal else _ENDLESS,
        soft_wrap=True,
        markup=False,
        highlight=False,
        emoji=False,
    )


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
    sys.stdout.write("\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n")


def progress_bar(what: str) -> Progress:
    """A bar with its numbers and the time that is left; it vanishes when it is stopped."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console(), transient=True)


def styled(*parts: str | tuple[str, str]) -> Text:
    """A line of plain texts and (text, style) pairs; nothing in them is read as markup."""
    from rich.text import Text

    return Text.assemble(*parts)


def cut(text: str) -> Text:
    """A cell that is cut short rather than broken into lines."""
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")


def progress(what: str) -> Progress:
    """A started progress bar on stderr with one task; it leaves no trace. Stop it."""
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task(what)
    bar.start()
    return bar


def width_of(text: str) -> int:
    """How many columns a text takes on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def fail(error: object) -> int:
    """Tell on stderr why a command could not run. Answers its exit status, 2."""
    sys.stderr.write(f"{error}\n")
    return 2


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
