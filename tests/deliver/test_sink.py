"""What becomes of a report that cannot be made whole: it is made smaller, at last from the plan's own words alone."""

from __future__ import annotations

import json
import linecache
import os
import sys

import pytest
import striking
from observe.making import a_monitor, an_observation, sentry

from agent.base.health import Health
from agent.base.own_folders import replace
from agent.deliver import wire
from agent.deliver.history.events import local_events
from agent.deliver.quick import switch_interval
from agent.deliver.quick.calls import QuickCalls
from agent.deliver.sink import Sink
from agent.deliver.spool import files
from agent.observe.around import context
from agent.observe.call.limits import Limiter
from agent.observe.event import event, reserve
from agent.observe.failure import attempts

SPOOL = {
    "directory": None, "max_size": 1 << 20, "max_age": 86400.0, "max_files": 100, "max_rate": 0.0, "durable": False,
    "keep_interpreter": True, "courier": False, "host_client": False,
}  # fmt: skip


class Quiet(Health):
    def flush(self, final=False, calls=None):
        pass


@pytest.fixture
def sink(tmp_path):
    return Sink(sentry(), SPOOL, str(tmp_path), Quiet("", ""))


def fail(secret):
    raise ValueError("no stock of " + secret)


def observation(**changed):
    try:
        fail("planted")
    except ValueError as error:
        return an_observation(exception=error, captured={"article": "planted"}, **changed)


def kept(sink):
    found = []
    for entry in sink.spool.entries():
        found += [json.loads(item.payload) for item in wire.decode(sink.spool.read(entry).data).items]
    return found


def refuse(error):
    def raising(*_, **__):
        raise error

    return raising


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep")])
def test_without_room_for_the_whole_event_a_smaller_one_is_kept(sink, monkeypatch, error):
    monkeypatch.setattr(event, "build", refuse(error))
    event_id = sink.report(observation())
    (made,) = kept(sink)
    assert made["event_id"] == event_id
    assert made["contexts"]["erp"]["reduced"] == type(error).__name__
    assert (made["tags"]["erp.operation"], made["tags"]["erp.module"], made["level"]) == (
        "create_order",
        "sales",
        "error",
    )
    (value,) = made["exception"]["values"]
    assert (value["type"], value["stacktrace"]["frames"][-1]["function"]) == ("ValueError", "fail")
    assert "planted" not in json.dumps(made), "no value of the host's is looked at"


def test_the_smaller_event_is_grouped_with_the_whole_one(sink, monkeypatch):
    seen = observation()
    sink.report(seen)
    monkeypatch.setattr(event, "build", refuse(MemoryError()))
    sink.report(seen)
    whole, smaller = kept(sink)
    assert whole["fingerprint"] == smaller["fingerprint"]


def test_a_template_for_the_fingerprint_counts_for_the_smaller_event_too(sink, monkeypatch):
    monkeypatch.setattr(event, "build", refuse(MemoryError()))
    sink.report(observation(monitor=a_monitor(fingerprint=["{operation}", "{cause}"])))
    assert kept(sink)[0]["fingerprint"][0] == "create_order"


def test_an_object_that_raises_while_the_event_is_made_costs_its_own_part_only(sink, monkeypatch):
    """An object of the host's that raises where nobody expects it. In the tests that is loud; in a host it is not."""
    monkeypatch.setattr("agent.base.guard.TESTING", False)
    monkeypatch.setattr(event, "build", refuse(KeyError("odd")))
    sink.report(observation())
    assert kept(sink)[0]["contexts"]["erp"]["reduced"] == "KeyError"


@pytest.mark.parametrize("report", ["slow", "rule", "audit"])
def test_reports_without_an_exception_are_made_smaller_too(sink, monkeypatch, report):
    monkeypatch.setattr(context, "collect", refuse(MemoryError()))
    sink.report(an_observation(report=report, message="{article} is short", captured={"article": "planted"}))
    (made,) = kept(sink)
    assert made["logentry"]["formatted"]
    assert made["tags"]["erp.report"] == report and "planted" not in json.dumps(made)


