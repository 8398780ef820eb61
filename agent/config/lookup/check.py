"""Every target, exception and parameter name of a configuration against the installed code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ...model import SHADOWED
from ..document import place_within, position
from ..duplicates import can_meet, explicit_targets
from ..expressions import SPECIAL
from ..findings import Findings
from ..monitor import captures
from ..nearest import did_you_mean, listed
from ..node import NOWHERE, Mark
from ..requirements import RequirementError, unmet_requirements
from .outcome import FOUND, MISSING, UNCHECKED, Outcome
from .patterns import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...model import ExpressionData, MonitorData, Problem
    from ..document import Document
    from ..load import Examined
    from ..merge import Entry
    from ..node import Key
    from .resolve import Lookup


class Sighting(NamedTuple):
    """One target as written, and what stands in the installed code."""

    entry: Entry
    monitor: MonitorData | None  # None: it is switched off by a Problem of its own
    path: tuple[Key, ...]
    text: str
    pattern: bool
    outcome: Outcome
    functions: list[tuple[str, Outcome]]  # dotted path → what stands there; one, or what a pattern matches

    @property
    def place(self) -> Mark:
        return position(self.entry.document, self.path)


def check(
    examined: Examined, lookup: Lookup, tick: Callable[[int, int], None] | None = None
) -> tuple[list[Sighting], list[Problem]]:
    """`tick(done, total)` is told after each monitor."""
    return _Check(examined, lookup).run(tick)


class _Check:
    def __init__(self, examined: Examined, lookup: Lookup) -> None:
        self.examined = examined
        self.lookup = lookup
        self.findings = Findings()
        self.absent: dict[str, int] = {}
        self.first_absent: Document | None = None
        self.swept: dict[str, Sighting] = {}
        self.met: dict[str, bool] = {}

    def run(self, tick: Callable[[int, int], None] | None) -> tuple[list[Sighting], list[Problem]]:
        sightings: list[Sighting] = []
        total = len(self.examined.built)
        self.wrong_ones()
        for number, (entry, monitor) in enumerate(self.examined.built):
            if entry.value.get("enabled") is not False and self.is_met(entry):
                seen = list(self.monitor(entry, monitor))
                sightings += seen
                self.parameters(entry, monitor, seen)
                self.exceptions(entry)
            if tick is not None:
                tick(number + 1, total)
        self.ignored()
        self.tell_absent()
        return sightings, self.findings.ordered() if self.findings.problems else []

    def wrong_ones(self) -> None:
        """Monitors that a Problem switched off: what else is wrong with their targets is told in the same go."""
        for entry in self.examined.wrong:
            if not isinstance(entry.value, dict) or entry.value.get("enabled") is False or not self.is_met(entry):
                continue
            for path, dotted in explicit_targets(entry):
                given: Any = entry.value
                for key in path[len(entry.path) :]:
                    given = given[key]
                outcome = self.lookup.outcome(dotted, given.partition(":")[0] if ":" in given else None)
                self.tell(Sighting(entry, None, path, given, False, outcome, []))

    def is_met(self, entry: Entry) -> bool:
        """Whether the environment that is looked at, which need not be the running one, meets `requires`."""
        requires = entry.value.get("requires")
        key = str(requires)
        if key not in self.met:
            try:
                self.met[key] = not unmet_requirements(requires, self.lookup.search.entries)
            except RequirementError:
                self.met[key] = False
        return self.met[key]

    def monitor(self, entry: Entry, monitor: MonitorData) -> Iterator[Sighting]:
        given = entry.value.get("target", entry.value.get("targets"))
        single = isinstance(given, str)
        for number, target in enumerate(monitor["targets"]):
            path = (*entry.path, "target") if single else (*entry.path, "targets", number)
            text = given if isinstance(given, str) else str(given[number] if given else "")
            if target["pattern"]:
                matches = expand(self.lookup, target["path"], target["module"], monitor["exclude"])
                outcome, functions = matches.outcome, matches.functions
            else:
                outcome = self.lookup.outcome(target["path"], target["module"])
                functions = [(target["path"], outcome)] if outcome.found else []
            sighting = Sighting(entry, monitor, path, text, target["pattern"], outcome, functions)
            self.tell(sighting)
            yield sighting

    def tell(self, seen: Sighting) -> None:
        outcome = seen.outcome
        if outcome.absent:
            top = seen.text.replace(":", ".").partition(".")[0]
            self.absent[top] = self.absent.get(top, 0) + 1
            self.first_absent = self.first_absent or seen.entry.document
        elif outcome.status == MISSING:
            slug, severity = "target-not-found", "error"
            if outcome.kind == "class":
                slug = "target-is-class"
            elif outcome.kind == "pattern":
                slug, severity = "pattern-matches-nothing", "warning"
            if seen.entry.pack:
                severity = "warning"
            self.findings.add(
                seen.entry.document,
                seen.path,
                slug,
                f"`{seen.text}`: {outcome.reason}",
                outcome.hint,
                severity=severity,
            )
        elif seen.pattern:
            self.overlaps(seen)

    def overlaps(self, seen: Sighting) -> None:
        """A function that two patterns match is monitored by the first alone."""
        shared: list[str] = []
        first: Sighting | None = None
        for path, _ in seen.functions:
            other = self.swept.setdefault(path, seen)
            if other.entry is not seen.entry and can_meet(other.entry, seen.entry):
                shared.append(path)
                first = first or other
        if first is not None:
            more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
            self.findings.add(
                seen.entry.document, seen.path, "overlapping-pattern",
                f"`{shared[0]}`{more} is matched by `{first.text}` at {first.entry.where} too, which wins",
                "name it in `exclude` of one of the two", severity="warning",
            )  # fmt: skip

    # Expressions

    def parameters(self, entry: Entry, monitor: MonitorData, seen: list[Sighting]) -> None:
        functions = [(sighting, path, found) for sighting in seen for path, found in sighting.functions]
        if not functions:
            return
        complete = all(sighting.outcome.found for sighting in seen)
        for (document, path), expression in _expressions(entry, monitor):
            for word in expression["names"]:
                if word in SPECIAL:
                    self.shadowed(document, path, expression, word, functions)
                    continue
                name = word.removeprefix(SHADOWED)
                lacking = [item for item in functions if item[2].parameters and name not in item[2].parameters.names]
                if len(lacking) < len(functions) and all(item[0].pattern for item in lacking):
                    continue
                if lacking:
                    sure = complete and len(lacking) == len(functions)
                    self.tell_parameter(document, path, expression, name, lacking, sure=sure)

    def shadowed(
        self, document: Document, path: tuple[Key, ...], expression: ExpressionData, name: str, functions: Any
    ) -> None:
        """A parameter has the name of one of our own words: which of the two is meant?"""
        having = [target for _, target, found in functions if found.parameters and name in found.parameters.names]
        if having:
            self.findings.add(
                document, path, "shadowed-parameter",
                f"`{having[0]}` has a parameter `{name}`; here `{name}` is {_MEANING[name]} of the call",
                f'write argument("{name}") for the parameter', severity="warning",
                mark=_mark(document, path, expression, name),
            )  # fmt: skip

    def tell_parameter(
        self,
        document: Document,
        path: tuple[Key, ...],
        expression: ExpressionData,
        name: str,
        lacking: Any,
        *,
        sure: bool,
    ) -> None:
        target = lacking[0][1]
        certain = all(item[2].parameters.certain for item in lacking)
        others = f", nor have {len(lacking) - 1} more" if len(lacking) > 1 else ""
        known = list(dict.fromkeys(parameter for item in lacking for parameter in item[2].parameters.names))
        message = f"`{target}` has no parameter `{name}`{others}"
        if not certain:
            message += ", unless a decorator adds it"
        otherwise = f"it has {listed(known)}" if known else "it has none"
        self.findings.add(
            document, path, "unknown-parameter", message,
            did_you_mean(name, [*known, *SPECIAL], f"{otherwise}; and there are {listed(SPECIAL)}"),
            severity="error" if sure and certain else "warning",
            mark=_mark(document, path, expression, name),
        )  # fmt: skip

    # Exceptions

    def exceptions(self, entry: Entry) -> None:
        expect = entry.value.get("expect")
        for index, name in enumerate(expect if isinstance(expect, list) else ()):
            self.exception(*entry.at("expect", index), name)
        errors = entry.value.get("errors")
        for name in errors if isinstance(errors, dict) else ():
            self.exception(*entry.at("errors", name), name, of_key=True)

    def ignored(self) -> None:
        for document in self.examined.documents:
            sentry = document.value.get("sentry")
            names = sentry.get("ignore_errors") if isinstance(sentry, dict) else None
            for index, name in enumerate(names if isinstance(names, list) else ()):
                self.exception(document, ("sentry", "ignore_errors", index), name)

    def exception(self, document: Document, path: tuple[Key, ...], name: object, *, of_key: bool = False) -> None:
        if not isinstance(name, str) or not name:
            return
        outcome = self.lookup.exception(name)
        if outcome.status == MISSING and not outcome.absent:
            self.findings.add(
                document, path, "exception-not-found", f"`{name}`: {outcome.reason}", outcome.hint,
                severity="warning", of_key=of_key,
            )  # fmt: skip

    # What is not here at all

    def tell_absent(self) -> None:
        """One line for all: where the ERP is not installed, every target would say the same."""
        if self.first_absent is None:
            return
        number = sum(self.absent.values())
        names = listed(sorted(self.absent, key=lambda name: -self.absent[name]), 6)
        one = len(self.absent) == 1
        self.findings.add(
            self.first_absent, (), "target-not-installed",
            f"{number} target{'s' * (number > 1)} cannot be checked here: the package{'s' * (not one)} {names} "
            f"{'is' if one else 'are'} not on the path of {self.lookup.search.executable}",
            "name the ERP's folder, or a script's, with --path, or its interpreter with --python",
            severity="warning", mark=NOWHERE,
        )  # fmt: skip


#: What our own words stand for in an expression.
_MEANING = {"result": "what is returned", "error": "the exception", "duration": "the time"}


def _mark(document: Document, path: tuple[Key, ...], expression: ExpressionData, name: str) -> Any:
    found = re.search(rf"(?<![\w.]){re.escape(name)}\b", expression["text"])
    return place_within(document, path, (found.start() if found else 0) + 1)


def counts(sightings: list[Sighting]) -> dict[str, int]:
    """Outcome → how many targets. What is not installed here counts as what cannot be checked."""
    found = dict.fromkeys((FOUND, "found elsewhere", MISSING, UNCHECKED), 0)
    for seen in sightings:
        found[UNCHECKED if seen.outcome.absent else seen.outcome.status] += 1
    return found


def _expressions(
    entry: Entry, monitor: MonitorData
) -> Iterator[tuple[tuple[Document, tuple[Key, ...]], ExpressionData]]:
    for name, key, _ in captures(entry.value.get("capture")):
        if name in monitor["capture"]:
            yield entry.at("capture", key), monitor["capture"][name]
    if monitor["unless"] is not None:
        yield entry.at("unless"), monitor["unless"]
    for index, rule in enumerate(monitor["rules"]):
        yield entry.at("rules", index, "when"), rule["when"]
