"""Which errors in the log are failures of background work, and what they are named after."""

import logging
from types import SimpleNamespace

import pytest

from agent.integrations import logged
from agent.observe.around import work

JOBS = """
def ship(): deeper()
def deeper(): raise ValueError
def alone():
    try: raise ValueError
    except ValueError as error: return error
"""


class Engine:
    """Keeps what is reported."""

    def __init__(self, *ignored):
        self.failures = []
        self.outlet = SimpleNamespace(sentry={"ignore_loggers": list(ignored)})
        self.frameworks = self

    def failed(self, what, error, **known):
        self.failures.append((what, type(error).__name__, known["operation"], known["severity"], known["logged"]))


def record(name="erp.worker", level=logging.ERROR, error=None):
    given = (type(error), error, error.__traceback__) if error is not None else None
    return logging.LogRecord(name, level, __file__, 1, None, (), given)


def raised(error, by=None):
    try:
        if by is not None:
            by()
        raise error
    except BaseException as caught:
        return caught


def noted(engine, *records):
    made = logged.Logged(engine)
    for each in records:
        made.note(each)
    return engine.failures


def test_an_exception_that_is_passed_or_being_handled():
    engine = Engine()
    noted(engine, record(error=raised(KeyError("a"))), record())
    try:
        raise ValueError("b")
    except ValueError:
        noted(engine, record(level=logging.CRITICAL))
    assert [each[:2] + each[3:] for each in engine.failures] == [
        ("logged", "KeyError", "error", {"logger": "erp.worker"}),
        ("logged", "ValueError", "fatal", {"logger": "erp.worker"}),
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)], ids=lambda each: type(each).__name__)
def test_a_way_to_leave_is_no_failure(error):
    assert noted(Engine(), record(error=raised(error))) == []


@pytest.mark.parametrize(
    ("logger", "followed"),
    [("erp", False), ("erp.worker", False), ("erpx", True), ("noisy.sync", False), ("gunicorn.error", False),
     ("rq.worker", False), ("celery.app.trace", False), ("asyncio", True), ("django.tasks", True)],
)  # fmt: skip
def test_loggers(logger, followed):
    found = noted(Engine("erp", "*.sync"), record(logger, error=raised(ValueError())))
    assert bool(found) == followed


def test_in_a_request_or_task_the_outcome_decides_and_after_it_the_log():
    entered = work.enter("a request")
    assert noted(Engine(), record(error=raised(ValueError()))) == []
    work.leave(entered)
    token = work.doing.set(entered[0])  # a task that the request has started, in a copy of its context
    assert len(noted(Engine(), record(error=raised(ValueError())))) == 1
    work.doing.reset(token)


def test_what_is_logged_while_a_report_is_made_makes_no_other():
    class Logs(Engine):
        def failed(self, what, error, **known):
            super().failed(what, error, **known)
            made.note(record(error=raised(KeyError())))

    engine = Logs()
    made = logged.Logged(engine)
    made.note(record(error=raised(ValueError())))
    assert [each[1] for each in engine.failures] == ["ValueError"]


def test_the_name_is_that_of_the_erps_function_which_the_worker_has_called():
    jobs = {"__name__": "shop"}
    exec(compile(JOBS, "/srv/erp/shop.py", "exec"), jobs)
    assert logged.job_of(raised(None, jobs["ship"]).__traceback__) == "shop.ship"
    assert logged.job_of(jobs["alone"]().__traceback__) == "shop.alone"
    assert logged.job_of(None) == ""
