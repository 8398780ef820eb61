"""Attributes of exceptions and classes, read from the interpreter's own slots.

Reading an attribute of a host's exception may run the host's code: a `__getattribute__`, or a metaclass. Nothing here
does.
"""

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Optional

cause_of: "Callable[[BaseException], Optional[BaseException]]" = BaseException.__dict__["__cause__"].__get__
context_of: "Callable[[BaseException], Optional[BaseException]]" = BaseException.__dict__["__context__"].__get__
suppresses: "Callable[..., bool]" = BaseException.__dict__["__suppress_context__"].__get__
traceback_of: "Callable[[BaseException], Optional[TracebackType]]" = BaseException.__dict__["__traceback__"].__get__
set_traceback: "Callable[[BaseException, Optional[TracebackType]], None]" = BaseException.__dict__[
    "__traceback__"
].__set__
#: Creates it where there is none yet.
dict_of: "Callable[[BaseException], dict[str, object]]" = BaseException.__dict__["__dict__"].__get__


def drop_first_frame(error: BaseException) -> None:
    """Take the outermost frame, one of ours, out of an exception's traceback.

    From Python 3.11 on, re-raising does not add it again; before, it stays (docs/limits.md).
    """
    traceback = traceback_of(error)
    if traceback is not None:
        set_traceback(error, traceback.tb_next)


ancestors_of: "Callable[[type], tuple[type, ...]]" = type.__dict__["__mro__"].__get__
name_of: "Callable[[type], str]" = type.__dict__["__name__"].__get__
qualname_of: "Callable[[type], str]" = type.__dict__["__qualname__"].__get__
module_of: "Callable[[type], Any]" = type.__dict__["__module__"].__get__

#: The class of exception groups, for `issubclass`; none before Python 3.11.
GROUPS: "tuple[type, ...]" = tuple([builtins.BaseExceptionGroup] if hasattr(builtins, "BaseExceptionGroup") else [])


def members_of(error: BaseException) -> "tuple[BaseException, ...]":
    """The exceptions in a group; none for any other exception."""
    if not issubclass(type(error), GROUPS):
        return ()
    members = GROUPS[0].__dict__["exceptions"].__get__(error)
    return members if type(members) is tuple else ()
