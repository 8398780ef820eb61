"""The figures of a period, added up as the page shows them: by module, operation, slot of time, release and day."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...measure.figures import Counts, Figures, Key, add_up
from ...measure.history import HOUR
from .state import STATES, State, state_of

_DAYS = 7
_STEPS = (60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400)  # seconds
_MOST_SLOTS = 120

_RECENT = 3600  # seconds
_SETTLED = 600  # seconds after its end in which a slot may get more: what was counted in it is folded a minute later

#: (start of a slot, its length in seconds) → what was counted in it, by module.
Past = dict[tuple[float, float], dict[str, Counts]]


class Module(NamedTuple):
    name: str
    counts: Counts
    before: Counts  # in the period of the same length before
    slots: list[Counts]
    state: State


class Operation(NamedTuple):
    module: str
    name: str
    monitor: str
    kind: str
    counts: Counts


class Measures(NamedTuple):
    seconds: float
    counted: float  # seconds of it in which something counted: less where that began later
    step: float  # seconds of a slot
    times: list[float]  # when each slot begins
    whole: Module
    modules: list[Module]  # the worst first
    operations: list[Operation]
    releases: list[tuple[str, Counts]]
    days: list[tuple[str, Counts]]  # the last week, whatever the period; the newest first


def measure(figures: Figures, seconds: float, module: str | None, until: float, past: Past | None = None) -> Measures:
    """Read the figures of the last `seconds`, of one module or of all.

    Slots that get no more are taken from `past`, and left there for the next call with the same arguments.
    """
    past = {} if past is None else past

    def wanted(found: Mapping[Key, Counts]) -> dict[Key, Counts]:
        return {key: counts for key, counts in found.items() if module in (None, key.module)}

    step = next((each for each in _STEPS if seconds / each <= _MOST_SLOTS), _STEPS[-1])
    counted = figures.measured(seconds)
    now, before = wanted(counted.counts), wanted(figures.measured(seconds, until - seconds).counts)
    slots = _series(figures, seconds, step, until, wanted, past)
    days = _series(figures, _DAYS * 86400, HOUR, until, wanted, past)
    kept = [*((start, step) for start, _ in slots), *((start, HOUR) for start, _ in days)]
    for key in set(past) - {key for key in kept if sum(key) < until - _SETTLED}:
        del past[key]
    by_slot = [found for _, found in slots]
    earlier = _sums(before, lambda key: key.module)

    operations = [
        Operation(key.module, key.operation, key.monitor, key.kind, counts)
        for key, counts in _sums(now, lambda key: key._replace(release="")).items()
    ]

    def module_of(name: str, counts: Counts, before: Counts, slots: list[Counts]) -> Module:
        recent = total(slots[-max(round(_RECENT / step), 1) :])
        return Module(
            name, counts, before, slots, state_of(counts, recent, [each for each in operations if each.module == name])
        )

    modules = [
        module_of(name, counts, earlier.get(name, Counts()), [slot.get(name, Counts()) for slot in by_slot])
        for name, counts in _sums(now, lambda key: key.module).items()
    ]
    return Measures(
        seconds,
        counted.seconds,
        step,
        [start for start, _ in slots],
        module_of("", total(now.values()), total(before.values()), [total(slot.values()) for slot in by_slot]),
        sorted(modules, key=_rank),
        operations,
        sorted(_sums(now, lambda key: key.release).items(), key=lambda each: -each[1].calls),
        _by_day(days),
    )


def total(counts: Iterable[Counts]) -> Counts:
    return sum(counts, Counts())


def _sums(found: Mapping[Key, Counts], group: Callable[[Key], Any]) -> dict[Any, Counts]:
    return add_up((group(key), counts) for key, counts in found.items())


def _rank(module: Module) -> tuple[int, float, str]:
    calls = module.counts.calls
    return (STATES.index(module.state.word), -module.counts.failures / calls if calls else 0.0, module.name)


def _series(
    figures: Figures,
    seconds: float,
    step: float,
    until: float,
    wanted: Callable[[Mapping[Key, Counts]], dict[Key, Counts]],
    past: Past,
) -> list[tuple[float, dict[str, Counts]]]:
    """(start of the slot, what was counted in it by module), oldest first; of those that `past` has, from there."""
    last = until // step * step
    starts = [last - number * step for number in reversed(range(max(round(seconds / step), 1)))]
    missing = [start for start in starts if (start, step) not in past]
    if missing:
        for start, found in figures.series(last - missing[0] + step, step):
            past[start, step] = _sums(wanted(found), lambda key: key.module)
    return [(start, past.get((start, step), {})) for start in starts]


def _by_day(hours: Sequence[tuple[float, dict[str, Counts]]]) -> list[tuple[str, Counts]]:
    days = add_up((time.strftime("%Y-%m-%d", time.localtime(start)), total(found.values())) for start, found in hours)
    return [(day, counts) for day, counts in sorted(days.items(), reverse=True) if counts][:_DAYS]
