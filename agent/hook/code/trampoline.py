"""Generates the code that a patched function runs: the hot path.

A trampoline takes the target's own parameters, calls the original with exactly those, and contains only what its
monitor needs: no threshold, no clock; no rule, no check. It reads nothing from the host's globals: the clock, the
original and the probe's callbacks are constants of the code object.

One template is compiled for each shape of signature and set of features; the trampoline of a function is then made with
one `code.replace` that fills in names and constants. Placeholders are strings that begin with NUL, which no source
contains by accident. A template calls a constant as `("…" if 1 else 0)(x)`: the compiler then does not warn that a
string is not callable, and removes the condition.
"""

import sys
from _io import BytesIO
from types import CodeType, FunctionType

from ...base.records import Record
from ...base.slots import drop_first_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from functools import partial
    from typing import Any
else:
    from _functools import partial  # functools itself would cost


class Callback(partial):  # type: ignore[type-arg]
    """A callback in a code object. Copied to another process by value (cloudpickle, dill), it does nothing there."""

    __slots__ = ()

    def __reduce__(self) -> "tuple[Any, ...]":
        return getattr, ("", "format")  # takes any arguments, ignores them, and needs no import of ours


class Features(Record):
    """What a trampoline does besides calling the original."""

    threshold: bool = False  #: SLOW(start, result) when the call took longer than LIMIT
    check: "tuple[int, ...] | None" = None  #: CHECK(result, start, *parameters at these positions) after a success
    #: ENTER() before, and LEAVE(start, result, token, failed, …) after, but not after a success without a token.
    #: Not for asynchronous generators.
    span: bool = False
    wrap: bool = False  #: nothing of the above: the trampoline returns WRAP(original, …arguments)
    timed: bool = False  #: read the clock even without threshold or check, so that errors know their duration
    counted: str = ""  #: one of the following
    entering: tuple[int, ...] = ()  #: positions of the parameters that ENTER gets
    leaving: tuple[int, ...] = ()  #: those that LEAVE gets in the end

    @property
    def clocked(self) -> bool:
        return self.threshold or self.timed or self.check is not None or self.counted == AT_THE_END

    @property
    def starts(self) -> bool:
        """Whether something is kept from the beginning to the end: the start, or what is in its place."""
        return self.clocked or bool(self.counted)


#: How calls are counted: each takes an item of BATCH, an iterator, and where that has none, calls COUNT(start).
#: AT_THE_END: an item is taken when the call has succeeded. AT_THE_BEGINNING: when it begins, and only a call that gets
#: none reads the clock; for others, ITEM is in the place of the start. WITHOUT_CLOCK: at the end, and the start is 0.0.
AT_THE_END, AT_THE_BEGINNING, WITHOUT_CLOCK = "at the end", "at the beginning", "without clock"

#: The item of every batch. An `io.BytesIO` of such bytes yields one for each line, and can be rewound; both it and the
#: code that has it as a constant stay hashable.
#: This very object: the interpreter has one of each single byte, which a constant in a compiled file is not.
ITEM: bytes = next(BytesIO(b"\n\n"))


_shared: "dict[tuple[object, ...], Features]" = {}


def shared_features(*given: "Any") -> Features:
    """Return the same object for equal `threshold, check, span, timed, counted, leaving`."""
    known = _shared.get(given)
    if known is None:
        threshold, check, span, timed, counted, leaving = given
        known = _shared[given] = Features(threshold, check, span, False, timed, counted, (), leaving)
    return known


CO_VARARGS = 0x04
CO_VARKEYWORDS = 0x08
CO_NESTED = 0x10
CO_GENERATOR = 0x20
CO_COROUTINE = 0x80
CO_ITERABLE_COROUTINE = 0x100
CO_ASYNC_GENERATOR = 0x200
_CO_FUTURES = 0x1FE0000

FUNCTION, GENERATOR, COROUTINE, ASYNC_GENERATOR = "function", "generator", "coroutine", "async generator"

#: A constant of a template: a name in the table below, and how the template calls it.
_CLOCK, _ORIGINAL, _FAIL, _SLOW, _LIMIT = "\0clock", "\0original", "\0fail", "\0slow", "\0limit"
_CHECK, _ENTER, _LEAVE, _WRAP = "\0check", "\0enter", "\0leave", "\0wrap"
_BATCH, _ITEM, _COUNT = "\0batch", "\0item", "\0count"
_STOP, _STOP_ASYNC, _EXIT, _BASE = "\0stop", "\0stop_async", "\0exit", "\0base"
_LEAVE_OUT = "\0leave_out"

