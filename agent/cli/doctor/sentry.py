"""Sentry: is the DSN right, the host known, the way to it open, the key accepted, and the clock in step?

Nothing appears in Sentry: what is sent is a client report that reports nothing. Relay responds with 200 to an envelope
without items whatever the key is, but checks the key and the project of a client report. It looks up a key that it has
not seen for a while after the response, so a second one follows. `--send` sends a marked event, which proves it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ...deliver.history import shelves
from ...deliver.http import transport
from ...deliver.http.route import Route
from ...deliver.http.transport import Outcome
from ...language.dsn import SHARED, Dsn, DsnError, parse_dsn
from .. import test
from ..terminal import moment, one_line
from .finding import FAIL, OK, SKIPPED, WARN, Finding
from .installation import Installation, named

#: For the look-up of a key that Sentry has not seen for a while.
PAUSE = 0.5  # seconds
_SKEW = 60.0  # seconds
_NOTHING = b'{}\n{"type":"client_report"}\n{"timestamp":%d,"discarded_events":[]}\n'
_CERTIFICATES = "SSL_CERT_FILE (or REQUESTS_CA_BUNDLE)"


def check(installation: Installation, *, send: bool) -> Iterator[Finding]:
    yield from _clients(installation)
    if installation.configured is None:
        yield Finding("dsn-unknown", SKIPPED, "the DSN is not known: the configuration gives no settings",
                      installation.unusable)  # fmt: skip
        return
    # A variable that holds no DSN does not count, and is a warning of the configuration.
    given = installation.configured.sentry["dsn"] or os.environ.get("SENTRY_DSN", "").strip()
    if not given:
        handed = _handed_over(installation)
        if handed:
            yield Finding("dsn-of-the-erp", OK, "there is no DSN: events go to the ERP's own Sentry client", handed)
            return
        yield Finding(
            "dsn-missing",
            WARN,
            "there is no DSN: events are kept here and not sent",
            "neither sentry.dsn nor SENTRY_DSN in this shell gives one",
            "set SENTRY_DSN for the ERP and for this shell; to see the events: python -m agent events",
        )
        return
    try:
        dsn = parse_dsn(given)
    except DsnError as error:
        what, _, todo = str(error).partition("; ")
        yield Finding("dsn-invalid", FAIL, what, "", todo)
        return
    yield Finding("dsn", OK, "the DSN is well-formed",
                  f"project {dsn.project} at {dsn.address}{dsn.path}, key [masked]")  # fmt: skip
    proxy = transport.proxy_of(dsn, Route(""))
    if proxy:
        address = urlsplit(proxy)
        name = address.hostname or ""
        yield Finding("sentry-proxy", OK, "a proxy is used", f"{address.scheme}://{name}, from the *_PROXY variables")
    elif not _known(dsn):
        yield Finding("sentry-unknown-host", FAIL, f"the host {dsn.host} is not known here",
                      "its name could not be looked up", "check the DSN and this machine's DNS, or name a proxy in "
                      "HTTPS_PROXY")  # fmt: skip
        return
    yield from _reach(installation, dsn, send=send)


def _handed_over(installation: Installation) -> str:
    """What is known of the ERP's own client that takes the agent's events; "" if there is none."""
    assert installation.configured is not None
    last = shelves.last_accepted(installation.configured.spool().directory)
    if last is not None and last.status == shelves.HANDED:
        return f"it sends to {last.host}; the last one at {moment(last.at)}"
    taking = [each for each in installation.erp if each.reported is not None and each.reported.count("handed-over")]
    return named(taking) if taking else ""


def _known(dsn: Dsn) -> bool:
    try:
        socket.getaddrinfo(dsn.host, dsn.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return True


def _reach(installation: Installation, dsn: Dsn, *, send: bool) -> Iterator[Finding]:
    assert installation.configured is not None
    sender = transport.Transport(dsn)
    try:
        outcome = sender.send(_NOTHING % int(time.time()))
        if outcome.kind == transport.ACCEPTED:
            time.sleep(PAUSE)
            outcome = sender.send(_NOTHING % int(time.time()))
        yield _outcome(outcome, dsn)
        yield from _clock(outcome.date, time.time())
        if not send:
            return
        try:
            envelope = test.envelope("error", installation.configured.sentry)
        except ImportError as error:
            yield Finding("event-not-made", FAIL, "a test event cannot be made", f"{error.name} is not installed",
                          f"install {error.name}")  # fmt: skip
            return
        outcome = sender.send(envelope.data)
        if outcome.kind == transport.ACCEPTED:
            yield Finding("event-accepted", OK, "Sentry accepted a test event", f"search for {envelope.event_id} there")
        else:
            yield Finding("event-refused", FAIL, "Sentry did not accept a test event", _reason(outcome),
                          "see the finding before this one")  # fmt: skip
    finally:
        sender.close()


def _outcome(outcome: Outcome, dsn: Dsn) -> Finding:
    detail = _reason(outcome)
    if outcome.kind == transport.ACCEPTED:
        return Finding("sentry-accepted", OK, "Sentry responds and has not refused the key",
                       "to prove it with an event: doctor --send")  # fmt: skip
    if outcome.kind == transport.LIMITED:
        return Finding("sentry-limited", WARN, "Sentry requires a wait: a quota or rate limit is reached", detail,
                       "nothing: events are kept and sent later; see the project's quotas")  # fmt: skip
    if outcome.kind == transport.REJECTED:
        return Finding("sentry-rejected", WARN, "Sentry did not understand an empty report", detail,
                       "python -m agent doctor --send proves whether events are accepted")  # fmt: skip
    if outcome.kind == transport.REFUSED and outcome.status:
        return Finding("sentry-refused", FAIL, "Sentry refuses the DSN", detail,
                       "copy the DSN again from the project's Client Keys page; is the key revoked?")  # fmt: skip
    if outcome.kind == transport.REFUSED:
        return Finding("sentry-proxy-unusable", FAIL, "the proxy cannot be used", detail,
                       "correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or add the host to NO_PROXY")  # fmt: skip
    certificate = _certificate(detail)
    if certificate is not None:
        return certificate
    return Finding(
        "sentry-unreachable",
        FAIL,
        f"Sentry at {dsn.address} cannot be reached",
        detail,
        "check firewall, address and port; behind a proxy, set HTTPS_PROXY. Events are kept meanwhile",
    )


def _certificate(detail: str) -> Finding | None:
    text = detail.lower()
    if "certificate" not in text and "ssl" not in text:
        return None
    if "expired" in text:
        hint = "renew Sentry's certificate; if it is valid, correct this machine's clock"
        return Finding("sentry-certificate", FAIL, "Sentry's certificate has expired", detail, hint)
    if "not yet valid" in text:
        hint = "correct this machine's clock"
        return Finding("sentry-certificate", FAIL, "Sentry's certificate is not valid yet", detail, hint)
    if "self-signed" in text or "self signed" in text or "local issuer" in text:
        hint = f"name the file of its issuer's certificates in {_CERTIFICATES}, for the ERP too"
        return Finding("sentry-certificate", FAIL, "the issuer of Sentry's certificate is not trusted", detail, hint)
    if "hostname" in text or "doesn't match" in text or "not valid for" in text:
        hint = "use the name in the DSN for which the certificate was issued"
        return Finding("sentry-certificate", FAIL, "Sentry's certificate is for another host", detail, hint)
    hint = "does the port of the DSN speak TLS? If so, check the proxy and the certificates between here and Sentry"
    return Finding("sentry-certificate", FAIL, "no TLS connection with Sentry", detail, hint)


def _clock(date: str, now: float) -> Iterator[Finding]:
    try:
        ahead = now - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return  # no response, or none with a date
    if abs(ahead) > _SKEW:
        words = f"{abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} Sentry's"
        yield Finding("clock-skew", WARN, f"this machine's clock is {words}", "rate limits and times of events are off",
                      "synchronise the clock: chrony, systemd-timesyncd or ntpd")  # fmt: skip
    else:
        yield Finding("clock", OK, "this machine's clock agrees with Sentry's")


def _reason(outcome: Outcome) -> str:
    return one_line(outcome.detail or outcome.kind)[:200]


def _clients(installation: Installation) -> Iterator[Finding]:
    """Who set up the Sentry SDK in the ERP's processes, from their state files."""
    twice, theirs = [], []
    for process in installation.erp:
        clients = process.reported.clients if process.reported is not None else []
        if process.reported is not None and (SHARED in process.reported.sdk or any(SHARED in one for one in clients)):
            twice.append(process)
        elif clients:
            theirs.append(process)
    if twice:
        yield Finding(
            "sentry-twice",
            WARN,
            "the ERP's own Sentry client sends to the same project",
            named(twice),
            "use another project for sentry.dsn to keep them apart: what both trace is there twice",
        )
    if theirs:
        yield Finding("sentry-client", OK, "the ERP has set up a Sentry client of its own", named(theirs))
