"""The interpreter's clocks, which no host replaces.

A host's tests replace Python's: freezegun puts its own in place of `time.time` wherever a module has it, and that may
advance each time that it is read; `mock.patch("time.time", side_effect=…)` has a list of times. Each look of ours would
be seen there, and events would be dated by it. So these functions are those of a second instance of the module `time`,
which nobody else has. `sleep` is the host's: gevent and eventlet have other greenlets run meanwhile.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import time as _time
    from typing import Callable
else:
    import _imp

    _time = _imp.create_builtin(type(sys.__spec__)("time", None, origin="built-in"))
    _imp.exec_builtin(_time)

gmtime, localtime, strftime, strptime = _time.gmtime, _time.localtime, _time.strftime, _time.strptime
monotonic, perf_counter, time = _time.monotonic, _time.perf_counter, _time.time

#: `perf_counter` for changed functions: pickle finds it by its name. In a tuple: names in modules are what is replaced.
IN_CODE: "tuple[Callable[[], float]]" = (sys.modules["time"].perf_counter,)
if type(IN_CODE[0]) is not type(perf_counter):
    IN_CODE = (perf_counter,)
