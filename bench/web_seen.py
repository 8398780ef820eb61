"""What watches a process of bench/web.py, told by the process itself.

Also gunicorn's configuration there: a worker that gets SIGRTMIN writes what it sees to the file that WEB_SEEN names.
"""

import json
import os
import signal
import sys


def seen():
    """{"agent": is it there, "sentry": has the SDK a client, "newrelic": transactions since the last harvest}."""
    return {"agent": "_erp_agent" in sys.modules, "sentry": _sentry(), "newrelic": _newrelic()}


def _sentry():
    sdk = sys.modules.get("sentry_sdk")
    return sdk is not None and sdk.get_client().is_active()


def _newrelic():
    if "newrelic.core.agent" not in sys.modules:
        return 0
    applications = sys.modules["newrelic.core.agent"].agent_instance().applications
    return sum(each._transaction_count for each in applications.values())


def post_worker_init(worker):
    del worker
    signal.signal(signal.SIGRTMIN, lambda *_: _write())


def _write():
    path = os.environ["WEB_SEEN"]
    with open(path + ".new", "w") as file:
        json.dump(seen(), file)
    os.replace(path + ".new", path)
