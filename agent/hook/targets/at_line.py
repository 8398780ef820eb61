"""Finds the functions that come to a line of a file, and has a call injected there: into those that are alive, and into
the code of which they make others.
"""

import os
import sys
from types import CodeType, FunctionType, ModuleType

from ...base.errors import CannotPatch
from ...base.interrupts import ours
from ..code import line as at
from ..code import patch
from . import alive, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class NotLoaded(Exception):
    """No code of this file is loaded in this process."""


class Placed:
    """A line with a call, in these `codes`. `count`: how many functions that are alive have, or make, such code."""

    def __init__(self, codes: "list[CodeType]", layers: "list[patch.Layer]", rewritten: "Rewritten") -> None:
        self.count = len(layers)
        self.file = codes[0].co_filename
        self.where = names(codes)
        self._layers, self._rewritten = layers, rewritten

    def undo(self) -> None:
        """Give each function its own code again."""
        for layer in self._layers:
            layer.undo()
        self._layers = []
        self._rewritten.restore()


def place(
    file: str, path: str, line: int, callback: "Callable[[], None]", why_not: "Callable[[CodeType], str]" = lambda _: ""
) -> Placed:
    """Have `callback` called where a function comes to `line` of `file`: a path, or the end of one.

    `path` is what `file` means to who asks. `why_not` returns a reason to leave the function with this code alone.
    Raises NotLoaded, or CannotPatch with the reason.
    """
    functions = alive.functions()
    spelled = _named(file, path, functions)
    codes: "dict[int, CodeType]" = {}
    there: "list[tuple[FunctionType, CodeType]]" = []
    for function in alive.of_files(functions, spelled):
        code = patch.original_code(function)
        codes[id(code)] = code
        there.append((function, code))
    holders, paths = holding(list(codes.values()), line)
    reasons = [nothing_on(list(codes.values()), file, line)] if not holders else filter(None, map(why_not, holders))
    for reason in reasons:
        raise CannotPatch(reason)
    rewritten = Rewritten()
    owners = {key: _Rewriter(found, line, callback, rewritten) for key, found in paths.items()}
    layers: "list[patch.Layer]" = []
    try:
        for function, code in there:
            if id(code) in owners:
                layers.append(patch.patch_function(function, owners[id(code)]))
    except BaseException:
        for layer in layers:
            layer.undo()
        raise
    return Placed(holders, layers, rewritten)


class Rewritten:
    """The code, changed, of functions that others make: what was made of it meanwhile has its own again at the end."""

    def __init__(self) -> None:
        self._codes: "dict[int, tuple[CodeType, CodeType]]" = {}  # by identity: (changed, as it was)

    def add(self, code: CodeType, before: CodeType) -> None:
        known = self._codes.get(id(before))
        self._codes[id(code)] = (code, known[1] if known is not None else before)

    def restore(self) -> None:
        if not self._codes:
            return
        files = {code.co_filename for code, _ in self._codes.values()}
        for function in alive.of_files(alive.functions(), files):
            code = patch.original_code(function)
            known = self._codes.get(id(code))
            if known is not None:
                patch.rebase(function, known[1])
        self._codes.clear()


class _Rewriter:
    """Of all functions with one code. `paths` lead from it to what holds the line: numbers of constants."""

    def __init__(
        self, paths: "list[tuple[int, ...]]", line: int, callback: "Callable[[], None]", rewritten: Rewritten
    ) -> None:
        self._paths, self._line, self._callback = paths, line, callback
        self._rewritten = rewritten
        self._known: "dict[int, tuple[CodeType, CodeType]]" = {}  # functions of one code get one code again

    def rewrite(self, code: CodeType) -> CodeType:
        known = self._known.get(id(code))
        if known is None:
            changed = code
            for path in self._paths:
                changed = self._within(changed, path)
            known = self._known[id(code)] = (code, changed)
        return known[1]

    def _within(self, code: CodeType, path: "tuple[int, ...]") -> CodeType:
        if not path:
            try:
                changed = at.inject(code, self._line, self._callback)
            except ours(ValueError) as error:
                raise CannotPatch(f"nothing can be put into the code of {code.co_name}: {error}") from None
            if changed is None:
                raise CannotPatch(f"nothing in {code.co_name} comes to line {self._line}")
            return changed
        constants = list(code.co_consts)
        before: "CodeType" = constants[path[0]]
        changed = constants[path[0]] = self._within(before, path[1:])
        self._rewritten.add(changed, before)
        return code.replace(co_consts=tuple(constants))


