"""The release of an ERP that was installed: read from its metadata."""

from __future__ import annotations

import zipfile

import pytest
from observe.making import sentry

from agent.config.build import distribution
from agent.config.build.distribution import release_of
from agent.config.load import load
from agent.language.targets import own_packages


@pytest.fixture
def installed(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name, version, *, top_level=None, record=None):
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if top_level is not None:
            (folder / "top_level.txt").write_text(top_level)
        if record is not None:
            (folder / "RECORD").write_text(record)

    return install


def monitors(*paths, where="monitors.yaml:1"):
    return [{"where": where, "targets": [{"path": path}]} for path in paths]


def release(given):
    return release_of(own_packages(given, sentry()))


def test_the_distribution_that_holds_the_package_which_most_monitors_name(installed):
    installed("granskog-erp", "2024.10.1", top_level="gsales_erp\ngstock_erp\n")
    installed("rest-client", "9.9", top_level="rest_client\n")
    assert release(monitors("rest_client.get", "gsales_erp.a", "gsales_erp.b")) == "2024.10.1"
    assert release(monitors("gstock_erp.x")) == "2024.10.1"


@pytest.mark.parametrize(
    "options",
    [
        {"record": "hatched_erp/__init__.py,,\nsome_other_name-7.0.dist-info/METADATA,,\n"},
        {"record": "hatched_erp.py,,\n"},
    ],
)
def test_also_where_only_the_record_says_what_it_holds(installed, options):
    installed("some-other-name", "7.0", **options)
    assert release(monitors("hatched_erp.f")) == "7.0"


def test_a_name_that_begins_alike_or_lies_further_down_is_another_package(installed):
    installed("longer-name", "1", record="hatched_erp2/__init__.py,,\nvendored/hatched_erp/__init__.py,,\n")
    installed("longer-module", "2", record="hatched_erp.pyi,,\nold_hatched_erp.py,,\n")
    assert release(monitors("hatched_erp.f")) is None
    installed("hatching", "3", record="hatched_erp/__init__.py,,\n")
    assert release(monitors("hatched_erp.f")) == "3"


def test_one_of_the_same_name_needs_no_search(installed):
    installed("named-erp", "3", record="")
    assert release(monitors("named_erp.f")) == "3"


def test_a_library_that_a_monitor_names_beside_the_erp_gives_no_release(installed):
    installed("rest-client", "9.9", top_level="rest_client\n")
    assert release(monitors("unpackaged_erp.a", "unpackaged_erp.b", "rest_client.get")) is None
    assert release([*monitors("django.db.x"), *monitors("celery.x", where="packs/celery.yaml:1")]) is None
    assert release([]) is None


def test_broken_metadata_gives_none(installed):
    installed("broken-erp", "1", top_level="broken_erp\n")
    installed("broken_erp2", "", top_level="broken_two\n")
    assert release(monitors("broken_two.f")) is None


def test_the_packages_of_the_erp():
    own = monitors("b.x", "a.x", "a.y", "requests.get", "django.db.x")
    packs = monitors("requests.sessions.Session.send", "frappe.x", where="packs/requests.yaml:5")
    assert own_packages([*own, *packs], sentry()) == ["a", "b"]
    assert own_packages(own, sentry(application="c.wsgi.application")) == ["a", "b", "requests", "c"]
    assert own_packages(own, sentry(application="b.wsgi.application", in_app_include=["acme.erp"])) == ["acme.erp"]
    assert own_packages(own, sentry(in_app_include=[])) == []


def test_what_the_configuration_or_the_environment_says_comes_first(installed, tmp_path):
    installed("granskog-erp", "2024.10.1", top_level="gsales_erp\n")
    file = tmp_path / "monitors.yaml"
    text = "version: 1\nmonitors: [{target: gsales_erp.f}]\n"
    file.write_text(text)
    settings = load(str(file), {}).plan["sentry"]
    assert (settings["environment"], settings["release"]) == ("production", "2024.10.1")
    named = {"SENTRY_RELEASE": "r", "SENTRY_ENVIRONMENT": "stage"}
    settings = load(str(file), named).plan["sentry"]
    assert (settings["environment"], settings["release"]) == ("stage", "r")
    file.write_text(text + "sentry: {release: mine, environment: test}\n")
    settings = load(str(file), named).plan["sentry"]
    assert (settings["environment"], settings["release"]) == ("test", "mine")


def test_a_database_operation_is_the_functions_name_and_not_the_model(tmp_path):
    file = tmp_path / "monitors.yaml"
    file.write_text(
        "version: 1\nmonitors:\n"
        "  - {target: a.b, kind: database, model: sales.Order}\n"
        "  - {target: a.c, kind: business, process: order_to_cash}\n"
        "  - {target: a.d, kind: api, endpoint: POST /orders}\n"
    )
    operations = [monitor["operation"] for monitor in load(str(file), {}).plan["monitors"]]
    assert operations == ["{name}", "order_to_cash", "POST /orders"]


def test_what_reads_metadata_is_imported_only_where_a_distribution_may_hold_the_erp(installed, monkeypatch):
    asked = []
    monkeypatch.setattr(distribution, "installed", lambda read=distribution.installed: asked.append(1) or read())
    installed("granskog-erp", "1", top_level="gsales_erp\n")
    assert release(monitors("unpackaged_erp.a")) is None
    assert asked == []
    assert release(monitors("gsales_erp.a")) == "1"
    assert asked


def test_distributions_in_a_zip_file_are_found_too(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as file:
        file.writestr("packed_erp-4.dist-info/METADATA", "Metadata-Version: 2.1\nName: packed-erp\nVersion: 4\n")
        file.writestr("packed_erp-4.dist-info/top_level.txt", "gpacked\n")
    monkeypatch.syspath_prepend(str(tmp_path / "packed.zip"))
    assert release(monitors("gpacked.f")) == "4"
