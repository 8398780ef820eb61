"""What a monitor leaves to others: `quiet_inside`, the module of the enclosing call, and texts of exceptions."""

from observe.making import built
from support import Watch, module, monitor

from agent.observe.call.callers import own_code

SHOP = """
class Refused(Exception): pass
class Wrapped(Exception): pass
def connect(x): raise Refused(x)
def send(x):
    try: connect(x)
    except Refused as error: raise Wrapped("no") from error
def slow(): work(5)
def send_slowly(): slow()
def answer(): return 500
def send_and_see(): return answer()
def check(x): raise Refused(x)
def order(x): send(x)
async def aconnect(x): raise Refused(x)
async def asend(x): await aconnect(x)
"""


def watch(*monitors, **options):
    seen = Watch(*monitors, **options)
    seen.shop = module(SHOP, "quiet_shop", work=seen.clock.work)
    return seen.apply(seen.shop)


def call(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return error


def named(name, **settings):
    return monitor(f"quiet_shop.{name}", name=name, **settings)


def test_a_call_inside_a_monitor_named_in_quiet_inside_is_reported_by_that_one_alone():
    seen = watch(named("connect", quiet_inside=["send", "asend"]), named("send"))
    call(seen.shop.send, 1)
    assert seen.reports() == [("error", "send", "error")]
    assert seen.counted["left-to-another", "connect"] == 1
    call(seen.shop.connect, 1)  # by itself it speaks
    assert seen.reports()[1:] == [("error", "connect", "error")]


def test_it_speaks_where_the_other_is_not_monitored():
    seen = watch(named("connect", quiet_inside=["send"]))
    call(seen.shop.send, 1)
    assert seen.reports() == [("error", "connect", "error")]


def test_a_third_monitor_around_both_adds_no_report():
    seen = watch(named("connect", quiet_inside=["send"]), named("send"), named("order"))
    call(seen.shop.order, 1)
    assert seen.reports() == [("error", "send", "error")]


def test_one_around_both_speaks_where_both_are_quiet():
    seen = watch(named("connect", quiet_inside=["order"]), named("order"))
    call(seen.shop.order, 1)
    assert seen.reports() == [("error", "order", "error")]


def test_coroutines_too():
    import asyncio

    seen = watch(named("aconnect", quiet_inside=["asend"]), named("asend"))
    call(asyncio.run, seen.shop.asend(1))
    assert seen.reports() == [("error", "asend", "error")]


def test_slow_calls_and_rules_too():
    limit = {"thresholds": [(1.0, "warning")]}
    rule = {"rules": [("result == 500", "failed", "warning")]}
    seen = watch(
        named("slow", quiet_inside=["send_slowly"], **limit), named("send_slowly", **limit),
        named("answer", quiet_inside=["send_and_see"], **rule), named("send_and_see", **rule),
    )  # fmt: skip
    seen.shop.send_slowly()
    assert seen.shop.send_and_see() == 500
    assert seen.reports() == [("slow", "send_slowly", "warning"), ("rule", "send_and_see", "warning")]


def test_a_rule_that_reads_the_error_is_applied_to_expected_ones():
    rules = [("error is not None", "refused", "info"), ("x > 1", "many", "info")]
    seen = watch(named("check", expect=["quiet_shop.Refused"], rules=rules))
    call(seen.shop.check, 2)
    assert [(item.report, item.message) for item in seen.observed] == [("rule", "refused")]
    assert seen.counted["expected", "check"] == 1


def test_what_is_ignored_everywhere_is_not():
    seen = watch(named("check", rules=[("error is not None", "refused", "info")]), ignore=["quiet_shop.Refused"])
    call(seen.shop.check, 1)
    assert seen.observed == []


def test_a_monitor_without_a_module_reports_in_the_module_of_the_enclosing_call():
    seen = watch(named("connect"), named("order", module="sales", owner="sales-team"))
    call(seen.shop.order, 1)
    (observed,) = seen.observed
    assert (observed.operation, observed.monitor["module"], observed.monitor["owner"]) == (
        "connect",
        "sales",
        "sales-team",
    )
    call(seen.shop.send, 1)
    assert seen.observed[1].monitor["module"] is None


def test_an_exempt_call_is_not_reported_and_an_enclosing_monitor_reports_it():
    seen = watch(named("connect", unless="x > 1"), named("send"))
    call(seen.shop.connect, 2)
    assert seen.reports() == []
    assert seen.counted["exempt", "connect"] == 1
    call(seen.shop.send, 2)
    assert seen.reports() == [("error", "send", "error")]
    call(seen.shop.send, 1)
    assert seen.reports()[1:] == [("error", "connect", "error")]


def test_slow_calls_rules_and_audits_can_be_excepted():
    seen = watch(
        named("slow", thresholds=[(1.0, "warning")], unless="duration < 9"),
        named("answer", rules=[("result == 500", "failed", "warning")], unless="result == 500"),
        named("check", audit="info", expect=["quiet_shop.Refused"], unless="x.nothing"),
    )
    seen.shop.slow()
    seen.shop.answer()
    call(seen.shop.check, 1)
    assert seen.reports() == []


def test_an_exemption_that_raises_exempts_nothing():
    seen = watch(named("check", unless="x.nothing"))
    call(seen.shop.check, 1)
    assert seen.reports() == [("error", "check", "error")]


def test_texts_of_exceptions_stay_where_the_monitor_withholds_them():
    seen = watch(named("send", exception_text=False))
    secret = "s3cret" * 2  # the event shows this line
    call(seen.shop.send, secret)
    event = built(seen.observed[0], own=own_code)
    assert [(each["type"], each["value"]) for each in event["exception"]["values"]] == [
        ("Refused", ""),
        ("Wrapped", ""),
    ]
    assert secret not in str(event)
