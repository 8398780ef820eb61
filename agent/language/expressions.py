"""The safe subset of Python that `when` and `capture` hold, parsed and checked, never evaluated here.

`parse` gives the JSON tree that `model.ExpressionData` documents. What is not in the subset is refused with the
column where it is; so is what could make evaluation far too costly: long or deep expressions, huge
numbers, and text or lists multiplied by numbers.
"""

from __future__ import annotations

import ast
import math
import warnings
from typing import TYPE_CHECKING, Any

from ..base.interrupts import ours
from ..base.model import SHADOWED, ExpressionData
from . import hints

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 1000  # characters
MOST_NODES = 200
DEEPEST = 30
LARGEST = 10**15
LARGEST_FACTOR = 1_000_000  # of a `*`: what a text can be multiplied by

#: What may be called, and with how many arguments.
FUNCTIONS: dict[str, tuple[int, int]] = {
    "len": (1, 1), "abs": (1, 1), "min": (1, 20), "max": (1, 20), "sum": (1, 1), "round": (1, 2), "any": (1, 1),
    "all": (1, 1), "str": (1, 1), "int": (1, 1), "float": (1, 1), "keys": (1, 1), "fields": (1, 1), "type": (1, 1),
    "verb": (1, 1), "host": (1, 1), "statement": (1, 1), "given": (1, 1), "argument": (1, 1), "classes": (1, 1),
    "request": (1, 1), "login": (1, 1), "chosen": (1, 1),
}  # fmt: skip

#: The names that every expression may use besides the call's parameters.
SPECIAL = ("result", "error", "duration")

_ALLOWED = (
    "allowed are names, attributes and items, literals, comparisons, arithmetic (+ - * / // %), and, or, not, "
    "in, is, `a if b else c`, and calls of " + ", ".join(FUNCTIONS)
)

_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
}  # fmt: skip
_REFUSED_OPERATORS: dict[type[ast.operator], str] = {
    ast.Pow: "**", ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<",
    ast.RShift: ">>",
}  # fmt: skip
_REFUSED: dict[type[ast.AST], str] = {
    ast.Lambda: "a lambda", ast.ListComp: "a comprehension", ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension", ast.GeneratorExp: "a generator", ast.JoinedStr: "an f-string",
    ast.NamedExpr: "`:=`", ast.Dict: "a dict", ast.Set: "a set", ast.Await: "`await`", ast.Yield: "`yield`",
    ast.YieldFrom: "`yield`", ast.Starred: "`*` before a value", ast.Slice: "a slice",
}  # fmt: skip


class ExpressionError(ValueError):
    """`column` counts from 1, within the expression."""

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.column = column
        self.hint = hint


