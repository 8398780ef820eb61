"""`expect` names what is business as usual for an operation as a whole: for the monitored calls inside it as well."""

import pytest
from support import Watch, module, monitor

from agent.observe.around import work
from agent.observe.failure import severity

SHOP = """
class Stock(Exception): pass
class Empty(Stock): pass
def reserve(x): raise Empty(x)
def other(x): raise KeyError(x)
def order(x): return reserve(x)
def order_other(x): return other(x)
def night(x): return order(x)
def careful(x):
    try: return reserve(x)
    except Stock: return None
async def areserve(x): raise Empty(x)
async def aorder(x): return await areserve(x)
class Base:
    def take(self, x): return reserve(x)
class One(Base): pass
class Two(Base): pass
"""


def watch(*monitors, **options):
    seen = Watch(*monitors, **options)
    seen.shop = module(SHOP, "expect_shop")
    return seen.apply(seen.shop)


def named(name, **settings):
    return monitor(f"expect_shop.{name}", name=name, **settings)


def call(function, *arguments):
    with pytest.raises(Exception):
        function(*arguments)


def test_what_an_operation_expects_its_parts_do_not_report():
    seen = watch(named("order", expect=["expect_shop.Stock"]), named("reserve"))
    call(seen.shop.order, 1)
    assert seen.reports() == []
    assert seen.counted["expected", "reserve"] == 1
    assert seen.counted["expected", "order"] == 1
    call(seen.shop.reserve, 1)  # by itself, or in another operation, it is a failure
    assert seen.reports() == [("error", "reserve", "error")]


def test_nor_where_the_operation_handles_the_exception():
    seen = watch(named("careful", expect=["expect_shop.Stock"]), named("reserve"))
    assert seen.shop.careful(1) is None
    assert seen.reports() == []


def test_what_the_part_itself_names_counts():
    seen = watch(
        named("order", expect=["expect_shop.Stock"]), named("reserve", errors={"expect_shop.Empty": "warning"})
    )
    call(seen.shop.order, 1)
    assert seen.reports() == [("error", "reserve", "warning")]


def test_the_nearest_that_names_it_decides():
    seen = watch(
        named("night", expect=["expect_shop.Empty"]), named("order", errors={"expect_shop.Stock": "fatal"}),
        named("reserve"),
    )  # fmt: skip
    call(seen.shop.night, 1)
    assert seen.reports() == [("error", "reserve", "error")]


def test_one_further_out_that_does_not_expect_it_reports_it():
    seen = watch(named("night"), named("order", expect=["expect_shop.Empty"]), named("reserve"))
    call(seen.shop.night, 1)
    assert seen.reports() == [("error", "night", "error")]


def test_other_failures_are_reported():
    seen = watch(named("order_other", expect=["expect_shop.Stock"]), named("other"))
    call(seen.shop.order_other, 1)
    assert seen.reports() == [("error", "other", "error")]


def test_what_the_running_task_declares_is_left_to_it_unless_a_monitor_names_the_exception(monkeypatch):
    seen = watch(named("reserve"), named("other"), named("order_other", errors={"LookupError": "warning"}))
    monkeypatch.setattr(work, "declares", lambda kind: kind in (seen.shop.Empty, KeyError))
    call(seen.shop.order, 1)
    assert seen.reports() == []
    call(seen.shop.order_other, 1)
    assert seen.reports() == [("error", "order_other", "warning")]
    assert seen.counted == {("expected", "reserve"): 1, ("expected", "other"): 1}
    monkeypatch.setattr(work, "declares", lambda kind: False)
    call(seen.shop.order, 1)
    assert seen.reports()[1:] == [("error", "reserve", "error")]


@pytest.mark.parametrize("everything", ["Exception", "BaseException"])
def test_an_operation_that_reports_no_failure_of_its_own_hides_none(everything):
    seen = watch(named("order", expect=[everything]), named("reserve"))
    call(seen.shop.order, 1)
    assert seen.reports() == [("error", "reserve", "error")]


def test_what_a_pack_expects_counts_for_its_own_targets_only():
    seen = watch(named("order", expect=["expect_shop.Stock"], where="packs/django.yaml:3"), named("reserve"))
    call(seen.shop.order, 1)
    assert seen.reports() == [("error", "reserve", "error")]