OWN: "dict[str, object]" = {
    _STOP: StopIteration, _STOP_ASYNC: StopAsyncIteration, _EXIT: GeneratorExit, _BASE: BaseException,
    _LEAVE_OUT: Callback(drop_first_frame), _ITEM: ITEM,
}  # fmt: skip

templates: "dict[tuple[object, ...], CodeType]" = {}

#: Python 3.11 takes the traceback of a re-raised exception from the exception, so that our frame can be left out of it.
LEAVES_NO_FRAME = sys.version_info >= (3, 11)


def kind_of(code: CodeType) -> str:
    """FUNCTION, GENERATOR, COROUTINE or ASYNC_GENERATOR."""
    flags = code.co_flags
    if flags & CO_ASYNC_GENERATOR:
        return ASYNC_GENERATOR
    if flags & CO_COROUTINE:
        return COROUTINE
    return GENERATOR if flags & CO_GENERATOR else FUNCTION


def build(original: FunctionType, features: Features, values: "Mapping[str, object]") -> CodeType:
    """Return the trampoline for `original`, the function over the old code, which the trampoline calls.

    `values` holds what the features need: `clock()`, which returns seconds; `fail(start)`, called while the exception
    is being handled (start is 0.0 where no clock is read, ITEM where the call is counted already; for generators it is
    the time spent running so far, made to look like a start); `limit` in seconds and `slow(start, result)`;
    `check(result, start, *parameters)` after a success; `enter(*parameters)`; `leave(start,
    result, token, failed, *parameters)`;
    `wrap(original, *arguments)`; `batch` and `count(start)`. Raises ValueError where the interpreter refuses.
    """
    code = original.__code__
    kind = kind_of(code)
    shape = (
        kind,
        code.co_posonlyargcount,
        code.co_argcount,
        code.co_kwonlyargcount,
        bool(code.co_flags & CO_VARARGS),
        bool(code.co_flags & CO_VARKEYWORDS),
        len(code.co_freevars),
        features,
    )
    template = templates.get(shape)
    if template is None:
        template = templates[shape] = _compile(_source(*shape))
    constants = {"\0" + name: value for name, value in values.items()}
    constants.update(OWN, **{_ORIGINAL: original})
    return _fill(template, code, constants)


def _fill(template: CodeType, code: CodeType, constants: "dict[str, Any]") -> CodeType:
    parameters = code.co_argcount + code.co_kwonlyargcount
    parameters += bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    # A local of ours is named as CPython names its own hidden ones (".0"), so that it meets no name of the host's.
    locals_ = template.co_varnames
    names = code.co_varnames[:parameters] + tuple("." + name for name in locals_[parameters:])
    renamed = dict(zip(locals_[:parameters], names))

    def constant(value: "Any") -> "Any":
        if type(value) is str:
            return constants[value] if value in constants else renamed.get(value, value)
        if type(value) is tuple:  # the names of keyword arguments
            return tuple([constant(item) for item in value])
        return value

    changes: "dict[str, Any]" = {
        "co_consts": tuple([constant(value) for value in template.co_consts]),
        "co_varnames": names,
        "co_freevars": code.co_freevars,
        "co_filename": code.co_filename,
        "co_firstlineno": code.co_firstlineno,
        "co_name": code.co_name,
        "co_flags": (template.co_flags & ~CO_NESTED)
        | (code.co_flags & (CO_NESTED | CO_ITERABLE_COROUTINE | _CO_FUTURES)),
    }
    if sys.version_info >= (3, 11):
        changes["co_qualname"] = code.co_qualname
    return template.replace(**changes)


