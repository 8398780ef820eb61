"""What nobody has dealt with and no monitor has seen is reported once, if it is a failure at all."""

import pytest
from support import Watch, module, monitor

from agent.observe.around import work
from agent.observe.call.limits import HANDFUL
from agent.observe.failure.unmonitored import HANDFUL_OF_LOGGED, LAST_OUTCOMES, Unmonitored, is_reported


class Desk:
    def __init__(self, **settings):
        self.reports = []
        self.counted = []
        self.unmonitored = Unmonitored(self.reports.append, lambda *each: self.counted.append(each), **settings)

    def failed(self, error, what="request", **known):
        return self.unmonitored.failed(what, error, operation="GET /orders/", function="sales.views.orders", **known)


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


def test_who_called_a_piece_of_work_logs_its_failure_when_it_is_over():
    desk, errors = Desk(), [raised(ValueError(number)) for number in range(3)]
    for error in errors:  # several in turns, as in an event loop
        entered = work.enter(None)
        assert desk.failed(error)
        work.leave(entered)
    for error in errors:
        assert not desk.failed(error, "logged", logged={"logger": "server.errors"})
    wrapped = RuntimeError("serving has failed")
    wrapped.__cause__ = errors[0]
    assert not desk.failed(raised(wrapped), "logged", logged={"logger": "server.errors"})
    assert desk.failed(raised(ValueError(0)), "logged", logged={"logger": "server.errors"}), "another one"
    assert len(desk.reports) == 4


def test_the_last_failures_of_pieces_of_work_are_remembered():
    desk = Desk()
    first = None
    for number in range(LAST_OUTCOMES + 1):
        error = raised(ValueError(number))
        first = first or error
        entered = work.enter(None)
        desk.failed(error)
        work.leave(entered)
    logged = {"what": "logged", "logged": {"logger": "server.errors"}}
    assert not desk.failed(error, **logged)
    assert desk.failed(first, **logged)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), StopIteration()], ids=lambda e: type(e).__name__)
def test_a_way_to_leave_is_no_failure(error):
    desk = Desk()
    entered = work.enter(None)
    assert not desk.failed(raised(error))
    work.leave(entered)
    assert (desk.reports, entered[0].outcome) == ([], work.WELL)


@pytest.mark.parametrize("made", ["expected", "ignored"])
def test_what_is_no_failure_anywhere_is_none_here(made):
    desk = Desk(stances={"modules": {}, "everywhere": [{"LookupError": made}, {"KeyError": "fatal"}]})
    entered = work.enter(None)
    error = raised(KeyError("x"))
    assert not desk.failed(error)
    assert entered[0].outcome == work.WELL
    assert is_reported(error), "the SDK does not send it either"
    assert desk.counted == [("expected", "unmonitored.request")]
    assert desk.failed(raised(ValueError("x")))
    work.leave(entered)
    assert entered[0].outcome == work.CRASHED


STANCES = {
    "modules": {},
    "everywhere": [{"KeyError": "expected"}, {"LookupError": "expected"}],
    "unattended": [{"KeyError": "expected"}, {"LookupError": "warning"}],
}


def in_a(kind, desk, error, **known):
    entered = work.enter("nightly", kind)
    try:
        return desk.failed(error, **{"what": "task", **known}), entered[0].outcome
    finally:
        work.leave(entered)


def test_a_mistake_of_a_user_that_ends_a_job_is_a_warning_once_an_hour():
    desk, job = Desk(stances=STANCES), work.Kind(work.TASK)
    assert in_a(job, desk, raised(IndexError(3))) == (True, work.CRASHED)
    (report,) = desk.reports
    assert (report.severity, report.monitor["name"]) == ("warning", "unmonitored.task")
    assert report.monitor["repeat_interval"] == {"error": 3600.0}
    assert in_a(job, desk, raised(ValueError(3)))[0], "a failure"
    assert (desk.reports[1].severity, desk.reports[1].monitor["repeat_interval"]) == ("error", {})


def test_a_mistake_that_somebody_is_shown_or_that_was_declared_is_none_in_a_job_either():
    desk, job = Desk(stances=STANCES), work.Kind(work.TASK)
    assert in_a(job, desk, raised(KeyError("x"))) == (False, work.WELL), "the file names it"
    assert in_a(job, desk, raised(IndexError(3)), severity="info") == (False, work.WELL), "the task declares it"
    assert in_a(work.Kind("http.server"), desk, raised(IndexError(3))) == (False, work.WELL), "inside a request"
    assert in_a(job, desk, raised(IndexError(3)), what="graphql") == (False, work.WELL)
    assert not desk.failed(raised(IndexError(3)), "task"), "nobody knows where it ran"
    assert desk.reports == []


def test_a_severity_that_counts_everywhere_counts_here():
    desk = Desk(stances={"modules": {"m": [{"KeyError": "info"}]}, "everywhere": [{"LookupError": "warning"}]})
    assert desk.failed(raised(KeyError("x")))
    assert desk.failed(raised(ValueError("x")))
    assert [(each.severity, each.monitor["severity"]) for each in desk.reports] == [
        ("warning", "warning"), ("error", "error"),
    ]  # fmt: skip


def test_what_a_monitored_call_around_expects_is_not_reported():
    desk = Desk()
    shop = module("def order(work): return work()\n", "unmonitored_shop")
    seen = Watch(monitor("unmonitored_shop.order", expect=["KeyError"])).apply(shop)

    def resolve(error):  # as GraphQL does: the failure is dealt with inside
        try:
            raise error
        except Exception as caught:
            return desk.failed(caught, "graphql")

    try:
        assert not shop.order(lambda: resolve(KeyError("x")))
        assert shop.order(lambda: resolve(ValueError("x")))
        assert resolve(KeyError("x"))
    finally:
        seen.undo()


def test_a_flood_of_one_failure_is_a_handful_of_events_and_the_work_has_crashed_all_the_same():
    desk = Desk()
    for number in range(40):
        entered = work.enter(None)
        desk.failed(raised(ValueError(number)), "task")
        work.leave(entered)
        assert entered[0].outcome == work.CRASHED
    assert len(desk.reports) == HANDFUL
    assert desk.counted == [("rate", "unmonitored.task")] * (40 - HANDFUL)


def test_what_was_logged_is_handled_limited_to_one_an_hour_and_no_second_failure_where_it_is_raised_again():
    desk = Desk()

    def logs(error):
        return desk.unmonitored.failed(
            "logged", error, operation="jobs.ship", function="jobs.ship", handled=True, logged={"logger": "erp"}
        )

    errors = [raised(ValueError("no stock")) for _ in range(HANDFUL_OF_LOGGED + 3)]
    assert [logs(each) for each in errors] == [True] * HANDFUL_OF_LOGGED + [False] * 3
    report = desk.reports[0]
    assert (report.monitor["name"], report.monitor["rate_limit"]) == ("unmonitored.logged", (24.0, 86_400.0))
    assert (report.handled, report.more) == (True, {"logged": {"logger": "erp"}})
    assert desk.counted == [("rate", "unmonitored.logged")] * 3
    assert all(is_reported(each) for each in errors), "a monitored function that it leaves later reports nothing"
    assert not logs(errors[0])
