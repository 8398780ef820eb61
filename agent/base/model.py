"""Every type that crosses a boundary between the agent's parts.

A plan travels as plain JSON values (`PlanData`, `MonitorData`): the compiler of `config` makes them, `plan` stores
them with `marshal`, and `hook` and `observe` read them. What happens on a call travels as an `Observation`, which holds
the host's own objects and never leaves the calling thread; scrubbing turns it into an `Event`, which holds JSON values
only.

Annotations are types here and not text (no `|`, no quotes), as wherever a monitored process makes types from them:
`typing` compiles text, which would cost it three milliseconds.
"""

import sys
from collections.abc import Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, NewType, Optional

from .records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict, Union

#: Severities as monitors.yaml spells them, mildest first. `critical` is accepted there and means `fatal`.
SEVERITIES = ("debug", "info", "warning", "error", "fatal")

KINDS = ("function", "database", "business", "transaction", "api", "security")

#: In an expression's names, this stands before a parameter that is itself called `result`, `error` or `duration`.
SHADOWED = "argument."


#: In place of a severity: what is made of an exception that is part of the business, and of one that is no failure.
EXPECTED, IGNORED = "expected", "ignored"


if not TYPE_CHECKING:  # `typing` takes a millisecond and 90 kB to make the types below, which nothing reads
    Json = Any
    ExpressionData = RuleData = TargetData = LearnData = SpanData = LineData = MonitorData = ContextData = dict
    TasksData = CeleryData = ScrubData = TracesData = ProjectData = StancesData = SentryData = SpoolData = dict
    PlanData = dict
