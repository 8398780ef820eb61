"""Every target, exception and parameter name of a configuration against the installed code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..base.model import SHADOWED, ExpressionData, MonitorData, Problem, TargetData
from ..config.build import stances
from ..config.build.duplicates import can_meet, explicit_targets
from ..config.build.merge import WrittenMonitor
from ..config.build.monitor import captures
from ..config.build.values import parsed_target
from ..config.compile import Examined
from ..config.findings import Findings
from ..config.read.document import Document, Placed
from ..config.read.node import NOWHERE, Mark
from ..config.requirements import RequirementError, unmet_requirements
from ..language.expressions import SPECIAL
from ..language.nearest import did_you_mean, listed
from ..language.targets import TargetError
from .attributes import Bodies, Refuted, refuted
from .lookup import Lookup
from .outcome import FOUND, MISSING, UNCHECKED, TargetOutcome
from .patterns import expand


class Sighting(NamedTuple):
    """One target as written, and what the installed code has there."""

    entry: WrittenMonitor
    monitor: MonitorData | None  # None: it is switched off by a Problem of its own
    placed: Placed
    text: str
    pattern: bool
    outcome: TargetOutcome
    functions: list[tuple[str, TargetOutcome]]  # dotted path → its outcome; one, or all that a pattern matches


def check(
    examined: Examined, lookup: Lookup, tick: Callable[[int, int], None] | None = None
) -> tuple[list[Sighting], list[Problem]]:
    """`tick(done, total)` is called after each monitor."""
    return _Check(examined, lookup).run(tick)


class _Check:
    def __init__(self, examined: Examined, lookup: Lookup) -> None:
        self.examined = examined
        self.lookup = lookup
        self.findings = Findings()
        self.bodies = Bodies()
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
        self.inherited()
        self.providers()
        self.report_absent()
        return sightings, self.findings.ordered() if self.findings.problems else []

    def wrong_ones(self) -> None:
        """Monitors that a Problem switched off: what else is wrong with their targets is reported in the same run."""
        for entry in self.examined.wrong:
            if not isinstance(entry.value, dict) or entry.value.get("enabled") is False or not self.is_met(entry):
                continue
            for placed, dotted in explicit_targets(entry):
                module, colon, _ = placed.value.partition(":")
                outcome = self.lookup.outcome(dotted, module if colon else None)
                self.report(Sighting(entry, None, placed, placed.value, False, outcome, []))
            self.exceptions(entry)

    def is_met(self, entry: WrittenMonitor) -> bool:
        """Whether the environment that is looked at, which need not be the running one, meets `requires`."""
        requires = entry.value.get("requires")
        key = str(requires)
        if key not in self.met:
            try:
                self.met[key] = not unmet_requirements(requires, self.lookup.search.entries)
            except RequirementError:
                self.met[key] = True  # what else is wrong with the monitor is found in the same run
        return self.met[key]

    def monitor(self, entry: WrittenMonitor, monitor: MonitorData) -> Iterator[Sighting]:
        single, several = entry.at("target"), entry.at("targets")
        for number, target in enumerate(monitor["targets"]):
            placed = single if isinstance(single.value, str) else several.at(number)
            if target["pattern"]:
                matches = expand(self.lookup, target["path"], target["module"], monitor["exclude"])
                outcome, functions = matches.outcome, matches.functions
            else:
                outcome = self.lookup.outcome(target["path"], target["module"])
                functions = [(target["path"], outcome)] if outcome.found else []
            sighting = Sighting(entry, monitor, placed, str(placed.value), target["pattern"], outcome, functions)
            self.report(sighting)
            yield sighting

    def report(self, seen: Sighting) -> None:
        outcome = seen.outcome
        if outcome.absent:
            self.add_absent(seen.entry.document, seen.text.replace(":", "."))
        elif outcome.status == MISSING:
            slug, severity = "target-not-found", "error"
            if outcome.kind == "class":
                slug = "target-is-class"
            elif outcome.kind == "pattern":
                slug, severity = "pattern-matches-nothing", "warning"
            if seen.entry.pack:
                severity = "warning"
            self.findings.add(seen.placed, slug, f"`{seen.text}`: {outcome.reason}", outcome.hint, severity=severity)
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
                seen.placed, "overlapping-pattern",
                f"`{shared[0]}`{more} is matched by `{first.text}` at {first.entry.where} too, which wins",
                "name it in `exclude` of one of the two", severity="warning",
            )  # fmt: skip

    # Expressions

    def parameters(self, entry: WrittenMonitor, monitor: MonitorData, seen: list[Sighting]) -> None:
        functions = [(sighting, path, found) for sighting in seen for path, found in sighting.functions]
        if not functions:
            return
        complete = all(sighting.outcome.found for sighting in seen)
        ours: set[str] = set()  # reported, once a monitor
        for placed, expression in _expressions(entry, monitor):
            self.attributes(placed, expression, seen)
            for word in expression["names"]:
                if word in SPECIAL:
                    if word not in ours:
                        ours.add(word)
                        self.shadowed(placed, expression, word, functions)
                    continue
                name = word.removeprefix(SHADOWED)
                lacking = [item for item in functions if item[2].parameters and name not in item[2].parameters.names]
                if len(lacking) < len(functions) and all(item[0].pattern for item in lacking):
                    continue
                if lacking:
                    sure = complete and len(lacking) == len(functions)
                    self.report_parameter(placed, expression, name, lacking, sure=sure)

    def shadowed(self, placed: Placed, expression: ExpressionData, name: str, functions: Any) -> None:
        """A parameter has the name of one of our own words: which of the two is meant?"""
        having = [target for _, target, found in functions if found.parameters and name in found.parameters.names]
        if having:
            self.findings.add(
                placed, "shadowed-parameter",
                f"`{having[0]}` has a parameter `{name}`; here `{name}` is {_MEANING[name]}",
                f'write argument("{name}") for the parameter', severity="warning",
                mark=_mark(placed, expression, name),
            )  # fmt: skip

    def attributes(self, placed: Placed, expression: ExpressionData, seen: list[Sighting]) -> None:
        """Only where all functions are named one by one, and the source refutes it for each."""
        if not seen or any(sighting.pattern or not sighting.functions for sighting in seen):
            return
        found: list[Refuted] = []
        for sighting in seen:
            module = sighting.text.partition(":")[0] if ":" in sighting.text else None
            one = refuted(self.lookup, self.bodies, sighting.functions[0][0], module, expression)
            if one is None:
                return
            found.append(one)
        first = found[0]
        made = "returns" if first.name == "result" else f"takes as `{first.name}`"
        message = (
            f"`{first.name}.{first.attribute}`: the {first.cls} that `{seen[0].text}` {made} has no `{first.attribute}`"
        )
        at = expression["text"].find(f"{first.name}.{first.attribute}")
        self.findings.add(
            placed, "unknown-attribute", message, first.hint,
            severity="error" if all(one.certain for one in found) else "warning",
            mark=placed.within(max(at, 0) + 1),
        )  # fmt: skip

    def report_parameter(
        self, placed: Placed, expression: ExpressionData, name: str, lacking: Any, *, sure: bool
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
            placed, "unknown-parameter", message,
            did_you_mean(name, [*known, *SPECIAL], f"{otherwise}; and there are {listed(SPECIAL)}"),
            severity="error" if sure and certain else "warning",
            mark=_mark(placed, expression, name),
        )  # fmt: skip

    # Exceptions

    def exceptions(self, entry: WrittenMonitor) -> None:
        self.named(entry, severity="warning" if entry.pack else "error")

    def inherited(self) -> None:
        """What `sentry`, `defaults` and modules name. Packs name what some releases of their library do not have."""
        for document in self.examined.documents:
            self.named(document.at("sentry"))
            self.named(document.at("defaults"))
            for _, module in document.at("modules").fields():
                self.named(module.at("defaults"))

    def named(self, given: Placed | WrittenMonitor, *, severity: str = "error") -> None:
        for key, name, placed in stances.names(given):
            self.exception(placed, name, severity=severity, of_key=key == "errors")

    def exception(self, placed: Placed, name: str, *, severity: str, of_key: bool) -> None:
        if not name or any(not part.isidentifier() for part in name.split(".")):
            return
        outcome = self.lookup.exception(name)
        if outcome.status == MISSING and not outcome.absent:
            message = f"`{name}`: {outcome.reason}"
            self.findings.add(placed, "exception-not-found", message, outcome.hint, severity=severity, of_key=of_key)

    # Providers of context

    def providers(self) -> None:
        """A provider is called without arguments: one that is missing, or needs some, never returns anything."""
        for document in self.examined.documents:
            for provider in document.at("context").items():
                placed = provider.at("target")
                try:
                    target = parsed_target(placed.value) if isinstance(placed.value, str) else None
                except TargetError:
                    continue
                if target is not None and not target["pattern"]:
                    self.provider(placed, target)

    def provider(self, placed: Placed, target: TargetData) -> None:
        outcome = self.lookup.outcome(target["path"], target["module"])
        if outcome.absent:
            self.add_absent(placed.document, target["path"])
        elif outcome.status == MISSING and outcome.kind != "class":
            self.findings.add(placed, "target-not-found", f"{placed.quoted}: {outcome.reason}", outcome.hint)
        elif outcome.parameters is not None and outcome.parameters.certain:
            needed = required(outcome.parameters.text)
            if needed:
                message = f"{placed.quoted} is called without arguments, and needs {listed(needed)}"
                hint = "name a function that finds out by itself, or give the parameters defaults"
                self.findings.add(placed, "provider-parameters", message, hint)

    # What is not here at all

    def add_absent(self, document: Document, path: str) -> None:
        top = path.partition(".")[0]
        self.absent[top] = self.absent.get(top, 0) + 1
        self.first_absent = self.first_absent or document

    def report_absent(self) -> None:
        """One line for all: where the ERP is not installed, the message would be the same for every target."""
        if self.first_absent is None:
            return
        number = sum(self.absent.values())
        names = listed(sorted(self.absent, key=lambda name: -self.absent[name]), 6)
        one = len(self.absent) == 1
        self.findings.add(
            self.first_absent.at(), "target-not-installed",
            f"{number} target{'s' * (number > 1)} cannot be checked here: the package{'s' * (not one)} {names} "
            f"{'is' if one else 'are'} not on the path of {self.lookup.search.executable}",
            "name the ERP's folder, or a script's, with --path, or its interpreter with --python",
            severity="warning", mark=NOWHERE,
        )  # fmt: skip


#: What our own words mean in an expression.
_MEANING = {
    "result": "what the call returned",
    "error": "the exception that the call raised",
    "duration": "the seconds that the call took",
}


def _mark(placed: Placed, expression: ExpressionData, name: str) -> Mark:
    found = re.search(rf"(?<![\w.]){re.escape(name)}\b", expression["text"])
    return placed.within((found.start() if found else 0) + 1)


def required(parameters: str) -> list[str]:
    """The names without a default in `(order, *, urgent=False)`; those of a method's own object or class left out."""
    try:
        given = ast.parse(f"def f{parameters}: pass").body[0]
    except SyntaxError:
        return []  # it is too long to be shown as a whole
    assert isinstance(given, ast.FunctionDef)
    positional = [*given.args.posonlyargs, *given.args.args]
    names = [each.arg for each in positional[: len(positional) - len(given.args.defaults)]]
    names += [each.arg for each, default in zip(given.args.kwonlyargs, given.args.kw_defaults) if default is None]
    return [name for number, name in enumerate(names) if number or name not in ("self", "cls")]


def counts(sightings: list[Sighting]) -> dict[str, int]:
    """Outcome → how many targets. What is not installed here counts as what cannot be checked."""
    found = dict.fromkeys((FOUND, "found elsewhere", MISSING, UNCHECKED), 0)
    for seen in sightings:
        found[UNCHECKED if seen.outcome.absent else seen.outcome.status] += 1
    return found


def _expressions(entry: WrittenMonitor, monitor: MonitorData) -> Iterator[tuple[Placed, ExpressionData]]:
    for name, key, _ in captures(entry.value.get("capture")):
        if name in monitor["capture"]:
            yield entry.at("capture", key), monitor["capture"][name]
    if monitor["unless"] is not None:
        yield entry.at("unless"), monitor["unless"]
    for index, rule in enumerate(monitor["rules"]):
        yield entry.at("rules", index, "when"), rule["when"]
        if rule["each"] is not None:
            yield entry.at("rules", index, "each"), rule["each"]
    span = monitor["span_data"]
    if span is not None and len(monitor["targets"]) == 1:  # of several, some may lack a parameter: so do their spans
        if span["description"] is not None:
            yield entry.at("span", "description"), span["description"]
        for name, expression in span["data"].items():
            yield entry.at("span", "data", name), expression
