"""Small charts as SVG in the page: they need no script, print as they are, and take their colours from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...measure import layout
from ...measure.figures import Counts
from . import words
from .markup import Markup, tag

_WIDTH, _HEIGHT = 160, 28  # of a sparkline
_BAR, _TALL = 7, 34  # of a histogram: width of a bucket, height of the highest bar
_DECADES = tuple(range(-6, 4))  # powers of ten seconds that may be marked


def sparkline(slots: Sequence[Counts], label: str) -> Markup:
    """Calls over time as a line, and a mark below it in each slot in which a call failed."""
    if len(slots) == 1:
        slots = [slots[0]] * 2  # a line has two ends
    most = max((slot.calls for slot in slots), default=0) or 1
    across = _WIDTH / max(len(slots) - 1, 1)
    points = [f"{at * across:.1f} {(_HEIGHT - 6) * (1 - slot.calls / most) + 1:.1f}" for at, slot in enumerate(slots)]
    floor = _HEIGHT - 4.5
    ends = f"L{_WIDTH} {floor}L0 {floor}Z"
    failed = "".join(f"M{at * across:.1f} {_HEIGHT - 3}v3" for at, slot in enumerate(slots) if slot.failures)
    return tag(
        "svg",
        tag("path", d="M" + "L".join(points) + ends, class_="area") if points else None,
        tag("path", d="M" + "L".join(points), class_="stroke") if points else None,
        tag("path", d=failed, class_="failed") if failed else None,
        viewBox=f"-1 0 {_WIDTH + 2} {_HEIGHT}", preserveAspectRatio="none", class_="spark", role="img",
        aria_label=label,
    )  # fmt: skip


class Durations:
    """A scale of durations that histograms share, so that they can be compared: each bucket has the same width."""

    def __init__(self, all_: Sequence[Counts]) -> None:
        used = [bucket for counts in all_ for bucket, number in enumerate(counts.buckets) if number]
        self.first, self.last = (min(used), max(used)) if used else (0, 0)
        self.width = (self.last - self.first + 1) * _BAR

    def at(self, seconds: float) -> float:
        bucket = 2 * math.log2(max(seconds, 1e-12)) - layout.FINEST + 1
        return min(max((bucket - self.first) * _BAR, 0.0), self.width)

    def _decades(self) -> list[tuple[float, float]]:
        least, most = layout.bound(self.first - 1), layout.bound(self.last)
        return [(10.0**power, self.at(10.0**power)) for power in _DECADES if least < 10.0**power < most]

    def axis(self) -> Markup:
        marks = [
            tag("text", words.duration(seconds), x=f"{100 * x / self.width:.1f}%", y="11", text_anchor=self._anchor(x))
            for seconds, x in self._decades()
        ]
        return tag("svg", marks, class_="axis", aria_hidden="true")

    def _anchor(self, x: float) -> str:
        return "start" if x < 0.1 * self.width else "end" if x > 0.9 * self.width else "middle"

    def histogram(self, counts: Counts, threshold: float | None, label: str) -> Markup:
        """Calls by duration, with lines at p50, p95 and p99. Bars beyond the threshold have the colour of slow ones."""
        most = max(counts.buckets) or 1
        bars: dict[bool, list[str]] = {False: [], True: []}
        for bucket, number in enumerate(counts.buckets):
            if number:
                height = max(_TALL * number / most, 1.5)
                slow = threshold is not None and layout.bound(bucket - 1) >= threshold * 0.999
                left = (bucket - self.first) * _BAR
                bars[slow].append(f"M{left + 0.5} {_TALL + 1}h{_BAR - 1}v{-height:.1f}h{1 - _BAR}z")
        marks = [
            tag("line", x1=f"{self.at(value):.1f}", x2=f"{self.at(value):.1f}", y1=0, y2=_TALL + 4, class_="q" + name)
            for name, value in ((name, counts.quantile(share)) for name, share in QUANTILES)
            if value is not None
        ]
        grid = "".join(f"M{x:.1f} 0v{_TALL + 1}" for _, x in self._decades())
        return tag(
            "svg",
            tag("path", d=grid, class_="grid") if grid else None,
            tag("path", d="".join(bars[False]), class_="bars") if bars[False] else None,
            tag("path", d="".join(bars[True]), class_="bars slow") if bars[True] else None,
            tag("path", d=f"M0 {_TALL + 1.5}h{self.width}", class_="grid"),
            marks,
            viewBox=f"0 0 {self.width} {_TALL + 4}", preserveAspectRatio="none", class_="histogram", role="img",
            aria_label=label,
        )  # fmt: skip


QUANTILES = (("50", 0.5), ("95", 0.95), ("99", 0.99))


def span(start: float, end: float, failed: bool) -> Markup:
    """When something ran, in shares of the whole: from 0.0 to 1.0."""
    left = min(max(100 * start, 0.0), 99.0)
    width = max(100 * min(end, 1.0) - left, 1.0)
    bar = tag("rect", x=f"{left:.1f}", y=0, width=f"{width:.1f}", height=10, class_="part3" if failed else "part0")
    return tag("svg", bar, viewBox="0 0 100 10", class_="span", aria_hidden="true", preserveAspectRatio="none")


def stack(shares: Sequence[float], label: str) -> Markup:
    """Parts of a whole as one bar; what no part covers stays open."""
    at, parts = 0.0, []
    for index, share in enumerate(shares):
        width = max(min(100 * share, 100 - at), 0)
        parts.append(
            tag("rect", x=f"{at:.1f}", y=0, width=f"{max(width - 0.4, 0):.1f}", height=10, class_=f"part{index % 5}")
        )
        at += width
    return tag(
        "svg", tag("rect", x=0, y=0, width=100, height=10, class_="rest"), parts,
        viewBox="0 0 100 10", class_="stack", role="img", aria_label=label, preserveAspectRatio="none",
    )  # fmt: skip
