"""An agent that monitors a Python ERP without touching its source.

    monitors.yaml ─► Document ─► Problems, or a Plan ─► import hook ─► resolve ─► patch
                                                                                   │  (a call happens)
                         Sentry ◄─ delivery ◄─ spool ◄─ Envelope ◄─ Event ◄─ Observation

    sitecustomize   Python runs it at start-up, because its folder is on PYTHONPATH
    bootstrap       reads the compiled plan, installs one finder: all that most processes pay for
    config          monitors.yaml → Problems, or a Plan; runs in another interpreter than the host's
    engine          wires the parts below together when a module that a monitor names is imported
    hook            finder → resolve → patch, with a trampoline for each patched function
    observe         what is worth a report, and the scrubbed event that is made of it
    deliver         the spool on disk, the sender, and everything that knows the Sentry SDK
    cli             python -m agent …

Inside a monitored process the package is loaded as `_erp_agent`, so that a host may have a package `agent` of its own.
"""

from .version import __version__

__all__ = ["__version__"]
