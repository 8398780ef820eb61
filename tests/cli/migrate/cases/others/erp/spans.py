import elasticapm
import logfire
from ddtrace import tracer as dd
from opentelemetry import trace

tracer = trace.get_tracer(__name__)
SETTING = "DD_TRACE_SAMPLE_RATE"


@dd.wrap("order.create", service="sales", resource="create order", span_type="worker")
def create(): ...


@dd.wrap(service="sales", span_type="sql")
def select(): ...


@tracer.start_as_current_span("book", attributes={"ledger": "main"})
def book():
    with tracer.start_as_current_span("inside"):
        ...


@logfire.instrument("Shipping {number} to {place}", record_return=True)
def ship(number):
    with logfire.span("packing"):
        logfire.info("packed")


@logfire.instrument(span_name="return goods", extract_args=["number"])
def take_back(number, address): ...


@elasticapm.capture_span("stock", span_type="db.mysql", labels={"part": "stock"})
async def stock(): ...


async def count():
    async with elasticapm.async_capture_span("count"):
        ...


class Part:
    @property
    def size(self): ...

    @size.setter
    @elasticapm.capture_span()
    def size(self, value): ...
