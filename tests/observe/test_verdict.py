"""What is worth a report, and what one failure becomes when it passes several monitored calls."""

import asyncio
import signal

import pytest
from support import FakeClock, Watch, module, monitor

from agent.observe.failure import attempts

pytestmark = pytest.mark.usefixtures("no_shop_left")


def quiet(call, *args):
    try:
        return call(*args)
    except Exception as error:
        return error


SHOP = """
class Stock(Exception): pass
class Payment(Exception): pass
class Hold(Payment): pass
def reserve(x):
    raise Stock(x)
def order(x):
    return reserve(x)
def translate(x):
    try: reserve(x)
    except Stock as error: raise Payment("translated") from error
def translate_implicitly(x):
    try: reserve(x)
    except Stock: raise Payment("translated")
def compensate(x):
    try: reserve(x)
    except Stock: release(x)
def release(x):
    raise OSError("another failure")
def swallowing(x):
    try: reserve(x)
    except Stock: return "fine"
def again(x):
    try: return reserve(x)
    except Stock as error: raise error
def hold(x): raise Hold(x)
SINGLE = Stock("one object for all")
def single(): raise SINGLE
def twice():
    for _ in range(2):
        try: single()
        except Stock: pass
    raise SINGLE
def fact(n):
    if n == 0: raise Stock(n)
    return fact(n - 1)
async def areserve(x): raise Stock(x)
async def aorder(x): await areserve(x)
def greserve(x):
    yield 1
    raise Stock(x)
def gorder(x): yield from greserve(x)
"""


def watching(*names, **settings):
    shop = module(SHOP)
    ignore = settings.pop("ignore", ())
    return shop, Watch(*(monitor(f"shop.{name}", **settings) for name in names), ignore=ignore).apply(shop)


def test_a_failure_that_passes_two_operations_is_reported_once_with_both():
    shop, watch = watching("order", "reserve")
    assert isinstance(quiet(shop.order, 1), shop.Stock)
    (seen,) = watch.observed
    assert seen.operation == "reserve"
    assert list(seen.operations) == ["order", "reserve"]
    assert seen.exception.args == (1,)
    assert seen.traceback.tb_frame.f_code.co_name == "reserve"


@pytest.mark.parametrize("name", ["translate", "translate_implicitly", "again"])
def test_a_failure_raised_again_as_another_exception_is_the_same_failure(name):
    shop, watch = watching(name, "reserve")
    quiet(getattr(shop, name), 1)
    assert watch.reports() == [("error", "reserve", "error")]


def test_a_failure_in_the_handler_of_another_is_a_failure_of_its_own():
    shop, watch = watching("compensate", "reserve")
    quiet(shop.compensate, 1)
    assert [type(item.exception).__name__ for item in watch.observed] == ["Stock", "OSError"]


def test_an_expected_error_that_becomes_an_unexpected_one_is_reported():
    shop = module(SHOP)
    watch = Watch(monitor("shop.reserve", expect=["shop.Stock"]), monitor("shop.translate")).apply(shop)
    quiet(shop.translate, 1)
    assert watch.reports() == [("error", "translate", "error")]
    assert watch.counted == {("expected", "shop.reserve"): 1}


def test_a_failure_that_is_handled_between_is_reported_where_it_happened():
    shop, watch = watching("swallowing", "reserve")
    assert shop.swallowing(1) == "fine"
    assert watch.reports() == [("error", "reserve", "error")]


def test_recursion_is_one_failure():
    shop, watch = watching("fact")
    quiet(shop.fact, 5)
    assert len(watch.observed) == 1
    assert list(watch.observed[0].operations) == ["fact"] * 6


def test_an_exception_object_that_is_raised_again_later_is_a_new_failure():
    shop, watch = watching("single", "twice")
    quiet(shop.single)
    quiet(shop.single)
    assert len(watch.observed) == 2
    quiet(shop.twice)
    # What `twice` raises in the end is the object that it caught: the same failure, passed on.
    assert [item.operation for item in watch.observed] == ["single"] * 4


def test_coroutines_and_generators_are_one_failure_too():
    shop, watch = watching("aorder", "areserve", "gorder", "greserve")
    quiet(asyncio.run, shop.aorder(1))
    assert watch.reports() == [("error", "areserve", "error")]
    quiet(list, shop.gorder(1))
    assert watch.reports()[1:] == [("error", "greserve", "error")]