else:
    Json = Union[None, bool, int, float, str, "list[Json]", "dict[str, Json]"]

    class ExpressionData(TypedDict):
        """A checked expression of `when` or `capture`.

        `tree` is a JSON syntax tree whose nodes are lists headed by their form:
        ["const", value] · ["name", n] · ["attr", node, name] · ["item", node, node] · ["call", function, [node…]] ·
        ["compare", node, [[operator, node]…]] · ["and", [node…]] · ["or", [node…]] · ["not", node] · ["neg", node] ·
        ["binary", operator, node, node] · ["if", condition, then, otherwise] · ["tuple", [node…]] · ["list", [node…]]
        """

        text: str
        names: list[str]
        tree: list[Any]

    class RuleData(TypedDict):
        when: ExpressionData
        message: str
        severity: str
        escalate: Optional[tuple[float, float]]  # reported only where it holds more often than so many a period
        each: Optional[ExpressionData]  # with `escalate`: what is counted apart, by its value

    class TargetData(TypedDict):
        """One dotted path. `module` is None where the boundary between module and attribute is found at import."""

        path: str
        module: Optional[str]
        attribute: Optional[str]
        pattern: bool

    class LearnData(TypedDict):
        """A threshold that is learned from the operation's own past: a quantile of its durations times a factor."""

        quantile: float  # 0.95
        factor: float
        floor: Optional[float]  # seconds
        ceiling: Optional[float]
        by_hour: bool  # each hour of the week by itself, where enough is known of it

    class SpanData(TypedDict):
        """What the spans of a monitor's calls are, in Sentry's words."""

        op: str  # may hold {operation}
        description: Optional[ExpressionData]
        data: dict[str, ExpressionData]

    class LineData(TypedDict):
        """A line that is watched in running processes."""

        file: str  # as a person wrote it: a path, or the end of one
        path: str  # where that is for who wrote it; "" where it is nowhere
        number: int
        function: str  # that holds the line there; "" where that is not known

    class MonitorData(TypedDict):
        """One monitor with every default applied."""

        name: str
        where: str  # "monitors.yaml:35", for messages
        targets: list[TargetData]
        exclude: list[str]
        kind: str
        module: Optional[str]
        operation: str  # may hold {name}, {qualname}, {module} and {class} of the function it lands on
        detail: dict[str, str]  # the kind's own, which may hold the same: model, process, name, endpoint, event_type
        severity: str
        thresholds: list[tuple[float, str]]  # (seconds, severity), ascending; empty: never slow
        learn: Optional[LearnData]  # where the threshold is learned
        learned: dict[str, float]  # operation → seconds, for those of which enough is known
        stuck: Optional[float]  # seconds after which a call that has not returned is reported
        budget: Optional[float]  # the share of the process's time that it may cost, from 0.0 to 1.0
        repeats: Optional[int]  # more calls than that inside one piece of work are reported
        errors: dict[str, str]  # dotted exception → severity
        expect: list[str]  # dotted exceptions that are part of the business
        ignore_errors: list[str]  # dotted exceptions that are no failures
        escalate: Optional[tuple[float, float]]  # of these, more than so many per so many seconds become one event
        capture: dict[str, ExpressionData]
        rules: list[RuleData]
        audit: str  # the severity of what reports each call that succeeds; "" for none
        tags: dict[str, str]
        fingerprint: Optional[list[str]]
        sample: float
        rate_limit: Optional[tuple[float, float]]  # (events, per seconds)
        repeat_interval: dict[str, float]  # report → seconds until one like the last is made again; empty: at once
        span: str  # auto | always | never
        span_data: Optional[SpanData]
        metrics: bool  # whether calls are counted
        subclasses: bool
        owner: Optional[str]
        exception_text: bool  # whether the text of exceptions may leave
        unless: Optional[ExpressionData]  # calls that are not reported
        quiet_inside: list[str]  # names of monitors whose reports cover the calls inside theirs
        live: bool  # put into running processes: what it sees is shown, and not sent
        line: Optional[LineData]  # of one that has no targets: what it looks at
        source: Optional[str]  # `odoo>=16`, to compare with once it is imported: no metadata shows its version

    class ContextData(TypedDict):
        """Where context comes from: a function without parameters, and what is read from its `result`."""

        name: str  # of the section in the event's contexts
        target: TargetData
        read: dict[str, ExpressionData]
        tags: dict[str, ExpressionData]
        user: dict[str, ExpressionData]  # id, username, email, permissions, ip; `sentry.user` lists which may leave

    class TasksData(TypedDict):
        """What is reported of tasks beyond their monitors. Durations are seconds; None: as Sentry has it."""

        queue_wait: list[tuple[float, str]]  # (seconds, severity), ascending; empty: never too long
        queues: dict[str, list[tuple[float, str]]]  # what counts in place of that, by queue
        check_ins: list[str]  # patterns of the names of a schedule's entries
        margin: Optional[float]
        max_runtime: Optional[float]

    class CeleryData(TasksData):
        """The same of Celery, and of its workers."""

        pool_full: list[tuple[float, str]]  # as queue_wait
        worker_stalled: list[tuple[float, str]]
        memory_recycles: Optional[tuple[float, float]]  # reported only where more than so many per so many seconds

    class ScrubData(TypedDict):
        """What is private in addition to what `privacy.redact` finds."""

        names: list[str]  # of keys, as parts of them
        national_ids: list[str]  # keys of `privacy.national.COUNTRIES`
        forms: dict[str, str]  # name → form: 0 a digit, A a letter

    class TracesData(TypedDict):
        """Which traces are kept besides those that are sampled."""

        given: bool  # whether the configuration has this section: then traces are recorded also if none are sampled
        keep_slow: Optional[float]  # seconds
        keep_failed: bool
        rate_limit: Optional[tuple[float, float]]  # (traces, per seconds)
        max_spans: int

    class ProjectData(TypedDict):
        """What commands set up in Sentry, and link to. Running processes do not read it."""

        organization: str  # slugs
        project: str
        url: str  # of Sentry, without a slash at its end; "": that of the DSN
        environment: Optional[str]  # None: all
        manage: Optional[list[str]]  # None: all parts
        owners: dict[str, str]  # owner → recipient
        issues: dict[str, list[str]]  # severity → recipients
        metrics: list[str]  # recipients
        frequency: int  # minutes
        error_rate: Optional[float]  # a share
        p95: str  # modules | operations | off
        window: int  # seconds
        crons: dict[str, Optional[str]]  # beat's entry → schedule; None: no cron monitor
        filters: Optional[list[str]]  # None: as `kinds.protection` has it

    class StancesData(TypedDict):
        """What is made of exceptions, beside a monitor's own lists.

        Layers of dotted exception → severity, EXPECTED or IGNORED. In the first layer that names an exception, or a
        base class of it, the nearest class decides.
        """

        modules: dict[str, list[dict[str, str]]]  # for the monitors of these modules, before the others
        everywhere: list[dict[str, str]]  # three: the files' defaults, those of packs, `sentry.ignore_errors`
        unattended: list[dict[str, str]]  # in their place, for tasks and jobs that nobody waits for

    class SentryData(TypedDict):
        dsn: Optional[str]
        environment: str
        release: Optional[str]  # None: the commit that is checked out, if there is one
        sample_rate: float
        traces_sample_rate: float
        profiles_sample_rate: float
        tracing: str  # agent | sdk | off
        traces: TracesData
        trace_propagation_targets: Optional[list[str]]  # regular expressions of URLs; None: all
        propagate_traceparent: bool
        strict_trace_continuation: bool
        org_id: Optional[str]  # None: the one in the DSN
        debug: bool
        metrics: bool  # send what is counted
        user: list[str]
        stances: StancesData
        modules: dict[str, Optional[str]]  # those that are declared → their owners
        ignore_loggers: list[str]  # patterns: what they log is no failure
        integrations: Union[str, list[str]]
        tags: dict[str, str]
        scrub: Optional[ScrubData]
        context: list[ContextData]
        tasks: Optional[TasksData]
        celery: Optional[CeleryData]
        project: Optional[ProjectData]
        in_app_include: Optional[list[str]]  # packages that are the ERP, wherever they are installed; None: as guessed
        application: Optional[str]  # dotted path of a WSGI or ASGI application that no server shows

    class SpoolData(TypedDict):
        directory: Optional[str]
        max_size: int  # bytes
        max_age: float  # seconds
        max_files: int
        max_rate: float  # envelopes a second from one process, 0 for any number
        durable: bool
        keep_interpreter: bool  # whether an event may be written without letting other threads run meanwhile
        courier: bool  # whether a process of its own delivers, or a thread of the one that captures
        host_client: bool  # whether what a Sentry client of the host's own sends is kept there too
        history_age: float  # seconds that a delivered event stays on this machine
        history_size: int  # bytes of those that do; 0: none do

    class PlanData(TypedDict):
        """The validated, flattened configuration."""

        path: str
        files: list[str]
        environment: dict[str, Optional[str]]  # every variable that was read, with the value it had
        sentry: SentryData
        spool: SpoolData
        processes: Optional[dict[str, list[str]]]  # patterns of programs: `only` these, `skip` those
        follows: bool  # whether a running process takes up a change of the files
        renew: float  # when it is to be compiled again, in seconds since the epoch, for what it has learned; 0.0: never
        expires: float  # when it is over, in seconds since the epoch, since something is in it for a time; 0.0: never
        monitors: list[MonitorData]
        disabled: list[str]  # one line for each monitor that a Problem switched off


