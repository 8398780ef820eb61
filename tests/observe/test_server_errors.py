"""A server error that an endpoint returns is one event, reported by the innermost endpoint."""

import asyncio
import concurrent.futures
import contextvars

import pytest
from support import Watch, module, monitor

from agent.observe.around import work
from agent.observe.failure import server_errors

API = """
import asyncio
class Response:
    def __init__(self, status): self.status_code = status
SHARED = Response(500)
def endpoint(): return Response(500)
def shared(): return SHARED
def deals_with_it():
    endpoint()
    return 3
def other(): return Response(503)
def service(call): return call()
def outer(call=None): return service(call or endpoint)
def outmost(): return outer()
def other_words():
    endpoint()
    return Response(502)
def fails():
    endpoint()
    raise ValueError
async def aendpoint(n):
    await asyncio.sleep(0)
    return Response(500)
async def aouter(n):
    answer = await aendpoint(n)
    await asyncio.sleep(0)
    return answer
async def many(): await asyncio.gather(*[aouter(n) for n in range(20)])
"""
ENDPOINTS = ["endpoint", "shared", "other", "outer", "outmost", "other_words", "fails", "aendpoint", "aouter"]


@pytest.fixture
def api():
    made = module(API, name="api")
    watch = Watch(
        *(monitor(f"api.{name}", kind="api") for name in ENDPOINTS),
        monitor("api.service"),
        monitor("api.deals_with_it"),
    ).apply(made)
    made.reported = lambda: [each.operation for each in watch.observed]
    yield made
    watch.undo()
    assert server_errors.endpoints == {}


def test_what_an_endpoint_passes_on_is_reported_once(api):
    api.outmost()
    api.other_words()
    assert api.reported() == ["endpoint", "endpoint"]


def test_a_handled_response_hides_no_later_one(api):
    for _ in range(20):
        api.deals_with_it()
        api.other()
    assert api.reported() == ["endpoint", "other"] * 20


def test_a_failure_after_a_response_is_reported_too(api):
    for _ in range(2):
        with pytest.raises(ValueError):
            api.fails()
        api.other()
    assert api.reported() == ["endpoint", "fails", "other"] * 2


def test_tasks_that_take_turns(api):
    asyncio.run(api.many())
    assert api.reported() == ["aendpoint"] * 20


def test_a_response_from_another_thread_of_the_same_piece_of_work(api):
    def elsewhere():
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(contextvars.copy_context().run, api.shared).result()

    for _ in range(2):
        entered = work.enter("a request")
        api.outer(elsewhere)
        work.leave(entered)
    assert api.reported() == ["shared", "shared"]
