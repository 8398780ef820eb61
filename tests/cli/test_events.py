"""`events`: the list, the story of one event, and its JSON."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import pytest

from agent.base.health import Health
from agent.base.model import Envelope
from agent.cli import options
from agent.cli.main import main
from agent.deliver import wire
from agent.deliver.http import transport
from agent.deliver.http.transport import Outcome
from agent.deliver.send.flush import flush
from agent.deliver.send.resources import to_sentry
from agent.deliver.sink import open_spool


class Script:
    """A connection with a list of outcomes; afterwards it accepts everything."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)

    def send(self, data):
        return self.outcomes.pop(0) if self.outcomes else Outcome(transport.ACCEPTED, 200)

    def close(self):
        pass


HOSTILE = "customer \x1b]0;owned\x07\x1b[2J \x9b31m \u202e unknown\nplan  up to date"


@pytest.fixture
def place(tmp_path, monkeypatch):
    config = tmp_path / "monitors.yaml"
    config.write_text("version: 1\nmonitors: []\n")
    monkeypatch.setenv("AGENT_CONFIG", str(config))
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    return config


class Arguments:
    config = None


def event(number: int, **changed):
    event_id = f"{number:032x}"
    return {
        "event_id": event_id, "timestamp": 1_700_000_000.5, "level": "error", "transaction": "create_order",
        "tags": {"erp.module": "sales", "erp.operation": "create_order", "erp.report": "error"},
        "contexts": {"erp": {"monitor": "create", "kind": "function", "defined": "monitors.yaml:4",
                             "operations": ["close_day", "create_order"], "captured": {"order": 41, "customer": HOSTILE}},
                     "tenant": {"name": "north"}},
        "user": {"id": "7"},
        "breadcrumbs": {"values": [{"timestamp": 1_700_000_000.0, "level": "info", "category": "erp",
                                    "message": "order %s is late"}]},
        "exception": {"values": [{"type": "ValueError", "value": HOSTILE, "stacktrace": {"frames": [
            {"filename": "lib.py", "function": "a", "lineno": 1, "module": "lib", "in_app": False},
            {"filename": "sales/orders.py", "function": "create", "lineno": 9, "in_app": True,
             "context_line": "    raise ValueError(text)"}]}}]},
        "fingerprint": ["create", "error", "ValueError"],
        **changed,
    }  # fmt: skip


def fill(*events, held=True, category="error", item="event"):
    where = options.configured(Arguments())
    spool = open_spool(where.spool_settings, where.state, Health(where.state, where.config), held=held)
    for each in events:
        payload = json.dumps(each).encode()
        spool.write(Envelope(each["event_id"], category, wire.encode(each["event_id"], item, payload)))


