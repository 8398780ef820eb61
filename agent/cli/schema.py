"""`schema`: the JSON Schema of monitors.yaml, for editors and other tools; or its reference, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.errors import ConfigError
from ..config.read.shipped import schema_path
from .terminal import fail, out

if TYPE_CHECKING:
    import argparse

HELP = "print the JSON Schema of monitors.yaml"


def configure(parser: argparse.ArgumentParser) -> None:
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--markdown", action="store_true", help="print the reference of every key, as in the docs")
    shape.add_argument("--path", action="store_true", help="print where the schema lies")


def run(args: argparse.Namespace) -> int:
    path = schema_path()
    try:
        if args.path:
            out(path)
        elif args.markdown:
            from .reference import markdown

            out(markdown(), end="")
        else:
            with open(path, encoding="utf-8") as stream:
                out(stream.read(), end="")
    except (OSError, ConfigError) as error:
        return fail(error)
    return 0
