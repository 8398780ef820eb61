"""What bounds the spool, which programs are monitored, when the expected escalates, and where context comes from."""

from __future__ import annotations

import json

import pytest

from agent.base.programs import SKIPPED
from agent.config.read.shipped import schema_path


def errors(result):
    return [problem for problem in result.problems if problem.severity == "error"]


def monitors(result):
    return {monitor["name"]: monitor for monitor in result.plan["monitors"]}


@pytest.mark.parametrize(
    ("written", "files", "rate"),
    [("{max_files: 7, max_rate: 100/s}", 7, 100.0), ("{max_files: '7'}", None, None), ("{max_rate: 600/min}", 50_000, 10.0),
     ("{max_files: '${N}'}", None, None), ("\n    max_files: ${N}\n    max_rate: ${R}", 5, 1.5), ("{max_rate: off}", 50_000, 0.0),
     ("{max_rate: ~}", 50_000, 0.0), ("{max_files: 8.0}", 8, 0.0)],
)  # fmt: skip
def test_the_spool_is_bounded_in_number_and_rate(look, written, files, rate):
    plan = look(f"version: 1\ndelivery:\n  spool: {written}\n", {"N": "5", "R": "90/min"}).plan
    if files is None:
        assert plan is None  # a wrong `delivery` refuses the file
    else:
        assert (plan["spool"]["max_files"], plan["spool"]["max_rate"]) == (files, rate)
        assert isinstance(plan["spool"]["max_files"], int)


@pytest.mark.parametrize(
    ("written", "slug", "message", "hint"),
    [
        ("max_files: 0", "bad-value", "expected a whole number from 1 on, not `0`", ""),
        ("max_files: 1.5", "bad-value", "expected a whole number from 1 on, not `1.5`", ""),
        ("max_files: true", "bad-value", "expected a whole number from 1 on, not `true`", ""),
        ("max_files: 256MB", "bad-value", "expected a whole number from 1 on, not `256MB`", ""),
        ("max_rate: 100", "bad-rate", "not `100`", "did you mean `100/s`?"),
        ("max_rate: 0/s", "bad-rate", "a rate must be more than zero", "write `off` for any number"),
        ("max_rate: 30/min", "bad-rate", "must be at least 1/s", "lower the `rate_limit` of what is so frequent"),
        ("max_rate: true", "bad-rate", "not `true`", "write `off` for none"),
    ],
)
def test_what_the_spool_cannot_be_bounded_by(look, written, slug, message, hint):
    result = look(f"version: 1\ndelivery: {{spool: {{{written}}}}}\n")
    (problem,) = errors(result)
    assert (problem.slug, problem.hint) == (slug, hint)
    assert message in problem.message
    assert result.plan is None


def test_which_programs_are_monitored_is_part_of_the_plan(look):
    assert look("version: 1\n").plan["processes"] is None
    assert look("version: 1\nprocesses: {}\n").plan["processes"] is None
    assert look("version: 1\nprocesses: {skip: []}\n").plan["processes"] == {"skip": []}
    result = look(
        "version: 1\ninclude: [other.yaml]\nprocesses: {only: [gunicorn, 'manage.py run*']}\n",
        other="version: 1\nprocesses: {skip: ['pip[0-9.]', -c], only: [gunicorn, 'manage.py run*']}\n",
    )
    assert result.plan["processes"] == {"only": ["gunicorn", "manage.py run*"], "skip": ["pip[0-9.]", "-c"]}


def test_two_files_that_differ_about_programs_are_refused(look):
    result = look(
        "version: 1\ninclude: [other.yaml]\nprocesses: {only: [a]}\n", other="version: 1\nprocesses: {only: [b]}\n"
    )
    assert [problem.slug for problem in errors(result)] == ["conflict"]
    assert result.plan is None


@pytest.mark.parametrize(
    ("written", "slug", "hint"),
    [("{only: [/usr/bin/gunicorn]}", "bad-value", "write `gunicorn`"),
     ("{skip: ['./manage.py migrate']}", "bad-value", "write `manage.py migrate`"),
     ("{skip: ['pip?']}", "bad-value", "`*` matches"), ("{skip: ['pip[0-9]']}", "bad-value", "`*` matches"),
     ("{only: gunicorn}", "wrong-type", "did you mean `[gunicorn]`?"), ("{only: ['']}", "bad-value", ""),
     ("{onyl: [a]}", "unknown-key", "`only`"), ("[a]", "wrong-type", "")],
)  # fmt: skip
def test_what_names_no_program(look, written, slug, hint):
    result = look(f"version: 1\nprocesses: {written}\n")
    (problem,) = errors(result)
    assert problem.slug == slug
    assert hint in problem.hint
    assert result.plan is None