def test_severity_by_exception_nearest_class_first():
    shop, watch = watching("hold", "reserve", errors={"shop.Payment": "info", "shop.Hold": "fatal"})
    quiet(shop.hold, 1)
    quiet(shop.reserve, 1)
    assert watch.reports() == [("error", "hold", "fatal"), ("error", "reserve", "error")]


def test_expected_and_ignored_are_counted_only():
    shop, watch = watching("hold", expect=["shop.Payment"])
    quiet(shop.hold, 1)
    assert watch.observed == []
    assert watch.counted == {("expected", "shop.hold"): 1}
    shop, watch = watching("hold", ignore=["shop.Payment"])
    quiet(shop.hold, 1)
    assert watch.observed == []
    shop, watch = watching("hold", ignore=["shop.Payment"], errors={"shop.Hold": "warning"})
    quiet(shop.hold, 1)
    assert watch.reports() == [("error", "hold", "warning")]


def test_exceptions_are_known_under_the_name_of_a_re_export():
    shop = module("from json import JSONDecodeError\ndef f(): raise JSONDecodeError('m', 'd', 0)\n")
    watch = Watch(monitor("shop.f", expect=["json.JSONDecodeError"])).apply(shop)
    quiet(shop.f)
    assert watch.observed == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_control_flow_passes_unreported(error):
    shop = module(f"def f(): raise {error.__name__}")
    watch = Watch(monitor("shop.f")).apply(shop)
    with pytest.raises(error):
        shop.f()
    assert watch.observed == []


def test_slow_calls_climb_the_ladder():
    clock = FakeClock()
    shop = module("def f(seconds): work(seconds)", work=clock.work)
    watch = Watch(monitor("shop.f", thresholds=[[0.5, "warning"], [3.0, "error"], [30.0, "fatal"]]))
    watch.clock = clock
    watch.apply(shop)
    for seconds in (0.4, 0.6, 5, 31):
        shop.f(seconds)
    assert [(item.severity, item.threshold, item.duration) for item in watch.observed] == [
        ("warning", 0.5, pytest.approx(0.6)),
        ("error", 3.0, pytest.approx(5)),
        ("fatal", 30.0, pytest.approx(31)),
    ]


def test_rules_and_captures_use_parameters_result_and_duration():
    clock = FakeClock()
    shop = module(
        "def order(customer, items, *, urgent=False):\n work(2)\n return {'state': 'rejected', 'id': 7}\n",
        work=clock.work,
    )
    watch = Watch(
        monitor(
            "shop.order",
            capture={"id": "result['id']", "customer": "customer", "lines": "len(items)", "took": "round(duration)",
                     "broken": "result.missing"},
            rules=[("result['state'] == 'rejected' and not urgent", "Order {id} was rejected", "warning"),
                   ("len(items) > 5", "big", "info")],
        )
    )  # fmt: skip
    watch.clock = clock
    watch.apply(shop)
    shop.order(3, [1, 2])
    (seen,) = watch.observed
    assert (seen.report, seen.message, seen.severity) == ("rule", "Order {id} was rejected", "warning")
    assert seen.captured.values == {"id": 7, "customer": 3, "lines": 2, "took": 2}
    assert list(seen.captured.failed) == ["broken"]
    shop.order(3, [1, 2], urgent=True)
    assert len(watch.observed) == 1


def test_a_call_that_failed_has_no_result_and_that_is_no_mistake_of_the_monitors():
    shop = module("def order(bad): return {'id': 7} if not bad else [][1]")
    capture = {"id": "result['id']", "why": "error.args", "wrong": "bad.missing"}
    watch = Watch(monitor("shop.order", operation="order", capture=capture, audit="info")).apply(shop)
    shop.order(False)
    with pytest.raises(IndexError):
        shop.order(True)
    well, failed = (each.captured for each in watch.observed)
    assert well.values == {"id": 7}
    assert list(failed.values) == ["why"]
    assert list(well.failed) == list(failed.failed) == ["wrong"]


def test_a_rule_may_look_at_the_error():
    shop = module("def f(x): raise KeyError(x)")
    rule = ("error is not None and x > 1", "lost a key", "fatal")
    watch = Watch(monitor("shop.f", rules=[rule], expect=["builtins.ValueError"])).apply(shop)
    quiet(shop.f, 2)
    assert [item.report for item in watch.observed] == ["rule", "error"]
    quiet(shop.f, 0)
    assert [item.report for item in watch.observed] == ["rule", "error", "error"]


