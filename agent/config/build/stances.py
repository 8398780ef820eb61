"""What is made of single exceptions: `errors`, `expect` and `ignore_errors` of monitors, modules, files and packs.

The lists of a monitor add to those that it inherits, and come first: then those of its module, of all files'
`defaults`, of all packs' `defaults`, and `sentry.ignore_errors`. `errors` takes an inherited exception back. Failures
that no monitor sees have all but the first two. In a pack, `defaults` of the other keys are for its own monitors only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ...base.model import EXPECTED, IGNORED, SEVERITIES, StancesData
from ...language import units
from ..findings import Findings
from ..read.document import Placed
from . import values
from .merge import ADDING, Settings, WrittenMonitor


class _Lists(TypedDict):
    errors: dict[str, str]
    expect: list[str]
    ignore_errors: list[str]


#: `sentry.ignore_errors`, where it is not given.
IGNORED_BY_DEFAULT = ("django.http.Http404", "django.core.exceptions.PermissionDenied")

#: The severity of a user's mistake that ends a job: nobody has seen its message.
UNSEEN = "warning"

_MADE = {"expect": EXPECTED, "ignore_errors": IGNORED}
_EVERY = ("Exception", "BaseException", "builtins.Exception", "builtins.BaseException")


def checked(given: Placed | WrittenMonitor, findings: Findings) -> dict[str, str]:
    """Dotted exception → severity, EXPECTED or IGNORED. One that is wrong is reported, once, and left out."""
    found: dict[str, str] = {}
    keys: dict[str, str] = {}
    for key, name, placed in names(given):
        of_key = key == "errors"
        if findings.has(placed) or not values.is_exception_name(placed, name, findings, of_key=of_key):
            continue
        if keys.setdefault(name, key) != key:
            message = f"`{name}` is in `{keys[name]}` too: it cannot be both"
            findings.add(placed, "contradiction", message, "keep one of them", of_key=of_key)
        else:
            found[name] = units.severity(placed.value) if of_key else _MADE[key]
    return found


def names(given: Placed | WrittenMonitor) -> Iterator[tuple[str, str, Placed]]:
    """(key, dotted name, where it is named) of each exception."""
    value = given.value if isinstance(given.value, dict) else {}
    for key in ADDING:
        if key not in value:
            continue
        listed = given.at(key)
        if key == "errors":
            yield from ((key, name, placed) for name, placed in listed.fields())
        else:
            yield from ((key, placed.value, placed) for placed in listed.items() if isinstance(placed.value, str))


def check(defaults: Placed, findings: Findings) -> None:
    """Of a file or a pack: they count everywhere, so that one for every exception would leave no failure at all."""
    for key, name, placed in names(defaults):
        if key != "errors" and name in _EVERY and not findings.has(placed):
            hint = "name the exceptions of your ERP; a monitor or a module may expect `Exception` of its own calls"
            findings.add(placed, "bad-exception", f"`{name}` in `defaults`: no failure would be reported", hint)
    checked(defaults, findings)


def lists(made: dict[str, str]) -> _Lists:
    """`checked` as a monitor has it."""
    return {
        "errors": {name: each for name, each in made.items() if each in SEVERITIES},
        "expect": [name for name, each in made.items() if each == EXPECTED],
        "ignore_errors": [name for name, each in made.items() if each == IGNORED],
    }


def inherited(module: object, settings: Settings) -> list[Placed]:
    """What monitors of this module have beside their own, the nearest first."""
    return [*_of_module(module, settings), *settings.files, *settings.packs]


def _of_module(module: object, settings: Settings) -> list[Placed]:
    return [declared.at("defaults") for declared in settings.module(module)]


def stances_data(settings: Settings, ignored: list[str] | None, findings: Findings) -> StancesData:
    """`ignored`: `sentry.ignore_errors`; None: not given.

    What packs and the built-in list name is about users, who are shown the message. Of a job, nobody is: `unattended`.
    """
    modules = {
        name: found
        for name in settings.modules
        if (found := [layer for placed in _of_module(name, settings) if (layer := checked(placed, findings))])
    }
    files, packs = _together(settings.files, findings), _together(settings.packs, findings)
    shown = dict.fromkeys(ignored if ignored is not None else IGNORED_BY_DEFAULT, IGNORED)
    unseen = {name: UNSEEN if made == EXPECTED else made for name, made in packs.items()}
    return {
        "modules": modules,
        "everywhere": [files, packs, shown],
        "unattended": [files, unseen, shown if ignored is not None else dict.fromkeys(shown, UNSEEN)],
    }


def _together(several: list[Placed], findings: Findings) -> dict[str, str]:
    """The defaults of several files as one. Where they differ about an exception, the first counts."""
    found: dict[str, str] = {}
    first: dict[str, Placed] = {}
    for defaults in several:
        made = checked(defaults, findings)
        for key, name, placed in names(defaults):
            if name not in made or findings.has(placed):
                continue
            if found.setdefault(name, made[name]) != made[name]:
                message = f"`{name}` is given differently in {first[name].where_key}"
                findings.add(placed, "conflict", message, "give it in one file only", of_key=key == "errors")
            first.setdefault(name, placed)
    return found
