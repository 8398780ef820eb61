"""What is made of single exceptions: lists of monitors, modules, files and packs, and how they combine."""

import pytest

from agent.config.build.merge import merge
from agent.config.build.stances import stances_data
from agent.config.findings import Findings
from agent.config.read.sources import make_document
from agent.config.read.tree import parse


def stances(result):
    return result.plan["sentry"]["stances"]


def problems(result):
    return [(problem.slug, problem.path) for problem in result.problems]


def test_what_monitors_modules_and_defaults_name_is_kept_apart(look):
    result = look("""version: 1
sentry: {ignore_errors: [a.Signal]}
defaults: {expect: [erp.UserError], ignore_errors: [erp.Retry], errors: {erp.Fatal: critical}}
modules:
  sales: {defaults: {expect: [erp.Hold], threshold: 1s}}
  stock: {defaults: {threshold: 1s}}
monitors: [{target: a.b, module: sales, expect: [KeyError], ignore_errors: [b.Stop], errors: {b.Bad: info}}]
""")
    assert problems(result) == []
    assert stances(result) == {
        "modules": {"sales": [{"erp.Hold": "expected"}]},
        "everywhere": [
            {"erp.UserError": "expected", "erp.Retry": "ignored", "erp.Fatal": "fatal"}, {}, {"a.Signal": "ignored"},
        ],
        "unattended": [
            {"erp.UserError": "expected", "erp.Retry": "ignored", "erp.Fatal": "fatal"}, {}, {"a.Signal": "ignored"},
        ],
    }  # fmt: skip
    (monitor,) = result.plan["monitors"]
    assert {key: monitor[key] for key in ("expect", "ignore_errors", "errors")} == {
        "expect": ["KeyError"], "ignore_errors": ["b.Stop"], "errors": {"b.Bad": "info"},
    }  # fmt: skip


def test_files_add_up_and_are_reported_where_they_differ(look):
    result = look(
        "version: 1\ninclude: [more.yaml]\ndefaults: {expect: [erp.A, erp.B]}\n",
        more="version: 1\ndefaults: {expect: [erp.A, erp.C], errors: {erp.B: error}}\n",
    )
    assert problems(result) == [("conflict", "defaults › errors › erp.B")]
    assert stances(result)["everywhere"][0] == {"erp.A": "expected", "erp.B": "expected", "erp.C": "expected"}


@pytest.mark.parametrize(
    ("text", "slug", "path"),
    [
        ("defaults: {expect: [a.E, 'a b'], errors: {a.F: info}}", "bad-exception", "defaults › expect[2]"),
        ("defaults: {expect: [a.E], errors: {a.F: info, a.E: info}}", "contradiction", "defaults › errors › a.E"),
        ("defaults: {expect: [a.E, Exception], errors: {a.F: info}}", "bad-exception", "defaults › expect[2]"),
        ("defaults: {expect: [a.E], errors: {a.F: info, a.G: awful}}", "bad-severity", "defaults › errors › a.G"),
        ("defaults: {expect: [a.E], errors: {a.F: info}, ignore_errors: 3}", "wrong-type", "defaults › ignore_errors"),
    ],
)
def test_one_that_is_wrong_loses_itself_alone(look, text, slug, path):
    result = look(f"version: 1\n{text}\n")
    (problem,) = result.problems
    assert problem.path == path
    assert stances(result)["everywhere"][0] == {"a.E": "expected", "a.F": "info"}
    assert problem.slug == slug


def test_a_module_may_expect_every_exception_of_its_own_calls(look):
    result = look("version: 1\nmodules: {m: {defaults: {expect: [Exception]}}}\nmonitors: [{target: a.b, module: m}]\n")
    assert problems(result) == []
    assert stances(result)["modules"] == {"m": [{"Exception": "expected"}]}


def test_what_a_pack_names_counts_for_all_after_the_file_s_own():
    def document(name, text):
        root, _ = parse(text)
        return make_document(name, name, text, root, {}, {})[0]

    file = document("monitors.yaml", "version: 1\ndefaults: {errors: {erp.Access: warning}}\n")
    packs = [
        document("packs/erp.yaml", "version: 1\ndefaults: {expect: [erp.UserError], ignore_errors: [erp.Retry]}\n"),
        document("packs/web.yaml", "version: 1\nmodules: {m: {defaults: {expect: [web.Gone]}}}\n"),
    ]
    findings = Findings()
    made = stances_data(merge([file], packs, findings), ["a.Signal"], findings)
    assert made == {
        "modules": {"m": [{"web.Gone": "expected"}]},
        "everywhere": [
            {"erp.Access": "warning"}, {"erp.UserError": "expected", "erp.Retry": "ignored"}, {"a.Signal": "ignored"},
        ],
        "unattended": [
            {"erp.Access": "warning"}, {"erp.UserError": "warning", "erp.Retry": "ignored"}, {"a.Signal": "ignored"},
        ],
    }  # fmt: skip
    assert findings.problems == []