def events(capsys, *arguments):
    status = main(["events", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_equal_events_are_a_line(place, capsys):
    fill(event(1), event(2), event(3, fingerprint=["other"], contexts={"erp": {"suppressed": 9}}))
    status, out, err = events(capsys)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 6  # what a customer typed makes no line of its own
    assert sorted(line.split()[-7] for line in lines[1:3]) == ["10", "2"]
    assert lines[3] == "3 events in 2 groups: 3 held back."
    assert lines[4] == "  3 held back: captured without a DSN (to send: python -m agent spool release)"
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_where_an_event_lies_decides_what_becomes_of_it(place, capsys, monkeypatch):
    monkeypatch.setenv("SENTRY_DSN", "http://key@127.0.0.1:9/1")  # of the shell, which held events do not know
    fill(event(1), held=True)
    fill(event(2), event(3), held=False)
    for dsn in (True, False):
        _, out, _ = events(capsys)
        assert "2 waiting: the next delivery sends it" in out, dsn
        assert "1 held back: captured without a DSN" in out, dsn
        assert ("no DSN is set" in out) != dsn
        assert "held back: captured without a DSN" in events(capsys, f"{1:032x}")[1]
        assert "waiting: the next delivery sends it" in events(capsys, f"{2:032x}")[1]
        monkeypatch.delenv("SENTRY_DSN", raising=False)


def test_a_batch_of_metrics_is_no_event(place, capsys):
    fill({"event_id": "a" * 32}, category="trace_metric", item="trace_metric")
    status, out, _ = events(capsys)
    assert status == 0
    assert out.startswith("No event is in the spool")


def test_transactions_are_listed_only_where_they_are_asked_for(place, capsys):
    own, other = event(3, tags={}), event(4, tags={})
    own["contexts"]["trace"] = {"trace_id": "ab" * 16}
    other["contexts"]["trace"] = {"trace_id": "cd" * 16}
    fill(own, other)
    contexts = {"trace": {"trace_id": "ab" * 16, "data": {"erp.kept": "slow"}}}
    trace = event(
        2, type="transaction", tags={}, exception=None, contexts=contexts, start_timestamp=1_700_000_000.5,
        timestamp=1_700_000_002.0,
    )  # fmt: skip
    fill(trace, category="transaction", item="transaction")
    assert "2 events in 1 group" in events(capsys)[1]
    assert "\n1 trace in 1 group: 1 held back.\n" in events(capsys, "--kind", "transaction")[1]
    for words, shown in (
        (["--kind", "transaction"], "1.5 s, slow"),
        ([f"{2:032x}"], "0 spans in 1.5 s, kept as it was slow"),
    ):
        found = events(capsys, *words)[1]
        assert (shown in found, "ValueError" in found) == (True, False)
    assert f"kept as it was slow: python -m agent events {f'{2:032x}'[:8]}" in events(capsys, f"{3:032x}")[1]
    assert "its trace" not in events(capsys, f"{4:032x}")[1]
    assert "2 events and 1 trace in 1 group" in events(capsys, "--user", "7")[1]  # what --delete removes


@pytest.mark.parametrize("words", [["{id}"], ["show", "{id}"], ["last"], ["show", "last"], ["{short}"]])
def test_one_event_is_shown_in_detail(place, capsys, words):
    fill(event(1, fingerprint=["x"]), event(2 << 120))
    whole = f"{2 << 120:032x}"
    status, out, err = events(capsys, *(word.format(id=whole, short=whole[:6]) for word in words))
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == (
        "ERROR  sales create_order: ValueError: customer \\x1b]0;owned\\x07\\x1b[2J \\x9b31m \\u202e unknown\\n"
        "plan  up to date"
    )
    for text in ("close_day › create_order", "order = 41", "name = north", "id=7", "order %s is late", "lib.py:1 in a",
                 "▸ sales/orders.py:9 in create", "raise ValueError(text)", "2023-11-1"):  # fmt: skip
        assert text in out, text
    assert "python -m agent events " + whole[:8] + " --json" in out.splitlines()[-1]
    assert '"' not in out  # no JSON


def test_the_json_of_one_is_the_event_and_can_be_read_by_machines(place, capsys):
    fill(event(1))
    for words in (["--json"], ["--format", "json"]):
        _, out, _ = events(capsys, "show", "last", *words)
        assert json.loads(out) == event(1)
        assert "\x9b" not in out
        assert "\u202e" not in out
    _, out, _ = events(capsys, "--json")
    assert [json.loads(line) for line in out.splitlines()] == [event(1)]


def test_a_filter_without_a_hit_names_what_there_is(place, capsys):
    fill(event(1), event(2))
    for words in ([], ["--json"]):
        status, out, err = events(capsys, "--module", "stock", *words)
        assert (status, out) == (0, "")
        assert err.startswith("no event of module stock is here; there are 2 events since 20")
        assert err.endswith(", of the modules: sales 2\n")
    assert "no event matches; there are 2 events since" in events(capsys, "--text", "nothing like that")[2]
    status, out, err = events(capsys, "last", "--operation", "ship")
    assert (status, out) == (2, "")
    assert "operations: create_order 2" in err


def test_what_is_not_there_is_a_sentence(place, capsys):
    assert "no event is in the spool" in events(capsys, "last")[2]
    fill(event(1), event(2))
    assert events(capsys, "zzz") == (
        2, "", "no event here has an ID starting with 'zzz'; see: python -m agent events\n"
    )  # fmt: skip
    status, _, err = events(capsys, "000")
    assert status == 2
    assert f"{2:032x}" in err
    assert "no ID was given" in events(capsys, "show")[2]
    assert "only one event can be shown" in events(capsys, "show", "a", "b")[2]


@pytest.mark.parametrize(
    "broken", [[], {"values": None}, {"values": ["text", {"stacktrace": {"frames": [3, None]}}]}, "x"]
)
def test_an_event_of_any_shape_is_shown(place, capsys, broken):
    """Also what a client of the host's own, or an older agent, has left."""
    fill(event(1, exception=broken, breadcrumbs=broken, threads=broken, tags=broken, contexts=broken, user=broken,
               request=broken, fingerprint=None, timestamp="2024-01-01T00:00:00Z"))  # fmt: skip
    assert events(capsys)[0] == 0
    assert events(capsys, "last")[0] == 0


def deliver(*outcomes):
    """Deliver what `fill` has left for it, or fail to."""
    where = options.configured(Arguments())
    spool = where.spool()
    made = to_sentry(spool, "http://key@sentry.example:9/1", lambda *_: None)
    script = Script(*outcomes)
    return flush(made._replace(connect=lambda _: script, parallel=False), 0.3)


def test_what_became_of_each_event_is_shown(place, capsys):
    fill(*(event(number, fingerprint=[str(number)]) for number in (1, 2, 3)), held=False)
    down = Outcome(transport.UNREACHABLE, 503, "HTTP 503: maintenance")
    summary = deliver(Outcome(transport.ACCEPTED, 200), Outcome(transport.REJECTED, 413, "HTTP 413: too large"),
                      *[down] * 99)  # fmt: skip
    assert (summary.delivered, summary.quarantined, summary.waiting) == (1, 1, 1)
    fill(event(4, fingerprint=["4"]))
    _, out, _ = events(capsys)
    states = {line.split()[-1]: line for line in out.splitlines() if "sales" in line}
    assert len(states) == 1  # the first eight characters of these IDs are equal
    assert "4 events in 4 groups: 1 sent, 1 set aside, 1 waiting, 1 held back." in out
    assert "1 set aside: HTTP 413: too large" in out
    assert "Sentry does not accept it: HTTP 503: maintenance" in out
    assert "now          sent at 20" in events(capsys, f"{1:032x}")[1]
    assert "HTTP 200 from sentry.example:9" in events(capsys, f"{1:032x}")[1]
    assert "now          set aside: HTTP 413: too large" in events(capsys, f"{2:032x}")[1]
    assert "now          waiting: since " in events(capsys, f"{3:032x}")[1]
    assert json.loads(events(capsys, "--json", "--state", "sent")[1])["event_id"] == f"{1:032x}"


def test_the_newest_of_some_events_are_chosen(place, capsys):
    fill(
        *(event(number, level="warning" if number % 2 else "error", user={"id": str(number)}) for number in range(1, 9))
    )

    def chosen(*words):
        return [int(json.loads(line)["event_id"], 16) for line in events(capsys, "--json", *words)[1].splitlines()]

    assert chosen("--limit", "2") == [7, 8]
    assert chosen("--limit", "2", "--severity", "error") == [6, 8]
    assert chosen("--user", "3") == [3]
    assert chosen("--since", "1h") == list(range(1, 9))
    assert chosen("--until", "1h") == []
    assert chosen("--since", "2020-01-01", "--monitor", "create", "--kind", "error", "--text", "UNKNOWN") == list(
        range(1, 9)
    )
    assert chosen("--kind", "slow") == []
    for wrong in (["--since", "soon"], ["--limit", "0"], ["--severity", "bad"]):
        with pytest.raises(SystemExit):
            main(["events", *wrong])
        assert "invalid choice" in (err := capsys.readouterr().err) or wrong[1] in err


@pytest.mark.parametrize(
    ("text", "ago"), [("90s", 90), ("2h", 7200), ("1970-01-02T00:00:00Z", None), ("1970-01-02 00:00:00+00:00", None)]
)
def test_a_point_in_time_is_an_age_or_a_time(monkeypatch, text, ago):
    monkeypatch.setattr(options.time, "time", lambda: 1_700_000_000.0)
    assert options.point_in_time(text) == (1_700_000_000.0 - ago if ago else 86400.0)
    assert options.point_in_time("9:30") == options.point_in_time("09:30:00")


def test_the_json_is_byte_for_byte_what_was_sent(place, capsys):
    payload = b'{"event_id": "%032x",  "level":"error", "number": 1.50, "text": "Zo\xc3\xab \\u00eb"}' % 1
    where = options.configured(Arguments())
    where.spool().write(Envelope(f"{1:032x}", "error", wire.encode(f"{1:032x}", "event", payload)))
    deliver()
    assert events(capsys, "last", "--json")[1].encode() == payload + b"\n"


def test_all_events_of_a_user_can_be_deleted(place, capsys):
    fill(*(event(number, user={"id": str(number % 2), "email": "a@b.c"}) for number in range(1, 9)), held=False)
    deliver(*[Outcome(transport.ACCEPTED, 200)] * 4, Outcome(transport.REJECTED, 413, "HTTP 413"),
            *[Outcome(transport.UNREACHABLE)] * 99)  # fmt: skip
    fill(event(9, user={"id": "1"}))
    where = options.configured(Arguments())

    def places_with(user):
        return [
            path
            for path in Path(where.state).rglob("*")
            if path.is_file() and f'"{user}"'.encode() in path.read_bytes()
        ]

    assert len(places_with(1)) == 6  # and the index
    status, _, err = events(capsys, "--user", "1", "--delete")
    assert status == 2
    assert "Delete 5 events of user 1 from this machine?" in err
    assert events(capsys, "--delete", "--yes")[0] == 2  # not all of them
    assert events(capsys, "--user", "1", "--delete", "--yes") == (0, "5 events deleted.\n", "")
    assert places_with(1) == []
    assert len(events(capsys, "--json")[1].splitlines()) == 4
    assert events(capsys, "--user", "1", "--delete")[1] == "No event of user 1 is on this machine.\n"


@pytest.mark.slow(reason="thousands of events")
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_memory_does_not_grow_with_what_lies_there(place, capsys):
    large = {"values": [{"type": "ValueError", "value": "x", "stacktrace": {"frames": [
        {"filename": "f" * 200, "function": "g" * 200, "lineno": number, "in_app": True} for number in range(100)]}}]}  # fmt: skip
    fill(*(event(number, exception=large) for number in range(400)))
    events(capsys)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fill(*(event(number, exception=large) for number in range(400, 1200)))
    _, out, _ = events(capsys)
    assert "1200 events in 1 group" in out
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB; they are 40 MB


@pytest.mark.parametrize("columns", [80, 200])
def test_what_happened_can_be_read_on_a_narrow_terminal(place, capsys, monkeypatch, columns):
    fill(event(1, tags={"erp.module": "inventory", "erp.operation": "report.sales_by_customer"}))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    lines = events(capsys)[1].splitlines()
    (row,) = (number for number, line in enumerate(lines) if "ValueError: customer" in line)
    where = lines[row] if columns == 200 else lines[row + 1]
    assert "inventory" in where
    assert "report.sales_by_customer" in where
    assert all(len(line) <= columns for line in lines[: row + 2])
