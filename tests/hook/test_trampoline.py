"""A patched function is the function: same results, same signature, same exceptions, same frames for whoever looks."""

import asyncio
import inspect
import pickle
import sys
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.hook.code import patch, trampoline
from agent.measure.tallies import Tallies

Features = trampoline.Features


class Spy:
    def __init__(self, limit=0.0, wrap=lambda original, *a, **k: ("wrapped", original(*a, **k))):
        self.wrap = wrap
        self.calls = []
        self.now = 0.0
        self.limit = limit
        self.tallies = Tallies(clock=self.clock)

    def clock(self):
        return self.now

    def fail(self, start):
        self.calls.append(("fail", type(sys.exc_info()[1]), self.now - start, dict(sys._getframe(1).f_locals)))

    def slow(self, start, result):
        self.calls.append(("slow", self.now - start, result))

    def check(self, result, start, *values):
        self.calls.append(("check", result, values))

    def on(self, function, features):
        values = {
            "fail": self.fail, "slow": self.slow, "check": self.check, "limit": self.limit, "clock": self.clock,
            "enter": lambda: self.calls.append("enter") or "token",
            "leave": lambda start, result, token, failed, *passed: self.calls.append((token, failed, *passed)),
            "wrap": self.wrap,
            **counting(self.tallies),
        }  # fmt: skip
        return patch.patch_function(function, Owner(lambda original: trampoline.build(original, features, values)))


class Owner:
    """Of one patch, made by `make` alone."""

    def __init__(self, make, inject=lambda code: None):
        self.make = make
        self.inject = inject


EVERY = [
    Features(),
    Features(threshold=True),
    Features(check=()),
    Features(span=True),
    Features(threshold=True, check=(), span=True, timed=True),
    Features(timed=True),
    Features(counted=trampoline.AT_THE_END),
    Features(counted=trampoline.AT_THE_BEGINNING),
    Features(counted=trampoline.WITHOUT_CLOCK),
    Features(threshold=True, check=(), counted=trampoline.AT_THE_END),
]


def counting(tallies):
    """What code that counts takes, as a probe gives it."""
    one = tallies.of({"name": "m", "module": None, "kind": "function"}, "operation")
    return {"batch": one.batch, "count": one.count}


def signatures():
    """Source of functions with every kind of parameter, each returning all that it was given."""

    @st.composite
    def build(draw):
        posonly, normal, keyword = (draw(st.integers(0, 3)) for _ in range(3))
        star, stars = draw(st.booleans()), draw(st.booleans())
        first_default = draw(st.integers(0, posonly + normal))
        parts, names = [], []
        for i in range(posonly + normal):
            parts.append(f"p{i}" + (f"=-{i}" if i >= first_default else ""))
            names.append(f"p{i}")
        if posonly:
            parts.insert(posonly, "/")
        if star:
            parts.append("*rest")
        elif keyword:
            parts.append("*")
        for i in range(keyword):
            default = draw(st.booleans())
            parts.append(f"k{i}" + (f"=-{i}" if default else ""))
            names.append(f"k{i}")
        names += ["rest"] * star
        if stars:
            parts.append("**more")
            names.append("more")
        return f"def f({', '.join(parts)}):\n    return ({', '.join(names)}{',' if names else ''})\n"

    return build()


def outcome(function, args, kwargs):
    try:
        return "returned", function(*args, **kwargs)
    except TypeError as error:
        return "raised", str(error)


@settings(deadline=None)
@given(
    signatures(),
    st.lists(st.integers(), max_size=7),
    st.dictionaries(st.sampled_from(["p0", "p1", "p2", "k0", "k1", "other"]), st.integers(), max_size=4),
    st.sampled_from(EVERY),
)
def test_any_signature_behaves_as_unpatched(source, args, kwargs, features):
    spaces = {}, {}
    for space in spaces:
        exec(source, space)
    plain, patched = (space["f"] for space in spaces)
    layer = Spy().on(patched, features)
    assert inspect.signature(patched) == inspect.signature(plain)
    assert inspect.getfullargspec(patched) == inspect.getfullargspec(plain)
    assert outcome(patched, args, kwargs) == outcome(plain, args, kwargs)
    layer.undo()
    assert outcome(patched, args, kwargs) == outcome(plain, args, kwargs)


@pytest.mark.parametrize("features", EVERY)
def test_undo_restores_the_very_same_code(features):
    def function(a, b=2):
        return a + b

    code = function.__code__
    layer = Spy().on(function, features)
    assert function.__code__ is not code
    assert layer.undo()
    assert function.__code__ is code


