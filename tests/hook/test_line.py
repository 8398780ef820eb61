"""A call at a line of a function: where its execution comes to the line, and without any other trace of it."""

import asyncio
import gc
import importlib
import sys
import threading
import types

import pytest
from support import module
from test_inject import MODULES, Features, Spy, codes_of

from agent.base.errors import CannotPatch
from agent.hook.code import patch
from agent.live.lines import POSSIBLE

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="code is put at a line from CPython 3.11 on")

if POSSIBLE:
    from agent.hook.code import depths, line
    from agent.hook.targets import alive, at_line

BODIES = """
class E(Exception): pass
class CM:
    def __enter__(self): return 1
    def __exit__(self,*a): return False
    async def __aenter__(self): return 1
    async def __aexit__(self,*a): return False
async def agen(n):
    for i in range(n): yield i
def boom(x): raise E(x)
def t_plain(a=3):
    b = a + 1
    c = (b +  # part
         a)
    print_ = str(b,
        ) if 0 else str(  # part
            c)
    return b, c
def t_loop():
    total = 0
    for x in range(4):
        if x == 2:
            continue
        total += x
    else:
        total += 100
    while total > 90:
        total -= 5
        if total == 91:
            break
    return total
def t_try():
    out = []
    for i in range(3):
        try:
            if i == 1:
                raise E(i)
            out.append(i)
        except E as e:
            out.append(str(e))
        except ValueError:
            out.append('v')
        else:
            out.append('else')
        finally:
            out.append('f')
    return out
def t_with():
    with CM() as a:  # part
        b = a
    with CM():  # part
        for x in [1,2]:
            b += x
    return b
def t_with_return():
    with CM() as a:  # part
        return a
def t_with_raises():
    with CM() as a:  # part
        boom(  # part
            a)
def t_raise():
    x = 1
    boom(x)
    return 2
def t_finally_raise():
    try:
        boom(1)
    finally:
        x = 1
        y = 2
def t_comp():
    xs = [1,2,3]
    a = [x * 2 for x in xs]  # part
    b = [  # part
        x + 1  # part
        for x in xs  # part
        if x > 1
    ]
    c = {k: v  # part
         for k, v in zip(a, b)}  # part
    return a, b, c, sum(x for x in xs)  # part
def t_gen():
    for i in range(3):
        got = yield i
    yield from range(2)
    return 5
async def t_async():
    import asyncio
    out = []
    async with CM() as a:  # part
        out.append(a)
        async for x in agen(3):
            await asyncio.sleep(0)
            out.append(x)
    await asyncio.sleep(  # part
        0)
    return out
async def t_agen():
    for i in range(2):
        yield i
    async for x in agen(2):
        yield x
def t_groups():
    n = 0
    try:
        raise ExceptionGroup("g", [E(1), KeyError(2)])
    except* E as found:
        n += len(found.exceptions)
    except* KeyError:
        n += 10
    finally:
        n += 100
    return n
def t_while_true():
    n = 0
    while True:
        n += 1
        if n > 3:
            return n
def t_bool():
    a = 1
    if (a and
        a > 0 and
        a < 5):
        return 'y'
    return 'n'
def t_nested():
    def inner(y):
        return y + 1
    class C:
        z = 3
        def m(self): return self.z
    f = lambda q: q * 2
    return inner(1), C().m(), f(4)
def t_match(v=(1, 2)):
    match v:
        case (1, x):
            r = x
        case _:
            r = None
    return r
def t_assert():
    x = 1
    assert x == 1, "no"
    assert x == 2, \
        "bad"
def t_chain():
    s = "a,b"
    r = (s  # part
         .upper()
         .split(","))
    del s
    pass
    return r
def t_deep_finally():
    for i in range(2):
        try:
            try:
                if i: return i
            finally:
                z = i
        finally:
            y = i
"""


def outcome(call):
    """What a call of any kind of function brings, with the lines that an exception passed."""
    try:
        result = call()
        if hasattr(result, "__await__"):
            result = asyncio.run(result)
        elif hasattr(result, "__next__"):
            result = list(result)
        elif hasattr(result, "__anext__"):
            result = asyncio.run(gathered(result))
    except Exception as error:
        passed, trace = [], error.__traceback__
        while trace is not None:
            passed.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
            trace = trace.tb_next
        return repr(error), [each for each in passed if each[0] not in ("outcome",)]
    return result


async def gathered(items):
    return [item async for item in items]


def traced(call, code):
    """The outcome of a call, and each line event of the frames with this code."""
    seen = []

    def follow(frame, event, _):
        if event == "line" and frame.f_code is code:
            seen.append(frame.f_lineno)
        return follow

    sys.settrace(follow)
    try:
        found = outcome(call)
    finally:
        sys.settrace(None)
    return found, seen