def _named(file: str, path: str, functions: "list[FunctionType]") -> "set[str]":
    """The names under which the file is loaded: one file may have several. Raises NotLoaded, or CannotPatch."""
    modules = [resolve.namespace(each).get("__file__") for each in list(sys.modules.values()) if _is_module(each)]
    names = {*alive.files(functions), *[each for each in modules if type(each) is str]}
    if path in names:
        return {path, *[each for each in names if _is_same(each, path)]}
    found = {each for each in names if path and _is_same(each, path)}
    if found:
        return found
    end = os.sep + os.path.normpath(file).lstrip("./")
    found = {each for each in names if (os.sep + each).endswith(end)}
    if not found:
        raise NotLoaded
    real = {os.path.realpath(each) for each in found}
    if len(real) > 1:
        raise CannotPatch(f"{file} may be any of {', '.join(sorted(real)[:5])}: write more of its path")
    return found


def _is_module(value: object) -> bool:
    return resolve.is_a(value, ModuleType)


def _is_same(name: str, path: str) -> bool:
    return os.path.basename(name) == os.path.basename(path) and os.path.realpath(name) == os.path.realpath(path)


def holding(codes: "Iterable[CodeType]", line: int) -> "tuple[list[CodeType], dict[int, list[tuple[int, ...]]]]":
    """What is to be watched, and for each of `codes`, by identity, the paths to that.

    Of functions inside one another that hold the line (a comprehension, a lambda), it is the outermost.
    """
    around: "dict[int, CodeType]" = {}
    below = {id(code): list(_nested(code)) for code in codes}
    for found in below.values():
        for _, code, outer in found:
            if outer is not None:
                around[id(code)] = outer
    chosen: "dict[int, CodeType]" = {}
    paths: "dict[int, list[tuple[int, ...]]]" = {}
    for key, found in below.items():
        for path, code, _ in found:
            if _holds(code, line) and not any(_holds(outer, line) for outer in _enclosing(code, around)):
                chosen[id(code)] = code
                paths.setdefault(key, []).append(path)
    return list(chosen.values()), paths


def _nested(
    code: CodeType, path: "tuple[int, ...]" = (), outer: "CodeType | None" = None
) -> "Iterator[tuple[tuple[int, ...], CodeType, CodeType | None]]":
    """(path, code, the code around it) of `code` and all that it contains."""
    yield path, code, outer
    for number, each in enumerate(code.co_consts):
        if type(each) is CodeType:
            yield from _nested(each, (*path, number), code)


def _enclosing(code: CodeType, around: "dict[int, CodeType]") -> "Iterator[CodeType]":
    outer = around.get(id(code))
    while outer is not None:
        yield outer
        outer = around.get(id(outer))


def _holds(code: CodeType, line: int) -> bool:
    return at.of_function(code) and line in at.lines(code)


def nothing_on(codes: "Iterable[CodeType]", file: str, line: int) -> str:
    """Why no function is watched there. `codes` are all that are known of the file."""
    lines: "dict[int, str]" = {}
    for code in codes:
        for _, each, _ in _nested(code):
            if at.of_function(each):
                lines.update(dict.fromkeys(at.lines(each), _name(each)))
            elif line in at.lines(each):
                what = "the module" if each.co_name == "<module>" else f"the class {_name(each)}"
                return f"line {line} of {file} is in the body of {what} itself, which runs once and cannot be watched"
    nearest = [*sorted(each for each in lines if each < line)[-1:], *sorted(each for each in lines if each > line)[:1]]
    named = " and ".join([f"{each} ({lines[each]})" for each in nearest])
    hint = f"; the nearest lines that do: {named}" if named else ""
    return f"line {line} of {file} holds no code of a function{hint}"


def names(codes: "Iterable[CodeType]") -> str:
    return ", ".join(sorted(map(_name, codes)))


def _name(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)
