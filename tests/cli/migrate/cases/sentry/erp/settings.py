import os

import sentry_sdk
from sentry_sdk.integrations.django import DjangoIntegration

from erp.errors import OnHold

sentry_sdk.init(
    dsn="https://0123456789abcdef@o1.ingest.sentry.io/2",
    environment=os.environ.get("ENVIRONMENT", "production"),
    release=os.environ["RELEASE"],
    traces_sample_rate=float(os.getenv("TRACES", "0.2")),
    sample_rate=0.5,
    ignore_errors=[OnHold, "KeyboardInterrupt", "Unknown"],
    integrations=[DjangoIntegration()],
    send_default_pii=True,
    strict_trace_continuation=True,
    trace_propagation_targets=["^https://[^/]+/orders$", "internal"],
    max_breadcrumbs=50,
    functions_to_trace=[{"qualified_name": "erp.jobs.close"}, {"qualified_name": "erp.jobs.Month.open"}],
)
