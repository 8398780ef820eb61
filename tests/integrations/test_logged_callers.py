"""The records of errors are the host's own while errors are watched: caller, filters, handlers, and what is discarded."""

import logging
import sys
import threading
from types import SimpleNamespace

import pytest

from agent.hook.code import inject
from agent.integrations.logged import Logged


class Keeps(logging.Handler):
    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        names = []
        frame = sys._getframe(1)
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        caller = (record.pathname, record.lineno, record.funcName)
        self.seen.append((record.levelno, record.getMessage(), caller, bool(record.exc_info), record.stack_info, names))


#: What a logger and an adapter log as errors with an exception, each.
OF_EACH = [*[(40, "%s is late")] * 3, (50, "no stock"), (40, "no stock %s"), (45, "no stock"), *[(40, "failed")] * 2]


@pytest.fixture
def log():
    logger = logging.getLogger("shop.test_logged_callers")
    logger.addHandler(Keeps())
    logger.propagate = False
    yield logger
    for name in ("handlers", "filters"):
        getattr(logger, name).clear()
    logger.disabled = False
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def followed():
    """Begin to follow; return the levels and texts of the records that are looked at."""
    layers, noted = [], []

    def follow():
        made = Logged(SimpleNamespace())
        made.note = lambda record: noted.append((record.levelno, record.msg))
        layers.extend(made.follow(logging))
        return noted

    yield follow
    for layer in reversed(layers):
        layer.undo()


class Own(logging.Logger):
    def error(self, msg, *args, **kwargs):
        super().error(msg, *args, **kwargs)


def says(log, **given):
    log.error("%s is late", 7, **given)


def logs(log):
    """Log in every way that makes an error."""
    log.error("without an exception")
    log.log(logging.ERROR, "without an exception")
    own = Own(log.name + ".own")
    own.parent = log
    try:
        raise KeyError
    except KeyError as error:
        for each in (log, logging.LoggerAdapter(log, {"order": 7})):
            for level in (1, 2, 3):
                says(each, stacklevel=level)
            each.critical("no stock", stack_info=True, stacklevel=2)
            each.log(logging.ERROR, "no stock %s", 8, extra={"part": 8})
            each.log(45, "no stock")
            each.log(logging.INFO, "in stock")
            each.exception("failed")
            each.error("failed", exc_info=error)
        log.fatal("it ends")
        own.error("of its own")
    return log.handlers[0].seen


@pytest.mark.parametrize("injected", [True, False])
def test_the_hosts_records_are_the_same(log, followed, monkeypatch, injected):
    monkeypatch.setattr(inject, "AVAILABLE", injected and inject.AVAILABLE)
    runs = []
    for noted in (None, followed):
        noted = noted and noted()
        runs.append(logs(log))
        log.handlers[0].seen = []
    plain, seen = runs
    assert [each[:4] for each in seen] == [each[:4] for each in plain]
    if inject.AVAILABLE or sys.version_info < (3, 11):
        assert seen == plain, "no frame of ours lies between"
    if inject.AVAILABLE or sys.version_info >= (3, 11):
        assert noted == [*OF_EACH, *OF_EACH, (50, "it ends"), (40, "of its own")]
    else:
        assert noted == []
    assert log.filters == []


def test_what_the_host_discards_is_not_looked_at(log, followed):
    noted = followed()
    log.setLevel(logging.CRITICAL)
    log.error("below the level of its logger", exc_info=KeyError())
    log.setLevel(logging.NOTSET)
    log.disabled = True
    log.error("disabled", exc_info=KeyError())
    log.disabled = False
    logging.disable(logging.ERROR)
    log.error("disabled everywhere", exc_info=KeyError())
    logging.disable(logging.NOTSET)
    called = []
    log.addFilter(SimpleNamespace(filter=lambda record: called.append(record) or record.msg == "kept"))
    log.error("discarded", exc_info=KeyError())
    log.error("kept", exc_info=KeyError())
    assert noted == [(40, "kept")]
    assert len(called) == 2, "each filter is called once a record"
    assert len(log.filters) == 1


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_what_a_filter_or_handler_raises_is_passed_on(log, followed, error):
    def raises(record):
        raise error

    noted = followed()
    log.addFilter(SimpleNamespace(filter=raises))
    with pytest.raises(error):
        log.error("late", exc_info=KeyError())
    assert len(log.filters) == 1
    log.filters.clear()
    log.handlers[0].emit = raises
    with pytest.raises(error):
        log.error("late", exc_info=KeyError())
    assert (log.filters, noted) == ([], [(40, "late")])


def test_a_filter_that_empties_the_list_and_one_that_logs(log, followed):
    noted = followed()

    def inner(record):
        if record.msg == "outer":
            log.error("inner", exc_info=KeyError())
            log.filters.clear()
        return True

    log.addFilter(SimpleNamespace(filter=inner))
    log.error("outer", exc_info=KeyError())
    assert noted == [(40, "inner")]
    log.error("after", exc_info=KeyError())
    assert (log.filters, noted) == ([], [(40, "inner"), (40, "after")])


def test_threads_that_log_with_one_logger_at_the_same_time(log, followed):
    """Both are between the logger's filters and its handlers; one leaves while the other's record is being filtered."""
    noted = followed()
    both = threading.Barrier(2, timeout=60)
    left = threading.Event()

    def waits(record):
        both.wait()
        if record.msg == "second":
            assert left.wait(60)
        return True

    log.addFilter(SimpleNamespace(filter=waits))

    def first():
        log.error("first", exc_info=KeyError())
        left.set()

    thread = threading.Thread(target=first)
    thread.start()
    log.error("second", exc_info=KeyError())
    thread.join()
    assert noted == [(40, "first"), (40, "second")]
    assert len(log.filters) == 1