def test_a_method_of_another_class_is_not_around():
    seen = watch(named("One.take", expect=["expect_shop.Stock"]), named("reserve"))
    call(seen.shop.Two().take, 1)
    assert seen.reports() == [("error", "reserve", "error")]
    call(seen.shop.One().take, 1)
    assert len(seen.reports()) == 1


def test_an_exception_that_is_ignored_is_no_failure_inside_either():
    seen = watch(named("order", ignore_errors=["expect_shop.Stock"]), named("reserve"))
    call(seen.shop.order, 1)
    assert seen.reports() == []


FAMILY = {"expect_shop.Stock": "expected"}


def test_what_is_expected_everywhere_no_monitor_reports():
    seen = watch(named("reserve"), named("other"), everywhere=[FAMILY])
    call(seen.shop.reserve, 1)
    assert (seen.reports(), seen.counted) == ([], {("expected", "reserve"): 1})
    call(seen.shop.other, 1)
    assert seen.reports() == [("error", "other", "error")]


def test_lists_add_up_and_the_nearest_that_names_the_exception_decides():
    back = {"expect_shop.Stock": "warning"}
    own = watch(named("reserve", errors={"expect_shop.Empty": "fatal"}), modules={"m": [back]}, everywhere=[FAMILY])
    call(own.shop.reserve, 1)
    modules = watch(named("reserve", module="m", expect=["KeyError"]), modules={"m": [back]}, everywhere=[FAMILY])
    call(modules.shop.reserve, 1)
    files = watch(named("reserve"), modules={"m": [{}]}, everywhere=[{"expect_shop.Exception": "info"}, back, FAMILY])
    call(files.shop.reserve, 1)
    found = [each.reports()[0][2] for each in (own, modules, files)]
    assert found == ["fatal", "warning", "warning"]


def test_within_one_list_the_nearest_class_decides():
    seen = watch(named("reserve"), everywhere=[{"expect_shop.Stock": "expected", "expect_shop.Empty": "info"}])
    call(seen.shop.reserve, 1)
    assert seen.reports() == [("error", "reserve", "info")]


def test_a_pack_s_monitor_that_leaves_exceptions_to_others_reports_none_of_a_graded_family():
    seen = watch(
        named("reserve", expect=["Exception"], where="packs/django.yaml:3"),
        everywhere=[{"expect_shop.Stock": "warning"}],
    )
    call(seen.shop.reserve, 1)
    assert seen.reports() == []


def test_what_a_module_expects_counts_inside_its_operations_unless_the_part_s_module_names_it():
    modules = {"sales": [FAMILY], "stock": [{"expect_shop.Empty": "warning"}]}
    seen = watch(named("order", module="sales"), named("reserve"), modules=modules)
    call(seen.shop.order, 1)
    assert seen.reports() == []
    seen = watch(named("order", module="sales"), named("reserve", module="stock"), modules=modules)
    call(seen.shop.order, 1)
    assert seen.reports() == [("error", "reserve", "warning")]


def test_an_operation_that_takes_it_back_reports_what_its_parts_only_count():
    seen = watch(named("order", errors={"expect_shop.Stock": "error"}), named("reserve"), everywhere=[FAMILY])
    call(seen.shop.order, 1)
    assert seen.reports() == [("error", "order", "error")]


def test_what_is_expected_everywhere_escalates_and_what_is_ignored_does_not():
    often = {"escalate": (3, 60.0), "rules": [("error is not None", "refused", "info")]}
    seen = watch(named("reserve", **often), everywhere=[FAMILY])
    for _ in range(5):
        call(seen.shop.reserve, 1)
    assert {item.message for item in seen.observed} == {
        "refused", "Empty is expected, but came more than 3 times in 60 s",
    }  # fmt: skip
    seen = watch(named("reserve", **often), everywhere=[{"expect_shop.Stock": "ignored"}])
    for _ in range(5):
        call(seen.shop.reserve, 1)
    assert seen.observed == []


def test_in_coroutines():
    seen = watch(named("aorder", expect=["expect_shop.Stock"]), named("areserve"))
    with pytest.raises(seen.shop.Empty):
        seen.shop.aorder(1).send(None)
    assert seen.reports() == []


def test_the_stack_is_not_read_where_no_monitor_expects_the_exception(monkeypatch):
    seen = watch(named("order", expect=["expect_shop.Missing"]), named("reserve"))
    monkeypatch.setattr("agent.observe.call.callers.calls", None)
    kind = seen.shop.Empty
    assert severity.is_expected_anywhere(kind) is False
