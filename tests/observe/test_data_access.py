"""What events show of data access: the statement in which a failure was raised, and the ERP's line that called it."""

import pytest
from support import Watch, module, monitor

from agent.observe.around import work
from agent.observe.failure.unmonitored import Unmonitored

DRIVER = """
class DriverError(Exception): pass
class OrmError(Exception): pass
def execute(statement, parameters=()):
    if "nowhere" in statement: raise DriverError("no such table")
    return statement
def send(statement):
    return execute(statement)
def rebinding(statement):
    statement = statement.encode()
    raise DriverError("no such table")
def run(statement):
    try: return send(statement)
    except DriverError as error: raise OrmError("failed") from error
def clean(statement):
    try: return send(statement)
    except DriverError: raise OrmError("failed") from None
"""


SHOP = """
import driver
def order(x): return driver.run(x)
def both(x): return driver.clean(x)
def rebinds(x): return driver.rebinding(x)
def load(x): return driver.execute(x)
"""


@pytest.fixture
def watch():
    made = []

    def apply(*monitors, **options):
        seen = Watch(*monitors, **options)
        driver = module(DRIVER, "driver")
        seen.shop = module(SHOP, "shop")
        made.append(seen.apply(driver).apply(seen.shop))
        return seen

    yield apply
    for each in made:
        each.undo()


def database(name, **settings):
    capture = {"statement": "statement(statement)"}
    return monitor(f"driver.{name}", name=name, kind="database", capture=capture, **settings)


def failed_in(seen):
    return [item.more.get("failed_in") for item in seen.observed]


def fail(function, statement="SELECT 'a secret' FROM nowhere"):
    with pytest.raises(Exception):
        function(statement)


STATEMENT = {"monitor": "execute", "statement": "SELECT %s FROM nowhere"}


def test_a_report_of_a_caller_has_the_statement(watch):
    seen = watch(
        database("execute", expect=["Exception"]), database("send", expect=["Exception"]), monitor("shop.order")
    )
    fail(seen.shop.order)
    assert failed_in(seen) == [STATEMENT], "of the innermost, and of what the exception was raised from"


def test_so_it_has_where_the_driver_has_changed_its_arguments(watch):
    """Such a function is not changed in place: code of ours around it has the arguments, and no entry in tracebacks."""
    seen = watch(database("rebinding", expect=["Exception"]), monitor("shop.rebinds"))
    fail(seen.shop.rebinds)
    assert failed_in(seen) == [{**STATEMENT, "monitor": "rebinding"}]


def test_what_speaks_for_a_driver_does_so_here(watch):
    seen = watch(
        database("execute", expect=["Exception"], quiet_inside=["send"]), database("send", expect=["Exception"]),
        monitor("shop.order"),
    )  # fmt: skip
    fail(seen.shop.order)
    assert failed_in(seen) == [{**STATEMENT, "monitor": "send"}]


def test_what_the_erp_hides_on_purpose_is_not_shown(watch):
    seen = watch(database("execute", expect=["Exception"]), monitor("shop.both"))
    fail(seen.shop.both)
    assert failed_in(seen) == [None]


def test_nor_what_the_report_itself_captured(watch):
    seen = watch(database("execute"), monitor("shop.order"))
    fail(seen.shop.order)
    (report,) = seen.observed
    assert report.captured.values == {"statement": STATEMENT["statement"]}
    assert "failed_in" not in report.more


def test_nor_other_monitored_calls(watch):
    seen = watch(monitor("driver.execute", expect=["Exception"], capture={"s": "statement"}), monitor("shop.order"))
    fail(seen.shop.order)
    assert failed_in(seen) == [None]


def test_a_capture_that_fails_costs_nothing_else(watch):
    seen = watch(
        monitor("driver.execute", name="execute", kind="database", capture={"x": "statement.y"}, expect=["Exception"]),
        monitor("shop.order"),
    )
    fail(seen.shop.order)
    assert failed_in(seen) == [None]
    assert seen.counted["capture-raised", "execute"] == 1


def test_a_failure_that_no_monitor_has_seen_has_it_too(watch):
    seen = watch(database("execute", expect=["Exception"]))
    desk = Unmonitored(seen.report, seen.count)
    entered = work.enter(None)
    try:
        seen.shop.order("SELECT 'a secret' FROM nowhere")
    except Exception as error:
        assert desk.failed("request", error, operation="GET /", function="shop.order")
    work.leave(entered)
    assert failed_in(seen) == [STATEMENT]


def test_a_slow_statement_shows_the_erp_s_line(watch):
    seen = watch(database("execute", thresholds=[[-1.0, "warning"]]))
    seen.shop.load("SELECT 1")
    (report,) = seen.observed
    file, _, function = report.more["called_from"].partition(" in ")
    assert file.rpartition(":")[0].endswith("test_data_access.py"), "generated code is not the ERP's"
    assert function == "test_a_slow_statement_shows_the_erp_s_line"
