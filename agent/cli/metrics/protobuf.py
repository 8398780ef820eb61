"""Prometheus' protobuf format, the only one that has native histograms: every bucket that was counted, and no other.

The buckets of the text formats are there too: a Prometheus without native histograms may ask for protobuf.

Messages of `io.prometheus.client` (metrics.proto), each preceded by its length. Only what is used is written here, by
hand: a dependency of four megabytes for five messages would be installed into other people's ERPs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, groupby

from ...measure import layout
from .families import FAMILIES, Durations, Family, Samples, Value
from .text import EXPOSED

_TYPES = {"counter": 0, "gauge": 1, "info": 1, "histogram": 4}
_VALUES = {"counter": 3, "gauge": 2, "info": 2, "histogram": 7}  # the field of a Metric
_SCHEMA = 1  # two buckets to each power of two


def encode(samples: Samples, constant: Mapping[str, str] | None = None) -> bytes:
    """`constant` labels are added to every sample."""
    return b"".join(
        _delimited(_family(family, samples[family.name], constant or {}))
        for family in FAMILIES
        if samples.get(family.name)
    )


def _family(family: Family, rows: Mapping[tuple[str, ...], Value], constant: Mapping[str, str]) -> bytes:
    head = _text(1, family.sample) + _text(2, family.text) + _integer(3, _TYPES[family.kind])
    shared = b"".join(_label(*pair) for pair in constant.items())
    metrics = (
        shared
        + b"".join(_label(*pair) for pair in zip(family.labels, values))
        + _message(_VALUES[family.kind], _histogram(value) if isinstance(value, Durations) else _double(1, value))
        for values, value in rows.items()
    )
    return head + b"".join(_message(4, metric) for metric in metrics)


def _label(name: str, value: str) -> bytes:
    return _message(1, _text(1, name) + _text(2, value))


def _histogram(value: Durations) -> bytes:
    """Durations below the finest bound are in the zero bucket. The last bucket has no end, and is given one here."""
    buckets = value.buckets
    below = list(accumulate(buckets))
    parts = [
        _integer(1, below[-1]), _double(2, value.total),
        *(_message(3, _integer(1, below[bucket]) + _double(2, layout.bound(bucket))) for bucket in EXPOSED),
        _integer(5, _zigzag(_SCHEMA)),
        _double(6, layout.bound(0)), _integer(7, buckets[0]),
    ]  # fmt: skip
    before = 0  # the index after the last span
    count = 0
    for start, numbers in _runs(buckets):
        index = start + layout.FINEST
        parts.append(_message(12, _integer(1, _zigzag(index - before)) + _integer(2, len(numbers))))
        before = index + len(numbers)
        for number in numbers:
            parts.append(_integer(13, _zigzag(number - count)))
            count = number
    if below[-1] == buckets[0]:
        parts.append(_message(12, _integer(1, 0) + _integer(2, 0)))  # still a native histogram, of nothing
    return b"".join(parts)


def _runs(buckets: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield each run of buckets that are not empty, without the first one: (where it starts, its numbers)."""
    for counted, run in groupby(enumerate(buckets), key=lambda each: each[0] > 0 and each[1] > 0):
        if counted:
            pairs = list(run)
            yield pairs[0][0], [number for _, number in pairs]


# ------------------------------------------------------------------------------------------------- the wire's own types


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _zigzag(number: int) -> int:
    return number * 2 if number >= 0 else -number * 2 - 1


def _delimited(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _integer(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _double(field: int, number: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", number)


def _message(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _delimited(data)


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode("utf-8", "backslashreplace"))
