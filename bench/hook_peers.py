"""How other tools monitor a function, for bench/hook_cost.py: each as its documentation shows, sending nothing.

Each way is a function that returns `apply(module, names)`; it raises ImportError if its package is not installed. If a
call needs something around it (a transaction, a timeline), the way stores that in `module.around`.
"""

import functools
import logging
import os
import time


def decorated(decorate):
    def apply(module, names):
        for name in names:
            if name == "method":
                module.Thing.method = decorate(module.Thing.method)
            else:
                setattr(module, name, decorate(getattr(module, name)))

    return apply


def inside(apply, around):
    """The same, called inside `around(module)`, a context manager."""

    def both(module, names):
        apply(module, names)
        module.around = lambda: around(module)

    return both


def report(*_):
    raise AssertionError("nothing is slow here")


def with_wrapt():
    import wrapt

    clock, limit = time.perf_counter, 5.0

    @wrapt.decorator
    def watch(wrapped, instance, args, kwargs):
        del instance
        start = clock()
        try:
            result = wrapped(*args, **kwargs)
        except BaseException:
            start = 0
            raise
        if clock() - start > limit:
            report()
        return result

    return decorated(watch)


def with_wrapture():
    import wrapture

    def apply(module, names):
        module.bindings = [
            wrapture.binding(module.Thing, name) if name == "method" else wrapture.binding(module, name)
            for name in names
        ]

    return inside(apply, lambda module: wrapture.timeline(*module.bindings))


def with_sentry(transaction):
    def make():
        import sentry_sdk

        sentry_sdk.init(
            "http://k@localhost:9/1" if transaction else None, traces_sample_rate=1.0 if transaction else None,
            default_integrations=False, transport=lambda _: None,
        )  # fmt: skip
        apply = decorated(sentry_sdk.trace)
        if not transaction:
            return apply
        return inside(apply, lambda _: sentry_sdk.start_transaction(name="bench"))

    return make


def with_opentelemetry():
    from opentelemetry.sdk.trace import TracerProvider

    return decorated(TracerProvider().get_tracer("bench").start_as_current_span("call"))


def with_newrelic(transaction):
    def make():
        os.environ.update(NEW_RELIC_DEVELOPER_MODE="true", NEW_RELIC_LICENSE_KEY="0" * 40, NEW_RELIC_LOG="/dev/null")
        import newrelic.agent

        newrelic.agent.initialize()
        application = newrelic.agent.register_application(name="bench", timeout=0.0)
        apply = decorated(newrelic.agent.function_trace())
        if not transaction:
            return apply
        return inside(apply, lambda _: newrelic.agent.BackgroundTask(application, name="bench"))

    return make


def with_ddtrace():
    os.environ.update(DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false")
    from ddtrace.trace import TraceFilter, tracer

    class Nothing(TraceFilter):
        def process_trace(self, trace):
            del trace  # which is then not sent

    logging.getLogger("ddtrace").setLevel(logging.CRITICAL)
    tracer.configure(trace_processors=[Nothing()])
    return decorated(tracer.wrap("call"))


def with_logfire():
    import logfire

    logfire.configure(send_to_logfire=False, console=False)
    return decorated(logfire.instrument("call", extract_args=False))


@functools.cache
def elastic_client():
    import elasticapm

    # Without the limit of 500 spans, after which it measures how a span is left out.
    return elasticapm.Client(
        service_name="bench", disable_send=True, transaction_max_spans=10**9, instrument=False, metrics_interval="0s",
        central_config=False, cloud_provider="none", span_compression_enabled=False,
    )  # fmt: skip


def with_elastic():
    import elasticapm

    client = elastic_client()

    class Transaction:
        def __enter__(self):
            client.begin_transaction("bench")

        def __exit__(self, *_):
            client.end_transaction("bench", "ok")

    def decorate(function):
        import inspect

        kind = elasticapm.async_capture_span if inspect.iscoroutinefunction(function) else elasticapm.capture_span
        return kind()(function)

    return inside(decorated(decorate), lambda _: Transaction())


#: Name → way; all of them cost microseconds.
PEERS = {
    "wrapt, threshold": with_wrapt,
    "wrapture, in a timeline": with_wrapture,
    "sentry_sdk.trace, idle": with_sentry(False),
    "sentry_sdk.trace, transaction": with_sentry(True),
    "OpenTelemetry, span": with_opentelemetry,
    "New Relic, idle": with_newrelic(False),
    "New Relic, transaction": with_newrelic(True),
    "ddtrace, span": with_ddtrace,
    "Logfire, span": with_logfire,
    "Elastic APM, transaction": with_elastic,
}

#: What pip installs for them.
PACKAGES = ["wrapt", "wrapture", "sentry-sdk", "opentelemetry-sdk", "newrelic", "ddtrace", "logfire", "elastic-apm"]
