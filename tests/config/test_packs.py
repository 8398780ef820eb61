"""What `packs` leaves out and changes, and what packs say of modules."""

import pytest
from compat.packs import unknown_exceptions

from agent.cli.origin import settings_of

pytest.importorskip("django")


def monitors(result):
    return {monitor["name"]: monitor for monitor in result.plan["monitors"]}


def origins(result, name):
    entry, monitor = next((entry, monitor) for entry, monitor in result.built if monitor["name"] == name)
    return {setting.key: (setting.value, setting.origin) for setting in settings_of(entry, monitor, result.settings)}


def errors(result):
    return [(problem.slug, problem.line, problem.path) for problem in result.problems if problem.severity == "error"]


def test_what_is_excepted_is_not_there(look):
    result = look("version: 1\npacks: [{django: {except: [django.sign_*, django.command]}}]\n")
    assert errors(result) == []
    assert not {name for name in monitors(result) if name.startswith("django.sign_")}
    assert "django.command" not in monitors(result)
    assert "django.query" in monitors(result)


def test_a_change_replaces_a_key_and_leaves_the_others(look):
    before = monitors(look("version: 1\npacks: [django]\n"))["django.query"]
    result = look("""
version: 1
modules: {data: {owner: dba}}
packs:
  - django:
      monitors:
        django.query: {threshold: 200ms, module: data, severity: error}
""")
    after = monitors(result)["django.query"]
    assert after["thresholds"] == [(0.2, "warning")]
    assert (after["module"], after["owner"], after["severity"]) == ("data", "dba", "error")
    same = ("targets", "kind", "operation", "expect", "capture", "span", "detail")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    told = origins(result, "django.query")
    assert told["threshold"] == ("200ms → warning", "monitors.yaml:7")
    assert told["span"][1].startswith("packs/django.yaml:")


def test_equal_events_of_a_pack_are_held_but_failures_of_requests_and_attacks_are_not(look):
    text = (
        "version: 1\n%spacks: [django, requests]\nmonitors: [{target: a.b.c}, {target: a.b.d, repeat_interval: 1h}]\n"
    )
    found = {name: monitor["repeat_interval"] for name, monitor in monitors(look(text % "")).items()}
    assert found["django.request"] == found["django.template"] == {"slow": 600.0, "rule": 600.0, "repeats": 600.0}
    assert found["requests.send"] == {"error": 600.0, **found["django.request"]}
    assert found["django.sign_in"] == found["c"] == {}
    assert found["d"] == dict.fromkeys(("error", "slow", "rule", "repeats"), 3600.0)
    for given in ("repeat_interval", "rate_limit"):
        off = monitors(look(text % f"defaults: {{{given}: off}}\n"))
        assert off["django.request"]["repeat_interval"] == {}


def test_the_two_forms_of_a_threshold_replace_each_other(look):
    result = look("""
version: 1
packs: [{django: {monitors: {django.query: {thresholds: {info: 1s, error: 9s}}}}}]
""")
    assert monitors(result)["django.query"]["thresholds"] == [(1.0, "info"), (9.0, "error")]


def test_a_change_wins_over_defaults_and_off_ends_the_search(look):
    result = look("""
version: 1
defaults: {threshold: 9s, rate_limit: 1/h}
packs: [{django: {monitors: {django.query: {threshold: off, rate_limit: off}}}}]
""")
    changed = monitors(result)["django.query"]
    assert (changed["thresholds"], changed["rate_limit"]) == ([], None)


def test_a_typo_in_the_defaults_of_a_pack_is_found(tmp_path, monkeypatch):
    (tmp_path / "erp_of_packs.py").write_text("class UserError(Exception): pass\nclass Locked(Exception): pass\n")
    defaults = "{expect: [erp_of_packs.UserError, erp_of_packs.UserEror, not_installed.Error]}"
    more = "{defaults: {errors: {erp_of_packs.Lockd: warning, erp_of_packs.Locked: info}}}"
    (tmp_path / "erp.yaml").write_text(f"version: 1\ndefaults: {defaults}\nmodules: {{sales: {more}}}\n")
    monkeypatch.setattr("agent.config.read.shipped.pack_path", lambda name: str(tmp_path / f"{name}.yaml"))
    assert unknown_exceptions("erp", str(tmp_path)) == {"erp_of_packs.UserEror", "erp_of_packs.Lockd"}


def test_a_wrong_change_leaves_the_packs_own_word(look):
    result = look("""
version: 1
packs:
  - django:
      monitors:
        django.query: {threshold: 3 parsecs, severity: info, rules: [{when: a =, message: x}]}
""")
    assert [(slug, line) for slug, line, _ in errors(result)] == [("bad-duration", 6), ("bad-expression", 6)]
    assert "packs[1] › django › monitors › django.query › threshold" in errors(result)[0][2]
    changed = monitors(result)["django.query"]
    assert (changed["severity"], changed["rules"]) == ("info", [])
    assert changed["thresholds"] == [(1.0, "info")]