def test_without_room_for_the_stack_the_type_is_kept(sink, monkeypatch):
    monkeypatch.setattr(event, "build", refuse(MemoryError()))
    monkeypatch.setattr("agent.observe.event.exceptions.places", refuse(MemoryError()))
    sink.report(observation())
    (value,) = kept(sink)[0]["exception"]["values"]
    assert value["type"] == "ValueError" and "stacktrace" not in value


def test_what_cannot_be_made_at_all_is_counted(sink, monkeypatch):
    for name in ("build", "reduced"):
        monkeypatch.setattr(event, name, refuse(MemoryError()))
    assert sink.report(observation()) is None
    assert kept(sink) == []
    assert sink.health.counts == {("not-made", "create_order"): 1}


def test_what_cannot_be_written_for_want_of_memory_is_counted(sink, monkeypatch):
    monkeypatch.setattr("agent.base.guard.TESTING", False)
    monkeypatch.setattr(sink.spool.folders, "put", refuse(MemoryError()))
    sink.report(observation())
    assert sink.health.counts["not-kept", "error"] == 1


def test_memory_is_set_aside_and_given_back_for_the_report(sink, monkeypatch):
    held = []
    monkeypatch.setattr(event, "build", refuse(MemoryError()))
    make = event.reduced
    monkeypatch.setattr(event, "reduced", lambda *a, **k: held.append(reserve.held) or make(*a, **k))
    assert reserve.held is not None
    sink.report(observation())
    assert held == [None]
    assert reserve.held is not None


@pytest.mark.parametrize("again", [True, False])
def test_an_attempt_that_ends_finds_its_events_without_a_look_at_the_spool(sink, monkeypatch, again):
    """Beside a backlog of 50,000 a look takes half a second, of each task that is tried again."""
    attempt = attempts.Attempt()
    monkeypatch.setattr(attempts, "current", lambda: attempt)
    limits = Limiter((1, 60.0), clock=lambda: 100.0)
    attempts.note(limits, "bill", limits.admit("bill"))
    sink.report(observation())
    sink.report(observation())
    monkeypatch.setattr(attempts, "current", lambda: None)
    sink.report(observation())
    (*_, other) = sink.spool.entries()
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse(AssertionError("a folder is listed")))
        patched.setattr(os, "listdir", refuse(AssertionError("a folder is listed")))
        sink.settle(attempt, again=again)
    left = sink.spool.entries()
    assert other in left and len(left) == (1 if again else 3)
    assert sink.health.counts.get(("tried-again", "create_order"), 0) == (2 if again else 0)
    assert limits.admit("bill") == (0 if again else None), "what was not sent is left to another"


def test_with_a_dsn_an_attempt_that_is_not_followed_lets_its_events_go(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "agent.deliver.background.worker.start_new_thread", refuse(RuntimeError("no thread is wanted here"))
    )
    sink = Sink(sentry(dsn="http://key@127.0.0.1:9/1"), SPOOL, str(tmp_path), Quiet("", ""))
    attempt = attempts.Attempt()
    monkeypatch.setattr(attempts, "current", lambda: attempt)
    sink.report(observation())
    assert [entry.held for entry in sink.spool.entries()] == [True]
    sink.settle(attempt, again=False)
    assert [(entry.held, entry.trying) for entry in sink.spool.entries()] == [(False, True)]


