"""The text formats: OpenMetrics 1.0, and Prometheus' own 0.0.4, which node_exporter's textfile collector reads.

They differ little: where the `_total` of a counter stands, in the type of an info, in units and in the last line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate

from ...measure import layout
from .families import FAMILIES, Durations, Family, Samples, Value

#: Buckets whose ends are exposed: octaves from 0.24 ms to 512 s, and half octaves from 62 ms to 16 s, where people set
#: thresholds. The same for each operation and always: Prometheus adds up only what has the same bounds.
EXPOSED = tuple(
    bucket
    for bucket in range(layout.BUCKETS)
    if 2.0**-12 <= layout.bound(bucket) <= 2.0**9 and (bucket % 2 == 0 or 2.0**-4 < layout.bound(bucket) < 2.0**4)
)


def openmetrics(samples: Samples, constant: Mapping[str, str] | None = None) -> str:
    """`constant` labels are added to every sample."""
    return "".join([*_lines(samples, constant or {}, openmetrics=True), "# EOF\n"])


def prometheus(samples: Samples, constant: Mapping[str, str] | None = None) -> str:
    """Version 0.0.4."""
    return "".join(_lines(samples, constant or {}, openmetrics=False))


def _lines(samples: Samples, constant: Mapping[str, str], *, openmetrics: bool) -> Iterator[str]:
    for family in FAMILIES:
        rows = samples.get(family.name)
        if not rows:
            continue
        name = family.name if openmetrics else family.sample
        kind = "gauge" if family.kind == "info" and not openmetrics else family.kind
        yield f"# HELP {name} {_escaped(family.text) if openmetrics else family.text}\n# TYPE {name} {kind}\n"
        if openmetrics and family.unit:
            yield f"# UNIT {name} {family.unit}\n"
        for values, value in rows.items():
            yield _row(family, _labels(family, values, constant), value)


def _labels(family: Family, values: tuple[str, ...], constant: Mapping[str, str]) -> str:
    pairs = [*constant.items(), *zip(family.labels, values)]
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in pairs])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _row(family: Family, labels: str, value: Value) -> str:
    if not isinstance(value, Durations):
        return f"{family.sample}{{{labels}}} {value!r}\n" if labels else f"{family.sample} {value!r}\n"
    name, before = family.name, labels + "," if labels else ""
    below = list(accumulate(value.buckets))
    lines = [f"{name}_bucket{{{before}{le}}} {below[bucket]}\n" for bucket, le in _BOUNDS]
    lines.append(f'{name}_bucket{{{before}le="+Inf"}} {below[-1]}\n')
    braces = f"{{{labels}}}" if labels else ""
    lines.append(f"{name}_sum{braces} {value.total!r}\n{name}_count{braces} {below[-1]}\n")
    return "".join(lines)


_BOUNDS = [(bucket, f'le="{layout.bound(bucket)!r}"') for bucket in EXPOSED]