def parse(text: str, doubt: Callable[[ExpressionError], None] | None = None) -> ExpressionData:
    """Raises ExpressionError. `doubt` is called with what is allowed and cannot mean what was written."""
    flat = text.replace("\r", " ").replace("\n", " ")
    source = flat.strip()
    shift = len(flat) - len(flat.lstrip())
    if not source:
        raise ExpressionError("the expression is empty", 1)
    if len(source) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters", 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `1 is x` warns on stderr, which is the host's
            body = ast.parse(source, mode="eval").body
    except ours(SyntaxError) as error:
        raise ExpressionError(*_syntax(source, error, shift)) from None
    except ours(ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise ExpressionError(f"the expression cannot be read: {error}", 1) from None
    reader = _Reader(source, shift, doubt)
    tree = reader.read(body, 0)
    return {"text": source, "names": sorted(reader.names), "tree": tree}


class _Reader:
    def __init__(self, source: str, shift: int, doubt: Callable[[ExpressionError], None] | None) -> None:
        self.source = source
        self.shift = shift
        self.doubt = doubt
        self.names: set[str] = set()
        self.count = 0

    def refuse(self, node: ast.AST, message: str, hint: str = "") -> ExpressionError:
        return ExpressionError(message, self.column(node), hint)

    def column(self, node: ast.AST, offset: int = -1) -> int:
        """The column of a byte of the source, of the node's first without one."""
        offset = getattr(node, "col_offset", 0) if offset < 0 else offset
        return len(self.source.encode()[:offset].decode(errors="ignore")) + 1 + self.shift

    def column_of_operator(self, node: ast.BinOp, symbol: str) -> int:
        after_left = getattr(node.left, "end_col_offset", 0) or 0
        return self.column(node, self.source.encode().find(symbol.encode(), after_left))

    def read(self, node: ast.expr, depth: int) -> list[Any]:
        self.count += 1
        if self.count > MOST_NODES:
            raise self.refuse(node, f"the expression has more than {MOST_NODES} parts")
        if depth > DEEPEST:
            raise self.refuse(node, f"the expression is nested more than {DEEPEST} deep")
        depth += 1
        if isinstance(node, ast.Constant):
            return ["const", self.constant(node)]
        if isinstance(node, ast.Name):
            return ["name", self.name(node)]
        if isinstance(node, ast.Attribute):
            self.public(node, node.attr)
            return ["attr", self.read(node.value, depth), node.attr]
        if isinstance(node, ast.Subscript):
            return ["item", self.read(node.value, depth), self.read(node.slice, depth)]
        if isinstance(node, ast.Call):
            return self.call(node, depth)
        if isinstance(node, ast.Compare):
            self.identity(node)
            pairs = [
                [_COMPARE[type(operator)], self.read(right, depth)]
                for operator, right in zip(node.ops, node.comparators)
            ]
            return ["compare", self.read(node.left, depth), pairs]
        if isinstance(node, ast.BoolOp):
            return ["and" if isinstance(node.op, ast.And) else "or", [self.read(value, depth) for value in node.values]]
        if isinstance(node, ast.UnaryOp):
            return self.unary(node, depth)
        if isinstance(node, ast.BinOp):
            return self.binary(node, depth)
        if isinstance(node, ast.IfExp):
            return ["if", self.read(node.test, depth), self.read(node.body, depth), self.read(node.orelse, depth)]
        if isinstance(node, (ast.Tuple, ast.List)):
            form = "tuple" if isinstance(node, ast.Tuple) else "list"
            return [form, [self.read(item, depth) for item in node.elts]]
        hint = hints.for_expression(self.source) if isinstance(node, (ast.Set, ast.Dict)) else ""
        raise self.refuse(
            node, f"{_REFUSED.get(type(node), type(node).__name__)} is not allowed here", hint or _ALLOWED
        )

    def identity(self, node: ast.Compare) -> None:
        """`is` compares identity: with what is written here, that is false or a matter of chance."""
        operands = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, operands, operands[1:]):
            if not isinstance(operator, (ast.Is, ast.IsNot)):
                continue
            literal = next((each for each in (right, left) if _is_made_here(each)), None)
            if literal is not None and self.doubt is not None:
                name, other = ("is not", "!=") if isinstance(operator, ast.IsNot) else ("is", "==")
                what = ast.get_source_segment(self.source, literal) or "a literal"
                message = f"`{name} {what[:40]}` compares identity, which no value is sure to have"
                self.doubt(self.refuse(literal, message, f"did you mean `{other} {what[:40]}`?"))

    def constant(self, node: ast.Constant) -> bool | int | float | str | None:
        value = node.value
        if value is None or isinstance(value, (bool, str)):
            if isinstance(value, str) and not value.isascii():
                try:
                    value.encode()
                except ours(UnicodeEncodeError):
                    raise self.refuse(node, "half of a surrogate pair is not text") from None
            return value
        if isinstance(value, (int, float)):
            if not math.isfinite(value) or abs(value) > LARGEST:
                raise self.refuse(node, "the number is too large: at most 10**15")
            return value
        raise self.refuse(
            node, f"a literal of type {type(value).__name__} is not allowed: only text, numbers, True, False and None"
        )

    def name(self, node: ast.Name) -> str:
        self.public(node, node.id)
        self.names.add(node.id)
        return node.id

    def public(self, node: ast.AST, name: str) -> None:
        if name.startswith("_"):
            raise self.refuse(node, f"`{name}` begins with an underscore: only public names can be read")

    def call(self, node: ast.Call, depth: int) -> list[Any]:
        allowed = ", ".join(FUNCTIONS)
        if not isinstance(node.func, ast.Name):
            if not isinstance(node.func, ast.Attribute):
                raise self.refuse(node, f"this cannot be called: only {allowed} can be called")
            hint = hints.for_method(node.func.attr, ast.unparse(node.func.value))
            raise self.refuse(node, f"`.{node.func.attr}()` cannot be called: methods run the ERP's code", hint)
        name = node.func.id
        if name not in FUNCTIONS:
            raise self.refuse(
                node, f"`{name}` cannot be called: only {allowed} can be", hints.for_function(name, FUNCTIONS)
            )
        if node.keywords:
            raise self.refuse(node, f"`{name}` takes arguments by position only")
        fewest, most = FUNCTIONS[name]
        if not fewest <= len(node.args) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise self.refuse(node, f"`{name}` takes {wanted} argument{'s' * (most > 1)}, not {len(node.args)}")
        if name == "argument":
            return ["name", self.argument(node.args[0])]
        return ["call", name, [self.read(argument, depth) for argument in node.args]]

    def argument(self, node: ast.expr) -> str:
        """The parameter that is named in quotes: what our own words hide under its plain name can be had so."""
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or not node.value.isidentifier():
            raise self.refuse(node, '`argument` takes the name of a parameter in quotes: argument("error")')
        self.public(node, node.value)
        name = SHADOWED + node.value if node.value in SPECIAL else node.value
        self.names.add(name)
        return name

    def unary(self, node: ast.UnaryOp, depth: int) -> list[Any]:
        if isinstance(node.op, ast.Not):
            return ["not", self.read(node.operand, depth)]
        if isinstance(node.op, ast.USub):
            operand = self.read(node.operand, depth)
            if operand[0] == "const" and isinstance(operand[1], (int, float)) and not isinstance(operand[1], bool):
                return ["const", -operand[1]]
            return ["neg", operand]
        symbol = "~" if isinstance(node.op, ast.Invert) else "+"
        raise self.refuse(node, f"`{symbol}` before a value is not allowed", _ALLOWED)

    def binary(self, node: ast.BinOp, depth: int) -> list[Any]:
        operator = _BINARY.get(type(node.op))
        if operator is None:
            symbol = _REFUSED_OPERATORS.get(type(node.op), "this operator")
            hint = {"&": "did you mean `and`?", "|": "did you mean `or`?"}.get(symbol, _ALLOWED)
            raise ExpressionError(f"`{symbol}` is not allowed", self.column_of_operator(node, symbol), hint)
        left, right = self.read(node.left, depth), self.read(node.right, depth)
        if operator == "*" and _literal_sequence(left, right):
            raise self.refuse(node, "text and lists cannot be multiplied")
        if operator == "*" and _factor(left) * _factor(right) > LARGEST_FACTOR:
            raise self.refuse(node, f"a factor of `*` may be at most {LARGEST_FACTOR}")
        if operator == "%" and left[0] == "const" and isinstance(left[1], str):
            raise self.refuse(node, "`%` does not format text here", "capture the values by themselves")
        return ["binary", operator, left, right]


