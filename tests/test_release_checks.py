"""What `.ci/release` refuses to publish."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
URLS = {name: f"https://code.acme.se/agent/{name}" for name in ("Source", "Issues", "Changelog")}
PROJECT = {"authors": [{"name": "A"}], "urls": URLS}
CHANGELOG = "# Changelog\n\n## 1.2.0 (2026-11-28)\n\ntext\n"


@pytest.fixture(scope="module")
def checks():
    spec = importlib.util.spec_from_file_location("release_checks", ROOT / ".ci" / "release_checks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_version_with_its_day_authors_and_addresses_can_be_published(checks):
    assert checks.missing_to_publish(PROJECT, "1.2.0", CHANGELOG) == []


@pytest.mark.parametrize(
    "heading", ["## 1.2.0", "## Unreleased (1.2.0)", "## 1.2.0 (soon)", "## 1x2.0 (2026-11-28)", ""]
)
def test_a_version_without_its_day_in_the_changelog_is_refused(checks, heading):
    (missing,) = checks.missing_to_publish(PROJECT, "1.2.0", heading)
    assert "'## 1.2.0 (YYYY-MM-DD)'" in missing


@pytest.mark.parametrize("name", ["Source", "Issues", "Changelog"])
@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https:",
        "http://code.acme.se/agent",
        "https://example.com/a",
        "https://code.example/a",
        "https://localhost/a",
        "https://…",  # as pyproject.toml has it for its publisher
    ],
)
def test_an_address_that_nobody_can_open_is_refused(checks, name, url):
    urls = {key: value for key, value in {**URLS, name: url}.items() if value is not None}
    (missing,) = checks.missing_to_publish({**PROJECT, "urls": urls}, "1.2.0", CHANGELOG)
    assert f"'{name}'" in missing
    assert f'{name} = "https://…"' in missing


def test_nameless_authors_are_refused(checks):
    (missing,) = checks.missing_to_publish({"urls": URLS}, "1.2.0", CHANGELOG)
    assert "authors" in missing


def test_this_checkout_is_refused_as_long_as_something_is_missing():
    program = [sys.executable, str(ROOT / ".ci" / "release_checks.py"), "publishable"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert (done.returncode, "can be published" in done.stdout) in [(0, True), (3, False)], done
    assert done.stderr == ""


def test_the_sbom_names_the_version_and_the_library_inside_the_wheel_once(checks):
    root = {"bom-ref": "root", "name": "erp-sentry-agent", "type": "library"}
    sbom = {
        "metadata": {"component": root},
        "components": [],
        "dependencies": [{"ref": "root", "dependsOn": ["rich==1"]}],
    }
    once = json.dumps(checks.completed(sbom, "1.2.0", "1.6.32"))
    found = checks.completed(json.loads(once), "1.2.0", "1.6.32")
    assert json.dumps(found) == once
    assert found["metadata"]["component"]["purl"] == "pkg:pypi/erp-sentry-agent@1.2.0"
    assert [each["purl"] for each in found["components"]] == ["pkg:npm/uplot@1.6.32"]
    assert found["dependencies"] == [{"ref": "root", "dependsOn": ["pkg:npm/uplot@1.6.32", "rich==1"]},
                                     {"ref": "pkg:npm/uplot@1.6.32"}]  # fmt: skip


@pytest.mark.parametrize(
    ("licences", "status"),
    [
        ([{"license": {"id": "MIT"}}], 0),
        ([{"expression": "Apache-2.0 OR GPL-3.0-only"}], 0),
        ([{"expression": "MIT AND GPL-3.0-only"}], 1),
        ([{"license": {"id": "AGPL-3.0-only"}}], 1),
        ([{"license": {"name": "see the web site"}}], 1),
        ([], 1),
    ],
)
def test_a_library_has_a_licence_that_is_allowed(checks, licences, status, tmp_path, capsys):
    sbom = tmp_path / "sbom.json"
    sbom.write_text(json.dumps({"components": [{"name": "lib", "version": "1", "licenses": licences}]}))
    assert checks.licences(str(sbom)) == status
    assert ("no licence that is allowed" in capsys.readouterr().out) == bool(status)


def audited(checks, monkeypatch, respond, tmp_path):
    """The exit status of the audit of a library, if pip-audit prints what `respond(database, canary)` returns."""
    (tmp_path / "installed.txt").write_text("rich==1\n")

    def run(arguments, **_):
        text = Path(arguments[-1]).read_text()
        found = respond(arguments[arguments.index("--vulnerability-service") + 1], text.strip() == checks.CANARY)
        if found is None:
            return subprocess.CompletedProcess(arguments, 1, "", "ConnectionError: no route\n")
        printed = json.dumps(
            {"dependencies": [{"name": "lib", "version": "1", "vulns": [{"id": each} for each in found]}]}
        )
        return subprocess.CompletedProcess(arguments, int(bool(found)), printed, "")

    monkeypatch.setattr(checks.subprocess, "run", run)
    return checks.audit(str(tmp_path / "installed.txt"))


def test_without_a_database_nothing_was_checked_and_only_a_rehearsal_goes_on(checks, monkeypatch, tmp_path, capsys):
    assert audited(checks, monkeypatch, lambda *_: None, tmp_path) == 3
    assert "could not be reached: pypi.org, api.osv.dev" in capsys.readouterr().out


def test_a_database_that_does_not_have_a_known_vulnerability_is_not_believed(checks, monkeypatch, tmp_path):
    assert audited(checks, monkeypatch, lambda *_: [], tmp_path) == 3


def test_a_known_vulnerability_fails_and_is_named(checks, monkeypatch, tmp_path, capsys):
    assert audited(checks, monkeypatch, lambda _, canary: ["CVE-1"], tmp_path) == 1
    assert "lib: CVE-1" in capsys.readouterr().out


def test_the_second_database_is_asked_if_the_first_has_nothing(checks, monkeypatch, tmp_path, capsys):
    found = audited(
        checks, monkeypatch, lambda name, canary: (["CVE-1"] if canary else []) if name == "osv" else None, tmp_path
    )
    assert (found, "by api.osv.dev" in capsys.readouterr().out) == (0, True)


def test_a_library_that_the_database_does_not_have_fails(checks, monkeypatch, tmp_path, capsys):
    assert audited(checks, monkeypatch, lambda _, canary: ["CVE-1"] if canary else None, tmp_path) == 1
    assert "no entry for one of the libraries" in capsys.readouterr().out