def test_parameters_below_a_decorator_are_found_by_their_names():
    shop = module(
        "import functools\n"
        "def deco(f):\n @functools.wraps(f)\n def w(*args, **kwargs): return f(*args, **kwargs)\n return w\n"
        "@deco\ndef order(customer, items=(), *, urgent=False): return len(items)\n"
    )
    watch = Watch(
        monitor(
            "shop.order", capture={"c": "customer", "u": "urgent", "i": "items"},
            rules=[("customer == 'acme'", "acme again", "info")],
        )
    ).apply(shop)  # fmt: skip
    shop.order("acme", urgent=True)
    shop.order(customer="acme", items=[1])
    shop.order("other")
    assert [item.captured.values for item in watch.observed] == [
        {"c": "acme", "u": True, "i": ()},
        {"c": "acme", "u": False, "i": [1]},
    ]


def test_an_expression_over_an_unknown_name_disables_itself_alone():
    shop = module("def f(x): raise ValueError(x)")
    watch = Watch(monitor("shop.f", capture={"bad": "nope", "good": "x"})).apply(shop)
    quiet(shop.f, 1)
    assert watch.observed[0].captured.values == {"good": 1}


def test_an_audit_reports_every_call():
    shop = module("def login(user): return user")
    watch = Watch(
        monitor("shop.login", kind="security", severity="info", audit="info", capture={"user": "user"})
    ).apply(shop)
    shop.login("anna")
    assert watch.reports() == [("audit", "login", "info")]


def test_a_response_500_is_reported_once_by_the_innermost_endpoint():
    shop = module(
        "class R:\n def __init__(self, s): self.status_code = s\n"
        "def view(s): return R(s)\ndef handler(s): return view(s)\n"
    )
    watch = Watch(
        monitor("shop.view", kind="api", detail={"endpoint": "orders"}), monitor("shop.handler", kind="api", name="h")
    ).apply(shop)
    for status in (200, 404, 500, 503):
        shop.handler(status)
    assert [(item.operation, item.message) for item in watch.observed] == [
        ("view", "orders returned 500"),
        ("view", "orders returned 503"),
    ]


def test_a_result_that_makes_attributes_when_they_are_read_is_left_as_it_is():
    """traitlets' `Config`, `addict`, `Mock`: nothing but what the ERP itself reads is added."""
    shop = module(
        "class Tree(dict):\n def __getattr__(self, name): return self.setdefault(name, Tree())\n"
        "class Page:\n @property\n def status_code(self): return 503\n"
        "def settings(): return Tree(a=1)\ndef page(): return Page()\n"
    )
    watch = Watch(
        monitor("shop.settings", kind="api", name="s", thresholds=[(0.0, "warning")]),
        monitor("shop.page", kind="api", name="p", detail={"endpoint": "page"}),
    ).apply(shop)
    assert shop.settings() == {"a": 1}
    shop.page()
    assert watch.observed[-1].message == "page returned 503"


def test_what_the_agent_itself_calls_while_it_reports_is_not_monitored():
    shop = module("def f(x): raise ValueError(x)\ndef g(): raise KeyError(1)\n")

    class Reporting(list):
        def append(self, observation):
            quiet(shop.g)
            super().append(observation)

    watch = Watch(monitor("shop.f"), monitor("shop.g"))
    watch.observed = Reporting()
    watch.apply(shop)
    quiet(shop.f, 1)
    assert [item.operation for item in watch.observed] == ["f"]
    quiet(shop.g)
    assert [item.operation for item in watch.observed] == ["f", "g"]


def test_limits_suppress_repeats_and_report_how_many():
    shop = module("def f(x): raise ValueError(x)")
    watch = Watch(monitor("shop.f", rate_limit=(3, 3600.0))).apply(shop)
    for i in range(50):
        quiet(shop.f, i)
    assert 1 <= len(watch.observed) <= 5
    assert watch.counted["rate", "shop.f"] == 50 - len(watch.observed)


def test_a_parameter_that_has_the_name_of_one_of_our_words():
    shop = module("def show(error, result=3):\n if error: raise ValueError(error)\n return 'x'\n")
    capture = {"mine": "error", "theirs": 'argument("error")', "out": "result", "given": 'argument("result")'}
    rules = [('argument("error") == 0 and error is None', "{theirs}", "info")]
    watch = Watch(monitor("shop.show", capture=capture, rules=rules)).apply(shop)
    shop.show(0)
    quiet(lambda: shop.show(5, result=4))
    assert watch.observed[0].captured.values == {"mine": None, "theirs": 0, "out": "x", "given": 3}
    failed = watch.observed[1].captured.values
    assert (type(failed.pop("mine")), failed) == (ValueError, {"theirs": 5, "out": None, "given": 4})


