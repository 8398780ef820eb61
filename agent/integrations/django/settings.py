"""Reads what the agent uses of Django's settings, once Django has loaded them: the DSN, and which package is the ERP.

The agent never imports the settings, and never makes Django load them.
"""

import sys
from typing import Optional

from ...base.interrupts import ours
from ...base.places import FRAMEWORKS
from ...base.records import Record
from ...language.dsn import DsnError, parse_dsn
from ...observe.event.represent import instance_dict

_MISSING = object()
_LAYERS = 20  # of nested `override_settings`


class SentrySettings(Record):
    dsn: Optional[str]
    enabled: bool
    problem: Optional[str]
    packages: tuple[str, ...]  # top-level, of the settings and of the routes: the ERP's

    def dsn_for(self, configured: "str | None") -> "str | None":
        """Return where events go. `configured`, from monitors.yaml or the environment, comes first."""
        return (configured or self.dsn) if self.enabled else None


def read() -> "SentrySettings | None":
    """Return None until Django has loaded its settings."""
    module = sys.modules.get("django.conf")
    lazy = getattr(module, "__dict__", {}).get("settings")
    wrapped = (instance_dict(lazy) or {}).get("_wrapped")
    if instance_dict(wrapped) is None:
        return None  # declared, but not loaded
    dsn, problem = _value(wrapped, "SENTRY_DSN"), None
    if type(dsn) is str and dsn.strip():
        try:
            parse_dsn(dsn)
        except ours(DsnError) as error:
            dsn, problem = None, f"SENTRY_DSN in Django's settings is not used: {error}"
    enabled = _value(wrapped, "ENABLE_SENTRY")
    return SentrySettings(
        dsn.strip() if type(dsn) is str and dsn.strip() else None,
        enabled is _MISSING or enabled is None or _is_on(enabled),
        problem,
        _packages(wrapped),
    )


def _packages(wrapped: object) -> "tuple[str, ...]":
    named = [_value(wrapped, name) for name in ("SETTINGS_MODULE", "ROOT_URLCONF")]
    found = dict.fromkeys([name.partition(".")[0] for name in named if type(name) is str])
    return tuple([name for name in found if name and name not in FRAMEWORKS])


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
    """Interpret a flag, also as text from the environment. No `__bool__` of the host's runs."""
    if type(value) is str:
        return value.strip().lower() not in ("", "0", "false", "no", "off", "n", "f")
    return value is not False and value != 0 if type(value) in (bool, int) else True
