from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import warnings

import pytest
import receiver as receiver_module
from kit import ROOT, envelope
from receiver import DRIP, DRIP_HEADERS, HALF_CLOSED, HANG, RESET, Answer, Receiver, Socks, Tunnels
from support import finishes

from agent.deliver import wire
from agent.deliver.http import transport
from agent.deliver.http.transport import Outcome, Transport, parse_limits
from agent.language.dsn import parse_dsn


@pytest.mark.parametrize(
    ("header", "limits"),
    [
        ("", {}),
        ("60:transaction:key", {"transaction": 60.0}),
        ("60::organization", {"": 60.0}),
        (
            "60:error;transaction:project, 2700:session:key:quota",
            {"error": 60.0, "transaction": 60.0, "session": 2700.0},
        ),
        ("10:error:key,20:error:key,5:error:key", {"error": 20.0}),
        ("nonsense, x:y:z, 60, -1:error:key, nan:error:key, 1:log_item:key", {"log_item": 1.0}),
        ("9e99:error:key", {"error": 86400.0}),
        ("60:metric_bucket:key::sessions;spans", {}),
        ("60:metric_bucket:key::custom", {"metric_bucket": 60.0}),
    ],
)
def test_limits(header, limits):
    assert parse_limits(header) == limits


def send(receiver, data=None, **options):
    connection = Transport(parse_dsn(receiver.dsn), **options)
    try:
        return connection.send(data or envelope().data)
    finally:
        connection.close()


def test_an_envelope_arrives_whole_with_its_headers(receiver):
    one = envelope(size=50_000)
    outcome = send(receiver, one.data)
    assert (outcome.kind, outcome.status) == (transport.ACCEPTED, 200)
    (request,) = receiver.requests
    assert request.path == "/api/42/envelope/"
    assert "sentry_key=public" in request.headers["X-Sentry-Auth"]
    assert "sentry_version=7" in request.headers["X-Sentry-Auth"]
    assert request.headers["Content-Encoding"] == "gzip"
    assert int(request.headers["Content-Length"]) < 5000
    assert wire.decode(request.body).items == wire.decode(one.data).items
    assert receiver.events[0]["event_id"] == one.event_id
    assert "sent_at" in receiver.envelopes[0].headers


def test_the_connection_is_kept_between_envelopes(receiver):
    connection = Transport(parse_dsn(receiver.dsn))
    for _ in range(5):
        assert connection.send(envelope().data).kind == transport.ACCEPTED
    (key,) = connection.pool.pools.keys()
    assert connection.pool.pools[key].num_connections == 1
    connection.close()


@pytest.mark.parametrize(
    ("answer", "kind", "limits"),
    [
        (Answer(200, {"X-Sentry-Rate-Limits": "60:transaction:key"}), "accepted", {"transaction": 60.0}),
        (Answer(429, {"X-Sentry-Rate-Limits": "60:error:key"}), "limited", {"error": 60.0}),
        (Answer(429, {"Retry-After": "7"}), "limited", {"": 7.0}),
        (Answer(429), "limited", {"": 60.0}),
        (Answer(429, {"Retry-After": "soon"}), "limited", {"": 60.0}),
        (Answer(400, body=b'{"detail":"bad"}'), "rejected", {}),
        (Answer(413), "rejected", {}),
        (Answer(401), "refused", {}),
        (Answer(403), "refused", {}),
        (Answer(302, {"Location": "http://127.0.0.1:1/"}), "refused", {}),
        (Answer(408), "unreachable", {}),
        (Answer(500), "unreachable", {}),
        (Answer(503, {"Retry-After": "5"}), "unreachable", {}),
        (HANG, "unreachable", {}),
        (RESET, "unreachable", {}),
        (HALF_CLOSED, "unreachable", {}),
        (DRIP, "rejected", {}),
        (DRIP_HEADERS, "unreachable", {}),
    ],
)
def test_each_response_has_its_outcome(receiver, answer, kind, limits):
    receiver.program(answer)
    ends = answer.how not in ("hang", "drip", "drip-headers")  # such a response may be late on a busy machine
    outcome = send(receiver, read_timeout=60.0 if ends else 0.4)
    assert (outcome.kind, dict(outcome.limits)) == (kind, limits)
    assert outcome.status == (answer.status if answer.how == "answer" else 400 if answer is DRIP else 0)
    if kind != "accepted":
        assert outcome.detail


def test_the_beginning_of_the_response_is_kept_with_its_status(receiver):
    receiver.program(Answer(400, body=b'{"detail":"' + b"x" * 10_000))
    detail = send(receiver).detail
    assert detail.startswith('HTTP 400: {"detail":"xxx')
    assert len(detail) < 600


def test_retry_after_may_be_a_date(receiver):
    from email.utils import formatdate

    receiver.program(Answer(429, {"Retry-After": formatdate(time.time() + 100, usegmt=True)}))
    assert 90 < send(receiver).limits[""] <= 100


