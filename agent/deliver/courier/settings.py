"""Where a spool's courier sends, and by which settings: a file in the spool, written by whoever captures.

The courier reads it again when it changes, so that a new DSN or proxy holds for the next envelope. A process writes it
with its first event, where it differs.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ...base.interrupts import ours
from ..spool import files

if TYPE_CHECKING:
    from ...base.model import SpoolData

_FILE = "settings"

#: Variables of the environment that decide how a Sentry is reached.
VARIABLES = (
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF",
)  # fmt: skip


class Settings:
    """`dsn` is None where a `route` file in the spool has it: the spool of a client of the host's own."""

    __slots__ = ("config", "dsn", "environment", "run", "spool")

    def __init__(self, dsn: str | None, run: str, config: str, spool: SpoolData, environment: dict[str, str]) -> None:
        """`dsn` is "" where there is none, and only counts are folded.

        `run` is the folder of state files, in which the courier has one too.
        `config` is the configuration file of the processes that capture.
        """
        self.dsn, self.run, self.config, self.spool, self.environment = dsn, run, config, spool, environment

    def write(self, folder: str) -> bool:
        """Whether they differ from what was there. Raises OSError."""
        path = os.path.join(folder, _FILE)
        data = json.dumps({name: getattr(self, name) for name in self.__slots__}, sort_keys=True).encode("utf-8")
        try:
            there = files.read_own(path)
            if there == data or (there is not None and self.dsn == "" and json.loads(there)["dsn"] != ""):
                return False  # who has no DSN does not take it from the others
        except ours(OSError, ValueError, TypeError, KeyError, files.UnreadableError):
            pass
        try:
            files.replace(path, data)
        except ours(FileExistsError):
            pass  # another thread writes the same
        return True


def here(dsn: str | None, run: str, config: str, spool: SpoolData) -> Settings:
    """What holds for this process."""
    environment = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return Settings(dsn, run, config, spool, environment)


def read(folder: str) -> tuple[Settings, tuple[int, int]] | None:
    """What `write` wrote, and what distinguishes it from a later one. None if there is nothing of ours."""
    path = os.path.join(folder, _FILE)
    try:
        mark = changed(folder)
        held: Any = json.loads(files.read_own(path) or b"")
        return (Settings(**held), mark) if mark is not None else None
    except ours(OSError, ValueError, TypeError, files.UnreadableError):
        return None


def changed(folder: str) -> tuple[int, int] | None:
    """What distinguishes the file that is there now from an earlier one."""
    try:
        status = os.stat(os.path.join(folder, _FILE))
    except ours(OSError):
        return None
    return status.st_mtime_ns, status.st_ino