def test_what_came_from_the_environment_is_not_repeated(look):
    result = look(
        "version: 1\nprocesses: {only: ['${P}']}\ncontext:\n"
        + "- {name: '${N}', target: a.b, read: {c: result}}\n" * 2
        + "- {name: '${P}', target: '${P}', read: {c: result}}\n",
        {"P": "/hunter2/hunter2", "N": "hunter2"},
    )
    assert sorted(problem.slug for problem in errors(result)) == [
        "bad-name", "bad-target", "bad-value", "duplicate-name",
    ]  # fmt: skip
    assert "hunter2" not in str([(problem.message, problem.hint) for problem in result.problems])


def test_the_description_names_every_program_that_is_skipped():
    with open(schema_path(), encoding="utf-8") as stream:
        schema = json.load(stream)
    described = schema["$defs"]["processes"]["properties"]["skip"]["description"]
    assert ", ".join(f"`{name}`" for name in SKIPPED) in described


def test_expected_errors_escalate_only_where_somebody_says_so(look):
    found = monitors(
        look("""
version: 1
defaults: {escalate: 20/h}
modules: {m: {defaults: {escalate: 5/min}}}
monitors:
  - {target: a.b.file}
  - {target: a.b.module, module: m}
  - {target: a.b.own, module: m, escalate: 1/s}
  - {target: a.b.none, module: m, escalate: off}
""")
    )
    assert {name: monitor["escalate"] for name, monitor in found.items()} == {
        "file": (20.0, 3600.0), "module": (5.0, 60.0), "own": (1.0, 1.0), "none": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "hint"),
    [("20", "did you mean `20/h`?"), ("20/fortnight", "the periods are"), ("0/h", "report every occurrence"),
     ("true", "write `off`")],
)  # fmt: skip
def test_what_nothing_escalates_over(look, written, hint):
    result = look(f"version: 1\nmonitors: [{{target: a.b.c, escalate: {written}}}]\n")
    (problem,) = errors(result)
    assert problem.slug == "bad-rate"
    assert hint in problem.hint
    assert result.plan["monitors"] == []


_TENANT = "{name: tenant, target: 'a.b:C.now', read: {n: len(result.x)}, tags: {t: result.t}, user: {id: result.u}}"


def test_context_comes_from_all_files(look):
    assert look("version: 1\n").plan["sentry"]["context"] == []
    result = look(
        f"version: 1\ninclude: [other.yaml]\ncontext: [{_TENANT}]\n",
        other="version: 1\ncontext: [{name: shop, target: a.b.shop, read: {one: result}}]\n",
    )
    assert errors(result) == []
    tenant, shop = result.plan["sentry"]["context"]
    assert tenant["target"] == {"path": "a.b.C.now", "module": "a.b", "attribute": "C.now", "pattern": False}
    assert tenant["read"]["n"]["names"] == ["result"]
    assert (tenant["tags"]["t"]["text"], tenant["user"]["id"]["text"]) == ("result.t", "result.u")
    assert (shop["name"], shop["tags"], shop["user"]) == ("shop", {}, {})


@pytest.mark.parametrize(
    ("written", "slug", "message"),
    [
        ("name: t, target: a.b, read: {c: company}", "bad-expression", "column 1: `company` is not known here"),
        ("name: t, target: a.b, tags: {c: result.x + error}", "bad-expression", "column 12: `error` is not known here"),
        ("name: t, target: a.b, read: {c: result._x}", "bad-expression", "underscore"),
        ("name: t, target: a.b.*, read: {c: result}", "bad-target", "one function is called"),
        ("name: t, target: tenant, read: {c: result}", "bad-target", "names a module and a function"),
        ("name: t, target: a.b", "missing-key", "no `read`, `tags` or `user`"),
        ("target: a.b, read: {c: result}", "missing-key", "the provider has no `name`"),
        ("name: t, read: {c: result}", "missing-key", "the provider has no `target`"),
        ("name: user, target: a.b, read: {c: result}", "bad-name", "`user` cannot be a section's name"),
        ("name: a b, target: a.b, read: {c: result}", "bad-name", "cannot be a section's name"),
        ("name: t, target: a.b, read: {a-b: result}", "bad-name", "is not a value's name"),
        ("name: t, target: a.b, user: {mail: result}", "bad-name", "is no field of a user"),
        ("name: t, target: a.b, read: {c: 5}", "wrong-type", "expected text"),
        ("name: t, target: a.b, reed: {c: result}", "unknown-key", "`reed`"),
    ],
)
def test_a_wrong_provider_loses_itself_alone(look, written, slug, message):
    result = look(f"version: 1\ncontext: [{{{written}}}, {_TENANT}]\n")
    (problem,) = errors(result)
    assert problem.slug == slug
    assert message in problem.message
    assert [provider["name"] for provider in result.plan["sentry"]["context"]] == ["tenant"]


def test_two_providers_of_one_name(look):
    result = look(f"version: 1\ncontext: [{_TENANT}, {_TENANT}]\n")
    (problem,) = errors(result)
    assert (problem.slug, "monitors.yaml:2" in problem.message) == ("duplicate-name", True)
    assert len(result.plan["sentry"]["context"]) == 1
