"""What waits for the Sentries of the host's own clients: folders, ways, waiting, adoption."""

from __future__ import annotations

import os
import stat

import pytest
from kit import Script, envelope
from receiver import HANG, Receiver

from agent.deliver import clients
from agent.deliver.background.sender import Sender
from agent.deliver.http.route import Route, decode, found
from agent.deliver.http.transport import Transport
from agent.language.dsn import parse_dsn

SETTINGS = {
    "directory": None, "max_size": 1 << 20, "max_age": 1e6, "max_files": 100, "max_rate": 0.0, "durable": False,
    "keep_interpreter": True,
    "host_client": True, "courier": False,
}  # fmt: skip


def route(dsn="http://key@127.0.0.1:9/1", **options):
    return Route(dsn, "sentry.python/2.0.0", **options)


@pytest.fixture
def open_one(tmp_path, counts):
    opened = []

    def open_(way):
        opened.append(clients.Destination(way, SETTINGS, str(tmp_path), counts))
        return opened[-1]

    yield open_
    for each in opened:
        each.sender.close(0.0)


@pytest.mark.parametrize(
    ("way", "scheme", "bypass", "proxy"),
    [
        (route(), "https", False, "http://env-https"),
        (route(), "http", False, "http://env-http"),
        (route(), "https", True, None),
        (route(https_proxy="http://own"), "https", True, "http://own"),
        (route(https_proxy="http://own"), "http", False, "http://env-http"),
        (route(http_proxy="http://own", https_proxy=""), "https", False, "http://own"),
        (route(http_proxy="", https_proxy=""), "https", False, None),
        (route(http_proxy="own:3128"), "http", False, "http://own:3128"),
        (Route("http://key@h/1"), "https", False, "http://env-https"),
        (Route("http://key@h/1"), "ftp", False, "http://env-all"),
        (Route("http://key@h/1"), "https", True, None),
    ],
)
def test_proxies_are_chosen_as_the_sdk_does_for_its_clients(way, scheme, bypass, proxy):
    environment = {"https": "http://env-https", "http": "http://env-http", "all": "http://env-all"}
    assert way.proxy(scheme, environment, bypass=bypass) == proxy


def test_a_route_is_kept_beside_what_goes_there_for_its_owner_alone(tmp_path):
    way = route(proxy_headers={"X": "y"}, socket_options=[[6, 4, 45]], ca_certs="/ca.pem")
    folder = str(tmp_path / "a" / "b")
    way.keep(folder)
    assert found(folder) == way
    assert stat.S_IMODE(os.stat(os.path.join(folder, "route")).st_mode) == 0o600
    assert "key" not in way.name()
    assert way.name() == route(proxy_headers={"X": "y"}, socket_options=[[6, 4, 45]], ca_certs="/ca.pem").name()
    assert way.name() != route(proxy_headers={"X": "z"}, socket_options=[[6, 4, 45]], ca_certs="/ca.pem").name()
    assert way.abroad() == route()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"dsn": 1, "client": ""}', b'{"dsn": "", "client": "", "x": 1}']
)
def test_what_is_no_route_is_refused(tmp_path, data):
    with pytest.raises(ValueError):
        decode(data)
    (tmp_path / "route").write_bytes(data)
    assert found(str(tmp_path)) is None


def test_a_secret_of_an_old_dsn_is_sent_for_the_client_it_belongs_to(receiver):
    dsn = receiver.dsn.replace("public@", "public:hush@")
    for way in (Route(dsn), route(dsn)):
        Transport(parse_dsn(dsn), route=way).send(envelope().data)
    ours, theirs = [request.headers["X-Sentry-Auth"] for request in receiver.requests]
    assert "hush" not in ours
    assert theirs.endswith("sentry_client=sentry.python/2.0.0, sentry_key=public, sentry_secret=hush")


def test_other_processes_find_what_is_kept_with_its_route(open_one, tmp_path, counts):
    one = envelope()
    kept = open_one(route())
    assert kept.keep(one)
    kept.sender.close(0.0)
    (other,) = clients.find(SETTINGS, str(tmp_path), counts)
    assert other.route == route()
    assert other.where == "http://127.0.0.1:9/1"
    assert [entry.event_id for entry in other.spool.entries()] == [one.event_id]


def test_what_no_spool_could_hold_is_left_to_the_client(open_one, tmp_path):
    assert not open_one(route()).keep(envelope(size=2 << 20))
    assert not os.path.exists(tmp_path / "spool")


def test_what_waits_for_another_destination_is_delivered_too(open_one, tmp_path, counts, receiver):
    one = envelope()
    left = open_one(route(receiver.dsn))
    left.spool.write(one)
    route(receiver.dsn).keep(left.spool.directory)
    clients.adopt(SETTINGS, str(tmp_path), counts, but=route(receiver.dsn).name())
    clients.adopt(SETTINGS, str(tmp_path), counts, but=route().name())
    assert [each.event_id for each in receiver.wait_for(1)] == [one.event_id]


def test_to_drain_is_to_wait_until_everything_was_delivered_or_tried(open_one, counts):
    with Receiver() as receiver:
        kept = open_one(route(receiver.dsn))
        ids = [envelope() for _ in range(5)]
        for each in ids:
            kept.keep(each)
        assert kept.sender.drain(30.0) > 0
        assert sorted(receiver.ids) == sorted(each.event_id for each in ids)
        receiver.program(default=503)
        kept.keep(envelope())
        assert kept.sender.drain(30.0) > 0, "one that fails is tried once, and not waited for"
        assert kept.spool.number_waiting() == 1


def test_drain_keeps_its_timeout_and_reports_what_still_waits(open_one):
    with Receiver(default=HANG) as receiver:
        kept = open_one(route(receiver.dsn))
        kept.keep(envelope())
        reported = []
        assert kept.sender.drain(0.3, reported.append) == 0.0
        assert reported == [1]


def test_where_no_thread_can_be_started_any_more_the_one_that_waits_delivers(open_one, monkeypatch, receiver):
    def refuse(*_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr("agent.deliver.background.worker.start_new_thread", refuse)
    kept = open_one(route(receiver.dsn))
    one = envelope()
    kept.keep(one)
    assert receiver.ids == []
    kept.sender.drain(10.0)
    assert receiver.ids == [one.event_id]
    assert kept.spool.number_waiting() == 0


def test_a_drain_waits_for_nothing_that_others_wrote(kit):
    spool = kit.spool()
    spool.write(envelope())
    os.rename(
        os.path.join(spool.directory, "new", kit.files()[0]),
        os.path.join(spool.directory, "new", kit.files()[0].replace(f"-{os.getpid()}-", "-1-")),
    )
    # no time passes: it would wait for ever
    sending = Sender(kit.resources(spool, Script(), tick=lambda: 0.0))
    assert sending.drain(1.0) == 1.0
    sending.close(0.0)