@pytest.mark.parametrize("answer", ["http://127.0.0.1:9/1", "", None])
def test_what_the_hosts_client_takes_is_kept_in_the_history_and_not_to_be_sent(tmp_path, monkeypatch, answer):
    """Also what was held back until an attempt had ended."""
    given = []

    def hand_over(made, _error):
        given.append(json.loads(json.dumps(made)))
        made["tags"] = "changed by the host's client"
        return answer

    monkeypatch.setitem(sys.modules, "sentry_sdk", object())
    settings = {**SPOOL, "history_age": 86400.0, "history_size": 1 << 20}
    sink = Sink(sentry(), settings, str(tmp_path), Quiet("", ""), hand_over=hand_over)
    attempt = attempts.Attempt()
    monkeypatch.setattr(attempts, "current", lambda: attempt)
    sink.report(observation())
    assert (given, len(sink.spool.entries())) == ([], 1)
    sink.settle(attempt, again=False)
    monkeypatch.setattr(attempts, "current", lambda: None)
    sink.report(observation())
    assert [made["exception"]["values"][-1]["type"] for made in given] == ["ValueError", "ValueError"]
    found = list(local_events([sink.spool.directory]))
    assert [event.id for event in found] == [made["event_id"] for made in given]
    assert len(sink.spool.entries()) == (0 if answer else 2)
    assert {event.fate.state for event in found} == {"handed over" if answer else "held back"}
    assert {event.facts.operation for event in found} == {"create_order"}
    counted = {reason: number for (reason, _), number in sink.health.counts.items()}
    more = {"handed-over": 2} if answer else {"not-taken": 2} if answer == "" else {}
    assert counted == {"captured": 2, **more}


def test_what_is_lost_at_once_does_not_count_as_reported(tmp_path):
    sink = Sink(sentry(), {**SPOOL, "max_size": 10}, str(tmp_path), Quiet("", ""))
    sink.report(observation())
    assert sink.health.counts == {("too-large", "error"): 1}


@pytest.mark.slow(reason="a time limit at each line of a report")
def test_wherever_a_time_limit_of_the_hosts_strikes_a_report_is_kept_once_and_the_limit_goes_on(tmp_path):
    made = iter(range(10_000))

    def make():
        sys.setswitchinterval(0.005)
        folder = tmp_path / str(next(made))
        health = Quiet("", "")
        sink, report = Sink(sentry(), SPOOL, str(folder), health), observation()
        return lambda: sink.report(report), (sink, folder / "spool", health)

    for _ in range(2):
        make()[0]()  # what is found out once is known then
    met = 0
    for place, (sink, spool, health), outcome in striking.each(make, lambda file: 1 if "observe" not in file else 7):
        assert outcome == "went on", striking.name(place)
        if place[0] is Sink.report.__code__ and not sink.spool.entries():
            continue  # it had not begun: whoever calls it counts that
        assert len(sink.spool.entries()) == 1, striking.name(place)
        assert not (spool / "tmp").exists() or not os.listdir(spool / "tmp"), striking.name(place)
        kept = sum(number for (reason, _), number in health.counts.items() if reason == "captured")
        assert kept == 1 or place[0] in (Health.add.__code__, Sink._keep.__code__), striking.name(place)
        # Where a signal may strike, this is put back; a tracer strikes at the lines that see to that, too.
        assert sys.getswitchinterval() > 0.004 or place[0] in (QuickCalls.run.__code__, switch_interval.begin.__code__)
        met += 1
    assert met > 200


def open_below(folder):
    """How many descriptors lead below a folder: another test's may be collected, and closed, at any time."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link).startswith(str(folder)) for link in links if os.path.lexists(link))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors by /proc")
def test_wherever_a_time_limit_strikes_what_writes_a_file_closes_it(tmp_path):
    def make():
        path = str(tmp_path / "file")
        return lambda: (files.append(path, b"x"), replace(path, b"y"), files.read_own(path), files.unlink(path)), None

    before = open_below(tmp_path)
    for place, _, outcome in striking.each(make):
        assert outcome == "went on"
        after = open_below(tmp_path)
        line = linecache.getline(place[0].co_filename, place[1]).strip()
        closing = ("os.close(", "if descriptor", "if above", "return descriptor", "try:")  # no signal strikes there
        assert after == before or line.startswith(closing), line
        before = after