def test_refusal_and_names_that_do_not_exist_are_unreachable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "refused" in Transport(parse_dsn(f"http://k@127.0.0.1:{port}/1")).send(envelope().data).detail
    outcome = Transport(parse_dsn("http://k@does-not-exist.invalid/1")).send(envelope().data)
    assert outcome.kind == "unreachable"
    assert outcome.detail


def test_a_server_that_speaks_no_tls_is_unreachable(receiver):
    outcome = Transport(parse_dsn(receiver.dsn.replace("http:", "https:"))).send(envelope().data)
    assert outcome.kind == "unreachable"
    assert "SSL" in outcome.detail


def test_a_proxy_of_the_environment_is_used_and_no_proxy_obeyed(receiver, monkeypatch):
    with Receiver() as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        assert send(receiver).kind == transport.ACCEPTED
        assert proxy.requests[0].path == f"http://127.0.0.1:{receiver.port}/api/42/envelope/"
        assert proxy.requests[0].headers["Proxy-Authorization"] == "Basic dXNlcjpwQHNz"
        assert receiver.requests == []
        monkeypatch.setenv("no_proxy", "example.com,127.0.0.1")
        assert send(receiver).kind == transport.ACCEPTED
        assert len(receiver.requests) == 1
        assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("scheme", "host"), [("socks5", b"127.0.0.1"), ("socks5h", b"localhost"), ("SOCKS5H", b"localhost")]
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_socks_proxy_is_used(authority, monkeypatch, scheme, host, tls):
    pytest.importorskip("socks")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    certificate = str(authority / "server.pem") if tls else None
    with Receiver(certificate=certificate) as sentry, Socks(b"erp", b"p@ss") as proxy:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://erp:p%40ss@127.0.0.1:{proxy.port}")
        connection = Transport(parse_dsn(sentry.dsn.replace("127.0.0.1", "localhost")))
        assert [connection.send(envelope().data).kind for _ in range(3)] == [transport.ACCEPTED] * 3
        connection.close()
        assert proxy.requested == [(b"erp", b"p@ss", host, sentry.port)]
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        assert send(sentry).kind == transport.ACCEPTED
        assert (len(proxy.requested), len(sentry.ids)) == (1, 4)


