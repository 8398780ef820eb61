"""Makes the probes of a process, with what all functions of a monitor share: terms, limits, cost, counts."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FunctionType

    from ..base.model import MonitorData, Observation
    from ..hook.targets.resolve import Found
    from ..live.stuck import Stuck
    from ..observe.call.limits import Limiter
    from ..observe.call.probe import Probe
    from ..observe.call.terms import Terms
    from .costs import Costs
    from .counting import Counting
    from .frameworks import Frameworks
    from .outlet import Outlet


class Probes:
    def __init__(
        self,
        outlet: "Outlet",
        counting: "Counting",
        costs: "Costs",
        frameworks: "Frameworks",
        report: "Callable[[Observation], str | None]",
    ) -> None:
        self.any = False  # was one made?
        self._outlet = outlet
        self._counting = counting
        self._costs = costs
        self._frameworks = frameworks
        self._report = report
        #: Loaded with the first of them: an import in a function is looked up again each time.
        self._kinds: "tuple[type[Probe], type[Terms], type[Limiter]] | None" = None
        self._terms: "Terms | None" = None  # of the monitor that was bound last
        self._limiters: "dict[str, Limiter]" = {}
        self._stuck: "Stuck | None" = None  # where a monitor asks for it

    def bind(self, monitor: "MonitorData", found: "Found", function: "FunctionType") -> "Probe":
        """The probe of one monitor on one function."""
        self.any = True
        if monitor["learned"]:
            monitor = _with_learned(monitor, found, function)
        if monitor["stuck"] is not None:
            self._look_for_stuck(monitor["stuck"])
        terms = self.terms_of(monitor)
        probe = (self._kinds or self._load())[0](terms, found, function)
        for reason in probe.disabled:
            self._outlet.health.record("failed", monitor["name"], found.path, reason)
        return probe

    def _load(self) -> "tuple[type[Probe], type[Terms], type[Limiter]]":
        from ..observe.call.limits import Limiter
        from ..observe.call.probe import Probe
        from ..observe.call.terms import Terms

        self._kinds = Probe, Terms, Limiter
        return self._kinds

    def begin_anew(self) -> None:
        """With the next import: by then, the host may trace."""
        self._terms = None

    def replan(self) -> None:
        """Another plan is in force: its monitors have limits of their own."""
        self._terms = None
        self._limiters.clear()
        self._costs.bring_all_back()

    def look_only_for(self, probes: "Iterable[Probe]") -> None:
        """These are all that there are: calls of no others are looked at while they run."""
        if self._stuck is not None:
            asked = [probe.terms.monitor["stuck"] for probe in probes]
            self._stuck.follow_only([seconds for seconds in asked if seconds is not None])

    def terms_of(self, monitor: "MonitorData") -> "Terms":
        """What all functions of a monitor share, those of one module after the other."""
        terms = self._terms
        if terms is None or terms.monitor is not monitor:
            health = self._outlet.health
            terms = self._terms = (self._kinds or self._load())[1](
                monitor,
                report=self._report,
                count=health.count,
                failed=health.failed,
                stances=self._outlet.sentry["stances"],
                limiter=self._limiter(monitor),
                cost=self._costs.of(monitor),
                span=self._frameworks.tracing.span_for(monitor),
                tallies=self._counting.tallies() if monitor["metrics"] and self._counting.works else None,
            )
        return terms

    def _limiter(self, monitor: "MonitorData") -> "Limiter":
        """The limits of a monitor, which all its functions share."""
        limiter = self._limiters.get(monitor["name"])
        if limiter is None:
            sample = monitor["sample"] * self._outlet.sentry["sample_rate"]
            kind = (self._kinds or self._load())[2]
            limiter = self._limiters[monitor["name"]] = kind(monitor["rate_limit"], sample)
        return limiter

    def _look_for_stuck(self, seconds: float) -> None:
        if self._stuck is None:
            from ..live.stuck import Stuck

            self._stuck = Stuck(self._report, self._outlet.health.count)
        self._stuck.follow(seconds)

    def keep_looking(self) -> None:
        if self._stuck is not None:
            self._stuck.keep_looking()

    def close(self) -> None:
        if self._stuck is not None:
            self._stuck.close(0.0)

    def after_fork(self) -> None:
        if self._stuck is not None:
            self._stuck.after_fork()


def _with_learned(monitor: "MonitorData", found: "Found", function: "FunctionType") -> "MonitorData":
    """The monitor with the threshold that its operation has learned, if it has learned enough."""
    from ..observe.call import arguments, naming

    operation = naming.named(monitor, found, arguments.definition(found.inner or function))[0].operation
    seconds = monitor["learned"].get(operation)
    if seconds is None:
        return monitor
    severity = monitor["severity"] if monitor["severity"] in ("debug", "info") else "warning"
    return {**monitor, "thresholds": [(seconds, severity)]}
