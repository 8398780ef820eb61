"""Opcodes of CPython 3.11 to 3.15: those that `inject` emits and looks for."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A test compares them with the interpreter's own tables.
TABLES: "dict[tuple[int, int], dict[str, Any]]" = {
    (3, 11): {
        "POP_TOP": 1, "PUSH_NULL": 2, "LOAD_CONST": 100, "LOAD_FAST": 124, "SWAP": 99, "COPY": 120, "CALL": 171,
        "PRECALL": 166, "BINARY_OP": 122, "COMPARE_OP": 107,
        "FOR_ITER": 93, "JUMP_FORWARD": 110, "IS_OP": 117, "RETURN_VALUE": 83, "RESUME": 151, "PUSH_EXC_INFO": 35,
        "POP_EXCEPT": 89, "RERAISE": 119, "EXTENDED_ARG": 144, "POP_JUMP_FORWARD_IF_FALSE": 114, "CHECK_EXC_MATCH": 36,
        "JUMP_BACKWARD_NO_INTERRUPT": 134, "END_ASYNC_FOR": 54,
        "forward": (93, 110, 111, 112, 114, 115, 123, 128, 129), "backward": (134, 140, 173, 174, 175, 176),
        "caches": {25: 4, 60: 1, 92: 1, 95: 4, 106: 4, 107: 2, 116: 5, 122: 1, 160: 10, 166: 1, 171: 4},
        "store": (125, 126), "store_two": (), "store_cell": (138, 139), "greater": 4, "null_first": True,
        "YIELD_VALUE": 86, "SEND": 123, "RAISE_VARARGS": 130, "always": (110, 134, 140), "with_argument": 90,
    },
    (3, 12): {
        "POP_TOP": 1, "PUSH_NULL": 2, "LOAD_CONST": 100, "LOAD_FAST": 124, "SWAP": 99, "COPY": 120, "CALL": 171,
        "BINARY_OP": 122, "COMPARE_OP": 107,
        "FOR_ITER": 93, "END_FOR": 4, "JUMP_FORWARD": 110, "IS_OP": 117, "RETURN_VALUE": 83, "RETURN_CONST": 121,
        "RESUME": 151, "PUSH_EXC_INFO": 35, "POP_EXCEPT": 89, "RERAISE": 119, "EXTENDED_ARG": 144,
        "POP_JUMP_IF_FALSE": 114, "CHECK_EXC_MATCH": 36, "JUMP_BACKWARD_NO_INTERRUPT": 134,
        "END_ASYNC_FOR": 54, "END_SEND": 5, "CLEANUP_THROW": 55,
        "forward": (93, 110, 114, 115, 123, 128, 129), "backward": (134, 140),
        "caches": {25: 1, 60: 1, 92: 1, 93: 1, 95: 4, 106: 9, 107: 1, 116: 4, 122: 1, 123: 1, 141: 1, 171: 3},
        "store": (125, 126, 143), "store_two": (), "store_cell": (138, 139), "greater": 68, "null_first": True,
        "YIELD_VALUE": 150, "SEND": 123, "RAISE_VARARGS": 130, "always": (110, 134, 140), "with_argument": 90,
        "after_loop": ("END_FOR",),
    },
    (3, 13): {
        "POP_TOP": 32, "PUSH_NULL": 34, "LOAD_CONST": 83, "LOAD_FAST": 85, "SWAP": 115, "COPY": 61, "CALL": 53,
        "BINARY_OP": 45, "COMPARE_OP": 58,
        "FOR_ITER": 72, "END_FOR": 11, "JUMP_FORWARD": 79, "IS_OP": 76, "RETURN_VALUE": 36, "RETURN_CONST": 103,
        "RESUME": 149, "PUSH_EXC_INFO": 33, "POP_EXCEPT": 31, "RERAISE": 102, "EXTENDED_ARG": 71,
        "POP_JUMP_IF_FALSE": 97, "CHECK_EXC_MATCH": 7, "JUMP_BACKWARD_NO_INTERRUPT": 78,
        "END_ASYNC_FOR": 10, "END_SEND": 12, "CLEANUP_THROW": 8,
        "forward": (72, 79, 97, 98, 99, 100, 104), "backward": (77, 78),
        "caches": {91: 4, 45: 1, 117: 1, 58: 1, 59: 1, 5: 1, 72: 1, 93: 1, 82: 9, 108: 4, 53: 3, 39: 1, 104: 1, 77: 1,
                   40: 3, 100: 1, 97: 1, 98: 1, 99: 1},
        "store": (110, 65, 86), "store_two": (111, 112), "store_cell": (109, 64), "greater": 132, "null_first": False,
        "YIELD_VALUE": 118, "SEND": 104, "RAISE_VARARGS": 101, "always": (79, 77, 78), "with_argument": 45,
        "after_loop": ("END_FOR", "POP_TOP"),
    },
    (3, 14): {
        "POP_TOP": 31, "PUSH_NULL": 33, "LOAD_CONST": 82, "LOAD_FAST": 84, "SWAP": 117, "COPY": 59, "CALL": 52,
        "BINARY_OP": 44, "COMPARE_OP": 56,
        "FOR_ITER": 70, "END_FOR": 9, "POP_ITER": 30, "JUMP_FORWARD": 77, "IS_OP": 74, "RETURN_VALUE": 35,
        "RESUME": 128, "PUSH_EXC_INFO": 32, "POP_EXCEPT": 29, "RERAISE": 105, "EXTENDED_ARG": 69,
        "POP_JUMP_IF_FALSE": 100, "NOT_TAKEN": 28, "CHECK_EXC_MATCH": 6, "JUMP_BACKWARD_NO_INTERRUPT": 76,
        "END_ASYNC_FOR": 68, "END_SEND": 10, "CLEANUP_THROW": 7,
        "forward": (70, 77, 100, 101, 102, 103, 106), "backward": (68, 75, 76),
        "caches": {92: 4, 44: 5, 119: 1, 56: 1, 57: 1, 70: 1, 96: 1, 80: 9, 110: 4, 52: 3, 55: 3, 38: 1, 106: 1, 75: 1,
                   39: 3, 103: 1, 100: 1, 101: 1, 102: 1},
        "store": (112, 63, 85), "store_two": (113, 114), "store_cell": (111, 62), "greater": 132, "null_first": False,
        "YIELD_VALUE": 120, "SEND": 106, "RAISE_VARARGS": 104, "always": (77, 75, 76), "with_argument": 44,
        "after_loop": ("END_FOR", "POP_ITER"),
    },
    (3, 15): {
        "POP_TOP": 29, "PUSH_NULL": 31, "LOAD_CONST": 81, "LOAD_FAST": 83, "SWAP": 116, "COPY": 57, "CALL": 50,
        "BINARY_OP": 42, "COMPARE_OP": 54,
        "FOR_ITER": 68, "END_FOR": 9, "POP_ITER": 28, "JUMP_FORWARD": 76, "IS_OP": 73, "RETURN_VALUE": 33,
        "RESUME": 128, "PUSH_EXC_INFO": 30, "POP_EXCEPT": 27, "RERAISE": 104, "EXTENDED_ARG": 67,
        "POP_JUMP_IF_FALSE": 99, "NOT_TAKEN": 26, "CHECK_EXC_MATCH": 6, "JUMP_BACKWARD_NO_INTERRUPT": 75,
        "END_ASYNC_FOR": 66, "END_SEND": 10, "CLEANUP_THROW": 7,
        "forward": (68, 76, 99, 100, 101, 102, 105), "backward": (66, 74, 75),
        "caches": {91: 4, 42: 5, 118: 1, 54: 1, 55: 1, 68: 1, 70: 1, 95: 1, 79: 9, 109: 4, 50: 3, 53: 3, 4: 1, 36: 1,
                   105: 1, 74: 1, 37: 3, 102: 1, 99: 1, 100: 1, 101: 1, 128: 1},
        "store": (111, 61, 84), "store_two": (112, 113), "store_cell": (110, 60), "greater": 132, "null_first": False,
        "YIELD_VALUE": 119, "SEND": 105, "RAISE_VARARGS": 103, "always": (76, 74, 75), "with_argument": 42,
        "after_loop": ("END_FOR", "POP_ITER"),
    },
}  # fmt: skip

OPS: "dict[str, Any]" = TABLES.get(sys.version_info[:2], {})
if sys.version_info < (3, 11):
    from ..until_310 import operations

    OPS = operations.OPS

_EMPTY: "tuple[int, ...]" = ()


def _marks(*operations: int) -> bytes:
    """A translation table for `co_code[::2]`, which holds opcodes, and 0 for caches: 1 for these."""
    table = bytearray(256)
    for operation in operations:
        table[operation] = 1
    return bytes(table)


JUMPS = _marks(*OPS.get("forward", _EMPTY), *OPS.get("backward", _EMPTY))
STORES = _marks(*OPS.get("store", _EMPTY), *OPS.get("store_two", _EMPTY))
UNBINDING = _marks(*OPS.get("store", _EMPTY)[1:])
CELL_STORES = _marks(*OPS.get("store_cell", _EMPTY))
FORWARD = frozenset(OPS.get("forward", ()))
BACKWARD = frozenset(OPS.get("backward", ()))
#: From 3.14 on, the argument of END_ASYNC_FOR is a distance, but it does not jump.
JUMPING = FORWARD | BACKWARD - {OPS.get("END_ASYNC_FOR", -1)}
CACHES: "dict[int, int]" = OPS.get("caches", {})
RAISING: int = OPS.get("RAISE_VARARGS", -1)
EXTENDED: int = OPS.get("EXTENDED_ARG", -1)
RETURN: int = OPS.get("RETURN_VALUE", -1)
RETURN_CONST: int = OPS.get("RETURN_CONST", -1)
#: The code units of a RESUME.
RESUME_UNITS = 1 + CACHES.get(OPS.get("RESUME", -1), 0)
INTERESTING = bytes([JUMPS[operation] or operation in (RETURN, RETURN_CONST) for operation in range(256)])


def op(name: str, argument: int = 0) -> bytes:
    number = OPS[name]
    return instruction(number, argument) + b"\0\0" * CACHES.get(number, 0)


def instruction(number: int, argument: int, units: int = 1) -> bytes:
    """Return an operation with its argument, in at least `units` code units."""
    code = bytes((number, argument & 255))
    while argument > 255 or len(code) < 2 * units:
        argument >>= 8
        code = bytes((EXTENDED, argument & 255)) + code
    return code


#: Where `sys.monitoring` reports that a conditional jump was not taken, from CPython 3.14 on.
_TAKEN = op("NOT_TAKEN") if "NOT_TAKEN" in OPS else b""


def branch(then: bytes) -> bytes:
    """Return code that runs `then` if the value on the stack is true."""
    jump = "POP_JUMP_FORWARD_IF_FALSE" if sys.version_info < (3, 12) else "POP_JUMP_IF_FALSE"
    then = _TAKEN + then
    return op(jump, len(then) // 2) + then


def call(function: int, arguments: bytes = b"", number: int = 0) -> bytes:
    """Return code that calls the constant `function` with the `number` values that `arguments` pushes."""
    code = op("LOAD_CONST", function)
    code = op("PUSH_NULL") + code if OPS["null_first"] else code + op("PUSH_NULL")
    if "PRECALL" in OPS:
        return code + arguments + op("PRECALL", number) + op("CALL", number)
    return code + arguments + op("CALL", number)


def back(here: int, start: int) -> bytes:
    """Return a jump at the unit `here` to `start` before it, which lets nothing interrupt."""
    jumps = [instruction(OPS["JUMP_BACKWARD_NO_INTERRUPT"], here + size - start) for size in (1, 2, 3)]
    return next(jump for size, jump in enumerate(jumps, 1) if len(jump) == 2 * size)


#: What follows an iterator on the stack of a loop: from CPython 3.15 on, an index or NULL.
LOOP = op("PUSH_NULL") if sys.version_info >= (3, 15) and OPS else b""
#: How many values a loop has on the stack, with the item.
IN_LOOP = 2 + bool(LOOP)
#: Where FOR_ITER expects the end of its loop, from CPython 3.12 on. It jumps past the first of these.
AFTER_LOOP = b"".join([op(name) for name in OPS.get("after_loop", _EMPTY)])
