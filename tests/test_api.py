"""What new code may call: captures by hand, decorators, and `agent.testing`, which all tests here go through."""

import asyncio
import functools
import inspect
import pickle
import sys
from types import ModuleType

import pytest
from acceptance.host import Host

import agent
from agent.base import guard
from agent.base.errors import ConfigError
from agent.boot import running
from agent.testing import reporting

DECORATORS = [
    "sentry_monitor", "sentry_database_monitor", "sentry_business_logic_monitor", "sentry_transaction",
    "sentry_api_monitor", "sentry_security_monitor", "monitor_sales_operation", "monitor_inventory_operation",
    "monitor_production_operation", "monitor_quality_operation",
]  # fmt: skip


def fails(x=1):
    raise ValueError(x)


def quiet(call, *args, **kw):
    try:
        return call(*args, **kw)
    except Exception as error:
        return error


@pytest.mark.parametrize("name", DECORATORS)
@pytest.mark.parametrize("form", ["bare", "called", "with words"])
def test_each_decorator_gives_the_same_function_back_and_monitors_it(name, form):
    def work(x=1):
        raise ValueError(x)

    decorator = getattr(agent, name)
    with reporting() as reported:
        if form == "bare":
            assert decorator(work) is work
        else:
            assert (decorator("a_word") if form == "with words" else decorator())(work) is work
        assert isinstance(quiet(work), ValueError)
        assert len(reported.errors) == 1, (reported.targets, reported.counted, reported.events)
        expected = {"sales", "inventory", "production", "quality"} & set(name.split("_"))
        if expected:
            assert reported.errors[0]["tags"]["erp.module"] == expected.pop()
        if form == "bare":
            assert reported.errors[0]["tags"]["erp.operation"] == "work"
        elif form == "with words":
            assert "a_word" in reported.errors[0]["tags"].values()
        assert inspect.signature(work) == inspect.signature(fails)


def test_the_words_of_each_kind():
    with reporting() as reported:

        @agent.sentry_database_monitor("Order", "update", severity="fatal", tags={"tier": "1"})
        def update():
            raise KeyError("x")

        @agent.sentry_business_logic_monitor("order_to_cash", "invoice")
        def invoice():
            raise KeyError("x")

        @agent.sentry_security_monitor("login_failed", "info", audit=True)
        def sign_in():
            pass

        @agent.sentry_api_monitor("orders.list")
        def answer():
            class Response:
                status_code = 503

            return Response()

        quiet(update), quiet(invoice), sign_in(), answer()
    assert [event["tags"]["erp.kind"] for event in reported.events] == ["database", "business", "security", "api"]
    first, second, third, fourth = reported.events
    assert first["level"] == "fatal"
    assert (first["tags"]["db.model"], first["tags"]["db.operation"], first["tags"]["tier"]) == ("Order", "update", "1")
    assert second["tags"]["process"] == "order_to_cash"
    assert second["tags"]["erp.operation"] == "invoice"
    assert (third["level"], third["tags"]["event_type"], third["tags"]["erp.module"]) == (
        "info", "login_failed", "security",
    )  # fmt: skip
    assert fourth["logentry"]["formatted"] == "orders.list returned 503"


def test_every_kind_of_function():
    with reporting() as reported:

        @agent.sentry_monitor("sales", "plain")
        async def coroutine():
            raise ValueError("c")

        @agent.sentry_monitor("sales", "generator")
        def generator():
            yield 1
            raise ValueError("g")

        @agent.sentry_monitor("sales", "agen")
        async def agenerator():
            yield 1
            raise ValueError("a")

        class Order:
            @agent.sentry_monitor("sales", "method", capture=["n"])
            def method(self, n):
                raise ValueError(n)

            @agent.sentry_monitor("sales", "static")
            @staticmethod
            def static():
                raise ValueError

            @classmethod
            @agent.sentry_monitor("sales", "class")
            def cls(cls):
                raise ValueError

            @property
            @agent.sentry_monitor("sales", "property")
            def prop(self):
                raise ValueError

        async def drain():
            async for _ in agenerator():
                pass

        assert inspect.iscoroutinefunction(coroutine) and inspect.isasyncgenfunction(agenerator)
        quiet(asyncio.run, coroutine()), quiet(list, generator()), quiet(asyncio.run, drain())
        quiet(Order().method, 7), quiet(Order.static), quiet(Order.cls), quiet(lambda: Order().prop)
    assert [event["tags"]["erp.operation"] for event in reported.errors] == [
        "plain", "generator", "agen", "method", "static", "class", "property",
    ]  # fmt: skip
    assert reported.of("method")[0]["contexts"]["erp"]["captured"] == {"n": 7}
    assert reported.of("method")[0]["contexts"]["erp"]["function"].endswith("Order.method")


