"""What source refutes before anything runs: attributes, providers of context, exceptions; and no more than that."""

from __future__ import annotations

import argparse

import pytest

from agent.cli import validate
from agent.codebase import search
from agent.codebase.check import check
from agent.codebase.lookup import Lookup
from agent.config.load import examine

SHOP = """
from dataclasses import dataclass
from typing import NamedTuple, Protocol
class Base:
    kind = "x"
    def __init__(self): self.number = 1
class Bill(Base):
    status: str
    def pay(self): self.paid = True
@dataclass
class Row:
    total: int
class Pair(NamedTuple):
    left: int
class Open(Base):
    def __getattr__(self, name): return 1
class Filled:
    def __init__(self, **given): self.__dict__.update(given)
class Changing(Base):
    def __new__(cls): return Row(1)
class Late(Base): pass
class Priced(Protocol):
    price: int
class Stopped(Exception): pass
class Meta(type): pass
class Made(metaclass=Meta): pass
def bill(): return Bill()
async def awaited(): return Bill()
def row(): return Row(1)
def typed() -> Bill: return other()
def quoted() -> "Bill": return other()
def take(given: Bill, anything): return other()
def pair(): return Pair(1)
def open_(): return Open()
def filled(): return Filled()
def changing(): return Changing()
def made(): return Made()
def raised(): return Stopped()
def priced() -> Priced: return other()
def maybe(x):
    if x: return Bill()
    return None
def late():
    one = Late()
    one.extra = 1
    return one
def later() -> Late: return late()
def stream(): yield Bill()
def nested():
    def inner(): return Bill()
    return other()
def hidden(function): return lambda: 1
@hidden
def decorated(): return Bill()
def other(): ...
def tenant(request): return request
def defaulted(request=None, *, also=1): return request
class Here:
    @classmethod
    def of_class(cls): return 1
    @staticmethod
    def of_none(request): return 1
"""


@pytest.fixture
def found(tmp_path):
    """(slug, severity) → hint, of what a look at the code adds."""

    def look(text, shop=SHOP):
        (tmp_path / "attribute_shop.py").write_text(shop, encoding="utf-8")
        file = tmp_path / "monitors.yaml"
        file.write_text("version: 1\n" + text, encoding="utf-8")
        _, problems = check(examine(str(file), {}), Lookup(search.here([str(tmp_path)])))
        return {(problem.slug, problem.severity): problem.hint for problem in problems}

    return look


def of(found, function, expression):
    return found(f"monitors: [{{target: attribute_shop.{function}, unless: {expression}}}]\n")


@pytest.mark.parametrize(
    ("function", "expression", "severity", "hint"),
    [
        ("bill", "result.statu == 'bad'", "error", "did you mean `status`?"),
        ("awaited", "result.numbr", "error", "did you mean `number`?"),
        ("row", "result.totl > 3", "error", "did you mean `total`?"),
        ("typed", "len(result.numbers)", "warning", "did you mean `number`?"),
        ("quoted", "not result.kinds", "warning", "did you mean `kind`?"),
        ("take", "given.stat == anything.stat", "warning", "did you mean `status`?"),
    ],
)
def test_an_attribute_that_its_class_does_not_have(found, function, expression, severity, hint):
    assert of(found, function, expression) == {("unknown-attribute", severity): hint}


@pytest.mark.parametrize(
    ("function", "expression"),
    [
        ("bill", "result.status and result.number and result.kind and result.paid and result.pay"),
        ("bill", "error.anything"), ("row", "result.total"), ("pair", "result.left or result.count"), ("open_", "result.anything"),
        ("filled", "result.anything"), ("changing", "result.total"), ("made", "result.anything"), ("raised", "result.anything"),
        ("priced", "result.anything"), ("maybe", "result.anything"), ("late", "result.extra"), ("later", "result.extra"),
        ("stream", "result.anything"), ("nested", "result.anything"), ("decorated", "result.anything"), ("other", "result.anything"),
        ("take", "anything.anything"), ("bill", "result.status.anything"),
    ],
)  # fmt: skip
def test_what_nobody_can_know_is_not_refuted(found, function, expression):
    assert of(found, function, expression) == {}


@pytest.mark.parametrize(
    ("target", "problems"),
    [
        ("tenant", {("provider-parameters", "error")}), ("defaulted", set()), ("bill", set()), ("Here.of_class", set()),
        ("Here.of_none", {("provider-parameters", "error")}), ("Bill", set()), ("tenat", {("target-not-found", "error")}),
        ("decorated", set()),
    ],
)  # fmt: skip
def test_a_provider_is_there_and_needs_nothing(found, target, problems):
    assert set(found(f"context: [{{name: t, target: attribute_shop.{target}, read: {{a: result}}}}]\n")) == problems


def test_a_provider_of_a_package_that_is_not_here_cannot_be_checked(found):
    text = "context: [{name: t, target: not_installed_here.tenant, read: {a: result}}]\n"
    assert set(found(text)) == {("target-not-installed", "warning")}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("monitors: [{target: attribute_shop.row, expect: [attribute_shop.Stoped]}]", "did you mean `Stopped`?"),
        ("monitors: [{target: attribute_shop.row, errors: {KeyErorr: warning}}]", "did you mean `KeyError`?"),
        ("sentry: {ignore_errors: [attribute_shop.Stoppd]}", "did you mean `Stopped`?"),
    ],
)
def test_an_exception_that_is_not_there_is_an_error(found, text, hint):
    assert found(text + "\n") == {("exception-not-found", "error"): hint}


def test_one_look_finds_mistakes_of_all_kinds(tmp_path, capsys):
    (tmp_path / "attribute_shop.py").write_text(SHOP, encoding="utf-8")
    file = tmp_path / "monitors.yaml"
    file.write_text(
        "version: 1\nmonitors:\n- {target: attribute_shop.nothing, threshold: 5 min, expect: [attribute_shop.Stoped],"
        " unless: x =, requires: 'a b', nonsense: 1}\n",
        encoding="utf-8",
    )
    parser = argparse.ArgumentParser()
    validate.configure(parser)
    assert validate.run(parser.parse_args([str(file), "--path", str(tmp_path)])) == 1
    out = capsys.readouterr().out
    for slug in (
        "target-not-found",
        "bad-duration",
        "exception-not-found",
        "bad-expression",
        "bad-requirement",
        "unknown-key",
    ):
        assert f"[{slug}]" in out, out


def test_strict_counts_warnings(tmp_path, capsys):
    file = tmp_path / "monitors.yaml"
    parser = argparse.ArgumentParser()
    validate.configure(parser)
    for text, strict, status in (
        ("threshold: 250", [], 0),
        ("threshold: 250", ["--strict"], 1),
        ("threshold: 2s", ["--strict"], 0),
    ):
        file.write_text(f"version: 1\nmonitors: [{{target: json.dumps, {text}}}]\n", encoding="utf-8")
        assert validate.run(parser.parse_args([str(file), *strict])) == status
    capsys.readouterr()