def _is_made_here(node: ast.expr) -> bool:
    """Text, a number or a container that the expression itself writes down; None, True and False are one of a kind."""
    if isinstance(node, ast.UnaryOp):
        return _is_made_here(node.operand)
    if isinstance(node, ast.Constant):
        return node.value is not None and not isinstance(node.value, bool)
    return isinstance(node, (ast.Tuple, ast.List))


def _literal_sequence(*trees: list[Any]) -> bool:
    """Whether a tree may be a text, list or tuple that the expression itself writes down."""
    for tree in trees:
        form = tree[0]
        if form in ("tuple", "list") or (form == "const" and isinstance(tree[1], str)):
            return True
        if form == "call" and tree[1] == "str":
            return True
        if form == "binary" and _literal_sequence(tree[2], tree[3]):
            return True
        if form in ("and", "or") and _literal_sequence(*tree[1]):
            return True
        if form == "if" and _literal_sequence(tree[2], tree[3]):
            return True
    return False


def _factor(tree: object) -> float:
    """The product of all numbers in a tree that exceed 1: no value is multiplied by more, but by parameters."""
    if not isinstance(tree, list) or not tree:
        return 1
    if tree[0] == "const":
        value = tree[1]
        return max(1, abs(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else 1
    product = 1.0
    for part in tree[1:] if isinstance(tree[0], str) else tree:
        product *= _factor(part)
    return product


def _syntax(source: str, error: SyntaxError, shift: int) -> tuple[str, int, str]:
    column = max(1, min(error.offset or 1, len(source) + 1)) + shift
    reason = str(error.msg or "invalid syntax").split("(<unknown>")[0].strip()
    return f"the expression is not valid Python: {reason}", column, hints.for_expression(source)
