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


# ----------------------------------------------------------------------------------------- what surrounds a function


class Surrounded:
    """Patches `function`, and notes what is called, in order."""

    def __init__(self, function, *passed):
        self.seen = seen = []

        def enter(*arguments):
            seen.append(arguments)
            return len(seen)

        self.layer = wrap.surround(
            function,
            enter,
            lambda token, failed: seen.append((token, failed)),
            passed=passed,
            failed=lambda error, frame: seen.append((error, frame.f_locals[passed[0]] if passed else None)),
        )


@pytest.mark.usefixtures("how")
class TestSurround:
    def test_a_function_that_succeeds_or_fails(self):
        error = ValueError("the host's")

        def serve(self, environ, *rest, start=None):
            environ = dict(environ)  # what was passed counts
            if not environ:
                raise error
            return self, environ, rest, start

        code, given = serve.__code__, {"a": 1}
        surrounded = Surrounded(serve, "environ", "rest")
        assert serve("x", given, 3, start=4) == ("x", given, (3,), 4)
        assert surrounded.seen == [(given, (3,)), (1, False)] and surrounded.seen[0][0] is given
        del surrounded.seen[:]
        with pytest.raises(ValueError) as caught:
            serve("x", {})
        assert caught.value is error
        if sys.version_info >= (3, 11):
            assert [frame.name for frame in traceback.extract_tb(error.__traceback__)][1:] == ["serve"]
        assert surrounded.seen == [({}, ()), (error, {}), (1, True)]
        surrounded.layer.undo()
        assert serve.__code__ is code

    def test_a_parameter_that_the_function_shares_with_one_inside_it(self):
        def serve(environ):
            return [environ for _ in "a"]

        surrounded = Surrounded(serve, "environ")
        assert serve(7) == [7] and surrounded.seen == [(7,), (1, False)]

    def test_a_coroutine_function(self):
        async def serve(scope):
            await step(scope)

        async def step(scope):
            if scope == "fails":
                raise KeyError(scope)

        surrounded = Surrounded(serve, "scope")
        coroutine = serve("works")
        assert inspect.iscoroutinefunction(serve) and surrounded.seen == []
        with pytest.raises(StopIteration):
            coroutine.send(None)
        assert surrounded.seen == [("works",), (1, False)]
        with pytest.raises(KeyError):
            serve("fails").send(None)
        assert surrounded.seen[2:3] == [("fails",)] and surrounded.seen[-1] == (3, True)

    def test_a_generator_begins_when_it_is_read(self):
        def serve(environ, start):
            start("200 OK")
            for part in environ:
                got = yield part
                if got == "fail":
                    raise KeyError(part)
            return "end"

        def driven(function):
            started = []
            parts = function([1, 2, 3], started.append)
            seen = [list(started), next(parts), list(started), parts.send("x")]
            with pytest.raises(KeyError):
                parts.send("fail")
            return [*seen, list(function("ab", started.append))]

        expected = driven(serve)
        surrounded = Surrounded(serve, "environ")
        parts = serve([1], len)
        assert inspect.isgeneratorfunction(serve) and surrounded.seen == []
        assert list(parts) == [1] and surrounded.seen == [([1],), (1, False)]
        del surrounded.seen[:]
        assert driven(serve) == expected
        assert surrounded.seen[0] == ([1, 2, 3],)
        assert (1, True) in surrounded.seen and surrounded.seen[-1][1] is False
