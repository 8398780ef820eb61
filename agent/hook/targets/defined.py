"""Lists the names that a module's source defines, from its compiled body.

A decorator may replace a definition by anything, but the body still holds the code of each `def` and `class`. That code
is not kept: `registries` searches for whoever holds the code of a function, and must not find us.
"""

from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    #: Name of each function and class → what that class defines in the same way; nothing for a function.
    Names = Mapping[str, Any]

_FUNCTION = 0x01  # CO_OPTIMIZED, which the bodies of modules and classes are not


def names(body: CodeType) -> "Names":
    """Return the names; of several definitions of one name, the last counts."""
    found: "dict[str, Any]" = {}
    for constant in body.co_consts:
        if type(constant) is CodeType:
            if constant.co_name.startswith("<generic parameters"):  # Python 3.12: def f[T]()
                found.update(names(constant))
            elif constant.co_name.isidentifier():  # not a lambda or comprehension
                found[constant.co_name] = {} if constant.co_flags & _FUNCTION else names(constant)
    return found
