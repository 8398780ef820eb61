"""A unique name for every monitor: the given one, else its operation, else as much of its target as it takes.

The result depends on the monitors' order and words alone, so that a name means the same from one start to the next.
"""

from __future__ import annotations

from collections import Counter

from ...base.model import MonitorData


def name_all(monitors: list[MonitorData]) -> None:
    """Fills in the names that are "", and makes those of packs yield where they collide."""
    candidates = [_candidates(monitor) if not monitor["name"] else [] for monitor in monitors]
    often = Counter(candidate for choice in candidates for candidate in dict.fromkeys(choice))
    taken: set[str] = set()
    waiting: list[tuple[MonitorData, list[str]]] = []
    for monitor, choice in zip(monitors, candidates):
        if monitor["name"] and monitor["name"] not in taken:
            taken.add(monitor["name"])
        else:
            waiting.append((monitor, choice or [monitor["name"]]))
    for monitor, choice in waiting:
        free = [name for name in choice if name not in taken]
        name = next((name for name in free if often[name] == 1), free[-1] if free else "")
        number = 2
        while not name or name in taken:
            name = f"{choice[-1]}#{number}"
            number += 1
        taken.add(name)
        monitor["name"] = name


def _candidates(monitor: MonitorData) -> list[str]:
    """From the shortest to the longest."""
    found = [monitor["operation"]] if "{" not in monitor["operation"] else []
    parts = monitor["targets"][0]["path"].split(".")
    shortest = 2 if "*" in parts[-1] else 1
    return [*found, *(".".join(parts[-length:]) for length in range(min(shortest, len(parts)), len(parts) + 1))]
