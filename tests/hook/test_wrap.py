"""What waits for the first call of a function is called just before it; then the function is what it was."""

import inspect
import sys
import traceback

import pytest

from agent.hook.code import wrap


def served(self, is_async=False, *, name="x"):
    return self, is_async, name


def test_it_is_called_once_and_the_call_goes_on_as_ever():
    woken = []
    code, signature = served.__code__, inspect.signature(served)
    layer = wrap.before_first_call(served, lambda: woken.append(served.__code__ is code))
    assert inspect.signature(served) == signature and woken == []
    assert served(1, name="y") == (1, False, "y")
    assert woken == [True]  # by then the function is its own again
    assert served(2) == (2, False, "x")
    assert woken == [True] and served.__code__ is code
    layer.undo()
    assert served.__code__ is code


def test_it_may_be_left_before_any_call():
    woken = []
    code = served.__code__
    wrap.before_first_call(served, lambda: woken.append(1)).undo()
    assert served.__code__ is code
    served(1)
    assert woken == []


def test_two_that_wait_for_one_function_are_both_called():
    woken = []
    code = served.__code__
    for name in "ab":
        wrap.before_first_call(served, lambda name=name: woken.append(name))
    served(1)
    served(1)
    assert sorted(woken) == ["a", "b"] and served.__code__ is code


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the interpreter adds every frame that an exception passes")
def test_a_first_call_that_fails_shows_no_frame_of_ours():
    def fails():
        raise ValueError("the host's")

    wrap.before_first_call(fails, lambda: None)
    with pytest.raises(ValueError) as caught:
        fails()
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][1:] == ["fails"]


def test_coroutine_functions():
    woken = []

    async def handle(x):
        return x + 1

    wrap.before_first_call(handle, lambda: woken.append(1))
    coroutine = handle(1)
    assert inspect.iscoroutinefunction(handle) and woken == []
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value == 2 and woken == [1]
