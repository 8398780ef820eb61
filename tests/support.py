"""Plans by hand: what the configuration would compile to, for tests below it; and calls that must not hang."""

import sys
import types
from concurrent.futures import Future
from threading import Thread

from agent.hook.targets import resolve
from agent.hook.targets.apply import Applier
from agent.language.monitor_keys import plain_monitor
from agent.observe.call.cost import Cost
from agent.observe.call.probe import Probe
from agent.observe.call.terms import Terms


def expression(text):
    from agent.language.expressions import parse

    return parse(text)


def target(path):
    module, colon, attribute = path.partition(":")
    return {
        "path": path.replace(":", "."),
        "module": module if colon else None,
        "attribute": attribute if colon else None,
        "pattern": "*" in path,
    }


def monitor(*paths, capture=None, rules=(), **settings):
    given = {"name": paths[0] if paths else "m", "where": "test:1", "rate_limit": None, **settings}
    data = plain_monitor(**{**given, "targets": [target(path) for path in paths]})
    data["capture"] = {name: expression(text) for name, text in (capture or {}).items()}
    data["rules"] = [
        {
            "when": expression(when), "message": message, "severity": severity, "escalate": often[0] if often else None,
            "each": expression(often[1]) if often[1:] else None,
        }
        for when, message, severity, *often in rules
    ]  # fmt: skip
    if data["span_data"] is not None:
        data["span_data"] = {"description": None, "data": {}, **data["span_data"]}
    if isinstance(data["unless"], str):
        data["unless"] = expression(data["unless"])
    return data


class FakeClock:
    """A clock that `work` moves: functions under test call it to spend time."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        self.now += seconds


class Watch:
    """Applies monitors to modules as the engine does, and keeps what is observed."""

    def __init__(self, *monitors, ignore=(), modules=None, everywhere=()):
        self.monitors = list(monitors)
        self.clock = FakeClock()
        self.observed = []
        self.records = []
        self.counted = {}
        ignored = dict.fromkeys(ignore, "ignored")
        self.stances = {"modules": modules or {}, "everywhere": [*everywhere, ignored]}
        self.tallies = None
        self.span = None
        self.costs = {}
        self._terms = {}
        self.applier = Applier(lambda name: self.monitors, self._bind, lambda *line: self.records.append(line))

    def _bind(self, data, found, function):
        terms = self._terms.get(id(data))
        if terms is None:
            terms = self._terms[id(data)] = Terms(
                data, report=self.report, count=self.count, stances=self.stances, clock=self.clock,
                tallies=self.tallies, span=self.span, cost=self.costs.setdefault(data["name"], Cost(data["budget"])),
            )  # fmt: skip
        return Probe(terms, found, function)

    def report(self, observation):
        self.observed.append(observation)
        return "id"

    def count(self, reason, what):
        self.counted[reason, what] = self.counted.get((reason, what), 0) + 1

    def apply(self, module):
        self.applier.imported(module.__name__, module)
        return self

    def undo(self):
        self.applier.undo()

    def reports(self):
        return [(item.report, item.operation, item.severity) for item in self.observed]


def fails(call, *args, error=ValueError):
    """Make a call that has to raise `error`."""
    try:
        call(*args)
    except error:
        return
    raise AssertionError(f"{call} did not raise {error.__name__}")


def no_work():
    """In this context no request and no task is being served, whatever a test has left open."""
    from agent.observe.around import work

    work.doing.set(None)


def module(source, name="shop", **extra):
    """A module made of source text, as an import would make it."""
    made = types.ModuleType(name)
    made.__dict__.update(extra)
    sys.modules[name] = made
    exec(compile(source, f"<{name}>", "exec"), made.__dict__)
    return made


def finishes(call, *args, timeout=60.0, **kwargs):
    """Return what the call returns. Raises TimeoutError if it hangs: what it must not wait for takes an hour."""
    return _begun(call, *args, **kwargs).result(timeout)


def at_once(number, call, timeout=60.0):
    """Make the call in this number of threads. Raises TimeoutError if one hangs, and what one raises."""
    for each in [_begun(call) for _ in range(number)]:
        each.result(timeout)


def _begun(call, *args, **kwargs):
    outcome = Future()

    def run():
        try:
            outcome.set_result(call(*args, **kwargs))
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome


def found(module_, attribute):
    return resolve.resolve(module_, attribute)
