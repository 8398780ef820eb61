"""What was delivered stays for a while: how it is kept, packed, expired and read again."""

from __future__ import annotations

import json
import os
import stat
import time

import pytest
from kit import Script, envelope

from agent.base.model import Envelope
from agent.deliver import handed, wire
from agent.deliver.history import events, fates, forgetting, shelves
from agent.deliver.history.events import Follower, Wanted, local_events
from agent.deliver.history.history import History
from agent.deliver.http import transport
from agent.deliver.http.transport import Outcome
from agent.deliver.send.flush import flush

DAY = 86400.0
KEPT = (7 * DAY, 64_000_000)


def event(number: int, category: str = "error", **changed) -> Envelope:
    event_id = f"{number:032x}"
    made = {
        "event_id": event_id, "level": "error", "release": "1.2", "user": {"id": "7", "email": "a@b.c"},
        "tags": {"erp.module": "sales", "erp.operation": "create_order", "erp.monitor": "create", "erp.report": "error"},
        "exception": {"values": [{"type": "ValueError", "value": f"order {number} is late"}]},
        "contexts": {"erp": {"captured": {"customer": "Zoë"}}},
        "fingerprint": ["create", "ValueError"],
        **changed,
    }  # fmt: skip
    return Envelope(event_id, category, wire.encode(event_id, "event", json.dumps(made).encode()))


@pytest.fixture
def spool(kit):
    return kit.spool(history=KEPT)


def deliver(kit, spool, *outcomes, timeout=10.0):
    return flush(kit.resources(spool, Script(*outcomes)), timeout)


def kept(kit, **selected):
    return list(local_events([kit.directory], **selected))


def numbers(kit, **selected):
    return [int(each.id, 16) for each in kept(kit, **selected)]


def files_of(kit):
    return [name for day in shelves.days(kit.directory) for name in os.listdir(day)]


def test_what_was_delivered_is_kept_with_where_and_when(kit, clock, spool):
    spool.write(event(1))
    clock.now += 3
    assert deliver(kit, spool).delivered == 1
    assert kit.files() == []
    (one,) = kept(kit)
    assert one.fate == fates.Fate("sent", "", clock.now, 200, "127.0.0.1:9")
    assert (one.id, one.at, one.facts.severity, one.facts.module) == (f"{1:032x}", clock.now - 3, "error", "sales")
    assert one.facts[2:5] == ("create_order", "create", "error")
    assert one.facts.user == "7"
    assert (one.facts.title, one.facts.release) == ("ValueError: order 1 is late", "1.2")
    assert wire.decode(event(1).data).items[0].payload == one.payload()
    assert one.data()["event_id"] == one.id


def test_nobody_else_may_read_it(kit, spool):
    spool.write(event(1))
    deliver(kit, spool)
    for folder, _, names in os.walk(shelves.folder_of(kit.directory)):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        for name in names:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600


def test_only_events_are_kept(kit, spool):
    for category in ("session", "transaction", "trace_metric", "monitor"):
        spool.write(envelope(category=category))
    assert deliver(kit, spool).delivered == 4
    assert kept(kit) == []
    assert files_of(kit) == []


def test_switched_off_it_keeps_nothing_and_removes_what_was_there(kit, spool):
    spool.write(event(1))
    deliver(kit, spool)
    assert numbers(kit) == [1]
    off = kit.spool()
    off.write(event(2))
    assert deliver(kit, off).delivered == 1
    assert kept(kit) == []
    assert shelves.days(kit.directory) == []