@pytest.mark.parametrize("features", EVERY)
def test_name_source_line_and_closure_stay(features):
    held = [1]

    def function(a):
        "Documented."
        return a, held

    before = inspect.getsource(function), function.__doc__, function.__qualname__, function.__closure__
    Spy().on(function, features)
    assert (inspect.getsource(function), function.__doc__, function.__qualname__, function.__closure__) == before
    assert function.__code__.co_name == "function"
    assert function.__code__.co_firstlineno == inspect.getsourcelines(function)[1]
    held.append(2)
    assert function(0) == (0, [1, 2])


def test_closure_variables_can_be_rebound_on_both_sides():
    def make():
        count = 0

        def add():
            nonlocal count
            count += 1
            return count

        return add, lambda: count

    add, read = make()
    Spy().on(add, Features(threshold=True))
    assert (add(), add(), read()) == (1, 2, 2)


def test_super_and_name_mangling():
    class Base:
        def method(self, __private=1):
            return "base", __private

    class Child(Base):
        def method(self, __private=2):
            return super().method(__private), __class__

    Spy().on(Child.method, Features(threshold=True, check=(1,)))
    assert Child().method() == (("base", 2), Child)
    assert Child().method(5) == (("base", 5), Child)


def test_defaults_changed_later_count():
    def function(a, b=1, *, c=2):
        return a, b, c

    Spy().on(function, Features())
    function.__defaults__ = (10,)
    function.__kwdefaults__ = {"c": 20}
    assert function(0) == (0, 10, 20)


def test_three_hundred_parameters():
    space = {}
    exec("def many(%s):\n return a299, a0" % ", ".join(f"a{i}={i}" for i in range(300)), space)
    Spy().on(space["many"], Features(threshold=True))
    assert space["many"](7) == (299, 7)


def test_odd_parameter_names():
    space = {}
    exec("def f(größe, print, self, t, r, *, n, g): return (größe, print, self, t, r, n, g)", space)
    Spy().on(space["f"], Features(threshold=True, check=(0, 3), span=True))
    assert space["f"](1, 2, 3, 4, 5, n=6, g=7) == (1, 2, 3, 4, 5, 6, 7)


def test_a_host_that_shadows_builtins_is_not_asked():
    space = {"BaseException": None, "StopIteration": None, "GeneratorExit": None, "Exception": None}
    exec("def f(): raise KeyError(1)\ndef g(): yield 1", space)
    spy = Spy(limit=99)
    spy.on(space["f"], Features(threshold=True))
    spy.on(space["g"], Features(threshold=True))
    with pytest.raises(KeyError):
        space["f"]()
    assert list(space["g"]()) == [1]


def test_the_same_exception_object_passes_and_its_traceback_shows_no_frame_of_ours():
    error = ValueError("as it is")

    def function():
        raise error

    spy = Spy()

    def strip(start):
        frame = sys._getframe(1)
        if error.__traceback__.tb_frame is frame:
            error.__traceback__ = error.__traceback__.tb_next

    spy.fail = strip
    spy.on(function, Features())
    with pytest.raises(ValueError) as caught:
        function()
    assert caught.value is error
    names = [entry.name for entry in caught.traceback]
    expected = 1 if trampoline.LEAVES_NO_FRAME else 2
    assert names.count("function") == expected


def test_slow_check_and_span_are_told():
    spy = Spy(limit=1.0)

    def function(a, *, b):
        spy.now += 2.5
        return a + b

    spy.on(function, Features(threshold=True, check=(1, 0), span=True))
    assert function(1, b=2) == 3
    assert spy.calls == ["enter", ("token", False), ("slow", 2.5, 3), ("check", 3, (2, 1))]


def test_failure_sees_the_arguments_by_name():
    spy = Spy()

    def function(order, *rest, **more):
        order = None
        raise KeyError(order)

    spy.on(function, Features(timed=True))
    with pytest.raises(KeyError):
        function(7, 8, x=9)
    kind, error, _, names = spy.calls[0]
    assert (kind, error) == ("fail", KeyError)
    assert (names["order"], names["rest"], names["more"]) == (7, (8,), {"x": 9})


def test_wrap_hands_over_the_original():
    def function(a, *rest, b=1, **more):
        return a, rest, b, more

    Spy().on(function, Features(wrap=True))
    assert function(1, 2, b=3, c=4) == ("wrapped", (1, (2,), 3, {"c": 4}))