def _compile(source: str) -> CodeType:
    """Compile a template, and give all of it one line without columns.

    Frames of a trampoline then show the target's first line, with nothing underlined.
    """
    # `compile` would first create the interpreter's types of syntax trees: 2 ms and 300 kB in every process.
    made: "dict[str, Any]" = {}
    exec(source, made)  # noqa: S102  (the source is ours)
    code = _code_in(made["outer"].__code__)
    if sys.version_info >= (3, 11):
        # Entries of at most 8 code units each: "no column information", line delta 0 (CPython, Objects/locations.md).
        whole, rest = divmod(len(code.co_code) // 2, 8)
        return code.replace(co_linetable=b"\xef\x00" * whole + (bytes([0xE8 | (rest - 1), 0]) if rest else b""))
    from ..until_310 import lines

    return lines.on_one_line(code)


def _code_in(code: CodeType) -> CodeType:
    return next(item for item in code.co_consts if isinstance(item, CodeType))


def _call(constant: str, arguments: str = "") -> str:
    return f"({constant!r} if 1 else 0)({arguments})"


def _value(constant: str) -> str:
    return f"({constant!r} if 1 else 0)"


def _source(
    kind: str, posonly: int, positional: int, keyword: int, star: bool, stars: bool, free: int, features: Features
) -> str:
    names = ["a%d" % i for i in range(positional)]
    keywords = ["k%d" % i for i in range(keyword)]
    signature = list(names)
    if posonly:
        signature.insert(posonly, "/")
    if star:
        signature.append("*va")
    elif keyword:
        signature.append("*")
    signature += keywords
    if stars:
        signature.append("**kw")
    # In the order of co_varnames: positional, keyword-only, *args, **kwargs.
    ordered = names + keywords + (["va"] if star else []) + (["kw"] if stars else [])
    arguments = names + (["*va"] if star else []) + [f"{k}={k}" for k in keywords] + (["**kw"] if stars else [])
    frees = ["f%05d" % i for i in range(free)]  # sorted, as the compiler sorts them
    body = BODIES[kind](", ".join(arguments), ordered, features)
    lines = ["def outer():"]
    if frees:
        lines.append("  {} = None".format(" = ".join(frees)))
    lines.append(
        "  {}def p({}):".format("async " if kind in (COROUTINE, ASYNC_GENERATOR) else "", ", ".join(signature))
    )
    if frees:
        # Never executed: it makes them free variables, so that the compiler emits what fills them.
        lines.append("    if 0: {}".format(", ".join(frees)))
    lines += ["    " + line for line in body]
    return "\n".join(lines) + "\n"


def _after(ordered: "list[str]", features: Features) -> "list[str]":
    """Return what runs after a success, with the result in r and the start in t."""
    lines = []
    if features.counted == AT_THE_BEGINNING:
        lines.append(f"if t is not {_value(_ITEM)}: " + _call(_COUNT, "t"))
    elif features.counted:
        lines += [f"for x in {_value(_BATCH)}: break", "else: " + _call(_COUNT, "t")]
    if features.threshold:
        lines += [f"if {_call(_CLOCK)} - t > {_value(_LIMIT)}:", "  " + _call(_SLOW, "t, r")]
    if features.check is not None:
        lines.append(_call(_CHECK, ", ".join(["r", "t", *(ordered[i] for i in features.check)])))
    return lines


def _beginning(features: Features) -> "list[str]":
    """Return what sets t."""
    if features.clocked:
        return ["t = " + _call(_CLOCK)]
    if features.counted == AT_THE_BEGINNING:
        return [f"for t in {_value(_BATCH)}: break", "else: t = " + _call(_CLOCK)]
    return ["t = 0.0"] if features.counted else []


def _entering(ordered: "list[str]", features: Features) -> str:
    return "s = " + _call(_ENTER, ", ".join([ordered[i] for i in features.entering]))


def _leaving(ordered: "list[str]", features: Features, start: str, *, failed: bool) -> str:
    passed = "".join([f", {ordered[i]}" for i in features.leaving])
    call = _call(_LEAVE, f"{start}, {'None' if failed else 'r'}, s, {failed}{passed}")
    return call if failed else "if s is not None: " + call


def _plain(arguments: str, ordered: "list[str]", features: Features, wait: str = "") -> "list[str]":
    """Functions and coroutine functions; `wait` is "await " for the latter."""
    if features.wrap:
        call = wait + _call(_WRAP, ", ".join(filter(None, [_value(_ORIGINAL), arguments])))
        return ["try: return " + call, f"except: {_call(_FAIL, '0.0')}; raise"]
    call = wait + _call(_ORIGINAL, arguments)
    start = "t" if features.starts else "0.0"
    if not (features.starts or features.span):
        return ["try: return " + call, f"except: {_call(_FAIL, start)}; raise"]
    lines = _beginning(features)
    if features.span:
        lines.append(_entering(ordered, features))
    lines += ["try: r = " + call, "except:", "  " + _call(_FAIL, start)]
    if features.span:
        lines.append("  " + _leaving(ordered, features, start, failed=True))
    lines.append("  raise")
    if features.span:
        lines.append(_leaving(ordered, features, start, failed=False))
    return [*lines, *_after(ordered, features), "return r"]


def _coroutine(arguments: str, ordered: "list[str]", features: Features) -> "list[str]":
    return _plain(arguments, ordered, features, "await ")


def _generator(arguments: str, ordered: "list[str]", features: Features) -> "list[str]":
    """Delegation as PEP 380 defines it. With a clock it is written out, to time the generator and not its consumer."""
    call = _call(_ORIGINAL, arguments)
    if features.wrap:
        return ["return (yield from {})".format(_call(_WRAP, ", ".join(filter(None, [_value(_ORIGINAL), arguments]))))]
    if not features.clocked:
        fails = _call(_FAIL, "0.0")
        if features.span:
            fails += "; " + _leaving(ordered, features, "0.0", failed=True)
        lines = [f"try: r = yield from {call}", f"except: {fails}; raise"]
        if features.span:
            lines = [_entering(ordered, features), *lines, _leaving(ordered, features, "0.0", failed=False)]
        return [*_beginning(features), *lines, *_after(ordered, features), "return r"]
    return [
        "n = 0.0",  # seconds spent running
        "b = " + _call(_CLOCK),
        "try:",
        "  g = " + call,
        "  m = g.send",
        "  v = None",
        "  while 1:",
        "    try:",
        "      y = m(v)",
        f"    except {_value(_STOP)} as e:",
        "      r = e.value",
        "      break",
        "    v = None",
        f"    n += {_call(_CLOCK)} - b",
        "    try:",
        "      v = yield y",
        "      m = g.send",
        f"    except {_value(_EXIT)}:",
        "      b = " + _call(_CLOCK),
        "      g.close()",
        "      raise",
        f"    except {_value(_BASE)} as e:",
        # Thrown in outside of this handler, as `yield from` does: inside it would become the context of what follows.
        "      " + _call(_LEAVE_OUT, "e"),
        "      v = e",
        "      m = g.throw",
        "    b = " + _call(_CLOCK),
        "except:",
        "  v = None",  # an exception that its own frame refers to would wait for the garbage collector
        "  " + _call(_FAIL, "b - n"),
        "  raise",
        "t = b - n",
        *_after(ordered, features),
        "return r",
    ]


def _async_generator(arguments: str, ordered: "list[str]", features: Features) -> "list[str]":
    """Asynchronous generators have no `yield from`, so that delegation is always written out."""
    clock = features.clocked
    reading = _call(_CLOCK) if clock else "0.0"
    if features.wrap:
        call, fail = _call(_WRAP, ", ".join(filter(None, [_value(_ORIGINAL), arguments]))), "pass"
    else:
        call, fail = _call(_ORIGINAL, arguments), _call(_FAIL, "b - n")
    return [
        "n = 0.0",
        "b = " + reading,
        "try:",
        "  g = " + call,
        "  m = g.asend",
        "  v = None",
        "  while 1:",
        "    try:",
        "      y = await m(v)",
        f"    except {_value(_STOP_ASYNC)}:",
        "      break",
        "    v = None",
        f"    n += {reading} - b",
        "    try:",
        "      v = yield y",
        "      m = g.asend",
        f"    except {_value(_EXIT)}:",
        "      b = " + reading,
        "      await g.aclose()",
        "      raise",
        f"    except {_value(_BASE)} as e:",
        "      " + _call(_LEAVE_OUT, "e"),
        "      v = e",
        "      m = g.athrow",
        "    b = " + reading,
        "except:",
        "  v = None",
        "  " + fail,
        "  raise",
        "t = b - n",
        "r = None",
        *_after(ordered, features),
    ]


BODIES = {FUNCTION: _plain, GENERATOR: _generator, COROUTINE: _coroutine, ASYNC_GENERATOR: _async_generator}