@pytest.fixture(scope="module")
def bodies():
    return module(BODIES, "bodies")


def functions(bodies):
    return [each for name, each in vars(bodies).items() if name.startswith("t_")]


def test_the_call_comes_as_often_as_a_tracer_sees_the_line_and_changes_nothing(bodies):
    """But once for a statement of several lines, and for a `with`, which a tracer sees again at its end ("# part")."""
    source = BODIES.splitlines()
    for function in functions(bodies):
        code = function.__code__
        plain = outcome(function)
        assert traced(function, code)[0] == plain
        events = traced(function, code)[1]
        for number in line.lines(code):
            lines = []
            changed = line.inject(code, number, lambda lines=lines: lines.append(sys._getframe(1).f_lineno))
            function.__code__ = changed
            try:
                assert outcome(function) == plain, (function, number)
                assert set(lines) <= {number}
                if source[number - 1].endswith("# part"):
                    assert bool(lines) is (number in events)
                    assert len(lines) <= events.count(number)
                else:
                    assert len(lines) == events.count(number), (function, number, source[number - 1])
                assert traced(function, changed) == (plain, events), (function, number)
            finally:
                function.__code__ = code


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_strikes_while_the_call_runs_is_the_functions(error):
    """A time limit of the host's, say: it comes from the line, and finds the handler that it would have found."""

    def within():
        try:
            number = 1
            number += 1
        except ValueError as caught:
            return "handled", caught.__traceback__.tb_lineno
        finally:
            left.append(1)
        return number

    def strike():
        raise error

    left = []
    code = within.__code__
    number = code.co_firstlineno + 3
    within.__code__ = line.inject(code, number, strike)
    if error is ValueError:
        assert within() == ("handled", number)
    else:
        with pytest.raises(KeyboardInterrupt) as struck:
            within()
        assert struck.tb.tb_next.tb_lineno == number
    assert left == [1]


def test_where_the_stack_has_no_room_the_function_goes_on():
    def full():
        raise RecursionError

    def within():
        total = 0
        for number in range(3):
            total += number
        return total

    code = within.__code__
    for number in line.lines(code):
        within.__code__ = line.inject(code, number, full)
        assert within() == 3


@pytest.mark.slow(reason="every function of large modules")
@pytest.mark.parametrize("name", MODULES[1::3])
def test_a_call_can_be_put_at_each_line_of_a_library(name):
    try:
        library = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    for code in codes_of(library):
        for number in line.lines(code):
            changed = line.inject(code, number, print)
            assert changed is not None, (code, number)
            assert list(changed.co_positions())
            assert depths.of(changed) is not None
            assert [each for _, _, each in line.runs_of(changed) if each] == [
                each for _, _, each in line.runs_of(code) if each
            ]


def test_a_monitor_and_several_lines_share_a_function():
    def order(n):
        n += 1
        return n

    bare = order.__code__
    spy, seen = Spy(limit=-1.0), []
    probed = spy.on(order, Features(threshold=True))
    first = patch.patch_function(order, At(lambda: seen.append("first"), bare.co_firstlineno + 1))
    second = patch.patch_function(order, At(lambda: seen.append("second"), bare.co_firstlineno + 2))
    assert order(1) == 2
    assert seen == ["first", "second"]
    assert [each[0] for each in spy.calls] == ["slow"]
    assert patch.injected_in(order.__code__).owner is probed.owner, "a watched line is no monitored call"
    probed.undo()
    assert order(2) == 3
    assert seen[2:] == ["first", "second"]
    first.undo()
    assert order(3) == 4
    assert seen[4:] == ["second"]
    second.undo()
    assert order.__code__ is bare


class At:
    def __init__(self, callback, number):
        self.callback, self.number = callback, number

    def rewrite(self, code):
        return line.inject(code, self.number, self.callback)


SHOP = """
import functools
def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper
def adder(n):
    def add(x):
        return x + n
    return add
class Order:
    @staticmethod
    def price(n):
        return n * 2
    @logged
    def total(self):
        return [self.price(n)
                for n in range(3)]
    class Line:
        kind = "line"
twice = lambda n: n * 2
def generate(n):
    for each in range(n):
        yield each
def empty():
    # nothing
    return None
"""


@pytest.fixture
def shop(monkeypatch):
    gc.collect()  # functions of the test before are functions of this file, too
    made = module(SHOP, "watched_shop")
    # The test process has frozen what it collected, and so all its modules would be looked through again and again.
    monkeypatch.setattr(alive, "sys", types.SimpleNamespace(modules={"watched_shop": made}))
    yield made
    sys.modules.pop("watched_shop", None)


def number_of(text):
    return next(number for number, each in enumerate(SHOP.splitlines(), 1) if text in each)


def place(text, seen, **options):
    return at_line.place("<watched_shop>", "", number_of(text), lambda: seen.append(1), **options)