def test_wrap_hands_over_an_asynchronous_generator():
    async def function(n):
        for number in range(n):
            yield number

    seen = []

    async def twice(original, n):
        async for each in original(n):
            seen.append(each)
            yield each, each

    Spy(wrap=twice).on(function, Features(wrap=True))

    async def consume():
        return [each async for each in function(2)]

    assert inspect.isasyncgenfunction(function)
    assert asyncio.run(consume()) == [(0, 0), (1, 1)]
    assert seen == [0, 1]


class Biting(Exception):
    """Whoever reads or sets an attribute of it runs code of the host's, which fails."""

    def __getattribute__(self, name):
        raise LookupError(name)

    def __setattr__(self, name, value):
        raise LookupError(name)

    __traceback__ = property(lambda self: self.none_of_yours)


class TestGenerators:
    features = [Features(), Features(threshold=True, check=())]

    @staticmethod
    def make(log):
        def generator(n):
            try:
                for i in range(n):
                    try:
                        got = yield i
                        log.append(("got", got))
                    except KeyError as error:
                        log.append(("caught", error.args, error.__context__))
                        yield "handled"
            finally:
                log.append("closed")
            return "done"

        return generator

    @staticmethod
    def drive(generator, log):
        g = generator(3)
        log.append(next(g))
        log.append(g.send("hello"))
        log.append(g.throw(KeyError("thrown")))
        log.append(next(g))
        try:
            next(g)
        except StopIteration as stop:
            log.append(stop.value)
        early = generator(2)
        next(early)
        early.close()
        failing = generator(1)
        next(failing)
        with pytest.raises(ZeroDivisionError):
            failing.throw(ZeroDivisionError())

        def outer():
            log.append((yield from generator(1)))

        log.append(list(outer()))
        dropped = generator(1)
        next(dropped)
        del dropped
        return log

    @pytest.mark.parametrize("features", features)
    def test_protocol_is_unchanged(self, features):
        plain, patched = [], []
        expected = self.drive(self.make(plain), plain)
        function = self.make(patched)
        Spy(limit=99).on(function, features)
        assert self.drive(function, patched) == expected
        assert inspect.isgeneratorfunction(function)

    @pytest.mark.parametrize("features", features)
    def test_what_an_exception_does_with_its_attributes_is_not_found_out(self, features):
        def generator():
            try:
                yield 1
            except Biting as error:
                yield error

        Spy(limit=99).on(generator, features)
        g, error = generator(), Biting()
        next(g)
        assert g.throw(error) is error
        with pytest.raises(Biting):
            g.throw(Biting())

    def test_times_what_runs_not_what_the_consumer_does(self):
        spy = Spy(limit=3.0)

        def generator():
            for i in range(3):
                spy.now += 1.5
                yield i

        spy.on(generator, Features(threshold=True))
        for _ in generator():
            spy.now += 100
        assert spy.calls == [("slow", 4.5, None)]

    def test_a_failure_while_iterating_is_a_failure(self):
        spy = Spy(limit=99)

        def generator(n):
            yield n
            raise OSError(n)

        spy.on(generator, Features(threshold=True))
        with pytest.raises(OSError):
            list(generator(5))
        assert spy.calls[0][:2] == ("fail", OSError)
        assert spy.calls[0][3]["n"] == 5

    def test_a_generator_that_ignores_close(self):
        def stubborn():
            for _ in range(2):
                try:
                    yield 1
                except GeneratorExit:
                    pass

        Spy(limit=99).on(stubborn, Features(threshold=True))
        g = stubborn()
        next(g)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            g.close()

    def test_types_coroutine_can_still_be_awaited(self):
        @types.coroutine
        def pause():
            yield

        async def main():
            await pause()
            return 1

        Spy().on(pause, Features())
        with pytest.raises(StopIteration) as stop:
            c = main()
            c.send(None)
            c.send(None)
        assert stop.value.value == 1


