"""What the code in a monitored function calls where its calls are spans: of our own traces, or of the Sentry SDK's."""

from typing import Any

from ...base.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .probe import Probe

#: Kind of a monitor → the operation of its spans; of `database`, "db." and the monitor's operation.
OPERATIONS = {
    "function": "function",
    "business": "erp.process",
    "transaction": "erp.transaction",
    "api": "erp.api",
    "security": "erp.security",
}


class Span(Record):
    """The two callables of one function."""

    enter: Any  # () → what `leave` is passed; None: nothing is recorded
    leave: Any  # (start, result, what `enter` returned, whether it raised, *the values of `passed`)
    passed: tuple[str, ...] = ()  # names of parameters


if TYPE_CHECKING:
    #: Returns the callables for a function of this probe. `passable` are the parameters that can be passed at its end.
    Recorder = Callable[[Probe, tuple[str, ...]], Span]
