"""What the host logs is noted, and whoever looks for the caller that logs finds what it would find without us."""

import logging
import sys

import pytest

from agent.hook.code import inject
from agent.integrations import log_lines
from agent.observe.around import breadcrumbs


class Frames(logging.Handler):
    """Keeps every frame beneath `emit`, and the caller as loguru's recipe and structlog find it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        frames = []
        frame = sys._getframe(1)
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        by_file = next(each for each in frames if each.f_code.co_filename != logging.__file__)
        by_name = next(each for each in frames if not each.f_globals["__name__"].startswith("logging"))
        self.seen.append(([each.f_code.co_name for each in frames], by_file.f_code, by_name.f_code))


@pytest.fixture
def log():
    logger = logging.getLogger("shop.test_log_lines")
    logger.addHandler(Frames())
    yield logger
    logger.handlers.clear()


@pytest.mark.parametrize("injected", [True, False])
def test_no_frame_of_ours_stands_beneath_the_hosts_handlers(log, monkeypatch, injected):
    def logs():
        log.warning("sold %s", "anna@example.com")
        return log.handlers[0].seen.pop()

    plain = logs()
    monkeypatch.setattr(inject, "AVAILABLE", injected and inject.AVAILABLE)
    breadcrumbs.elsewhere.set(())
    layer = log_lines.follow(logging)
    try:
        followed = logs()
    finally:
        layer.undo()
    assert followed[1:] == plain[1:] == (logs.__code__, logs.__code__)
    if inject.AVAILABLE:
        assert followed == plain
    assert [each["message"] for each in breadcrumbs.provide()["breadcrumbs"]] == ["sold %s"]


def test_a_handler_that_raises_is_passed_on(log):
    class Refuses(logging.Handler):
        def emit(self, record):
            raise KeyError(record.msg)

    log.addHandler(Refuses())
    layer = log_lines.follow(logging)
    try:
        with pytest.raises(KeyError) as raised:
            log.warning("sold")
    finally:
        layer.undo()
    assert [entry.name for entry in raised.traceback] == [
        "test_a_handler_that_raises_is_passed_on", "warning", "_log", "handle", "callHandlers", "handle", "emit",
    ]  # fmt: skip
