"""What the text of a module or class defines, read from its compiled body: no source is read for it.

A decorator may put anything in the place of what it is given. The body still holds the code of each `def` and `class`.
"""

from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NONE: "dict[str, CodeType]" = {}


def names(body: "CodeType | None") -> "Mapping[str, CodeType]":
    """Each function and class that `body` defines, by name; of several of one name, the last. Nothing for None."""
    if body is None:
        return _NONE
    found: "dict[str, CodeType]" = {}
    for constant in body.co_consts:
        if type(constant) is CodeType:
            if constant.co_name.startswith("<generic parameters"):  # Python 3.12: def f[T]()
                found.update(names(constant))
            elif constant.co_name.isidentifier():  # not a lambda or comprehension
                found[constant.co_name] = constant
    return found
