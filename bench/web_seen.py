"""What monitors a process of bench/web.py, as found inside the process.

Also gunicorn's configuration there: a worker that gets SIGRTMIN writes the result to the file that WEB_SEEN names.
"""

import json
import os
import signal
import sys


def seen():
    """{"agent", "sentry", "newrelic", "opentelemetry": is it there and at work}."""
    return {
        "agent": "_erp_agent" in sys.modules,
        "sentry": _sentry(),
        "newrelic": _newrelic(),
        "opentelemetry": _opentelemetry(),
    }


def _sentry():
    sdk = sys.modules.get("sentry_sdk")
    return sdk is not None and sdk.get_client().is_active()


def _newrelic():
    """Has it recorded a transaction?"""
    core = sys.modules.get("newrelic.core.agent")
    return core is not None and any(each._last_transaction for each in core.agent_instance().applications.values())


def _opentelemetry():
    """Is its middleware among Django's, and is what it makes a span that is recorded?"""
    instrumentation = sys.modules.get("opentelemetry.instrumentation.django")
    if instrumentation is None or not instrumentation.DjangoInstrumentor().is_instrumented_by_opentelemetry:
        return False
    with sys.modules["opentelemetry.trace"].get_tracer("bench").start_as_current_span("seen") as span:
        return span.is_recording()


def post_worker_init(worker):
    del worker
    signal.signal(signal.SIGRTMIN, lambda *_: _write())


def _write():
    path = os.environ["WEB_SEEN"]
    with open(path + ".new", "w") as file:
        json.dump(seen(), file)
    os.replace(path + ".new", path)
