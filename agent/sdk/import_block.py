"""Keeps the Sentry SDK from importing what the host itself has not imported.

The SDK imports gevent and eventlet at its own import, to find out whether they have patched the process. Where they are
installed and not used, that costs time, memory and, with eventlet, a warning on stderr. A package that the host has not
imported cannot have patched it. So the thread that imports the SDK, and no other, cannot import it.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any

_PACKAGES = ("gevent", "eventlet")


class Absent:
    """While entered, the packages that are not imported yet cannot be imported by this thread."""

    def __init__(self, packages: Sequence[str] = _PACKAGES) -> None:
        self._packages = [name for name in packages if name not in sys.modules]
        self._thread = get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002  (the protocol)
        if get_ident() == self._thread and name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{name} has not been imported by this process", name=name)

    def __enter__(self) -> None:
        if self._packages:
            sys.meta_path.insert(0, self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
