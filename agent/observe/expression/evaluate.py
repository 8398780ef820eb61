"""Compiles the expressions of the configuration to functions.

The checked tree is checked again here, node by node, because a plan may come from a cache on disk. Then it becomes
Python source, made only of names and operators from fixed lists, which is compiled once. Constants never become source.
An expression only reads: it cannot consume the host's iterators, add keys to its defaultdicts, or multiply without
bound.
"""

from __future__ import annotations

import keyword
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from ...base.interrupts import ours
from ...base.model import SHADOWED
from . import functions, lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...base.model import ExpressionData

_MOST_NODES = 500
_DEEPEST = 40
_WIDEST = 4_096  # bits of a product of integers
_LONGEST = 10_000  # items of a repeated text or list

_COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">=", "is", "is not", "in", "not in"))
_OPERATORS = frozenset(("+", "-", "/", "//", "%", "*"))


def compile_expression(data: ExpressionData, *, packed: bool = False, condition: bool = False) -> Callable[..., object]:
    """Return a function of the values of `data["names"]`, in that order. Raises ValueError for an unchecked tree.

    `packed`: of the first one, and of a tuple of the others. `condition`: its caller asks for the truth of it.
    The function raises whatever the expression does: AttributeError, KeyError, TypeError, ValueError …
    """
    names = data["names"]
    if type(names) is not list or len(set(names)) != len(names):
        raise ValueError("the names of an expression must be a list of different names")
    for name in names:
        _identifier(name[len(SHADOWED) :] if type(name) is str and name.startswith(SHADOWED) else name)
    form = "p[%d]" if packed else "n%d"
    written = {name: form % number for number, name in enumerate(names, -packed)}
    if packed:
        written[names[0]] = "n"
    writer = _Writer(written)
    body = (writer.asked if condition else writer.write)(data["tree"], 0)
    source = f"lambda {'n, p' if packed else ', '.join(written.values())}: {body}"
    try:
        return _evaluated(source)
    except ours(SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"the expression cannot be compiled: {error}") from None


@lru_cache(maxsize=512)
def _evaluated(source: str) -> Callable[..., object]:
    """Return the function, which is one for all expressions that are equal."""
    # Not `compile`, which first makes the types of syntax trees: see `hook.code.trampoline`.
    return eval(source, _GLOBALS)  # type: ignore[no-any-return]  # noqa: S307


class Expression:
    """A compiled expression. `evaluate` takes the values of `names`, in that order.

    `condition`: may what it returns be asked for its truth?
    """

    __slots__ = ("evaluate", "names", "text")

    def __init__(self, data: ExpressionData, *, condition: bool = False) -> None:
        self.text = data["text"]
        self.names: Sequence[str] = data["names"]
        self.evaluate = compile_expression(data, condition=condition)

    def of(self, values: Mapping[str, object]) -> object:
        return self.evaluate(*[values[name] for name in self.names])


class _Writer:
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.nodes = 0

    def write(self, node: Any, depth: int) -> str:
        self.nodes += 1
        if self.nodes > _MOST_NODES or depth > _DEEPEST:
            raise ValueError("the expression is too large")
        if type(node) is not list or not node or type(node[0]) is not str:
            raise ValueError(f"not a node of an expression: {node!r:.80}")
        form, *parts = node
        method = getattr(self, "_" + form, None) if form in _FORMS else None
        if method is None or len(parts) != _FORMS[form]:
            raise ValueError(f"not a node of an expression: {node!r:.80}")
        return f"({method(*parts, depth + 1)})"

    def asked(self, node: Any, depth: int) -> str:
        """As `write`, where Python asks for the value's truth."""
        written = self.write(node, depth)
        return written if _is_plain(node) else f"_truth{written}"

    def _const(self, value: Any, depth: int) -> str:
        del depth
        if value is not None and type(value) not in (bool, int, float, str):
            raise ValueError(f"not a constant: {value!r:.80}")
        # By its spelling: True equals 1, and 0.0 equals -0.0.
        name = _constants.setdefault(repr(value), f"c{next(_numbers)}")
        _GLOBALS[name] = value
        return name

    def _name(self, name: Any, depth: int) -> str:
        del depth
        if type(name) is not str or name not in self.names:
            raise ValueError(f"not a name of this expression: {name!r:.80}")
        return self.names[name]

    def _attr(self, node: Any, name: Any, depth: int) -> str:
        _identifier(name)
        return f"{self.write(node, depth)}.{name}"

    def _item(self, node: Any, key: Any, depth: int) -> str:
        return f"_item({self.write(node, depth)}, {self.write(key, depth)})"

    def _call(self, function: Any, arguments: Any, depth: int) -> str:
        if type(function) is not str or function not in _FUNCTIONS or type(arguments) is not list:
            raise ValueError(f"not a function of expressions: {function!r:.80}")
        return f"_{function}({', '.join(self.write(each, depth) for each in arguments)})"

    def _compare(self, node: Any, pairs: Any, depth: int) -> str:
        if type(pairs) is not list or not pairs:
            raise ValueError("a comparison needs something to compare with")
        written = self.write(node, depth)
        for pair in pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2 or pair[0] not in _COMPARISONS:
                raise ValueError(f"not a comparison: {pair!r:.80}")
            operand = self.write(pair[1], depth)
            written += f" {pair[0]} _members{operand}" if pair[0].endswith("in") else f" {pair[0]} {operand}"
        return written

    def _and(self, nodes: Any, depth: int) -> str:
        return self._joined(" and ", nodes, depth)

    def _or(self, nodes: Any, depth: int) -> str:
        return self._joined(" or ", nodes, depth)

    def _joined(self, word: str, nodes: Any, depth: int) -> str:
        if type(nodes) is not list or not nodes:
            raise ValueError("`and` and `or` need operands")
        return word.join([*(self.asked(each, depth) for each in nodes[:-1]), self.write(nodes[-1], depth)])

    def _not(self, node: Any, depth: int) -> str:
        return f"not {self.asked(node, depth)}"

    def _neg(self, node: Any, depth: int) -> str:
        return f"-{self.write(node, depth)}"

    def _binary(self, operator: Any, left: Any, right: Any, depth: int) -> str:
        if type(operator) is not str or operator not in _OPERATORS:
            raise ValueError(f"not an operator of expressions: {operator!r:.80}")
        first, second = self.write(left, depth), self.write(right, depth)
        if operator == "*":
            return f"_multiply({first}, {second})"
        return f"_remainder({first}, {second})" if operator == "%" else f"{first} {operator} {second}"

    def _if(self, condition: Any, then: Any, otherwise: Any, depth: int) -> str:
        return f"{self.write(then, depth)} if {self.asked(condition, depth)} else {self.write(otherwise, depth)}"

    def _tuple(self, nodes: Any, depth: int) -> str:
        if nodes == []:
            return "_empty"  # `()` is a literal to Python, which warns of `is ()` on the host's stderr
        return "(" + self._items(nodes, depth) + ")"

    def _list(self, nodes: Any, depth: int) -> str:
        return "[" + self._items(nodes, depth) + "]"

    def _items(self, nodes: Any, depth: int) -> str:
        if type(nodes) is not list:
            raise ValueError("a tuple or list needs a list of items")
        return "".join(self.write(each, depth) + ", " for each in nodes)


