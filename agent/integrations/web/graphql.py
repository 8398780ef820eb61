"""GraphQL: which operation a request asks for, and failures of resolvers, whose response is a 200.

All requests have one route: what sets them apart is the operation. graphql-core, which is beneath graphene, strawberry
and ariadne, makes an error in the response of each failure. A `GraphQLError` that the ERP raises is its response, and
no failure. graphql-core 2, which graphene 2 uses, makes the error elsewhere, and has no path for a value that it
cannot complete.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ...base.slots import ancestors_of, name_of
from ...hook.code import wrap
from . import serving
from .install import function_of

if TYPE_CHECKING:
    from types import FrameType, ModuleType

    from ...boot.engine import Engine

_FARTHEST = 30  # frames between the error and the execution that it belongs to
_LONGEST = 160


#: By module, what is called for each field that fails, with the names of the failure and the path in its parameters.
_PLACES = {
    "graphql.error.located_error": (
        ("located_error", ["original_error", "path"]),
        ("GraphQLLocatedError.__init__", ["original_error", "path"]),  # graphql-core 2
    ),
    "graphql.execution.utils": (("ExecutionContext.report_error", ["error"]),),  # graphql-core 2
}
#: By module, what is called once for each operation of a request.
_EXECUTES = {
    "graphql.execution.execute": "ExecutionContext.execute_operation",
    "graphql.execution.executor": "execute_operation",  # graphql-core 2
}


def install(name: str, module: ModuleType, engine: Engine) -> list[Any]:
    """Called when one of the modules of `_PLACES` or `_EXECUTES` has been imported."""
    if not engine.frameworks.integrates("web"):
        return []
    if name in _EXECUTES:
        executes = function_of(module, _EXECUTES[name])
        known = executes is not None and "operation" in executes.__code__.co_varnames[: executes.__code__.co_argcount]
        return [wrap.surround(executes, wrap.guarded(_executes), passed=["operation"])] if executes and known else []
    places = [(function_of(module, path), passed) for path, passed in _PLACES[name]]

    def failed(error: object, path: object = None) -> None:
        if not isinstance(error, Exception) or any(
            name_of(each) == "GraphQLError" for each in ancestors_of(type(error))
        ):
            return
        place = _path(path)
        now = serving.current()
        if now is not None:  # a list of a thousand orders fails a thousand times in one field
            if (type(error), place) in now.fields:
                return
            now.fields = (*now.fields, (type(error), place))
        engine.frameworks.failed(
            "graphql", error, operation=_operation(sys._getframe(1)) or place, function=place, handled=True
        )

    return [wrap.surround(function, wrap.guarded(failed), passed=passed) for function, passed in places if function]


def _executes(operation: object) -> None:
    now = serving.current()
    if now is not None:
        now.operation = operation


def _path(path: object) -> str:
    """The fields on the way to the one that failed, as the client named them, without the places in lists."""
    names = [each for each in path if type(each) is str] if isinstance(path, (list, tuple)) else []
    return ".".join(names)[:_LONGEST] or "graphql"


def _operation(frame: FrameType | None) -> str:
    """`mutation CreateOrder`, from the execution that a caller belongs to; without a name, its first field."""
    for _ in range(_FARTHEST):
        if frame is None:
            break
        execution = frame.f_locals.get("exe_context") or frame.f_locals.get("self")  # of graphql-core 2, of 3
        words = serving.words_of(getattr(execution, "operation", None))
        if words and frame.f_globals.get("__name__", "").startswith("graphql."):
            return words
        frame = frame.f_back
    return ""
