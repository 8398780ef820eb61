"""Context from functions that the configuration names."""

import pytest
from making import sentry
from support import expression, module, target

from agent.observe.around import context, providers

SHOP = """
class Company: code = "SE-1"; name = "Norrland"
class Now:
    company = Company(); login = "anna"; id = 7
now = Now()
def current(): return now
def raises(): raise LookupError
"""


@pytest.fixture(autouse=True)
def _clean():
    before = dict(context.registered)
    module(SHOP, name="shop_context")
    yield
    context.registered.clear()
    context.registered.update(before)


def configured(path="shop_context.current", **sections):
    data = {"name": "tenant", "target": target(path), "read": {}, "tags": {}, "user": {}}
    for section, expressions in sections.items():
        data[section] = {name: expression(text) for name, text in expressions.items()}
    return data


def test_what_is_read_from_the_result():
    providers.register([configured(
        read={"company": "result.company.code", "wrong": "result.nothing"}, tags={"tenant": "result.company.name"},
        user={"id": "result.id", "username": "result.login"},
    )])  # fmt: skip
    facts = context.collect()
    assert facts["tenant"] == {"company": "SE-1"}
    assert facts["tags"] == {"tenant": "Norrland"}
    assert facts["user"] == {"id": 7, "username": "anna"}


def test_in_the_event_only_what_the_configuration_lets_leave():
    from making import an_observation, built

    providers.register(
        [configured(user={"id": "result.id", "username": "result.login"}, tags={"tenant": "result.company.code"})]
    )
    event = built(an_observation(), context=context.collect())
    assert event["user"] == {"id": "7"}
    assert event["tags"]["tenant"] == "SE-1"
    assert sentry()["user"] == ["id"]


@pytest.mark.parametrize(
    "path", ["shop_context.raises", "not_imported.here.current", "shop_context.missing", "shop_context.now"]
)
def test_a_provider_that_cannot_be_called_adds_nothing(path):
    providers.register([configured(path, read={"a": "result"})])
    assert "tenant" not in context.collect()
