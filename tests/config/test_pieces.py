"""A plan that is compiled with what is known of its monitors is the one that is compiled without."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.build.alike import Alike
from agent.config.load import examine
from agent.config.read import pieces
from agent.config.read.pieces import Memory
from agent.plan import write

HEAD = "version: 1\nmodules: {sales: {owner: ann, defaults: {threshold: 2s}}}\nmonitors:\n"
TAIL = "sentry: {environment: test}\n"

#: Monitors as people write them, and worse: `N` is replaced by a number.
WRITTEN = [
    "  - target: shop.fN\n",
    "  - {target: shop.fN, module: sales, capture: {out: result.id}}\n",
    '  - {target: "shop:C.fN", thresholds: {warning: 1s, error: 3s}}\n',
    "  - target: shop.fN  # why\n    # a comment\n    module: sales\n\n",
    "  - target: shop.fN\n    rules:\n      - when: result is None\n        message: none\n",
    "  - target: shop.fN\n    rules:\n    - {when: error, message: 'it is\n       broken'}\n",
    "  - target: shop.fN\n    tags:\n      text: |+\n        one\n        - two\n\n\n",
    "  - target: shop.fN\n    tags: {text: >-\n",
    "  - target: shop.fN\n    tags:\n      text: >\n        folded\n         more\n",
    "  - targets: [shop.fN,\n    shop.gN]\n",
    "  - {target: shop.fN,\n  name: nameN}\n",
    "  - {target: shop.fN, name: [}\n",
    "  - target: 'shop.fN\n",
    '  - target: "shop.fN\n',
    "  -\n    target: shop.fN\n",
    "  - # first\n    target: shop.fN\n",
    "  - target: ${SHOP:-shop}.fN\n",
    "  - target: ${NONE}.fN\n",
    "  - &a {target: shop.fN}\n",
    "  - *a\n",
    "  - {<<: {module: sales}, target: shop.fN}\n",
    "  - target: shop.f\n",
    "  - target: shop.fN\n    name: same\n",
    "  - target: shop.fN\n    quiet_inside: [same]\n",
    "  - target: shop.fN\n    module: nobodys\n",
    "  - target: shop.fN\n    requires: Django>=99\n",
    "  - target: shop.fN\n    enabled: false\n",
    "   - target: shop.fN\n",
    "- target: shop.fN\n",
    "# a comment\n", "\n", "    \n", "---\n", "...\n", "monitors:\n", "\t- target: shop.fN\n", "x\n", "}\n", "']\n",
    "  - target: shop.fN\r\n", "  - target: shop.fN\u2028\n", "  - ~\n", "  - - target: shop.fN\n",
]  # fmt: skip


@pytest.fixture
def anything_is_worth_it(monkeypatch):
    monkeypatch.setattr(pieces, "FEWEST", 1)
    monkeypatch.setattr(pieces, "MOST_NEW", 0)


def outcome(file, state, *, known):
    memory = Memory(str(state)) if known else None
    made = examine(str(file), {"SHOP": "shop"}, memory=memory)
    plan = None if made.plan is None else write.encode(made.plan, [])
    return plan, made.problems, memory


def text_of(chosen):
    return "".join([WRITTEN[kind].replace("N", str(number)) for kind, number in chosen])


MONITORS = st.lists(st.tuples(st.integers(0, len(WRITTEN) - 1), st.integers(0, 9)), max_size=8)
RIGHT = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8, unique_by=lambda each: each[1]
)


@pytest.mark.slow(reason="a large space: 20 examples, each compiled three times")
@settings(max_examples=20, deadline=None)
@given(before=RIGHT, put_in=MONITORS, where=st.integers(0, 8), lost=st.integers(0, 3), tail=st.booleans())
def test_with_what_is_known_the_result_is_the_same(tmp_path_factory, before, put_in, where, lost, tail):
    folder = tmp_path_factory.mktemp("m")
    file = folder / "monitors.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "FEWEST", 1)
        patch.setattr(pieces, "MOST_NEW", 0)
        file.write_bytes((HEAD + text_of(before) + TAIL * tail).encode())
        outcome(file, folder, known=True)
        after = before[:where] + put_in + before[where + lost :]
        file.write_bytes((HEAD + text_of(after) + TAIL * tail).encode())
        assert outcome(file, folder, known=True)[:2] == outcome(file, folder, known=False)[:2]


def many(number, change=""):
    lines = [f"  - {{target: shop.f{each}, module: sales, tags: {{text: t{each}}}}}\n" for each in range(number)]
    if change:
        lines[number // 2] = change
    return HEAD + "".join(lines) + TAIL


def test_only_the_monitor_that_changed_is_read_again(tmp_path, monkeypatch):
    file = tmp_path / "monitors.yaml"
    file.write_text(many(600))
    assert not outcome(file, tmp_path, known=True)[2].reuses
    file.write_text(many(600, "  - {target: shop.changed}\n"))
    built = []
    build = Alike.build
    monkeypatch.setattr(Alike, "build", lambda self, entry: built.append(entry.where) or build(self, entry))
    with_known = outcome(file, tmp_path, known=True)
    assert built == ["monitors.yaml:304"]
    assert with_known[2].reuses
    assert with_known[:2] == outcome(file, tmp_path, known=False)[:2]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("threshold: 2s", "threshold: 3s"),
        lambda text: text.replace("environment: test", "environment: ${SHOP}"),
        lambda text: text + "defaults: {severity: warning}\n",
    ],
)
def test_a_changed_default_counts_for_every_monitor(tmp_path, anything_is_worth_it, change):
    file = tmp_path / "monitors.yaml"
    file.write_text(many(20))
    outcome(file, tmp_path, known=True)
    file.write_text(change(many(20)))
    with_known = outcome(file, tmp_path, known=True)
    assert with_known[0] == outcome(file, tmp_path, known=False)[0]
    assert not with_known[2].reuses


def test_a_damaged_file_is_not_read(tmp_path, anything_is_worth_it):
    file = tmp_path / "monitors.yaml"
    file.write_text(many(20))
    memory = outcome(file, tmp_path, known=True)[2]
    with open(memory.file, "r+b") as stream:
        data = bytearray(stream.read())
        data[random.Random(1).randrange(20, len(data))] ^= 1
        stream.seek(0)
        stream.write(data)
    assert Memory(str(tmp_path)).known == {}


def test_more_values_than_a_file_may_hold_are_refused_with_what_is_known_too(
    tmp_path, anything_is_worth_it, monkeypatch
):
    file = tmp_path / "monitors.yaml"
    file.write_text(many(20))
    outcome(file, tmp_path, known=True)
    file.write_text(many(25))
    for room in ("pieces", "tree"):
        monkeypatch.setattr(f"agent.config.read.{room}.MOST_NODES", 300)
    assert outcome(file, tmp_path, known=True)[1][0].slug == "yaml-size"
