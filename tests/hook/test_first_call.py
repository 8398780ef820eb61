"""The first call of a function is told of, just before it runs; after that the function is what it was."""

import inspect
import sys
import traceback

import pytest

from agent.hook.imports import first_call


def served(self, is_async=False, *, name="x"):
    return self, is_async, name


def test_it_is_told_once_and_the_call_goes_on_as_ever():
    told = []
    code, signature = served.__code__, inspect.signature(served)
    layer = first_call.watch(served, lambda: told.append(served.__code__ is code))
    assert inspect.signature(served) == signature and told == []
    assert served(1, name="y") == (1, False, "y")
    assert told == [True]  # by then the function is its own again
    assert served(2) == (2, False, "x")
    assert told == [True] and served.__code__ is code
    layer.undo()
    assert served.__code__ is code


def test_it_may_be_left_before_any_call():
    told = []
    code = served.__code__
    first_call.watch(served, lambda: told.append(1)).undo()
    assert served.__code__ is code
    served(1)
    assert told == []


def test_two_who_wait_for_one_function_are_both_told():
    told = []
    code = served.__code__
    for name in "ab":
        first_call.watch(served, lambda name=name: told.append(name))
    served(1)
    served(1)
    assert sorted(told) == ["a", "b"] and served.__code__ is code


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the interpreter adds every frame that an exception passes")
def test_a_first_call_that_fails_shows_no_frame_of_ours():
    def fails():
        raise ValueError("the host's")

    first_call.watch(fails, lambda: None)
    with pytest.raises(ValueError) as caught:
        fails()
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][1:] == ["fails"]


def test_coroutine_functions():
    told = []

    async def handle(x):
        return x + 1

    first_call.watch(handle, lambda: told.append(1))
    coroutine = handle(1)
    assert inspect.iscoroutinefunction(handle) and told == []
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value == 2 and told == [1]
