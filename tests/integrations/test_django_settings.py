"""What Django's settings say of Sentry is read without waking them."""

import sys
import types

import pytest

conf = pytest.importorskip("django.conf")

from agent.integrations.django import settings as django_settings  # noqa: E402

DSN = "https://key@sentry.example/1"


@pytest.fixture
def settings(monkeypatch):
    lazy = conf.LazySettings()
    module = types.ModuleType("django.conf")
    module.settings = lazy
    monkeypatch.setitem(sys.modules, "django.conf", module)
    return lazy


def test_settings_that_nobody_has_read_stay_asleep(settings):
    assert django_settings.read() is None
    assert not settings.configured


@pytest.mark.parametrize(
    ("given", "configured", "dsn"),
    [
        ({}, None, None),
        ({}, DSN, DSN),
        ({"SENTRY_DSN": f" {DSN} "}, None, DSN),
        ({"SENTRY_DSN": "https://other@sentry.example/2"}, DSN, DSN),
        ({"SENTRY_DSN": DSN, "ENABLE_SENTRY": True}, None, DSN),
        ({"SENTRY_DSN": DSN, "ENABLE_SENTRY": None}, None, DSN),
        ({"SENTRY_DSN": DSN, "ENABLE_SENTRY": "yes"}, None, DSN),
        ({"SENTRY_DSN": DSN, "ENABLE_SENTRY": False}, DSN, None),
        ({"ENABLE_SENTRY": "False"}, DSN, None),
        ({"ENABLE_SENTRY": ""}, DSN, None),
        ({"ENABLE_SENTRY": 0}, DSN, None),
        ({"SENTRY_DSN": None}, None, None),
        ({"SENTRY_DSN": "nonsense"}, DSN, DSN),
    ],
)
def test_the_configuration_comes_first_and_off_is_off(settings, given, configured, dsn):
    settings.configure(**given)
    said = django_settings.read()
    assert said.dsn_for(configured) == dsn
    assert (said.problem is not None) == (given.get("SENTRY_DSN") == "nonsense")


def test_settings_over_settings(settings):
    settings.configure(SENTRY_DSN=DSN)
    settings._wrapped = conf.UserSettingsHolder(settings._wrapped)  # as override_settings does
    settings.ENABLE_SENTRY = False
    assert django_settings.read() == (DSN, False, None, ())


def a_module(name):
    loaded = conf.Settings.__new__(conf.Settings)
    loaded.SETTINGS_MODULE = name
    return loaded


def test_the_packages_of_the_settings_and_of_the_routes_are_the_erp(settings):
    settings.configure(ROOT_URLCONF="mayan.urls.base")
    assert django_settings.read().packages == ("mayan",)
    settings._wrapped.default_settings = a_module("deployment.settings")
    assert django_settings.read().packages == ("deployment", "mayan")
    settings._wrapped.default_settings = a_module("django.conf.global_settings")
    settings.ROOT_URLCONF = None
    assert django_settings.read().packages == ()
