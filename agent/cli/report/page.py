"""The page: its parts put into page.html, with the style, the scripts and the policy that permits nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from functools import cache
from string import Template
from typing import Any

from ...base.version import __version__
from ..terminal import shown_path
from . import sections, traces, verdict, words
from .gather import Report
from .markup import Markup, data_block, joined, tag
from .measures import Module

_MOST_SERIES = 40  # modules in the charts over time
_PLOTS = ("uplot", "uPlot.iife.min.js")
_SCRIPT = ("page.js",)


@cache
def _file(*name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), *name), encoding="utf-8") as file:
        return file.read()


def page(report: Report, live: float | None = None) -> str:
    """The whole document. `live`: a server renews it, and the page asks for it again after so many seconds."""
    name = _name(report)
    return Template(_file("page.html")).substitute(
        policy=policy(live=live is not None),
        title=joined(f"{name}: ERP report, {words.local(report.made)}"),
        style=_style(),
        plots=_file(*_PLOTS),
        script=_file(*_SCRIPT),
        live="" if live is None else f"{live:g}",
        name=joined(name),
        masthead=_masthead(report, live=live is not None),
        footer=_footer(report),
        data=data_block(_data(report)),
        verdict=verdict.verdict(report),
        modules=verdict.modules(report),
        **{
            part.__name__: part(report)
            for part in (
                sections.slots, sections.issues, sections.slowest, sections.inside, sections.operations, sections.users,
                sections.security, sections.releases, sections.days, sections.dropped, traces.traces,
            )
        },
    )  # fmt: skip


def policy(*, live: bool) -> str:
    """The Content-Security-Policy: nothing but the style and the scripts of this file, and the live page's own data."""
    scripts = " ".join(_digest(_file(*name)) for name in (_PLOTS, _SCRIPT))
    fetches = "; connect-src 'self'" if live else ""
    allowed = f"style-src {_digest(_style())}; script-src {scripts}{fetches}"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _style() -> str:
    return _file("uplot", "uPlot.min.css") + _file("page.css")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _name(report: Report) -> str:
    folder = os.path.basename(os.path.dirname(os.path.abspath(report.config))) or "ERP"
    return f"{folder}, {report.environment}" if report.environment else folder


def _masthead(report: Report, *, live: bool) -> Markup:
    measures = report.measures
    releases = [name for name, _ in measures.releases if name]
    facts = [
        f"host {report.host}",
        f"release{'s' * (len(releases) > 1)} {', '.join(releases[:3])}" if releases else None,
        f"module {report.module}" if report.module else None,
        f"the last {words.period(measures.seconds)}",
    ]
    made = tag("time", words.local(report.made), datetime=words.machine(report.made))
    pause = tag("button", "Pause", type="button", id="pause")
    status = tag("span", tag("span", " · live ", role="status"), pause, id="live")
    return joined(" · ".join(filter(None, facts)), " until ", made, status if live else None)


def _footer(report: Report) -> Markup:
    made = f"Made {words.local(report.made, '%Y-%m-%d %H:%M:%S %Z')} by erp-sentry-agent {__version__}"
    config = tag("code", shown_path(report.config))
    return joined(made, " from ", config, ". Plots: uPlot (MIT). This page loads nothing from elsewhere.")


def _data(report: Report) -> dict[str, Any]:
    """For the charts: numbers of each slot, by module."""
    measures = report.measures
    return {
        "step": measures.step,
        "zone": time.localtime(report.made).tm_gmtoff,  # the page is read elsewhere, too
        "times": measures.times,
        "series": [_series(each, each.name or "no module") for each in measures.modules[:_MOST_SERIES]],
        "whole": _series(measures.whole, "all modules"),
    }


def _series(module: Module, name: str) -> dict[str, Any]:
    p95 = [slot.quantile(0.95) for slot in module.slots]
    return {
        "name": name,
        "calls": [slot.calls for slot in module.slots],
        "failures": [slot.failures for slot in module.slots],
        "p95": [None if value is None else float(f"{value:.3g}") for value in p95],
    }