@pytest.mark.slow(reason="looks through all objects")
def test_every_function_with_this_code_is_found_and_gets_its_own_code_back(shop):
    seen = []
    bare = {function: function.__code__ for function in alive.functions()}
    for text, call, where in (
        ("return n * 2", lambda: shop.Order.price(2), "Order.price"),
        ("return function(*args)", lambda: shop.Order().total(), "logged.<locals>.wrapper"),
        ("return [self.price(n)", lambda: shop.Order().total(), "Order.total"),
        ("lambda n", lambda: shop.twice(2), "<lambda>"),
        ("yield each", lambda: list(shop.generate(1)), "generate"),
    ):
        result = call()
        placed = place(text, seen)
        assert (placed.where, call()) == (where, result)
        assert seen
        placed.undo()
        seen.clear()
        assert call() == result
        assert not seen
        assert all(function.__code__ is code for function, code in bare.items())


def test_functions_that_are_made_meanwhile_are_watched_too_and_get_their_code_back(shop):
    seen = []
    before = shop.adder(1)
    codes = shop.adder.__code__, before.__code__
    placed = place("return x + n", seen)
    assert placed.count == 2
    meanwhile = shop.adder(2)
    assert (before(1), meanwhile(1)) == (2, 3)
    assert seen == [1, 1]
    another = place("def add(x)", seen)  # a line of the function that makes them
    shop.adder(3)
    assert seen == [1, 1, 1]
    another.undo()
    placed.undo()
    assert (before(1), meanwhile(1), shop.adder(3)(1)) == (2, 3, 4)
    assert seen == [1, 1, 1]
    assert (shop.adder.__code__, before.__code__) == codes
    assert meanwhile.__code__ is codes[1]
    assert shop.adder(1).__code__ is codes[1]


def test_functions_that_the_collector_does_not_show_are_found_through_their_modules(shop):
    """A server freezes what it has loaded before it forks."""
    seen = []
    gc.freeze()  # and it stays so: what the test process has collected is frozen as well
    placed = place("return function(*args)", seen)
    shop.Order().total()
    placed.undo()
    assert seen == [1]


def test_what_cannot_be_watched_is_refused_with_the_reason(shop):
    for text, reason in (
        ("# nothing", (r"line 27 of <watched_shop> holds no code of a function; the nearest lines that do: "
                      r"25 \(generate\) and 28 \(empty\)")),
        ("import functools", r"holds no code of a function; the nearest lines that do: 4 \(logged\)$"),
    ):  # fmt: skip
        with pytest.raises(CannotPatch, match=reason):
            place(text, [])
    with pytest.raises(CannotPatch, match="not this one"):
        place("yield each", [], why_not=lambda code: "not this one")
    with pytest.raises(at_line.NotLoaded):
        at_line.place("nowhere.py", "", 1, print)
    whole = compile(SHOP, "shop.py", "exec")
    assert at_line.nothing_on([whole], "shop.py", number_of("kind =")).startswith(
        f"line {number_of('kind =')} of shop.py is in the body of the class Order.Line itself"
    )
    assert "of the module itself" in at_line.nothing_on([whole], "shop.py", number_of("import functools"))


def test_the_end_of_a_path_is_enough_where_it_is_one_files(tmp_path):
    made = []
    for folder in ("sales", "stock"):
        path = tmp_path / folder / "services.py"
        path.parent.mkdir()
        path.write_text("def book():\n    return 1\n")
        made.append(types.ModuleType(folder))
        exec(compile(path.read_text(), str(path), "exec"), made[-1].__dict__)
    with pytest.raises(CannotPatch, match=r"services.py may be any of .*sales.*stock.*: write more of its path"):
        at_line.place("services.py", "", 2, print)
    seen = []
    for file, path in (("sales/services.py", ""), ("./services.py", str(tmp_path / "sales" / "services.py"))):
        placed = at_line.place(file, path, 2, lambda: seen.append(1))
        assert placed.file == str(tmp_path / "sales" / "services.py")
        made[0].book()
        made[1].book()
        placed.undo()
    assert seen == [1, 1]


@pytest.mark.slow(reason="a million calls beside other threads")
def test_a_million_calls_while_a_line_comes_and_goes(shop):
    """No call is lost, none comes back wrong, and at the end nothing is left."""
    bare = shop.Order.price.__code__
    wrong, seen, calls, ended = [], [], [], []

    def work():
        number = 0
        while not ended:
            for number in range(number, number + 10_000):
                if shop.Order.price(number) != number * 2:
                    wrong.append(number)
            calls.append(10_000)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    times = 0
    while sum(calls) < 1_000_000 or times < 20:
        placed = place("return n * 2", seen)
        shop.Order.price(1)
        placed.undo()
        times += 1
    ended.append(True)
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(seen) >= times
    assert shop.Order.price.__code__ is bare