#: The forms of a node, with how many parts follow.
_FORMS = {
    "const": 1, "name": 1, "attr": 2, "item": 2, "call": 2, "compare": 2, "and": 1, "or": 1, "not": 1, "neg": 1,
    "binary": 3, "if": 3, "tuple": 1, "list": 1,
}  # fmt: skip


def _identifier(name: Any) -> None:
    """Raise ValueError unless Python reads the name as written. It folds look-alikes like a full-width underscore."""
    if type(name) is not str or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ValueError(f"not a name of expressions: {name!r:.80}")
    if not name.isascii():
        import unicodedata

        if unicodedata.normalize("NFKC", name) != name:
            raise ValueError(f"not a name of expressions: {name!r:.80}")


def _multiply(left: Any, right: Any) -> Any:
    for number, other in ((left, right), (right, left)):
        if issubclass(type(number), int):
            if issubclass(type(other), int):
                if int.bit_length(left) + int.bit_length(right) > _WIDEST:
                    raise ValueError("the product is too large")
            elif issubclass(type(other), (str, bytes, bytearray, list, tuple)) and number * len(other) > _LONGEST:
                raise ValueError("the repeated value is too long")
    return left * right


def _remainder(left: Any, right: Any) -> Any:
    if issubclass(type(left), (str, bytes, bytearray)):
        raise TypeError("% formats no text in expressions")
    return left % right


def _item(holder: Any, key: Any) -> Any:
    if type(holder) not in (dict, list, tuple, str) and issubclass(type(holder), dict) and key not in holder:
        raise KeyError(key)  # a defaultdict would grow
    return (lazy.sequence(holder) if type(key) is int else holder)[key]


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which reads the items of its only argument."""

    def call(first: Any, *others: Any) -> Any:
        return function(first, *others) if others else function(lazy.items(first))

    return call


_FUNCTIONS: dict[str, Any] = {
    "len": lambda value: len(lazy.length(value)), "str": lambda value: str(lazy.text(value)),
    "abs": abs, "round": round, "int": int, "float": float,
    "min": _over(min), "max": _over(max), "sum": _over(sum),
    "any": lambda value: any(map(lazy.truth, lazy.items(value))),
    "all": lambda value: all(map(lazy.truth, lazy.items(value))),
    "keys": functions.keys, "fields": functions.fields,
    "type": functions.kind_of, "verb": functions.verb, "host": functions.host,
    "statement": functions.statement, "given": functions.given, "classes": functions.classes,
    "request": functions.request, "login": functions.login,
    "chosen": functions.chosen,
}  # fmt: skip

#: Those that return a value of the host's.
_HOSTS = frozenset(("abs", "min", "max", "sum", "round"))


def _is_plain(node: Any) -> bool:
    """Does the truth of what the node returns run no code of the host's, whatever it is about?"""
    return node[0] in ("const", "compare", "not", "tuple", "list") or (node[0] == "call" and node[1] not in _HOSTS)


#: Of all expressions, which share their globals: a dictionary for each would hold most of a worker's expressions.
_constants: dict[str, str] = {}
_numbers = count()
_GLOBALS: dict[str, Any] = {
    "__builtins__": {},
    **{f"_{name}": function for name, function in _FUNCTIONS.items()},
    "_multiply": _multiply, "_remainder": _remainder, "_item": _item, "_empty": (),
    "_members": lazy.members, "_truth": lazy.truth,
}  # fmt: skip