def test_a_request_through_a_socks_proxy_has_one_deadline_and_known_descriptors(monkeypatch, tmp_path):
    pytest.importorskip("socks")
    with Receiver() as sentry, Socks() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        connection = Transport(parse_dsn(sentry.dsn), connect_timeout=0.3, read_timeout=0.4)
        sentry.program(DRIP_HEADERS)
        assert connection.send(envelope().data).kind == transport.UNREACHABLE  # its bytes come sooner than any timeout
        assert connection.send(envelope().data).kind == transport.ACCEPTED
        (number,) = [int(name) for name in os.listdir("/proc/self/fd") if leads_to(int(name), proxy.port)]
        theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
        os.dup2(theirs, number)
        os.close(theirs)
        assert connection.send(envelope().data).kind == transport.ACCEPTED
        connection.close()
        assert os.fstat(number).st_size == 0
        os.close(number)


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://u:hidden@127.0.0.1:1", "PySocks"),
        ("socks://u:hidden@127.0.0.1:1", "socks://"),
        ("ftp://u:hidden@127.0.0.1:1", "ftp://"),
        ("http://u:hidden@127.0.0.1:port", "is no address"),
        ("http://u:hidden@", "is no address"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_a_word_of_its_address(receiver, monkeypatch, proxy, words):
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = send(receiver)
    assert outcome.kind == transport.REFUSED
    assert words in outcome.detail
    assert "hidden" not in outcome.detail
    assert receiver.requests == []


def test_a_delivery_writes_nothing_to_the_hosts_log(receiver, caplog):
    import logging

    import urllib3

    caplog.set_level(logging.DEBUG)
    connection = Transport(parse_dsn(receiver.dsn))
    receiver.program(RESET, HALF_CLOSED)
    assert {connection.send(envelope().data).kind for _ in range(4)} == {transport.ACCEPTED, transport.UNREACHABLE}
    assert caplog.records == []
    urllib3.PoolManager().request("GET", f"http://127.0.0.1:{receiver.port}/")
    assert {record.name for record in caplog.records} == {"urllib3.connectionpool"}, "the host's own are there"


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A folder with ca.pem and, signed by it, server.pem for localhost."""
    import shutil

    if not shutil.which("openssl"):
        pytest.skip("there is no openssl command")
    place = tmp_path_factory.mktemp("authority")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (place / "ext").write_text(
        "subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n"
    )
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=A test authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", cwd=place)  # fmt: skip
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost", cwd=place)
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "ext", "-out", "server.crt", cwd=place)  # fmt: skip
    (place / "server.pem").write_text((place / "server.key").read_text() + (place / "server.crt").read_text())
    return place


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_tls_with_an_authority_of_the_environment(authority, monkeypatch, variable):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(variable, str(authority / "ca.pem"))
    with Receiver(certificate=str(authority / "server.pem")) as secure:
        one = envelope(size=100_000)
        assert send(secure, one.data).kind == transport.ACCEPTED
        assert secure.ids == [one.event_id]
        secure.program(DRIP_HEADERS)
        assert finishes(send, secure, connect_timeout=0.3, read_timeout=0.4).kind == transport.UNREACHABLE


def test_an_unknown_certificate_authority_is_unreachable_and_gets_no_data(authority, monkeypatch):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with Receiver(certificate=str(authority / "server.pem")) as secure:
        outcome = send(secure)
        assert outcome.kind == transport.UNREACHABLE
        assert "CERTIFICATE_VERIFY_FAILED" in outcome.detail
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        connection = Transport(parse_dsn(secure.dsn.replace("localhost", "127.0.0.1")))  # not what it was issued for
        assert connection.send(envelope().data).kind == transport.UNREACHABLE
        assert secure.requests == []


def test_a_connection_with_tls_whose_number_the_host_has_given_away_writes_and_closes_nothing(
    authority, monkeypatch, tmp_path
):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with Receiver(certificate=str(authority / "server.pem")) as secure:
        connection = Transport(parse_dsn(secure.dsn))
        assert connection.send(envelope().data).kind == transport.ACCEPTED
        (number,) = [int(name) for name in os.listdir("/proc/self/fd") if leads_to(int(name), secure.port)]
        theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
        os.dup2(theirs, number)  # as a host does that closes all descriptors and opens its own files
        try:
            assert connection.send(envelope().data).kind == transport.ACCEPTED  # over another one
            connection.close()
            assert os.fstat(number).st_size == 0
        finally:
            os.close(number)
            os.close(theirs)


def leads_to(number: int, port: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            return copy.getpeername()[1] == port
    except OSError:
        return False


def test_tls_through_a_proxy_and_around_it(authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with Receiver(certificate=str(authority / "server.pem")) as secure, Tunnels() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert send(secure).kind == transport.ACCEPTED
        assert proxy.targets == [f"localhost:{secure.port}"]
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert send(secure).kind == transport.ACCEPTED
        assert len(proxy.targets) == 1
        assert len(secure.ids) == 2


def test_a_server_that_takes_a_request_by_the_byte_does_not_hold_the_sender():
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        reached, over = threading.Event(), threading.Event()

        def dawdle():
            connection, _ = server.accept()
            with connection:
                reached.set()
                while not over.wait(0.05) and connection.recv(64):
                    pass

        threading.Thread(target=dawdle, daemon=True).start()
        big = wire.encode("a" * 32, "attachment", os.urandom(3_000_000))
        connection = Transport(parse_dsn(f"http://k@127.0.0.1:{server.getsockname()[1]}/1"), connect_timeout=0.3, read_timeout=0.3)  # fmt: skip
        try:
            outcome = finishes(connection.send, big)
            assert outcome.kind == transport.UNREACHABLE
            assert "no connection can be set up" not in outcome.detail
            assert reached.wait(60.0)
        finally:
            over.set()


def test_https_goes_through_a_proxy_by_connect(monkeypatch):
    with Receiver() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        outcome = Transport(parse_dsn("https://k@sentry.example/1")).send(envelope().data)
        assert outcome.kind == transport.UNREACHABLE
        assert proxy.requests[0].path == "sentry.example:443"


def test_without_urllib3_the_outcome_has_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "urllib3", None)
    outcome = Transport(parse_dsn("https://k@h/1")).send(envelope().data)
    assert outcome.kind == transport.UNREACHABLE
    assert "urllib3 cannot be imported" in outcome.detail


def test_importing_the_file_imports_no_network_code():
    code = "import sys, agent.deliver.http.transport; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": ROOT}, capture_output=True, check=True, text=True
    ).stdout
    assert {"ssl", "socket", "urllib3", "http", "email", "json", "threading", "logging"}.isdisjoint(out.split())


def test_data_that_is_no_envelope_does_not_raise(receiver):
    assert send(receiver, b"nonsense").kind == transport.UNREACHABLE


def test_the_receiver_understands_every_encoding():
    import gzip
    import zlib

    decode = receiver_module.decode_body
    assert decode(gzip.compress(b"x"), "gzip") == decode(zlib.compress(b"x"), "deflate") == decode(b"x", "") == b"x"
    brotli = pytest.importorskip("brotli")
    assert decode(brotli.compress(b"x"), "br") == b"x"
    assert Outcome("accepted").limits == {}