def test_every_event_is_listed_with_what_became_of_it(kit, clock, spool):
    for number in range(1, 4):
        spool.write(event(number))
        clock.now += 1
    kit.spool(held=True).write(event(4))
    spool.write(event(5), trying=True)
    down = Outcome(transport.UNREACHABLE, 503, "HTTP 503")
    summary = deliver(kit, spool, Outcome(transport.ACCEPTED, 200), Outcome(transport.REJECTED, 413, "HTTP 413: no"),
                      *[down] * 50, timeout=1.0)  # fmt: skip
    assert (summary.delivered, summary.quarantined, summary.waiting) == (1, 1, 1)
    states = {int(each.id, 16): each.fate for each in kept(kit)}
    assert [states[number].state for number in (1, 2, 3, 4, 5)] == [
        "sent", "set aside", "waiting", "held back", "held back",
    ]  # fmt: skip
    assert states[2].reason == "HTTP 413: no"
    assert "without a DSN" in states[4].reason
    assert "attempt" in states[5].reason
    assert numbers(kit, states=("sent",)) == [1]
    assert numbers(kit, states=("waiting", "set aside")) == [2, 3]


def test_why_one_waits(kit, clock, spool, monkeypatch):
    monkeypatch.setattr(fates.clocks, "time", clock)
    for number in (1, 2):
        spool.write(event(number))
    (one, _) = kept(kit)
    assert one.fate.reason == "the next delivery sends it"
    deliver(kit, spool, *[Outcome(transport.UNREACHABLE, 0, "cannot connect")] * 99, timeout=120.0)
    reason = kept(kit)[0].fate.reason
    assert reason.startswith("since ")
    assert "cannot connect; next attempt at" in reason
    clock.now += 3600
    deliver(kit, spool, Outcome(transport.LIMITED, 429, "HTTP 429", {"error": 60.0}), timeout=1.0)
    assert "Sentry limits envelopes of error until" in kept(kit)[0].fate.reason


def test_an_event_is_selected_by_its_facts_without_a_look_into_its_file(kit, clock, spool, opened):
    for number in range(1, 21):
        spool.write(
            event(number, level="warning" if number % 2 else "fatal", user={"id": str(number % 5)},
                  tags={"erp.module": "sales" if number <= 10 else "stock", "erp.report": "audit"})
        )  # fmt: skip
        clock.now += 60
    deliver(kit, spool)
    opened.clear()
    assert numbers(kit, severity="error") == list(range(2, 21, 2))
    assert len(opened) <= 2  # the index, and what Sentry limits
    assert numbers(kit, module="stock", severity="warning") == list(range(11, 21))
    assert numbers(kit, user="3") == [3, 8, 13, 18]
    assert numbers(kit, kind="security") == list(range(1, 21))
    assert numbers(kit, kind="slow") == []
    assert numbers(kit, since=clock.now - 120, until=clock.now - 60) == [19]
    assert numbers(kit, id=f"{7:032x}") == [7]
    assert [int(each.id, 16) for each in local_events([kit.directory], newest_first=True)] == list(range(20, 0, -1))
    assert len(opened) <= 16
    assert numbers(kit, text="ORDER late 12") == [12]
    assert numbers(kit, text="zoë", module="sales") == list(range(1, 11))


@pytest.fixture
def opened(monkeypatch):
    """The files that readers open."""
    names: list[str] = []
    read = shelves.files.read_own

    def counting(path, *rest):
        names.append(os.path.basename(path))
        return read(path, *rest)

    monkeypatch.setattr(shelves.files, "read_own", counting)
    return names


def test_many_events_of_an_hour_are_packed_and_read_as_before(kit, clock, spool, opened):
    for number in range(1, 301):
        spool.write(event(number))
        clock.now += 0.01
    deliver(kit, spool)
    before = [(each.id, each.at, each.facts, each.fate, each.payload()) for each in kept(kit)]
    loose = sum(
        os.path.getsize(os.path.join(day, name)) for day in shelves.days(kit.directory) for name in os.listdir(day)
    )
    clock.now += 60
    keeper = History(kit.directory, *KEPT, spool.ages, clock)
    keeper.sweep()
    packs = [name for name in files_of(kit) if name.endswith(".pack")]
    assert files_of(kit) == packs
    assert len(packs) == 3
    packed = sum(os.path.getsize(os.path.join(day, name)) for day in shelves.days(kit.directory) for name in packs)
    assert packed < loose / 5
    assert [(each.id, each.at, each.facts, each.fate, each.payload()) for each in kept(kit)] == before
    opened.clear()
    assert numbers(kit, severity="fatal") == []
    assert len(opened) <= 5
    opened.clear()
    assert numbers(kit, text="nowhere") == []
    assert len(opened) <= 8  # each pack is unpacked once
    keeper.sweep()  # again: nothing is left to pack
    assert sorted(files_of(kit)) == sorted(packs)


