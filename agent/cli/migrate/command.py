"""`migrate`: reads what other tools monitor in an ERP's source, and writes the monitors.yaml that does the same."""

from __future__ import annotations

import argparse
import os
import shlex

from ..options import ProblemsError
from ..terminal import counted, err, out, out_bytes, write_new
from . import newrelic_ini, reader, removal
from .found import Found, Remark
from .sources import Source, Unread, of_a_tool, sources
from .writer import left_lines, render

_LONGEST_CHAIN = 5  # of files that pass a name on
HELP = "write the monitors.yaml that replaces decorators of other tools"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="Python file, newrelic.ini, or folder; read, never run"
    )
    parser.add_argument("--output", metavar="FILE", help="file to write (default: print it)")
    parser.add_argument("--force", action="store_true", help="replace the file of --output if it exists")
    parser.add_argument(
        "--path",
        metavar="DIR",
        action="append",
        default=[],
        help="folder that the ERP has on its path: dotted names begin below it (default: the folder of the project, "
        "or its src); repeatable",
    )
    parser.add_argument(
        "--diff",
        action="store_true",
        help="print the diff that removes the decorators instead; the source is not changed",
    )


def run(args: argparse.Namespace) -> int:
    """0: written, 1: there is nothing to carry over, 2: could not run. What is left out is on stderr."""
    found = Found()
    roots = _read(args, found)
    if not found.monitors and not found.sentry:
        _show_left(found)
        raise ProblemsError(
            f"nothing to carry over in {' '.join(args.sources)}: `discover PACKAGE` proposes monitors for any source"
        )
    if args.diff:
        out_bytes(removal.diff(found))
        _show_left(found)
        return 0
    text = render(found, f"python -m agent migrate {shlex.join(args.sources)}"[:300])
    if args.output:
        write_new(args.output, text, replace=args.force)
    else:
        out(text, end="")
    _show_left(found)
    done = f"{counted(len(found.monitors), 'function')} monitored, {len(found.left)} not carried over"
    err(f"{'wrote ' + args.output + ': ' if args.output else ''}{done}")
    words = ["validate", args.output or "FILE", *(word for root in roots for word in ("--path", root))]
    err(f"next: python -m agent {shlex.join(words)}")
    return 0


def _read(args: argparse.Namespace, found: Found) -> list[str]:
    """Read all sources into `found`; returns the folders that are to be on the interpreter's path."""
    roots: dict[str, None] = {}
    settings: list[Source] = []  # read last: what a decorator states about a function comes first
    known = _exports(args)
    for source in sources(args.sources, args.path, _words(known)):
        if isinstance(source, Unread):
            found.leave(source.file, 1, Remark("the file", source.why, "name its functions in monitors by hand"))
        elif source.ini:
            settings.append(source)
        else:
            before = len(found.monitors) + len(found.left)
            reader.read(source, found, known)
            if len(found.monitors) + len(found.left) > before:
                roots[os.path.relpath(source.root)] = None
    for source in settings:
        newrelic_ini.read(source.file, source.data, found)
    return list(roots)


def _exports(args: argparse.Namespace) -> dict[str, str]:
    """What the files of tools pass on to others: dotted name → what it means, such as `erp.common.mon`."""
    known: dict[str, str] = {}
    for _ in range(_LONGEST_CHAIN):
        every: dict[str, str] = {}
        for source in sources(args.sources, args.path, _words(known)):
            if isinstance(source, Source) and not source.ini:
                every.update(reader.exports(source))
        for name, meaning in list(every.items()):
            if name.endswith(".*"):
                every.update(
                    (name[:-1] + each[len(meaning) - 1 :], each) for each in known if each.startswith(meaning[:-1])
                )
        found = {name: meaning for name, meaning in every.items() if of_a_tool(meaning) or meaning in known}
        if found == known:
            break
        known = found
    return known


def _words(known: dict[str, str]) -> set[str]:
    """Words of which one stands in each file that imports a known name, or all names of its module."""
    return {word for name in known for word in name.split(".")[-2:]} - {"*"}


def _show_left(found: Found) -> None:
    lines = left_lines(found)
    if lines:
        err("not carried over:")
    for line in lines:
        err(f"  {line}")
