"""Monitors that differ in target, name and operation alone are built as each would be by itself."""

from __future__ import annotations

import pytest

from agent.config.build import alike
from agent.config.build.monitor import build
from agent.config.load import load

TEXT = """\
version: 1
defaults: {rate_limit: 5/min}
modules: {sales: {owner: team-a, tags: {area: shop}, defaults: {threshold: 2s}}, stock: {}}
monitors:
"""

KINDS = [
    "module: sales, capture: {out: result.id}, rules: [{when: result is None, message: none}]",
    "module: sales, capture: {out: result.id}, rules: [{when: result is None, message: none, severity: fatal}]",
    "module: stock, thresholds: {warning: 1s, error: 3s}, tags: {a: b}, expect: [ValueError], errors: {KeyError: fatal}",
    "module: stock, kind: business, process: billing, audit: true",
    "kind: security, event_type: login",
    "kind: api, endpoint: orders, threshold: off, span: {op: db, data: {rows: result.rows}}",
    "kind: transaction, threshold: learned, unless: order.test, fingerprint: [a], quiet_inside: [first]",
    "kind: database, model: Order, sample: 0.5, environments: [production], enabled: true, requires: Django",
    "capture: {out: result is 1}",  # a warning
    "threshold: 90",  # another
    "capture: {out: _private}",  # an error
    "module: nowhere",
]

OWN = ["target: shop.a{n}", "target: 'shop:a{n}', name: called-{n}", "targets: [shop.b{n}, shop.c{n}]",
       "target: shop.d{n}, operation: Order {n}", "target: shop.e{n}, operation: 'of {{qualname}}'", "target: shop..f{n}",
       "target: shop.g{n}, operation: 'of {{nothing}}'", "target: shop.a0", "target: shop.h{n}, name: first"]  # fmt: skip


def text():
    lines = [
        f"  - {{{own.format(n=number)}, {kind}}}"
        for number, (own, kind) in enumerate([(own, kind) for _ in range(2) for kind in KINDS for own in OWN])
    ]
    return TEXT + "\n".join(lines) + "\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "monitors.yaml"
    path.write_text(text())
    return str(path)


def test_each_is_as_if_it_were_alone(file, monkeypatch):
    loaded = load(file, {})
    monkeypatch.setattr(alike.Alike, "build", lambda self, written: build(written, self._settings, self._findings))
    alone = load(file, {})
    assert loaded.problems == alone.problems
    assert loaded.plan == alone.plan
    assert len(loaded.plan["monitors"]) > 50
    assert [list(monitor) for monitor in loaded.plan["monitors"]] == [
        list(monitor) for monitor in alone.plan["monitors"]
    ]


def test_most_of_those_that_are_alike_are_built_once(file, monkeypatch):
    built = []
    monkeypatch.setattr(alike, "build", lambda *given: built.append(given) or build(*given))
    load(file, {})
    assert len(built) < 2 * len(KINDS) * len(OWN) * 0.7


def test_what_happens_to_one_happens_to_no_other(file):
    monitors = load(file, {}).plan["monitors"]
    first, second = [
        monitor for monitor in monitors if monitor["rules"] and monitor["rules"][0]["severity"] == "fatal"
    ][:2]
    for field in ("rules", "tags", "thresholds", "detail"):
        assert first[field] == second[field]
        assert first[field] is not second[field]
    assert first["rules"][0] is not second["rules"][0]
