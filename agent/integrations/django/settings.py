"""What Django's settings say of Sentry, once Django has read them: `SENTRY_DSN` and `ENABLE_SENTRY`.

They are never imported by us, and never read before the host has read them.
"""

import sys
from typing import NamedTuple, Optional

from ...base.dsn import DsnError, parse_dsn
from ...base.interrupts import ours
from ...observe.event.represent import instance_dict

_MISSING = object()
_LAYERS = 20  # of `override_settings` inside each other


class Said(NamedTuple):
    dsn: Optional[str]
    enabled: bool
    problem: Optional[str]

    def dsn_for(self, configured: "str | None") -> "str | None":
        """Where events go; `configured` is what monitors.yaml or the environment says, which comes first."""
        return (configured or self.dsn) if self.enabled else None


def read() -> "Said | None":
    """None until Django has settings."""
    module = sys.modules.get("django.conf")
    lazy = getattr(module, "__dict__", {}).get("settings")
    wrapped = (instance_dict(lazy) or {}).get("_wrapped")
    if instance_dict(wrapped) is None:
        return None  # they are there, and nobody has asked for one
    dsn, problem = _value(wrapped, "SENTRY_DSN"), None
    if type(dsn) is str and dsn.strip():
        try:
            parse_dsn(dsn)
        except ours(DsnError) as error:
            dsn, problem = None, f"SENTRY_DSN in Django's settings is not used: {error}"
    enabled = _value(wrapped, "ENABLE_SENTRY")
    return Said(
        dsn.strip() if type(dsn) is str and dsn.strip() else None,
        enabled is _MISSING or enabled is None or _is_on(enabled),
        problem,
    )


def _value(wrapped: object, name: str) -> object:
    for _ in range(_LAYERS):
        held = instance_dict(wrapped)
        if held is None:
            break
        if name in held:
            return held[name]
        wrapped = held.get("default_settings")  # of `settings.configure(…)` and `override_settings`
    return _MISSING


def _is_on(value: object) -> bool:
    """As settings that come from the environment spell it. No `__bool__` of the host's runs."""
    if type(value) is str:
        return value.strip().lower() not in ("", "0", "false", "no", "off", "n", "f")
    return value is not False and value != 0 if type(value) in (bool, int) else True
