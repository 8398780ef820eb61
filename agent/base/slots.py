"""What the interpreter itself knows of an exception or a class, whatever `__getattribute__` or a metaclass answers.

An exception of the host's may run code of the host's with each attribute that is read of it. Nothing here does.
"""

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
ancestors_of: "Callable[[type], tuple[type, ...]]" = type.__dict__["__mro__"].__get__
name_of: "Callable[[type], str]" = type.__dict__["__name__"].__get__
qualname_of: "Callable[[type], str]" = type.__dict__["__qualname__"].__get__
module_of: "Callable[[type], Any]" = type.__dict__["__module__"].__get__
