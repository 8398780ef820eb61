"""`watch`: puts a monitor into all running processes for a time, and shows what it sees as it happens.

It looks at the calls of a function, or at a line inside one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import time
from typing import Any

from ...base import own_folders
from ...base.errors import ConfigError
from ...base.wildcards import segment_match
from ...config.overlay import Overlay, Put
from ...deliver import stream
from ...language.units import format_duration
from .. import options
from ..options import Configured
from ..terminal import moment, one_line, out
from . import at_line, change, other_users
from .seen import Seen
from .shown import show_taken

HELP = "put a monitor into running processes for a time, and show what it sees as it happens"

_LOOK = 0.25  # seconds between two looks at what was seen
_LONGEST = 24 * 3600.0
_UNTIL_TAKEN = 5.0  # seconds that processes have to take a change up


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_config(parser)
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="dotted path of a function, or name or operation of a monitor; `*` stands for any characters",
    )
    parser.add_argument(
        "--line", metavar="FILE:LINE", help="look at a line inside a function: what its local variables hold"
    )
    parser.add_argument(
        "--for", metavar="DURATION", dest="time", default="10m", help="take it out again after this time (default: 10m)"
    )
    parser.add_argument("--threshold", metavar="DURATION", help="show calls that take longer than this")
    parser.add_argument(
        "--capture",
        metavar="NAME=EXPRESSION",
        action="append",
        default=[],
        help="show what an expression is each time, such as 'customer=customer_id'; repeat it for more. "
        "Without it, all local variables of a line are shown",
    )
    parser.add_argument(
        "--when", metavar="EXPRESSION", help="show only what this holds for, such as 'result is None' or 'total < 0'"
    )
    parser.add_argument(
        "--limit", metavar="N", type=int, default=1000, help="take it out again after N lines (default: 1000)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON each time")
    parser.add_argument("--list", action="store_true", help="list the monitors that are put in now")
    parser.add_argument("--stop", metavar="NAME", help="take out a monitor that is put in; `all` for all of them")


def run(arguments: argparse.Namespace) -> int:
    """0: it was put in and taken out again, 1: some processes still have it."""
    configured = options.configured(arguments)
    if arguments.list:
        return _list(configured)
    if arguments.stop:
        return _stop(configured, arguments.stop)
    if bool(arguments.target) is bool(arguments.line):
        raise ConfigError(
            "name a function to watch, or a line: python -m agent watch sales.services.create_order, or "
            "python -m agent watch --line sales/services.py:120"
        )
    change.check_allowed(configured)
    seconds = change.duration(arguments.time)
    if not 0 < seconds <= _LONGEST:
        raise ConfigError(f"--for {arguments.time}: a monitor may be put in for 24 h at most")
    name = "live-" + os.urandom(3).hex()
    now = time.time()
    put = Put(name, _with_targets(monitor_of(arguments), configured.config), now, now + seconds, change.me())
    folder = stream.folder_of(configured.state, name)
    own_folders.make(folder)
    try:
        _, plan = change.apply(configured, lambda before: Overlay(before.off, (*before.put, put)))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    others: list[subprocess.Popen[bytes]] = []
    failed = True
    try:
        change.audit(configured, "watch", "A monitor was put into running processes", {
            "target": put.target, "for": format_duration(seconds), "by": put.by,
            "capture": list(arguments.capture), "when": arguments.when or "",
        })  # fmt: skip
        if not arguments.json:
            out(f"{name}: watching {put.target} until {moment(put.until, '%H:%M:%S')}; Ctrl-C ends it")
        taken = change.wait(configured.config, configured.state, plan.identity, _UNTIL_TAKEN)
        if not arguments.json:
            show_taken(taken)
        others = other_users.begin(configured, quiet=arguments.json)
        seen = Seen(folder, as_json=arguments.json)
        try:
            if arguments.line:
                _check_places(seen, put, bool(taken.pids) and not arguments.json)
            why = _follow(seen, seconds, arguments.limit, others if not taken.pids else [])
        except KeyboardInterrupt:
            why = "interrupted"
        seen.summarize()
        if arguments.line and not arguments.json:
            out(seen.passes.summary(seen.lines))
        failed = False
    finally:
        status = _take_out(configured, [name], quiet=arguments.json)
        status = max(status, other_users.wait(others, interrupt=failed))
    if not arguments.json:
        out(f"{name}: taken out ({why})")
    return status


def monitor_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The monitor as monitors.yaml would have it. Raises ConfigError for a capture without a name."""
    capture = {}
    for given in arguments.capture:
        name, equals, expression = given.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(f"--capture {given}: write NAME=EXPRESSION, such as 'customer=customer_id'")
        capture[name.strip()] = expression.strip()
    monitor: dict[str, Any] = {"rate_limit": "50/s", "span": "never", "threshold": arguments.threshold or "off"}
    if arguments.line:
        if arguments.threshold:
            raise ConfigError("--threshold is about calls: a line takes no time of its own")
        monitor["line"] = at_line.parse(arguments.line)
    else:
        monitor["target"] = arguments.target
    if capture:
        monitor["capture"] = capture
    if arguments.when:
        monitor["rules"] = [{"when": arguments.when, "message": arguments.when.replace("{", "{{"), "severity": "info"}]
    elif capture and not arguments.threshold and not arguments.line:
        monitor["audit"] = "info"
    return monitor


