"""Log lines as breadcrumbs: of the piece of work that is being done, without the values that fill them."""

import contextvars
import logging

import pytest

from agent.observe.around import breadcrumbs, work
from agent.privacy import names


def logged(text, *values, level=logging.INFO, name="sales"):
    breadcrumbs.add(logging.LogRecord(name, level, "sales.py", 1, text, values or ("a value",), None))


def messages():
    return [each["message"] for each in breadcrumbs.provide().get("breadcrumbs", [])]


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """Each test in a context of its own, as a thread has one; what logs has a source."""
    monkeypatch.setattr(breadcrumbs.log_templates.source, "lines", lambda path, last: ["log.info(text, *values)"])
    names.configure(())  # forgets the source of earlier tests
    token = breadcrumbs.elsewhere.set(())
    yield
    breadcrumbs.elsewhere.reset(token)


def test_a_line_is_reported_as_it_is_written_in_the_source():
    logged("order %s of %s", 7, "anna@example.com", level=logging.CRITICAL)
    (crumb,) = breadcrumbs.provide()["breadcrumbs"]
    assert crumb.pop("timestamp") > 1e9
    assert crumb == {"type": "log", "category": "sales", "level": "fatal", "message": "order %s of %s"}


def test_an_object_that_is_logged_is_reported_by_its_type_and_not_kept():
    class Order:
        def __str__(self):
            raise AssertionError("the host's code")

    logged(Order())
    assert messages() == [f"{__name__}.{Order.__qualname__}"]


def test_debug_lines_and_those_of_our_own_connections_are_left_out():
    logged("a detail", level=logging.DEBUG)
    logged("Retrying", level=logging.WARNING, name="urllib3.connectionpool")
    assert messages() == []


def test_the_last_ten_are_kept():
    for number in range(25):
        logged(f"line {number}")
    assert messages() == [f"line {number}" for number in range(15, 25)]


def test_a_piece_of_work_has_lines_of_its_own():
    logged("before")
    first = work.enter(object())
    logged("in the first")
    assert messages() == ["in the first"]
    work.leave(first)
    second = work.enter(object())
    assert messages() == [], "nothing of another request's"
    work.leave(second)
    assert messages() == ["before"]


def test_a_thread_has_lines_of_its_own():
    logged("here")
    assert contextvars.Context().run(messages) == []


def test_tasks_of_a_script_add_to_lines_of_their_own():
    import asyncio

    async def one(number):
        logged(f"task {number}")
        await asyncio.sleep(0)
        return [crumb["message"] for crumb in breadcrumbs.provide()["breadcrumbs"]]

    async def main():
        logged("begins")
        return await asyncio.gather(one(1), one(2))

    assert asyncio.run(main()) == [["begins", "task 1"], ["begins", "task 2"]]
