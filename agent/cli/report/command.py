"""`report`: one HTML file of what the ERP did, or the same page live on the loopback."""

from __future__ import annotations

import argparse
import os
import pathlib
import stat
import time
import webbrowser

from ...base import own_folders
from ...base.errors import AgentError
from ...language import units
from .. import options
from ..terminal import out, shown_path
from .gather import gather
from .measures import Past
from .page import page

HELP = "write a report of the ERP as one HTML file, or show it live on this machine"

_DEFAULT_PORT = 8787


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    parser.add_argument(
        "--output", metavar="FILE", help="file to write; - for stdout (default: erp-report-YYYYMMDD-HHMM.html)"
    )
    parser.add_argument("--since", metavar="TIME", default="24h", help="period up to now: 90m, 24h, 7d (default: 24h)")
    parser.add_argument("--module", metavar="MODULE", help="only this ERP module")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument(
        "--serve", metavar="PORT", nargs="?", type=options.port, const=_DEFAULT_PORT,
        help=f"show the page live, on this machine alone, until Ctrl-C (default port: {_DEFAULT_PORT}; 0: any)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0: written, or served until Ctrl-C."""
    seconds = _seconds(arguments.since)
    path = options.config_path(arguments.config)
    if arguments.serve is not None:
        if arguments.output:
            raise AgentError("--serve writes no file: leave out --output, or leave out --serve")
        from .server import serve

        past: Past = {}

        def make(live: float) -> str:
            return page(gather(path, seconds, arguments.module, past=past), live)

        serve(make, arguments.serve, show=arguments.open)
        return 0
    text = page(gather(path, seconds, arguments.module))
    if arguments.output == "-":
        out(text, end="")
        return 0
    target = arguments.output or time.strftime("erp-report-%Y%m%d-%H%M.html")
    write(target, text)
    out(f"wrote {shown_path(os.path.abspath(target))} ({len(text.encode()) // 1000} kB)")
    if arguments.open:
        webbrowser.open(pathlib.Path(target).absolute().as_uri())
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = units.duration(text)
    except units.UnitError as error:
        raise AgentError(f"--since {text}: {error}") from None
    if not 60 <= seconds <= 90 * 86400:
        raise AgentError(f"--since {text}: the history has figures of one minute to 90 days")
    return seconds


def write(target: str, text: str) -> None:
    """Write beside and rename, so that nobody reads half a page.

    Like the state folder it is for its owner alone; an existing file keeps its mode.
    """
    target = os.path.realpath(target)
    try:
        mode = os.stat(target).st_mode if os.path.exists(target) else stat.S_IFREG | 0o600
        if not stat.S_ISREG(mode):  # /dev/stdout, a named pipe
            with open(target, "w", encoding="utf-8") as file:
                file.write(text)
            return
        own_folders.replace(target, text.encode(), stat.S_IMODE(mode))
    except OSError as error:
        raise AgentError(f"{target} cannot be written: {error.strerror}; name another file with --output") from None