def test_several_decorators_on_one_function_are_one_failure():
    with reporting() as reported:

        @agent.sentry_monitor("sales", "outer")
        @agent.sentry_database_monitor("Order", "inner")
        def work():
            raise ValueError

        quiet(work)
    assert len(reported.errors) == 1


def test_under_another_decorator_and_above_one():
    def loud(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    with reporting() as reported:

        @loud
        @agent.sentry_monitor("sales", "below", capture=["a"])
        def below(a):
            raise ValueError(a)

        @agent.sentry_monitor("sales", "above", capture=["a"])
        @loud
        def above(a):
            raise ValueError(a)

        quiet(below, 1), quiet(above, 2)
    assert [event["contexts"]["erp"]["captured"]["a"] for event in reported.errors] == [1, 2]


def test_expected_slow_and_wrong_words():
    with reporting() as reported:

        @agent.sentry_monitor("sales", "expected", expect=[KeyError])
        def expected():
            raise KeyError("x")

        @agent.sentry_monitor("sales", "slow", threshold=1e-7)
        def slow():
            sum(range(1000))

        quiet(expected), slow()
    assert reported.counted["expected"] == 1
    assert len(reported.slow) == 1
    assert reported.errors == []


def test_what_cannot_be_monitored_is_left_alone_and_said():
    with reporting() as reported:
        assert agent.sentry_monitor("sales", "length")(len) is len
        assert agent.sentry_monitor(int) is int
    assert [line[0] for line in reported.targets if line[1].startswith("builtins")] == ["failed", "failed"]


def decorated_early():
    raise ValueError


decorated_early = agent.monitor_sales_operation("early")(decorated_early)


def test_what_was_decorated_before_is_monitored_while_it_is_on_and_bare_afterwards():
    code = decorated_early.__code__
    with reporting() as reported:
        assert decorated_early.__code__ is not code
        quiet(decorated_early)
    assert decorated_early.__code__ is code
    assert pickle.loads(pickle.dumps(decorated_early)) is decorated_early
    quiet(decorated_early)
    assert len(reported.of("early")) == 1


# Captures


def test_an_error_by_hand():
    with reporting() as reported:
        try:
            fails(3)
        except ValueError as error:
            event_id = agent.capture_erp_error(
                error, "sales", {"id": 7, "email": "a@b.example"}, {"order": "SO-1", "password": "hunter2"}
            )
    (event,) = reported.events
    assert event["event_id"] == event_id
    assert event["user"] == {"id": "7"}
    assert event["tags"]["erp.module"] == "sales"
    assert event["contexts"]["erp"]["captured"]["order"] == "SO-1"
    assert "hunter2" not in str(event)
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "fails"


def test_a_broken_rule_and_slow_work_by_hand():
    with reporting() as reported:
        agent.capture_business_logic_error("Order {order} has no lines", "create_order", {"order": "SO-1"}, user=12)
        agent.capture_performance_issue("import_prices", 12.5, {"rows": 9}, threshold=5)
    rule, slow = reported.events
    assert rule["logentry"]["formatted"] == "Order SO-1 has no lines"
    assert rule["user"] == {"id": "12"}
    assert rule["level"] == "warning"
    assert slow["logentry"]["formatted"] == "import_prices took 12.5 s (limit 5 s)"
    assert slow["contexts"]["erp"]["captured"] == {"rows": 9}


def test_a_failure_reported_by_hand_and_by_a_monitor_is_one():
    with reporting() as reported:

        @agent.sentry_monitor("sales", "inner")
        def inner():
            raise ValueError("x")

        @agent.sentry_monitor("sales", "outer")
        def outer():
            try:
                fails(1)
            except ValueError as error:
                agent.capture_erp_error(error, "sales")
                raise

        try:
            inner()
        except ValueError as error:
            assert agent.capture_erp_error(error) is None
        quiet(outer)
        quiet(outer)
    assert [event["tags"]["erp.monitor"].rpartition(".")[2] for event in reported.errors] == ["inner", "error", "error"]


def test_all_of_it_is_safe_where_the_agent_is_off():
    assert agent.capture_erp_error(ValueError("x")) is None
    assert agent.capture_business_logic_error("x") is None
    assert agent.capture_performance_issue("x", 1.0) is None

    @agent.sentry_monitor("sales", "x", severity="not one")
    def work():
        return 5

    assert work() == 5


def test_a_monitors_file(tmp_path):
    import example_shop_for_testing

    (tmp_path / "monitors.yaml").write_text(
        "version: 1\nmonitors:\n  - {target: example_shop_for_testing.sell, operation: sell, rate_limit: 1/h}\n"
    )
    with reporting(tmp_path / "monitors.yaml") as reported:
        for _ in range(20):
            quiet(example_shop_for_testing.sell)
    assert len(reported.of("sell")) == 20
    assert reported.targets[0][:3] == ("patched", "sell", "example_shop_for_testing.sell")
    (tmp_path / "wrong.yaml").write_text("version: 1\nmonitors: [{target: a.b, severty: error}]\n")
    with pytest.raises(ConfigError, match="severty"), reporting(tmp_path / "wrong.yaml"):
        pass


def test_nothing_is_sent_to_the_dsn_of_a_hosts_settings_while_its_tests_run(monkeypatch):
    class Settings:
        def __init__(self, **held):
            vars(self).update(held)

    conf = ModuleType("django.conf")
    conf.settings = Settings(_wrapped=Settings(SENTRY_DSN="https://key@sentry.example/1"))
    monkeypatch.setitem(sys.modules, "django.conf", conf)
    with reporting() as reported:
        assert agent.capture_erp_error(ValueError("kept in memory"))
        assert running.engine().outlet.sentry["dsn"] is None
    assert len(reported.errors) == 1


@pytest.fixture(autouse=True, scope="module")
def _example_shop():
    import sys
    import types

    made = sys.modules["example_shop_for_testing"] = types.ModuleType("example_shop_for_testing")
    exec("def sell(): raise ValueError('x')", made.__dict__)
    yield
    del sys.modules["example_shop_for_testing"]


# In real processes, where the agent runs as _erp_agent.

MAIN = """
import sys
from agent import sentry_monitor, capture_erp_error, capture_business_logic_error
import shop
assert sys.modules.get("agent.boot.engine") is None, "there is one agent"
try: shop.inner()
except ValueError: pass
try: shop.named()
except ValueError as error: print(capture_erp_error(error))
print(bool(capture_business_logic_error("no lines", "create_order")))
"""
SHOP = """
from agent import monitor_sales_operation
@monitor_sales_operation("inner")
def inner(): raise ValueError("inner")
def named(): raise ValueError("named")
"""
MONITORS = "version: 1\nmonitors: [{target: shop.named, operation: named}]\n"


@pytest.mark.parametrize("monitors", [MONITORS, "version: 1\nmonitors: [{target: elsewhere.f, operation: f}]\n"])
def test_one_agent_in_a_monitored_process(tmp_path, monitors):
    host = Host(tmp_path)
    host.write(main__py=MAIN, shop__py=SHOP, monitors__yaml=monitors)
    for _ in range(2):  # the second time from the compiled plan, with a Lookout that waits
        done = host.run("main.py")
        assert done.stderr == ""
    found = {event["tags"]["erp.operation"] for event in host.events()}
    assert found == (
        {"inner", "named", "create_order"} if monitors is MONITORS else {"inner", "__main__.<module>", "create_order"}
    )


@pytest.mark.parametrize("extra", [{"AGENT_DISABLED": "1"}, {"AGENT_CONFIG": "/nowhere/monitors.yaml"}])
def test_disabled_or_not_configured(tmp_path, extra):
    host = Host(tmp_path)
    host.write(main__py=MAIN, shop__py=SHOP)
    done = host.run("main.py", **extra)
    assert done.stdout == "None\nFalse\n"
    assert host.events() == []


def test_a_misspelt_option_is_an_error_in_tests():
    with pytest.raises(
        TypeError, match=r"test_api.py:\d+: no decorator has the option `treshold`; did you mean `threshold`"
    ):
        agent.sentry_monitor("sales", "x", treshold="2s")
    with pytest.raises(TypeError, match="there are `threshold`"):
        agent.monitor_sales_operation("x", zzz=1)


def test_a_misspelt_option_is_one_line_elsewhere(monkeypatch, capfd):
    with reporting() as reported:
        monkeypatch.setattr(guard, "TESTING", False)
        monkeypatch.delitem(sys.modules, "agent.testing", raising=False)

        @agent.sentry_api_monitor("orders", treshold="2s")
        def work():
            raise ValueError("x")

        assert isinstance(quiet(work), ValueError)
        assert len(reported.errors) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert (
        "no decorator has the option `treshold`, the function is monitored without it; did you mean `threshold`?"
        in said
    )


def test_a_misspelt_option_is_nobodys_business_where_the_agent_is_off(monkeypatch, capfd):
    monkeypatch.setattr(guard, "TESTING", False)
    monkeypatch.delitem(sys.modules, "agent.testing", raising=False)
    assert agent.sentry_monitor("sales", "x", treshold="2s")(len) is len
    assert capfd.readouterr() == ("", "")