class TestCoroutines:
    def test_results_errors_and_cancellation(self):
        spy = Spy(limit=99)
        log = []

        async def function(a):
            try:
                await asyncio.sleep(0)
                if a == "fail":
                    raise LookupError(a)
                if a == "wait":
                    await asyncio.Event().wait()
                return a
            finally:
                await asyncio.sleep(0)
                log.append(a)

        spy.on(function, Features(threshold=True, check=(0,)))
        assert inspect.iscoroutinefunction(function)
        assert asyncio.iscoroutinefunction(function)

        async def main():
            assert await function(1) == 1
            with pytest.raises(LookupError):
                await function("fail")
            task = asyncio.ensure_future(function("wait"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert log == [1, "fail", "wait"]
        assert [call[:2] for call in spy.calls] == [
            ("check", 1),
            ("fail", LookupError),
            ("fail", asyncio.CancelledError),
        ]


class TestAsyncGenerators:
    @staticmethod
    def make(log):
        async def generator(n):
            try:
                for i in range(n):
                    try:
                        got = yield i
                        log.append(got)
                    except KeyError:
                        log.append("caught")
                    await asyncio.sleep(0)
            finally:
                await asyncio.sleep(0)
                log.append("closed")

        return generator

    @staticmethod
    async def drive(generator, log):
        log.append([i async for i in generator(2)])
        g = generator(5)
        log.append(await g.asend(None))
        log.append(await g.asend("sent"))
        log.append(await g.athrow(KeyError()))
        await g.aclose()
        g = generator(5)
        await g.asend(None)
        with pytest.raises(ZeroDivisionError):
            await g.athrow(ZeroDivisionError())
        async for _ in generator(3):
            break  # dropped half-way: the event loop finishes it
        return log

    @pytest.mark.parametrize("features", [Features(), Features(threshold=True)])
    def test_protocol_is_unchanged(self, features):
        plain, patched = [], []
        expected = asyncio.run(self.drive(self.make(plain), plain))
        function = self.make(patched)
        Spy(limit=99).on(function, features)
        assert inspect.isasyncgenfunction(function)
        assert asyncio.run(self.drive(function, patched)) == expected

    @pytest.mark.parametrize("features", [Features(), Features(threshold=True)])
    def test_what_an_exception_does_with_its_attributes_is_not_found_out(self, features):
        async def generator():
            try:
                yield 1
            except Biting as error:
                yield error

        async def main():
            g, error = generator(), Biting()
            await g.asend(None)
            assert await g.athrow(error) is error
            with pytest.raises(Biting):
                await g.athrow(Biting())

        Spy(limit=99).on(generator, features)
        asyncio.run(main())


def test_constants_of_ours_can_be_pickled():
    """Whoever sends functions by value sends them along."""
    assert pickle.dumps(trampoline.OWN)


@pytest.mark.parametrize("features", EVERY)
def test_frames_of_every_kind_can_be_read(features):
    """A debugger, faulthandler or an SDK reads f_locals of our frames; a code object put together wrongly crashes there."""
    held = "free"
    seen = []

    def look():
        frame = sys._getframe(1)
        while frame is not None:
            seen.append(dict(frame.f_locals))
            frame = frame.f_back

    class Thing:
        def function(self, a, *b, c=1, **d):
            look()
            return held, __class__

        def generator(self, a):
            look()
            yield held, __class__

        async def coroutine(self, a):
            look()
            return held, __class__

        async def agenerator(self, a):
            look()
            yield held, __class__

    for name in ("function", "generator", "coroutine", "agenerator"):
        Spy(limit=99).on(vars(Thing)[name], features)
    thing = Thing()

    async def main():
        await thing.coroutine(1)
        assert [item async for item in thing.agenerator(1)] == [("free", Thing)]

    assert thing.function(1, 2, c=3, d=4) == ("free", Thing)
    assert list(thing.generator(1)) == [("free", Thing)]
    asyncio.run(main())
    assert any(values.get("held") == "free" for values in seen)


def test_two_closures_over_one_code_are_patched_apart():
    def make(n):
        def function():
            return n

        return function

    one, two = make(1), make(2)
    spy = Spy()
    spy.on(one, Features(check=()))
    assert (one(), two()) == (1, 2)
    assert spy.calls == [("check", 1, ())]


def test_layers_come_off_in_any_order():
    def function():
        return 1

    code = function.__code__
    first, second = Spy(), Spy()
    below = first.on(function, Features(check=()))
    above = second.on(function, Features(check=()))
    function()
    assert (len(first.calls), len(second.calls)) == (1, 1)
    below.undo()
    function()
    assert (len(first.calls), len(second.calls)) == (1, 2)
    above.undo()
    assert function.__code__ is code


def test_code_that_somebody_else_put_in_later_is_left_alone():
    def function():
        return 1

    spy = Spy()
    layer = spy.on(function, Features(check=()))
    other = (lambda: 2).__code__
    function.__code__ = other
    assert not layer.undo()
    assert function.__code__ is other
    again = spy.on(function, Features(check=()))
    assert function() == 2
    again.undo()
    assert function.__code__ is other


def test_a_dropped_function_is_forgotten():
    import gc
    import weakref

    def make():
        held = []

        def function():
            return held

        return function

    function = make()
    layer = Spy().on(function, Features())
    alive = weakref.ref(function)
    assert patch.trampoline_of(function.__code__) is layer
    assert patch.layers_of(function) == (layer,)
    del function
    gc.collect()
    assert alive() is None
    assert layer.undo()
