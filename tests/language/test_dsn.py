from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.config.load import examine
from agent.language.dsn import Dsn, DsnError, parse_dsn, same_project


@pytest.mark.parametrize(
    ("dsn", "parsed", "url"),
    [
        (
            "https://key@sentry.io/1",
            Dsn("https", "key", "sentry.io", 443, "", "1"),
            "https://sentry.io/api/1/envelope/",
        ),
        (
            " http://key:secret@[::1]:9000/a/b/42/?x=1 ",
            Dsn("http", "key", "::1", 9000, "/a/b", "42"),
            "http://[::1]:9000/a/b/api/42/envelope/",
        ),
        ("https://k@h/1?verify_ssl=0&timeout=3#x", Dsn("https", "k", "h", 443, "", "1"), "https://h/api/1/envelope/"),
        ("http://k@h/a/1/", Dsn("http", "k", "h", 80, "/a", "1"), "http://h/a/api/1/envelope/"),
        ("HTTPS://k@h:443/7", Dsn("https", "k", "h", 443, "", "7"), "https://h/api/7/envelope/"),
    ],
)
def test_dsn(dsn, parsed, url):
    assert parse_dsn(dsn) == parsed
    assert parsed.envelope_url == url


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("", "does not begin with"),
        ("sentry.io/1", "does not begin with"),
        ("ftp://k@h/1", "does not begin with"),
        ("https://sentry.io/1", "no key"),
        ("https://:hush@sentry.io/1", "no key"),
        ("https://k@/1", "no host"),
        ("https://k@h", "project number"),
        ("https://k@h/", "project number"),
        ("https://k@h/a b", "project number"),
        ("https://k@h:x/1", "port"),
        ("https://k@h:99999/1", "port"),
        ("https://k@h:0/1", "port"),
        ("'https://k@h/1'", "quotes"),
        ('"https://k@h/1"', "quotes"),
        ("https://k@[::1/1", "no host's name"),
        ("https://k@[::1]9000/1", "no host's name"),
        ("https://k@h%20/1", "no host's name"),
        ("https://<key>@h/1", "characters that no key has"),
        ("https://${KEY}@h/1", "characters that no key has"),
        ("https://clé@h/1", "characters that no key has"),
        ("requests+http://k@h/1", "does not begin with"),
        ("None", "does not begin with"),
        ("https://k\r\nX: y:hush@h/1", "control characters"),
    ],
)
def test_a_bad_dsn_says_what_is_wrong_and_does_not_repeat_it(dsn, says):
    with pytest.raises(DsnError, match=says) as raised:
        parse_dsn(dsn)
    assert "hush" not in str(raised.value)


# Beside Sentry's SDK. Where the two differ, we have decided so:
_WE_ACCEPT = (
    ("spaces around it, as copied from a page", lambda text: text != text.strip()),
    ("a slash at its end", lambda text: re.search(r"/(?:[?#]|$)", text.strip())),
    ("a project that is a name, as of servers that speak Sentry's protocol", lambda text: re.search(r"/[\w-]+(?:[?#]|$)", text)),
)  # fmt: skip
_WE_REFUSE = (
    ("the port 0, to which nobody can connect", lambda text: re.search(r":0+/", text)),
    ("a project that Python happens to read as a number: `+1`, ` 1`, `١`", lambda text: not re.search(r"/[\w-]+(?:[?#]|$)", text, re.A)),
    ("blanks inside", lambda text: re.search(r"\s", text.strip())),
    ("what no address and no key can hold", lambda text: re.search(r"[%<>{}\"'`\\\\;,!$|^\[\]é]", text)),
)  # fmt: skip

_piece = st.sampled_from(["k", "0a1b2c", "key-1", ":", "secret", "@", "h", "H.example", "127.0.0.1", "[::1]", "[", "]", ":8000", ":0", ":99999",
    ":x", "/", "/1", "/42", "/a", "/p/q", "?", "?verify_ssl=0", "#x", " ", "\n", "%", "<", "$", "'", '"', "é", "+1", "1_0", "_", "-"])  # fmt: skip
_near = st.builds(
    lambda scheme, key, host, path, end: f"{scheme}{key}{host}{path}{end}",
    st.sampled_from(["https://", "http://", "HTTP://", "Https://", "", "ftp://", "://", " https://", "https:/"]),
    st.sampled_from(["k@", "k:s@", "k:@", ":s@", "@", "", "k@k@", "k k@", "<k>@"]),
    st.sampled_from(["h", "H.example", "h:8000", "h:", "h:0", "h:99999", "h:x", "[::1]", "[::1]:9", "[::1", "h h", "", "h_1", "1.2.3.4"]),
    st.sampled_from(["", "/", "/a/", "/a/b/", "//"]),
    st.sampled_from(["1", "42/", "x", "1?a=b", "1#c", "1/?x", "", "+1", "1_0", " 1", "1 ", "1\n", "-1", "0"]),
)  # fmt: skip
_dsns = st.one_of(_near, st.lists(_piece, max_size=10).map(lambda parts: "https://" + "".join(parts)))


@pytest.mark.slow(reason="a large space: 1500 examples")
@settings(max_examples=1500, deadline=None)
@given(_dsns)
@example("HTTP://k@127.0.0.1:8911/1?verify_ssl=0")
def test_what_the_sdk_can_use_we_can_and_the_reverse(text):
    utils = pytest.importorskip("sentry_sdk.utils")
    try:
        theirs = utils.Dsn(text)
    except (utils.BadDsn, ValueError):
        theirs = None
    try:
        ours = parse_dsn(text)
    except DsnError:
        ours = None
    if ours and theirs:
        assert (ours.scheme, ours.public_key, ours.host.lower(), ours.port) == (
            theirs.scheme, theirs.public_key, theirs.host, theirs.port)  # fmt: skip
        assert ours.path.rstrip("/") == re.sub("/+$", "", "/" + theirs.path.strip("/")).rstrip("/")
    elif ours or theirs:
        assert any(differs(text) for _, differs in (_WE_ACCEPT if ours else _WE_REFUSE)), (ours, theirs)


@pytest.mark.parametrize("text", ["https://k@h:99999/1", "https://k@h/1?verify_ssl=0", "HTTP://k@h/1", "https://k@h/", "x", "'https://k@h/1'"])  # fmt: skip
def test_validate_and_the_sender_agree(text, tmp_path):
    try:
        parse_dsn(text)
        good = True
    except DsnError:
        good = False
    file = tmp_path / "monitors.yaml"
    file.write_text("version: 1\nsentry: {dsn: '${DSN:-}'}\n", encoding="utf-8")
    for environ in ({"DSN": text}, {"SENTRY_DSN": text}):
        result = examine(str(file), environ)
        assert result.plan["sentry"]["dsn"] == (text if good else None)
        assert {problem.slug for problem in result.problems} == (set() if good else {"bad-dsn"})
        assert all(text not in problem.message for problem in result.problems)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a@sentry.io/1", "https://b@sentry.io:443/1?x=1", True),
        ("https://a@sentry.io/1", "https://a@sentry.io/2", False),
        ("https://a@sentry.io/1", "https://a@other.io/1", False),
        ("https://a@sentry.io/1", None, False),
        ("nothing", "nothing", False),
    ],
)
def test_whether_two_lead_to_one_project(one, other, same):
    assert same_project(one, other) is same