def test_a_pattern_changes_all_that_it_matches_except_what_a_full_name_gives(look):
    result = look("""
version: 1
packs:
  - django:
      monitors:
        django.signed_in: {severity: error}
        django.signed_*: {audit: true, severity: warning}
""")
    assert errors(result) == []
    found = {name: each for name, each in monitors(result).items() if name.startswith("django.signed_")}
    assert len(found) >= 2
    assert {each["audit"] for each in found.values()} == {"info"}
    assert {name for name, each in found.items() if each["severity"] == "error"} == {"django.signed_in"}
    assert origins(result, "django.signed_out")["severity"] == ("warning", "monitors.yaml:7")
    wrong = look("version: 1\npacks: [{django: {monitors: {django.singed_*: {audit: true}}}}]\n")
    assert [slug for slug, *_ in errors(wrong)] == ["unknown-monitor"]


def test_files_that_name_one_pack(look):
    result = look(
        "version: 1\ninclude: [more.yaml]\npacks: [django]\n",
        more="""
version: 1
packs: [{django: {except: [django.command], monitors: {django.query: {severity: info}}}}]
""",
    )
    assert errors(result) == []
    assert "django.command" not in monitors(result)
    assert monitors(result)["django.query"]["severity"] == "info"


def test_two_files_that_differ(look):
    change = "{django: {monitors: {django.query: {severity: %s}, django.command: {enabled: %s}}}}"
    result = look(
        f"version: 1\ninclude: [more.yaml]\npacks: [{change % ('info', 'false')}]\n",
        more=f"version: 1\npacks: [{change % ('error', 'true')}]\n",
    )
    (problem,) = [problem for problem in result.problems if problem.severity == "error"]
    assert problem.slug == "conflict"
    assert "monitors.yaml:3" in problem.message
    assert monitors(result)["django.query"]["severity"] == "info"
    assert "django.command" not in monitors(result)  # what one leaves out, the other does not bring back


def test_a_pack_without_its_package_is_no_problem(look, monkeypatch):
    from agent.config import compile as compiling
    from agent.config import releases

    monkeypatch.setattr(compiling, "unmet_requirements", lambda requires: "it is not installed")
    monkeypatch.setattr(releases, "installed_version", lambda name: "")
    result = look("version: 1\npacks: [django, redis, drf, requests, urllib3, httpx, sqlalchemy, psycopg]\n")
    assert result.problems == []
    assert result.plan["monitors"] == []


def test_quiet_inside_nothing_is_a_warning(look):
    result = look("version: 1\nmonitors: [{target: a.b, name: b}, {target: a.c, quiet_inside: [b, nobody]}]\n")
    (problem,) = result.problems
    assert (problem.slug, problem.severity) == ("unknown-monitor", "warning")
    assert "`nobody`" in problem.message


@pytest.mark.parametrize("name", ["sales", "inventory", "production", "quality"])
def test_a_preset_gives_its_module_what_the_file_does_not(look, name):
    text = f"version: 1\npacks: [{name}]\nmonitors: [{{target: a.b, module: {name}}}, {{target: a.c, module: {name}, threshold: 7s}}]\n"
    result = look(text)
    assert result.problems == []
    found = monitors(result)
    assert found["b"]["thresholds"]
    assert found["b"]["tags"]
    assert found["c"]["thresholds"] == [(7.0, "warning")]
    assert origins(result, "b")["threshold"][1].startswith(f"defaults of module {name}, packs/{name}.yaml:")
    before = found["b"]
    result = look(f"""
version: 1
packs: [{name}]
defaults: {{threshold: 99s, sample: 0.5}}
modules: {{{name}: {{owner: team, tags: {{line: two}}, defaults: {{threshold: 300ms}}}}}}
monitors: [{{target: a.b, module: {name}}}]
""")
    own = monitors(result)["b"]
    assert own["thresholds"][0][0] == 0.3
    assert (own["owner"], own["rate_limit"]) == ("team", before["rate_limit"])
    assert own["sample"] == (1.0 if name == "quality" else 0.5)
    assert own["tags"] == {**before["tags"], "line": "two"}
    assert origins(result, "b")["owner"] == ("team", f"module {name}, monitors.yaml:5")


def test_a_preset_counts_above_the_files_defaults(look):
    text = "version: 1\ndefaults: {threshold: 99s}\npacks: [sales]\nmonitors: [{target: a.b, module: sales}]\n"
    assert monitors(look(text))["b"]["thresholds"][0][0] < 99


def test_a_release_that_a_pack_does_not_support_is_one_warning(look, tmp_path, monkeypatch):
    for name, version in (("APScheduler", "4.0.0"), ("flask", "3.0.0"), ("flask_login", "0.1")):
        folder = tmp_path / "site" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        folder.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    message = "the pack `{}` does not support {}, which is installed"
    result = look("version: 1\npacks: [apscheduler, django, flask, {apscheduler: {except: [apscheduler.job]}}]\n")
    assert [(each.slug, each.severity, each.line, each.column, each.message) for each in result.problems] == [
        ("unsupported-release", "warning", 2, 9, message.format("apscheduler", "APScheduler 4.0.0")),
        ("unsupported-release", "warning", 2, 30, message.format("flask", "Flask-Login 0.1")),
    ]
    assert "`APScheduler>=3.5,<4`" in result.problems[0].hint
    names = monitors(result)
    assert "django.query" in names and "flask.request" in names and not [each for each in names if "apsch" in each]
    left_out = look("version: 1\npacks: [{apscheduler: {except: [apscheduler.*]}}]\n")
    assert left_out.problems == []
