"""The agent's own health as samples: processes, plan, problems, spools."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ...base import places as base_places
from ...base.version import __version__
from ...deliver.courier.run import noted
from ...deliver.history import shelves
from ..options import Configured
from ..spool import places
from ..state.plans import Plans
from ..state.problems import problems
from ..state.processes import Process
from ..state.whole import Whole
from ..terminal import clean
from .families import Samples
from .lost import Lost

_STATES = {places.WAITING: "waiting", places.HELD: "held", places.ASIDE: "aside"}
_PATIENCE = 30.0  # seconds for which a verdict about older plans is kept: it may take a compilation


class Health:
    """Reads what a configuration's processes and spools have on disk. One object may be asked again and again."""

    def __init__(self, path: str, state: str) -> None:
        self._path, self._state = path, state
        self._lost = Lost(state)
        self._plans: Plans | None = None
        self._seen = (0, 0)  # when the configuration and its state folder were written, as of then
        self._read = 0.0  # when the plans were

    def collect(self) -> Samples:
        whole = Whole(self._path, plans=self._current_plans())
        index, where = whole.index, whole.settings
        return {
            "erp_agent": {_about(where): 1},
            "erp_agent_processes": _processes(whole),
            "erp_agent_functions": _functions(whole.living),
            "erp_agent_problems": {
                **dict.fromkeys([("error",), ("warning",), ("note",)], 0),
                **Counter((problem.severity,) for problem in problems(whole)),
            },
            "erp_agent_plan_monitors": {(): len(index.all_monitors()) if index is not None else 0},
            "erp_agent_plan_current": {
                (): int(index is not None and base_places.unchanged(index.header, environment=False))
            },
            **(_spools(where) if where is not None else {}),
            "erp_agent_lost": {
                (clean(reason),): number for reason, number in self._lost.totals(whole.processes).items()
            },
        }

    def _current_plans(self) -> Plans:
        """Read again where a file or a compiled plan was written, and now and then for what the file includes."""
        now, seen = time.monotonic(), (_written(self._path), _written(self._state))
        if self._plans is None or seen != self._seen or now - self._read > _PATIENCE:
            self._plans, self._seen, self._read = Plans(self._state, self._path), seen, now
        return self._plans


def _written(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _about(where: Configured | None) -> tuple[str, ...]:
    sentry = where.sentry if where is not None else None
    environment, release = (sentry["environment"], sentry["release"]) if sentry is not None else ("", "")
    return (__version__, "%d.%d.%d" % sys.version_info[:3], clean(environment or ""), clean(release or ""))


def _processes(whole: Whole) -> dict[tuple[str, ...], int]:
    """With both values of `plan` for each program, so that an alert on one of them ends with a zero."""
    counted: Counter[tuple[str, ...]] = Counter()
    for process in whole.living:
        program = clean(process.program)
        counted.update({(program, "current"): 0, (program, "older"): 0})
        counted[program, "older" if whole.plans.is_older(process) else "current"] += 1
    return dict(counted)


def _functions(living: list[Process]) -> dict[tuple[str, ...], int]:
    states = ("patched", "waiting", "failed")
    return {(state,): len({each for process in living for each in getattr(process, state)}) for state in states}


class _Spool(NamedTuple):
    """What one spool has on disk."""

    name: str
    limit: int
    numbers: dict[str, int]
    sizes: dict[str, int]
    oldest: float | None
    delivered: float | None


def _spools(where: Configured) -> Samples:
    spools = [_spool(place, where.spool_settings["max_size"]) for place in places.places(where)]
    return {
        "erp_agent_spool_envelopes": _by_state(spools, (spool.numbers for spool in spools)),
        "erp_agent_spool_bytes": _by_state(spools, (spool.sizes for spool in spools)),
        "erp_agent_spool_limit_bytes": {(spool.name,): spool.limit for spool in spools},
        "erp_agent_spool_oldest_timestamp_seconds": {
            (spool.name,): spool.oldest for spool in spools if spool.oldest is not None
        },
        "erp_agent_last_delivery_timestamp_seconds": {
            (spool.name,): spool.delivered for spool in spools if spool.delivered is not None
        },
    }


def _spool(place: places.Place, limit: int) -> _Spool:
    parts = place.parts()
    waiting = parts[places.WAITING]
    return _Spool(
        clean(place.name) or "agent",
        limit,
        {_STATES[name]: len(entries) for name, entries in parts.items()},
        {_STATES[name]: place.bytes_of(name, entries) for name, entries in parts.items()},
        min(entry.stamp for entry in waiting) / 1e9 if waiting else None,
        _last_delivery(place.spool.directory),
    )


def _last_delivery(directory: str) -> float | None:
    """By a courier, or to a Sentry client of the ERP's own."""
    accepted = shelves.last_accepted(directory)
    known = [noted(directory).get("last"), accepted.at if accepted is not None else None]
    return max((float(each) for each in known if isinstance(each, (int, float))), default=None)


def _by_state(spools: list[_Spool], tables: Iterable[dict[str, int]]) -> dict[tuple[str, ...], int]:
    return {(spool.name, state): number for spool, table in zip(spools, tables) for state, number in table.items()}
