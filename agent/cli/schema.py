"""`schema`: the JSON Schema of monitors.yaml, for editors and other tools; or its reference, for people."""

from __future__ import annotations

import argparse

from ..base.errors import ConfigError
from ..config.read.shipped import schema_path
from .reference import markdown
from .terminal import out

HELP = "print the JSON Schema of monitors.yaml"


def configure(parser: argparse.ArgumentParser) -> None:
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--markdown", action="store_true", help="print docs/configuration.md, the reference of all keys")
    shape.add_argument("--path", action="store_true", help="print the path of the schema file")


def run(args: argparse.Namespace) -> int:
    path = schema_path()
    if args.path:
        out(path)
        return 0
    try:
        if args.markdown:
            text = markdown()
        else:
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
    except OSError as error:
        raise ConfigError(f"the schema cannot be read: {error}") from None
    out(text, end="")
    return 0
