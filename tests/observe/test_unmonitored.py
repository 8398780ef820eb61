"""What nobody has dealt with and no monitor has seen is reported once, if it is a failure at all."""

import pytest

from agent.observe.around import work
from agent.observe.call.limits import HANDFUL
from agent.observe.failure.unmonitored import Unmonitored, is_reported


class Desk:
    def __init__(self, **settings):
        self.reports = []
        self.counted = []
        self.unmonitored = Unmonitored(self.reports.append, lambda *each: self.counted.append(each), **settings)

    def failed(self, error, what="request"):
        return self.unmonitored.failed(what, error, operation="GET /orders/", function="sales.views.orders")


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


def test_the_report_has_the_operation_and_function_that_are_known():
    desk = Desk()
    error = raised(ValueError("no such order"))
    assert desk.failed(error)
    (report,) = desk.reports
    assert (report.monitor["name"], report.operation, report.function) == (
        "unmonitored.request", "GET /orders/", "sales.views.orders",
    )  # fmt: skip
    assert (report.report, report.severity, report.exception, report.handled) == ("error", "error", error, False)
    assert report.traceback is error.__traceback__
    assert report.operations == ["GET /orders/"]


def test_the_same_failure_of_a_piece_of_work_is_reported_once():
    desk = Desk()
    error = raised(ValueError("no such order"))
    entered = work.enter(None)
    assert desk.failed(error)
    assert is_reported(error), "whoever checks next, such as the SDK, finds that it was"
    assert not desk.failed(error)
    work.leave(entered)
    assert not is_reported(error)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), StopIteration()], ids=lambda e: type(e).__name__)
def test_a_way_to_leave_is_no_failure(error):
    desk = Desk()
    entered = work.enter(None)
    assert not desk.failed(raised(error))
    work.leave(entered)
    assert (desk.reports, entered[0].outcome) == ([], work.WELL)


def test_what_is_ignored_everywhere_is_ignored_here():
    desk = Desk(ignore=["LookupError"])
    assert not desk.failed(raised(KeyError("x")))
    assert desk.failed(raised(ValueError("x")))


def test_a_flood_of_one_failure_is_a_handful_of_events_and_the_work_has_crashed_all_the_same():
    desk = Desk()
    for number in range(40):
        entered = work.enter(None)
        desk.failed(raised(ValueError(number)), "task")
        work.leave(entered)
        assert entered[0].outcome == work.CRASHED
    assert len(desk.reports) == HANDFUL
    assert desk.counted == [("rate", "unmonitored.task")] * (40 - HANDFUL)
