"""A report that no monitor of the ERP's is around belongs to the module of its view or task, if that is declared."""

import sys
from types import ModuleType

import pytest
from making import a_monitor, an_observation

from agent.observe.around import erp_module
from agent.observe.failure import synthetic

DECLARED = {"sales": "sales-team", "core": None, "json": None}


@pytest.fixture(autouse=True)
def shop(monkeypatch):
    for name in ("shop", "shop.sales", "shop.sales.core", "shop.sales.core.views", "shop.other"):
        made = ModuleType(name)
        made.__file__ = f"/srv/{name.replace('.', '/')}.py"
        monkeypatch.setitem(sys.modules, name, made)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("shop.sales.core.views.Order.show", "sales"),  # the outermost package that is declared
        ("shop.sales", "sales"),
        ("shop.other.sales", None),  # a function of that name
        ("json.decoder.JSONDecoder", None),  # a library
        ("nowhere.sales.show", None),
        ("nightly", None),
        ("", None),
    ],
)
def test_the_module_of_code(path, name):
    assert erp_module.of_code(path, DECLARED) == name


def placed(monitor, function="django.core.handlers.base.BaseHandler._get_response", owners=DECLARED, **context):
    made = erp_module.placed(an_observation(monitor=monitor, function=function), context, owners)
    return made.monitor["module"], made.monitor["owner"]


def test_a_packs_report_belongs_to_the_module_of_the_view_or_task():
    pack = a_monitor(where="packs/django.yaml:126", module=None, owner=None)
    assert placed(pack, request={"view": "shop.sales.core.views.show"}) == ("sales", "sales-team")
    assert placed(pack, transaction="shop.sales.nightly") == ("sales", "sales-team")
    assert placed(pack, request={"view": "shop.other.show"}, transaction="/orders/") == (None, None)
    assert placed(pack, request={"view": "shop.sales.core.views.show"}, owners={}) == (None, None)


def test_a_failure_that_no_monitor_has_seen_belongs_to_the_module_of_what_ran():
    plain = synthetic.monitor("unmonitored.graphql", synthetic.NO_MONITOR, operation="query Orders", severity="error")
    assert placed(plain, "shop.sales.core.views.resolve", request={"view": "shop.other.show"})[0] == "sales"
    assert placed(plain, "graphql.execute", request={"view": "shop.sales.core.views.show"})[0] == "sales"


def test_a_field_of_graphql_belongs_to_the_innermost_code_that_has_a_module(monkeypatch):
    called = "def call(function): function()"
    inner, outer, library = ({"__name__": name} for name in ("shop.sales.core", "shop.other", "json"))
    exec("def resolve(): raise ValueError", inner)
    exec(called, outer)
    exec(called, library)
    field = synthetic.monitor("unmonitored.graphql", synthetic.NO_MONITOR, operation="query Orders", severity="error")
    view = {"view": "shop.core.show"}

    def of(*calls):
        with pytest.raises(ValueError) as caught:
            calls[0](*calls[1:])
        report = an_observation(monitor=field, function="orders", exception=caught.value)
        return erp_module.placed(report, {"request": view}, {**DECLARED, "other": None}).monitor["module"]

    assert of(outer["call"], inner["resolve"]) == "sales"
    assert of(library["call"], lambda: outer["call"](int_of_nothing)) == "other", "the innermost has no module"
    monkeypatch.setitem(sys.modules, "shop.core", sys.modules["shop.sales"])
    assert of(int_of_nothing) == "core", "no code in it has one: the view"
    view["view"] = "shop.sales.show"
    assert of(inner["resolve"]) == "core", "below the view's, there is one that says more"
    assert of(outer["call"], int_of_nothing) == "other"


def test_where_no_view_is_known_a_failure_belongs_to_the_innermost_code_that_has_a_module():
    called = "def call(function): function()"
    outer, inner = {"__name__": "shop.other"}, {"__name__": "shop.sales.core.views"}
    exec(called, outer)
    exec(called, inner)
    request = synthetic.monitor("unmonitored.request", synthetic.NO_MONITOR, operation="GET request", severity="error")
    with pytest.raises(ValueError) as caught:
        outer["call"](lambda: inner["call"](int_of_nothing))
    report = an_observation(monitor=request, function="web.application", exception=caught.value)
    assert erp_module.placed(report, {"request": {}}, DECLARED).monitor["module"] == "sales"
    assert erp_module.placed(report, {"request": {"view": "shop.core.show"}}, DECLARED).monitor["module"] == "sales"
    assert erp_module.placed(report._replace(traceback=None), {"request": {}}, DECLARED).monitor["module"] is None


def int_of_nothing():
    return int("")


def test_a_monitor_of_the_erps_own_keeps_what_its_file_gives():
    view = {"view": "shop.sales.core.views.show"}
    assert placed(a_monitor(module=None, owner=None), request=view) == (None, None)
    assert placed(a_monitor(where="packs/django.yaml:126", module="quality"), request=view)[0] == "quality"
