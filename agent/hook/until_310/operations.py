"""Opcodes of CPython 3.9 and 3.10, which differ in two numbers."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A test compares them with the interpreter's own tables.
OPS: "dict[str, Any]" = {
    "POP_TOP": 1, "ROT_TWO": 2, "DUP_TOP": 4, "FOR_ITER": 93, "JUMP_FORWARD": 110, "IS_OP": 117,
    "BINARY_SUBTRACT": 24, "YIELD_FROM": 72, "RETURN_VALUE": 83,
    "YIELD_VALUE": 86, "POP_BLOCK": 87, "LOAD_CONST": 100, "COMPARE_OP": 107, "POP_JUMP_IF_FALSE": 114,
    "SETUP_FINALLY": 122, "LOAD_FAST": 124, "STORE_FAST": 125, "CALL_FUNCTION": 131, "SETUP_WITH": 143,
    "EXTENDED_ARG": 144, "SETUP_ASYNC_WITH": 154, "RERAISE": 48 if sys.version_info < (3, 10) else 119,
    "RAISE_VARARGS": 130, "POP_EXCEPT": 89, "END_ASYNC_FOR": 54, "JUMP_ABSOLUTE": 113, "JUMP_IF_NOT_EXC_MATCH": 121,
    "relative": (93, 110, 122, 143, 154), "absolute": (111, 112, 113, 114, 115, 121),
    "always": (110, 113), "greater": 4, "store": (125, 126), "store_two": (), "store_cell": (137, 138),
}  # fmt: skip
