"""A Sentry DSN, read by one parser: what `validate` accepts is what the sender can use."""

from ..base.errors import AgentError
from ..base.interrupts import ours
from ..base.records import Record

_PORTS = {"http": 80, "https": 443}
_COPY = "copy it from the project's Client Keys page"
_PLACEHOLDERS = frozenset("<>{}\"'`\\")  # never in a key; in the placeholders of examples

#: What `status` shows where a client of the host's sends to the project that we send to.
SHARED = (
    "WARNING: the ERP's own Sentry client sends to the project of sentry.dsn as well. A failure that both see is sent "
    "once, by the agent; what both trace is there twice. Give sentry.dsn another project to keep them apart"
)


class DsnError(AgentError):
    """What is wrong with a DSN, then what to do, divided by "; ". It never repeats the DSN, which may hold a secret."""


class Dsn(Record):
    scheme: str
    public_key: str
    host: str
    port: int
    path: str  # "" or "/prefix"
    project: str

    @property
    def address(self) -> str:
        """host, and the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def envelope_url(self) -> str:
        return f"{self.scheme}://{self.address}{self.path}/api/{self.project}/envelope/"


def parse_dsn(dsn: str) -> "Dsn":
    """`https://key[:secret]@host[:port][/prefix]/project[?options]`. Raises DsnError.

    What follows a `?` or `#` (options of older clients) means nothing, here as in Sentry's SDK.
    """
    text = dsn.strip()
    if text[:1] in ("'", '"'):
        raise DsnError("the DSN stands in quotes that belong to it; remove them")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        raise DsnError(f"the DSN does not begin with http:// or https://; {_COPY}")
    rest = rest.partition("?")[0].partition("#")[0]
    authority, _, path = rest.partition("/")
    user, _, address = authority.rpartition("@")
    public_key = user.partition(":")[0]
    if not public_key:
        raise DsnError(f"the DSN has no key before the @; {_COPY}")
    prefix, _, project = path.rstrip("/").rpartition("/")
    if not project or not all(c.isascii() and (c.isalnum() or c in "_-") for c in project):
        raise DsnError(f"the DSN does not end in a project number; {_COPY}")
    if any(c.isspace() or not c.isprintable() for c in public_key + address + prefix):
        raise DsnError(f"the DSN has blanks or control characters in it; {_COPY}")
    if not public_key.isascii() or not _PLACEHOLDERS.isdisjoint(public_key):
        raise DsnError(f"the DSN's key holds characters that no key has; {_COPY}")
    host, port = _host_and_port(address, _PORTS[scheme])
    return Dsn(scheme, public_key, host, port, "/" + prefix.strip("/") if prefix.strip("/") else "", project)


def same_project(one: object, other: object) -> bool:
    """Do both lead to one project of one Sentry? By whichever key; not where either is no DSN."""
    try:
        first, second = (parse_dsn(each) if type(each) is str else None for each in (one, other))
    except ours(DsnError):
        return False
    return first is not None and second is not None and first.envelope_url == second.envelope_url


def without_key(dsn: str) -> str:
    """The address that a person may see."""
    scheme, _, rest = dsn.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _host_and_port(address: str, default: int) -> tuple[str, int]:
    if address.startswith("["):
        host, bracket, after = address[1:].partition("]")
        well_formed = bracket and ":" in host and after[:1] in ("", ":")
        port = after[1:]
    else:
        host, _, port = address.partition(":")
        well_formed = all(c.isalnum() or c in ".-_" for c in host)
    if not host:
        raise DsnError(f"the DSN has no host after the @; {_COPY}")
    if not well_formed:
        raise DsnError(f"the DSN's host is no host's name or address; {_COPY}")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise DsnError(f"the port in the DSN is not a number between 1 and 65535; {_COPY}")
    return host, int(port) if port else default
