"""The Problems of a configuration in the code that it names."""

from __future__ import annotations

import pytest

from agent.codebase.check import check, counts
from agent.config.load import examine

SHOP = """
import functools
def create(customer, items, *, urgent=False): ...
def cancel(customer, reason): ...
def _hidden(x): ...
@functools.lru_cache
def cached(a): ...
@somebody.elses
def wrapped(a): ...
class Bad(Exception): ...
class Stock:
    def reserve(self, product): ...
    @staticmethod
    def count(x): ...
"""


@pytest.fixture
def told(project, tmp_path):
    """[(slug, severity, line, column, message, hint)…] of a text over SHOP."""

    def run(text: str, **files: str):
        lookup = project({"code/shop.py": SHOP, **{f"code/{name}.py": code for name, code in files.items()}}, "code")
        path = tmp_path / "monitors.yaml"
        path.write_text("version: 1\n" + text, encoding="utf-8")
        examined = examine(str(path), {})
        assert [problem for problem in examined.problems if problem.severity == "error"] == []
        plan = repr(examined.plan)
        seen, problems = check(examined, lookup)
        assert repr(examined.plan) == plan
        run.counts = {status: number for status, number in counts(seen).items() if number}
        run.seen = seen
        return problems

    return run


def brief(problems):
    return [(problem.slug, problem.severity) for problem in problems]


def test_all_is_well(told):
    assert (
        told("""monitors:
  - target: shop.create
    capture: {who: customer.id, n: len(items), ok: urgent, out: result.id, took: duration}
    expect: [shop.Bad, ValueError]
    rules: [{when: error is None and items, message: none}]
  - {target: shop.Stock.*, capture: {p: product}}
""")
        == []
    )
    assert told.counts == {"found": 2}
    assert [path for path, _ in told.seen[1].functions] == ["shop.Stock.reserve", "shop.Stock.count"]


def test_a_misspelt_parameter_is_pointed_at(told):
    (problem,) = told("monitors: [{target: shop.create, rules: [{when: len(items) > 1 and custmer.id, message: m}]}]\n")
    assert brief([problem]) == [("unknown-parameter", "error")]
    assert problem.column == 68
    assert problem.path == 'monitors[1] "create" › rules[1] › when'
    assert problem.hint == "did you mean `customer`?"
    assert problem.message == "`shop.create` has no parameter `custmer`"


def test_a_decorator_that_is_not_known_makes_it_a_warning(told):
    assert brief(told("monitors: [{target: shop.wrapped, capture: {x: b}}]\n")) == [("unknown-parameter", "warning")]
    assert brief(told("monitors: [{target: shop.cached, capture: {x: b}}]\n")) == [("unknown-parameter", "error")]


def test_several_targets_share_expressions(told):
    text = "monitors: [{targets: [shop.create, shop.cancel], name: both, capture: {x: customer, y: %s}}]\n"
    assert told(text % "customer") == []
    assert brief(told(text % "reason")) == [("unknown-parameter", "warning")]
    (problem,) = told(text % "nobody")
    assert (problem.severity, "nor have 1 more" in problem.message) == ("error", True)


def test_what_some_functions_of_a_pattern_lack_is_no_problem(told):
    assert told("monitors: [{target: 'shop.c*', capture: {x: reason}}]\n") == []
    assert brief(told("monitors: [{target: 'shop.c*', capture: {x: raeson}}]\n")) == [("unknown-parameter", "error")]


def test_targets_that_are_not_there(told):
    problems = told("""monitors:
  - {target: shop.crate}
  - {target: shopp.create}
  - {target: "shop.sub.*"}
  - {target: "shop.zz*"}
  - {target: shop.Bad}
""")
    assert brief(problems) == [
        ("target-not-installed", "warning"), ("target-not-found", "error"), ("target-not-found", "error"),
        ("pattern-matches-nothing", "warning"), ("target-is-class", "error"),
    ]  # fmt: skip
    assert told.counts == {"not found": 4, "cannot be checked": 1}