def test_parameters_below_a_decorator_that_sets_no_wrapped():
    shop = module(
        "def bare(f):\n def wrapped(*args, **kwargs): return f(*args, **kwargs)\n return wrapped\n"
        "@bare\ndef pay(payment, *more, token=None, **rest): raise ValueError('gateway')\n"
    )
    capture = {"payment": "payment", "more": "more", "token": "token", "rest": "rest"}
    watch = Watch(monitor("shop.pay", capture=capture)).apply(shop)
    quiet(lambda: shop.pay(7, 8, 9, token="t", currency="SEK"))
    assert watch.observed[0].operation == "pay"
    assert watch.observed[0].captured.values == {
        "payment": 7,
        "more": (8, 9),
        "token": "t",
        "rest": {"currency": "SEK"},
    }


def test_operation_names_come_from_the_function():
    shop = module("class A:\n def run(self): raise ValueError\n")
    watch = Watch(monitor("shop.A.run", operation="report.{name}/{qualname}/{module}")).apply(shop)
    quiet(shop.A().run)
    assert watch.observed[0].operation == "report.run/A.run/shop"


def test_an_exception_keeps_nothing_of_ours_alive():
    import gc
    import weakref

    shop = module("class Big: pass\ndef f(big): raise ValueError(1)")
    watch = Watch(monitor("shop.f", rules=[("error is None", "x", "info")])).apply(shop)
    big = shop.Big()
    alive = weakref.ref(big)
    gc.disable()
    try:
        quiet(shop.f, big)
        watch.observed.clear()
        del big
        assert alive() is None
    finally:
        gc.enable()


def test_an_exception_that_is_kept_and_raised_again_further_up_is_the_same_failure():
    # As Celery's retry does: the exception leaves a function that was called from where it was caught before.
    shop = module(
        SHOP + "def raise_again(error): raise error\n"
        "def task(x):\n try: reserve(x)\n except Stock as error:\n  raise_again(error)\n"
    )
    watch = Watch(monitor("shop.reserve"), monitor("shop.task")).apply(shop)
    quiet(shop.task, 1)
    assert watch.reports() == [("error", "reserve", "error")]


@pytest.mark.parametrize(
    ("source", "step"),
    [
        ("def f(): raise ValueError", "_report"),
        ("def f(): return 1", "_apply_rules"),
        ("def f(): return 1", "_is_left_out"),
    ],
)
def test_without_the_memory_to_decide_the_loss_is_counted(monkeypatch, source, step):
    def refuse(*_, **__):
        raise MemoryError

    monkeypatch.setattr("agent.observe.call.verdict.Verdict." + step, refuse)
    shop = module(source)
    rules = [("result > 0", "much", "warning")]
    watch = Watch(monitor("shop:f", rules=rules, thresholds=[(0.0, "warning")])).apply(shop)
    quiet(shop.f)
    assert watch.counted["not-made", "shop:f"] >= 1
    assert watch.observed == []


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs signals")
def test_a_time_limit_that_strikes_in_a_capture_propagates_and_the_report_is_counted():
    class Limit(Exception):
        pass

    def ring(number, frame):
        raise Limit

    class Order:
        @property
        def id(self):
            signal.raise_signal(signal.SIGUSR1)

    shop = module("def book(order):\n    raise ValueError\n", name="shop_limited")
    watch = Watch(monitor("shop_limited.book", name="book", capture={"order": "order.id"}))
    watch.apply(shop)
    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with pytest.raises(Limit):
            shop.book(Order())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not watch.observed
    assert watch.counted == {("not-made", "book"): 1}
    with pytest.raises(ValueError, match=r"^$"):
        shop.book(None)  # the next report is made as ever
    assert len(watch.observed) == 1


def test_tries_that_are_dropped_leave_the_limit_to_the_failure_that_counts(monkeypatch):
    shop = module("def bill(n): raise ValueError(n)\n")
    watch = Watch(monitor("shop.bill")).apply(shop)
    for number in range(20):
        attempt = attempts.Attempt()
        monkeypatch.setattr(attempts, "current", lambda attempt=attempt: attempt)
        quiet(shop.bill, number)
        attempt.drop()
    monkeypatch.setattr(attempts, "current", attempts.outside)
    quiet(shop.bill, 20)
    assert [item.exception.args for item in watch.observed] == [(number,) for number in range(21)]
    assert watch.counted == {}
