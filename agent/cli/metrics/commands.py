"""`metrics`: the figures of every operation and of the agent itself, once, for a scraper, or in a file."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from ...base import places
from ...base.errors import AgentError, ConfigError
from ...language import units
from ...measure.figures import Figures
from .. import options
from ..terminal import clean, end_echo, err, out, shown_path
from . import operations, text, textfile
from .families import FAMILIES, Samples
from .health import Health
from .serve import Server

HELP = "print the figures of every operation as OpenMetrics text, serve them to Prometheus, or write them to a file"

_TAKEN = {"le", *(label for family in FAMILIES for label in family.labels)}


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--serve", type=options.port, metavar="PORT", help="serve http://127.0.0.1:PORT/metrics until ended"
    )
    where.add_argument(
        "--textfile", metavar="DIR", help="write a .prom file into DIR, for node_exporter's textfile collector"
    )
    parser.add_argument("--host", metavar="ADDRESS", help="with --serve: the address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--every",
        type=options.duration,
        metavar="TIME",
        help="with --textfile: write it again and again, such as every 15s",
    )
    parser.add_argument(
        "--label",
        type=_label,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="add a label to every sample, such as erp=billing where two ERPs share a machine",
    )
    parser.add_argument(
        "--format", choices=("openmetrics", "prometheus"),
        help="on stdout: OpenMetrics 1.0, or Prometheus' text format 0.0.4 (default: openmetrics)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    if arguments.host and arguments.serve is None:
        raise AgentError("--host needs --serve PORT")
    if arguments.every and arguments.textfile is None:
        raise AgentError("--every needs --textfile DIR")
    if arguments.format and (arguments.serve is not None or arguments.textfile is not None):
        raise AgentError("--format is for stdout: a scraper chooses by itself, and node_exporter reads one format only")
    path = options.config_path(arguments.config)
    if not os.path.exists(path):
        raise ConfigError(f"{shown_path(path)}: no such file; name the ERP's configuration with --config")
    state = places.state_folder(os.environ, path)
    health, labels = Health(path, state), dict(arguments.label)

    def collect() -> Samples:
        return {**operations.collect(Figures(state)), **health.collect()}

    if arguments.serve is not None:
        return _serve(Server(arguments.host or "127.0.0.1", arguments.serve, collect, labels))
    if arguments.textfile is not None:
        file = textfile.path_in(os.path.abspath(arguments.textfile), places.folder_name(path))
        return _write(file, lambda: text.prometheus(collect(), labels), arguments.every)
    samples = collect()
    encode = text.prometheus if arguments.format == "prometheus" else text.openmetrics
    out(encode(samples, labels), end="")
    if not samples["erp_calls"]:
        err("note: no monitored call was counted yet in this state folder; see: python -m agent status")
    return 0


class _EndedError(BaseException):
    """SIGTERM: a service manager ends this command."""


def _end(*_: object) -> NoReturn:
    raise _EndedError


def _serve(server: Server) -> int:
    signal.signal(signal.SIGTERM, _end)
    with server:
        try:
            _announce(f"Serving {server.url} until this command is ended.")
            server.serve_forever(poll_interval=60.0)
        except _EndedError:
            pass
        except KeyboardInterrupt:
            end_echo()
    return 0


def _write(file: str, made: Callable[[], str], every: float | None) -> int:
    """Once, or for ever: then a later failure is reported and may pass."""
    textfile.write(file, made())
    if every is None:
        return 0
    signal.signal(signal.SIGTERM, _end)
    try:
        _announce(f"Writing {file} every {units.format_duration(every)} until this command is ended.")
        due = time.monotonic()
        while True:
            due = max(due + every, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                textfile.write(file, made())
            except AgentError as error:
                err(f"agent: {error}")
    except _EndedError:
        return 0
    except KeyboardInterrupt:
        end_echo()
        return 0


def _announce(line: str) -> None:
    out(line)
    sys.stdout.flush()  # a service's log has it now


def _label(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) or name.startswith("__"):
        raise argparse.ArgumentTypeError(f"{given[:40]!r} is not NAME=VALUE; example: erp=billing")
    if name in _TAKEN:
        raise argparse.ArgumentTypeError(f"{name!r} is a label of some metric already: choose another name")
    return name, clean(value)