class Problem(Record):
    """One finding of validation. `line` and `column` count from 1; 0 means that the file as a whole is meant."""

    slug: str
    file: str
    line: int
    column: int
    path: str  # in words: monitors[2] "reserve_stock" › threshold
    message: str
    hint: str = ""
    severity: str = "error"  # error | warning | note; only errors make `validate` exit with 1


class Captured(Record):
    """The results of capture expressions: raw values by name, and why others have none (`observe.expression`)."""

    values: Mapping[str, object] = {}
    failed: Mapping[str, str] = {}


class Observation(Record):
    """One call worth reporting. Holds the host's own objects, so it never leaves the calling thread."""

    monitor: MonitorData
    operation: str
    function: str  # dotted name of the function that was patched
    report: str  # error, slow, rule, audit, stuck, repeats, budget or line
    severity: str
    message: Optional[str]  # of a rule, placeholders still in it
    operations: Sequence[str]  # enclosing monitored operations, outermost first, this one last
    ended: float  # seconds since the epoch
    exception: Optional[BaseException] = None
    traceback: Optional[TracebackType] = None  # begins at the function's own frame; of a stack: `live.running.Stack`
    frame: Optional[FrameType] = None  # the caller of the monitored function
    duration: Optional[float] = None  # seconds; None where no clock was read (no threshold, no rule)
    threshold: Optional[float] = None  # the step of the ladder that was passed, in seconds
    captured: Captured = Captured()
    suppressed: int = 0  # equal reports that limits dropped since the last one that passed
    inside: Sequence[tuple[str, int, float, float]] = ()  # of a slow call: operation, times, seconds, share
    status: Optional[int] = None  # of the HTTP response that the call returned, where it returned one
    handled: bool = False  # the ERP has dealt with the exception, and reports it itself
    more: Mapping[str, object] = {}  # further facts for the context `erp`: plain values, no private ones


#: Returned in place of an event's id: equal ones were reported, and the next one has the number of those held back.
HELD = ""


class Platform(Record):
    """What is the same for every event of a process."""

    agent_version: str = "0"
    server_name: Optional[str] = None
    release: Optional[str] = None
    python: str = sys.version.split(" ", 1)[0]


#: A Sentry event made of JSON values only, scrubbed: the only form in which anything leaves the calling thread.
Event = NewType("Event", "dict[str, Json]")


class Envelope(Record):
    """Bytes as they lie on disk and go over the wire."""

    event_id: str  # 32 hexadecimal digits
    category: str  # Sentry's data category: error, transaction, session, monitor, …
    data: bytes