def test_events_expire_in_order_and_by_elapsed_time(kit, clock, spool):
    for number in range(1, 5):
        spool.write(event(number))
        clock.now += 3 * DAY
        deliver(kit, spool)
    clock.now += 0.5 * DAY
    keeper = History(kit.directory, 7 * DAY, 10**9, spool.ages, clock)
    keeper.sweep()
    assert numbers(kit) == [3, 4]
    clock.leap(365 * DAY)  # a clock that was set makes nothing older
    keeper.sweep()
    assert numbers(kit) == [3, 4]
    clock.now += 8 * DAY
    keeper.sweep()
    assert numbers(kit) == []
    assert shelves.days(kit.directory) == []


def test_the_oldest_go_when_there_are_too_many(kit, clock, spool):
    for number in range(1, 41):
        spool.write(event(number))
        clock.now += 3600
    deliver(kit, spool)
    History(kit.directory, 7 * DAY, 30 * 4096, spool.ages, clock).sweep()
    left = numbers(kit)
    assert left == list(range(41 - len(left), 41))
    assert 20 <= len(left) <= 27
    History(kit.directory, 7 * DAY, 10**9, spool.ages, clock, most_files=10).sweep()
    assert numbers(kit) == list(range(32, 41))


def test_a_lost_line_of_the_index_costs_only_the_response(kit, spool):
    spool.write(event(1))
    deliver(kit, spool)
    (day,) = shelves.days(kit.directory)
    os.unlink(os.path.join(day, shelves.INDEX))
    (one,) = kept(kit)
    assert (one.facts.module, one.fate.state, one.fate.status, one.fate.host) == ("sales", "sent", 0, "")
    with open(os.path.join(day, shelves.INDEX), "wb") as file:
        file.write(b'["torn", 1\n\xff\n[]\n{}\n[1,2,3,4]\n')
    assert numbers(kit) == [1]


def test_damaged_packs_and_foreign_files_are_left_out(kit, spool):
    spool.write(event(1))
    deliver(kit, spool)
    (day,) = shelves.days(kit.directory)
    for name, data in (("1-2-3.pack", b"12 [1]\nx"), ("1-2-4.pack", b""), ("x.pack", b"\xff"), ("notes", b"x")):
        with open(os.path.join(day, name), "wb") as file:
            file.write(data)
    os.symlink("/etc/passwd", os.path.join(day, f"{'9' * 20}-error-1-a-{2:032x}.sent"))
    assert numbers(kit) == [1]