def test_what_runs_as_main_is_not_looked_for(told):
    assert told("monitors: [{targets: [__main__.main, '__main__.f*', '__main__:Job.run']}]\n") == []
    assert told.counts == {"cannot be checked": 3}


def test_exceptions_that_are_not_there(told):
    problems = told("""sentry: {ignore_errors: [shop.Gone, elsewhere.Gone]}
monitors: [{target: shop.create, expect: [shop.Bda, KeyErorr], errors: {shop.create: warning}}]
""")
    assert [(problem.slug, problem.hint) for problem in problems] == [
        ("exception-not-found", ""), ("exception-not-found", "did you mean `Bad`?"),
        ("exception-not-found", "did you mean `KeyError`?"), ("exception-not-found", ""),
    ]  # fmt: skip


def test_exceptions_that_defaults_and_modules_name_are_looked_up(told):
    problems = told("""defaults: {expect: [shop.Bda, shop.Bad], errors: {KeyErorr: warning}}
modules: {sales: {defaults: {ignore_errors: [ValueErorr]}}}
""")
    assert [(problem.path, problem.hint) for problem in problems] == [
        ("defaults › expect[1]", "did you mean `Bad`?"),
        ("defaults › errors › KeyErorr", "did you mean `KeyError`?"),
        ("modules › sales › defaults › ignore_errors[1]", "did you mean `ValueError`?"),
    ]


def test_overlapping_patterns_are_a_warning_and_single_names_are_not(told):
    problems = told("""monitors:
  - {target: "shop.c*"}
  - {target: "shop.*", name: all}
  - {target: shop.create, name: one}
""")
    assert brief(problems) == [("overlapping-pattern", "warning")]
    assert problems[0].message == "`shop.create` and 2 more is matched by `shop.c*` at monitors.yaml:3 too, which wins"
    assert (
        told("""monitors:
  - {target: "shop.c*", environments: [staging], name: a}
  - {target: "shop.*", environments: [production], name: b}
""")
        == []
    )
    assert told('monitors: [{target: "shop.c*"}, {target: "shop.*", name: b, exclude: ["shop.c*"]}]\n') == []


def test_what_is_off_or_not_required_here_is_not_looked_up(told):
    assert (
        told("""monitors:
  - {target: shop.none, enabled: false}
  - {target: shop.nope, requires: no-such-distribution}
""")
        == []
    )
    assert told.counts == {}


def test_requirements_are_those_of_the_environment_that_is_looked_at(told, tmp_path):
    info = tmp_path / "code" / "shop_dist-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-dist\nVersion: 2.0\n")
    problems = told(
        "monitors: [{target: shop.none, requires: shop-dist>=2}, {target: shop.no, requires: shop-dist>2}]\n"
    )
    assert brief(problems) == [("target-not-found", "error")]


def test_equal_patterns_are_duplicates(tmp_path):
    path = tmp_path / "monitors.yaml"
    path.write_text(
        'version: 1\nmonitors: [{target: "a.b.*"}, {target: "a.b.*"}, {target: "a.b.*", exclude: [a.b.c]}]\n'
    )
    assert [problem.slug for problem in examine(str(path), {}).problems] == ["duplicate-monitor"]


def test_what_is_no_mapping_counts_as_checked(tmp_path):
    path = tmp_path / "monitors.yaml"
    path.write_text("version: 1\nmonitors: [{target: a.b.c}, text, 5]\n")
    assert examine(str(path), {}).monitors == 3


def test_a_parameter_that_has_the_name_of_one_of_our_words(told):
    problems = told(
        """monitors:
  - target: texts.show
    capture: {what: error, kind: type(error), r: 'argument("result")', none: 'argument("duration")'}
    rules: [{when: 'argument("error") is None', message: m}]
""",
        texts="def show(error, result=3): ...\n",
    )
    assert brief(problems) == [("shadowed-parameter", "warning"), ("unknown-parameter", "error")]  # once a monitor
    first, last = problems
    assert first.message == "`texts.show` has a parameter `error`; here `error` is the exception that the call raised"
    assert first.hint == 'write argument("error") for the parameter'
    assert "no parameter `duration`" in last.message
