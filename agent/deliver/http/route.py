"""How a Sentry is reached: its DSN, and the connection settings of the host's own client.

Kept as a file in the spool of that destination, so that any process, and `spool flush`, can deliver it.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from ...base import own_folders
from ...base.interrupts import ours
from ..spool import files

_FILE = "route"


class Route(NamedTuple):
    """For the agent's own DSN, all but the first are empty. The names are those of the SDK's options."""

    dsn: str
    client: str = ""  # its name, such as `sentry.python/2.75.0`; "" for the agent itself
    http_proxy: Optional[str] = None  # None: that of the environment; "": none
    https_proxy: Optional[str] = None
    proxy_headers: Optional[Mapping[str, str]] = None
    ca_certs: Optional[str] = None
    cert_file: Optional[str] = None
    key_file: Optional[str] = None
    socket_options: Optional[list[list[int]]] = None

    @property
    def secret(self) -> str:
        """The second half of the keys that very old DSNs have."""
        if not self.client:
            return ""
        return self.dsn.partition("://")[2].rpartition("@")[0].partition(":")[2]

    def proxy(self, scheme: str, environment: "Mapping[str, str]", *, bypass: bool) -> "str | None":
        """Return the proxy to use. `environment` has the *_PROXY variables; `bypass` is true if NO_PROXY applies."""
        if not self.client:
            proxy = None if bypass else environment.get(scheme) or environment.get("all")
        else:  # as the SDK chooses: https may fall back to the proxy for http, and there is no "all"
            proxy = None
            known = {} if bypass else environment
            if scheme == "https" and self.https_proxy != "":
                proxy = self.https_proxy or known.get("https")
            if not proxy and self.http_proxy != "":
                proxy = self.http_proxy or known.get("http")
        return "http://" + proxy if proxy and "://" not in proxy else proxy

    def name(self) -> str:
        """Return a name for its folder, which reveals nothing."""
        from hashlib import sha256

        return sha256(self.encode()).hexdigest()[:16]

    def abroad(self) -> "Route":
        """Return the route without proxies and certificates, for another machine."""
        return Route(self.dsn, self.client)

    def keep(self, folder: str) -> None:
        """Write it for `found`. The folder is made if necessary. Raises OSError."""
        path = os.path.join(folder, _FILE)
        if not os.path.lexists(path):
            own_folders.make(folder)
            files.replace(path, self.encode())

    def encode(self) -> bytes:
        import json

        return json.dumps(self._asdict(), sort_keys=True).encode("ascii")


def found(folder: str) -> "Route | None":
    """Return what `keep` wrote; None if there is none, or none of ours."""
    try:
        return decode(files.read_own(os.path.join(folder, _FILE)) or b"")
    except ours(OSError, ValueError, files.UnreadableError):
        return None


def decode(data: bytes) -> "Route":
    """Decode what `encode` made. Raises ValueError for anything else."""
    import json

    held: Any = json.loads(data)
    if not isinstance(held, dict) or not all(isinstance(held.get(name), str) for name in ("dsn", "client")):
        raise ValueError("it has no DSN or client")
    try:
        return Route(**held)
    except ours(TypeError):
        raise ValueError("another version of the agent wrote it") from None