def test_where_it_cannot_be_kept_it_is_removed_as_before(kit, spool, monkeypatch):
    spool.write(event(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shelves.own_folders, "make", full)
    assert deliver(kit, spool).delivered == 1
    assert (kit.files(), kept(kit)) == ([], [])
    assert kit.counts.of("sent") == 1


def test_an_event_that_is_delivered_while_it_is_read_is_read_once(kit, spool):
    for number in range(1, 6):
        spool.write(event(number))
    found = local_events([kit.directory])
    first = next(found)
    deliver(kit, spool)
    assert [first.id, *(each.id for each in found)] == [f"{number:032x}" for number in range(1, 6)]
    assert first.payload() is not None  # also from where it is now


def test_the_user_of_an_event_can_be_forgotten_in_packs_too(kit, clock, spool):
    for number in range(1, 101):
        spool.write(event(number, user={"id": str(number % 3)}))
    deliver(kit, spool)
    clock.now += 60
    History(kit.directory, *KEPT, spool.ages, clock).sweep()
    spool.write(event(101, user={"id": "1"}))
    names = {each.entry.name for each in kept(kit, user="1")}
    assert forgetting.forget(spool, names) == 35
    assert numbers(kit, user="1") == []
    assert numbers(kit) == [number for number in range(1, 101) if number % 3 != 1]
    assert all(each.data()["event_id"] == each.id for each in kept(kit))


def test_a_spool_without_deliveries_forgets_what_is_too_old_on_demand(kit, clock, spool):
    spool.write(event(1))
    deliver(kit, spool)
    clock.now += 8 * DAY
    forgetting.expire(spool)
    assert kept(kit) == []


def test_a_follower_finds_each_event_once_wherever_it_is(kit, clock, spool, monkeypatch):
    monkeypatch.setattr(events.clocks, "time", clock)
    spool.write(event(1))
    follower = Follower([kit.directory], Wanted())
    assert follower.look() == []
    spool.write(event(2))
    clock.now += 1
    kit.spool(held=True).write(event(3))
    assert [int(each.id, 16) for each in follower.look()] == [2, 3]
    for number in range(4, 60):
        spool.write(event(number))
    deliver(kit, spool)
    clock.now += 60
    History(kit.directory, *KEPT, spool.ages, clock).sweep()
    found = follower.look()
    assert [int(each.id, 16) for each in found] == list(range(4, 60))
    assert {each.fate.status for each in found} == {200}
    assert follower.look() == follower.look() == []
    chosen = Follower([kit.directory], Wanted(since=0.0, severity="fatal"))
    spool.write(event(60, level="fatal"))
    assert [int(each.id, 16) for each in chosen.look()] == [60]


def hand_over(spool, *made, where="http://127.0.0.1:9/1"):
    for each in made:
        entries = []
        spool.write(each, named=entries.append)
        handed.keep(spool, entries[0], json.loads(wire.decode(each.data).items[0].payload), where)


def test_what_the_hosts_client_has_taken_is_known_as_such_loose_packed_and_without_a_line(kit, clock, spool):
    hand_over(spool, *map(event, range(1, 41)))
    assert kit.files() == []
    (day,) = shelves.days(kit.directory)
    before = kept(kit)
    assert {each.fate[:2] for each in before} == {
        ("handed over", "to the ERP's own Sentry client, http://127.0.0.1:9/1; it is not sent again")
    }
    assert numbers(kit, states=("handed over",)) == list(range(1, 41))
    assert numbers(kit, states=("sent",)) == []
    os.unlink(os.path.join(day, shelves.INDEX))
    assert [(each.id, each.facts, each.fate.reason) for each in kept(kit)] == [
        (each.id, each.facts, "to the ERP's own Sentry client; it is not sent again") for each in before
    ]
    clock.now = time.time() + 60  # the files were moved by the clock of the machine
    History(kit.directory, 100 * 365 * DAY, 10**9, spool.ages, clock).sweep()
    assert [name.rpartition(".")[2] for name in files_of(kit)] == ["pack"]
    assert numbers(kit, states=("handed over",)) == list(range(1, 41))
    assert shelves.totals(kit.directory)[::2] == (40, 40)
    assert forgetting.forget(spool, {kept(kit)[0].entry.name}) == 1
    assert numbers(kit) == list(range(2, 41))


def test_without_a_delivery_the_bounds_of_what_was_handed_over_are_enforced(kit, clock, spool):
    hand_over(spool, event(1))
    clock.now += 8 * DAY
    expiry = forgetting.Expiry(spool)
    expiry.turn()
    assert numbers(kit) == []


def test_where_nothing_is_kept_the_last_event_that_was_accepted_is_known(kit, clock):
    spool = kit.spool()
    spool.write(event(1))
    spool.write(event(2, "transaction"))
    deliver(kit, spool)
    assert kept(kit) == []
    assert shelves.last_accepted(kit.directory) == (clock.now, 200, "127.0.0.1:9")