def _with_targets(monitor: dict[str, Any], config: str) -> dict[str, Any]:
    """Where the target is the name or operation of monitors in the file: with the functions that they name."""
    given = str(monitor.get("target", "."))
    if "." in given or ":" in given:
        return monitor
    from ...config.load import examine

    built = [each for _, each in examine(config, os.environ).built]
    named = [each for each in built if segment_match(given, each["name"]) or segment_match(given, each["operation"])]
    if not named:
        raise ConfigError(
            f"no monitor and no operation is called {given!r}; `python -m agent list` prints them. A function is named "
            "by its dotted path, such as sales.services.create_order"
        )
    del monitor["target"]
    monitor["targets"] = list(dict.fromkeys(target["path"] for each in named for target in each["targets"]))
    exclude = [path for each in named for path in each["exclude"]]
    return {**monitor, "exclude": exclude} if exclude else monitor


def _check_places(seen: Seen, put: Put, loud: bool) -> None:
    """Raises ConfigError where no process can watch the line."""
    seen.read()
    if seen.passes.refusal:
        raise ConfigError(seen.passes.refusal)
    if loud and not seen.passes.is_anywhere:
        file = one_line(put.monitor["line"]["file"])
        out(f"no process has loaded {file} yet: it is looked for whenever one imports something")


def _follow(seen: Seen, seconds: float, limit: int, others: list[subprocess.Popen[bytes]]) -> str:
    """Show what is seen until the end, and return what that was. `others`: without them there is nothing to see."""
    until = time.monotonic() + seconds  # whatever becomes of the clock
    while time.monotonic() < until and seen.lines < limit:
        seen.show_new(limit)
        if seen.passes.refusal:
            return "no process watches it any more"
        if others and all(each.poll() is not None for each in others):
            return "it ended for the other users"
        time.sleep(min(_LOOK, max(until - time.monotonic(), 0.0)))
    seen.show_new(limit)
    return "its time is over" if time.monotonic() >= until else f"{limit} lines were shown: --limit"


def _list(configured: Configured) -> int:
    put = change.current(configured.state).put
    for each in put:
        left = format_duration(max(round(each.until - time.time()), 1))
        out(f"{each.name}  {one_line(each.target)}  by {one_line(each.by)}, {left} left")
    if not put:
        out("no monitor is put in")
    return other_users.wait(other_users.begin(configured))


def _stop(configured: Configured, name: str) -> int:
    names = [each.name for each in change.current(configured.state).put]
    chosen = names if name == "all" else [name]
    if name != "all" and name not in names:
        raise ConfigError(f"no monitor {name!r} is put in; put in: {', '.join(names) or 'none'}")
    status = 0
    if chosen:
        status = _take_out(configured, chosen)
        out(f"{', '.join(chosen)}: taken out")
    else:
        out("no monitor is put in")
    return max(status, other_users.wait(other_users.begin(configured) if name == "all" else []))


def _take_out(configured: Configured, names: list[str], *, quiet: bool = False) -> int:
    _, plan = change.apply(
        configured, lambda before: Overlay(before.off, tuple([put for put in before.put if put.name not in names]))
    )
    taken = change.wait(configured.config, configured.state, plan.identity, _UNTIL_TAKEN)
    for name in names:
        shutil.rmtree(stream.folder_of(configured.state, name), ignore_errors=True)
    if taken.missing and not quiet:
        show_taken(taken, "without it")
    return int(bool(taken.missing))
