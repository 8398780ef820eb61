"""An agent that monitors a Python ERP without touching its source.

    monitors.yaml ─► Document ─► Problems, or a Plan ─► import hook ─► resolve ─► patch
                                                                                   │  (a call happens)
                         Sentry ◄─ delivery ◄─ spool ◄─ Envelope ◄─ Event ◄─ Observation

    sitecustomize   Python runs it at start-up, because its folder is on PYTHONPATH
    boot            start reads the head of the compiled plan and waits for imports: all that most processes pay for;
                    bootstrap makes the agent of a process; engine connects the parts below
    plan            the compiled plan: read by processes, made in another interpreter
    config          monitors.yaml → Problems, or a Plan; never runs in the host's processes
    hook            finder → resolve → patch: inside the function's own bytecode, or by a trampoline
    observe         what is worth a report, and the event that is made of it
    privacy         masks what must not leave
    deliver         the spool on disk, and the sender
    sdk             everything that uses the Sentry SDK
    integrations    Django, Celery, logging
    api, decorate   what new code of the ERP may call itself: `from agent import capture_erp_error, sentry_monitor`
    testing         for an ERP's own tests: what would have been reported?
    cli             python -m agent …

Inside a monitored process the package is loaded as `_erp_agent`, so that a host may have a package `agent` of its own.
Code that imports `agent` all the same gets the names below from the `_erp_agent` that runs: there is one agent.
"""

from .base.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .api import capture_business_logic_error, capture_erp_error, capture_performance_issue
    from .decorate import (
        monitor_inventory_operation,
        monitor_production_operation,
        monitor_quality_operation,
        monitor_sales_operation,
        sentry_api_monitor,
        sentry_business_logic_monitor,
        sentry_database_monitor,
        sentry_monitor,
        sentry_security_monitor,
        sentry_transaction,
    )

__all__ = [
    "__version__",
    "capture_business_logic_error",
    "capture_erp_error",
    "capture_performance_issue",
    "monitor_inventory_operation",
    "monitor_production_operation",
    "monitor_quality_operation",
    "monitor_sales_operation",
    "sentry_api_monitor",
    "sentry_business_logic_monitor",
    "sentry_database_monitor",
    "sentry_monitor",
    "sentry_security_monitor",
    "sentry_transaction",
]


def __getattr__(name: str) -> object:
    """Each name is loaded on first use, from the agent that runs in this process where one does."""
    if name not in __all__:
        raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))  # noqa: UP032
    import sys

    running = "_erp_agent" if "_erp_agent" in sys.modules else __name__
    part = running + (".api" if name.startswith("capture_") else ".decorate")
    __import__(running + ".base.imports")
    with sys.modules[running + ".base.imports"].Guarded():
        __import__(part)
    value: object = getattr(sys.modules[part], name)
    globals()[name] = value
    return value
