"""What is remembered of installed code gives the same as a new look, and is forgotten when anything changes."""

from __future__ import annotations

import os
import shutil

import pytest

from agent.base import places
from agent.codebase import search
from agent.codebase.check import check
from agent.codebase.lookup import Lookup
from agent.config.load import examine

SHOP = """
from remembered_base import parent
class Bill:
    status: str
def bill() -> Bill: return Bill()
def plain(order, lines=()): return 1
"""
MONITORS = """version: 1
monitors:
  - {target: remembered_shop.bill, unless: result.statu}
  - {target: remembered_shop.plain, capture: {n: number}}
  - {target: remembered_shop.parent}
  - {target: remembered_shop.missing}
  - {target: remembered_space.shop.sell}
  - {target: "remembered_space.*.*", exclude: [remembered_space.shop.sell]}
"""


@pytest.fixture
def shop(tmp_path):
    code = tmp_path / "code"
    (code / "remembered_space").mkdir(parents=True)
    (code / "remembered_shop.py").write_text(SHOP)
    (code / "remembered_base.py").write_text("def parent(x): ...\n")
    (code / "remembered_space" / "shop.py").write_text("def sell(y): ...\ndef buy(z): ...\n")
    (tmp_path / "monitors.yaml").write_text(MONITORS)
    (tmp_path / "state").mkdir(mode=0o700)
    for folder, _, files in os.walk(code):
        for name in files:
            os.utime(os.path.join(folder, name), (1e9, 1e9))
    return tmp_path


def look(shop, *, remembered=True):
    """(what was found, whether any of it was known)"""
    lookup = Lookup(search.here([str(shop / "code")]))
    file = places.plan_file(str(shop / "state"), "code")
    if remembered:
        lookup.known.recall(file, lookup.search)
    known = bool(lookup.known.outcomes)
    sightings, problems = check(examine(str(shop / "monitors.yaml"), {}), lookup)
    if remembered:
        lookup.known.keep(file, lookup.search, lookup.finder)
    return [(each.text, each.outcome, each.functions) for each in sightings], problems, known


def test_what_is_remembered_is_what_a_new_look_finds(shop):
    first = look(shop)
    again = look(shop)
    assert (first[2], again[2]) == (False, True)
    assert again[:2] == first[:2] == look(shop, remembered=False)[:2]
    slugs = {problem.slug for problem in again[1]}
    assert slugs == {"unknown-attribute", "unknown-parameter", "target-not-found"}


CHANGES = {
    "a file": lambda code: (code / "remembered_shop.py").write_text("def missing(): ...\n"),
    "a file that another takes from": lambda code: (code / "remembered_base.py").write_text("parent = 1\n"),
    "a file that is gone": lambda code: (code / "remembered_base.py").unlink(),
    "a package in place of a file": lambda code: (
        (code / "remembered_shop").mkdir(),
        (code / "remembered_shop" / "__init__.py").write_text(""),
    ),
    "a namespace that becomes a package": lambda code: (code / "remembered_space" / "__init__.py").write_text("x = 1"),
    "a module more": lambda code: (code / "remembered_space" / "more.py").write_text("def sell(): ...\n"),
    "a folder that is gone": lambda code: shutil.rmtree(code / "remembered_space"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_code_is_seen(shop, change):
    before = look(shop)
    change(shop / "code")
    after = look(shop)
    assert not after[2]
    assert after[:2] == look(shop, remembered=False)[:2] != before[:2]


def test_bytecode_is_no_change(shop):
    look(shop)
    (shop / "code" / "__pycache__").mkdir()
    assert look(shop)[2]


def test_new_targets_are_looked_up_and_remembered_beside_the_others(shop):
    look(shop)
    with open(shop / "monitors.yaml", "a") as stream:
        stream.write("  - {target: remembered_base.parent}\n")
    found = look(shop)
    assert found[2]
    assert found[:2] == look(shop)[:2] == look(shop, remembered=False)[:2]


def test_without_a_state_folder_nothing_is_written(shop):
    (shop / "state").rmdir()
    assert not look(shop)[2]
    assert not look(shop)[2]
    assert not (shop / "state").exists()
