"""Addresses of Sentry's pages."""

from __future__ import annotations

import pytest

from agent.sentry_project import links
from agent.sentry_project.facts import address


def sentry(dsn="https://key@o1.ingest.sentry.io/42", **project):
    given = {"organization": "norrland", "project": "erp", "url": "", "environment": None, **project}
    return {"dsn": dsn, "project": given}


@pytest.mark.parametrize(("dsn", "url", "expected"), [
    (None, "", "https://sentry.io"),
    ("", "https://sentry.example.com/sentry", "https://sentry.example.com/sentry"),
    ("https://k@o1.ingest.sentry.io/42", "", "https://sentry.io"),
    ("https://k@o1.ingest.us.sentry.io/42", "", "https://us.sentry.io"),
    ("https://k@o1.ingest.de.sentry.io/42", "", "https://de.sentry.io"),
    ("https://k@sentry.io/42", "", "https://sentry.io"),
    ("https://k@sentry.example.com:9000/prefix/42", "", "https://sentry.example.com:9000/prefix"),
    ("no dsn", "", "https://sentry.io"),
])  # fmt: skip
def test_sentrys_address_is_the_configured_one_or_that_of_the_dsn(dsn, url, expected):
    assert address(sentry(url=url)["project"], dsn) == expected


def test_pages_are_found_by_what_the_configuration_holds():
    pages = links.of(sentry(environment="production"))
    base = "https://norrland.sentry.io"
    assert pages.event("0" * 32) == f"https://sentry.io/organizations/norrland/projects/erp/events/{'0' * 32}/"
    assert pages.trace("1" * 32) == f"{base}/performance/trace/{'1' * 32}/"
    assert pages.dashboards() == f"{base}/dashboards/?query=erp-agent%20erp%2Fproduction"
    assert pages.issues("sales") == f"{base}/issues/?project=42&query=is%3Aunresolved%20erp.module%3Asales"
    assert pages.saved_query("sales") == f"{base}/explore/saved-queries/?query=sales%20errors"


def test_a_self_hosted_sentry_has_one_host_for_all_organizations():
    pages = links.of(sentry(url="https://sentry.example.com/sentry"))
    base = "https://sentry.example.com/sentry/organizations/norrland"
    assert pages.dashboards() == f"{base}/dashboards/?query=erp-agent%20erp"
    assert pages.event("0" * 32).startswith(f"{base}/projects/erp/events/")


def test_without_a_numeric_project_the_search_is_in_all_of_them():
    assert "project=" not in links.of(sentry(dsn=None)).issues("sales")


@pytest.mark.parametrize("settings", [{"dsn": None}, {"dsn": None, "project": None}])
def test_without_a_project_there_are_no_links(settings):
    assert links.of(settings) is None
