"""How deep the value stack is at each instruction of a code object, from CPython 3.11 on."""

from types import CodeType

from . import tables
from .operations import CACHES, EXTENDED, FORWARD, JUMPING, OPS, RESUME_UNITS, RETURN, RETURN_CONST


def of(code: CodeType) -> "dict[int, int] | None":
    """Return the depth before each code unit that can be reached; None where that cannot be determined."""
    from _opcode import stack_effect  # type: ignore[import-not-found]

    body = code.co_code
    ops = body[::2]
    ends = (RETURN, RETURN_CONST, OPS["RERAISE"], OPS["RAISE_VARARGS"], *OPS["always"])
    handled = tables.read_table(code.co_exceptiontable)  # type: ignore[attr-defined]
    pending = [(target, depth + 1 + lasti) for _, _, target, depth, lasti in handled]
    pending.append((ops.find(OPS["RESUME"]) + RESUME_UNITS, 0))
    known: "dict[int, int]" = {}
    while pending:
        unit, depth = pending.pop()
        argument = 0
        while unit not in known:
            if not 0 <= depth <= code.co_stacksize:
                return None
            known[unit] = depth
            operation = ops[unit]
            argument = argument << 8 | body[2 * unit + 1]
            unit += 1 + CACHES.get(operation, 0)
            if operation == EXTENDED:
                continue
            given = argument if operation >= OPS["with_argument"] else None
            if operation in JUMPING:
                target = unit + argument if operation in FORWARD else unit - argument
                pending.append((target, depth + stack_effect(operation, given, jump=True)))
            if operation in ends:
                break
            depth += stack_effect(operation, given, jump=False)
            argument = 0
        else:
            if known[unit] != depth:
                return None
    return known
