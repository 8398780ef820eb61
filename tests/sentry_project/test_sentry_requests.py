"""Requests: paging, rate limits, failures, and each refusal as a sentence."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from agent.sentry_project.api import Api, ApiError, next_cursor, path

TOKEN = "sntryu_secret"


class Reply(NamedTuple):
    status: int = 200
    headers: dict[str, str] = {}
    data: bytes = b"{}"

    def read(self, most: int, **_: Any) -> bytes:
        return self.data[:most]

    def release_conn(self) -> None:
        pass


class Pool:
    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.requests: list[tuple[str, str]] = []

    def request(self, method: str, url: str, **_: Any) -> Reply:
        self.requests.append((method, url))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


class Clock:
    def __init__(self) -> None:
        self.now, self.slept = 1000.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def api(*replies: Any) -> tuple[Api, Pool, Clock]:
    clock = Clock()
    made = Api("https://sentry.example", TOKEN, clock.sleep, clock)
    made.pool = pool = Pool(*replies)
    return made, pool, clock


def test_pages_are_followed_until_the_last():
    def link(results: str) -> dict[str, str]:
        return {"Link": '<https://s/?cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1", '
                        f'<https://s/?cursor=0:100:0>; rel="next"; results="{results}"; cursor="0:100:0"'}  # fmt: skip

    made, pool, _ = api(Reply(200, link("true"), b"[1, 2]"), Reply(200, link("false"), b"[3]"))
    assert list(made.pages("/organizations/o/teams/")) == [1, 2, 3]
    assert [url for _, url in pool.requests] == [
        "https://sentry.example/api/0/organizations/o/teams/?per_page=100",
        "https://sentry.example/api/0/organizations/o/teams/?per_page=100&cursor=0%3A100%3A0",
    ]


@pytest.mark.parametrize("header", ["", "nonsense", '<x>; rel="next"', '<x>; rel="next"; results="true"; cursor=""'])
def test_a_link_without_a_next_page_ends_the_list(header):
    assert next_cursor(header) is None


@pytest.mark.parametrize(("headers", "seconds"), [
    ({"Retry-After": "7"}, 7.0),
    ({"X-Sentry-Rate-Limit-Reset": "1012.5"}, 12.5),
    ({"Retry-After": "86400"}, 120.0),
    ({}, 1.0),
    ({"Retry-After": "soon"}, 1.0),
])  # fmt: skip
def test_a_rate_limit_is_waited_for_and_the_request_sent_again(headers, seconds):
    made, pool, clock = api(Reply(429, headers), Reply())
    made.send("POST", "/x/", {})
    assert (len(pool.requests), clock.slept) == (2, [seconds])


def test_a_window_with_nothing_left_is_waited_for_before_the_next_request():
    full = {"X-Sentry-Rate-Limit-Remaining": "0", "X-Sentry-Rate-Limit-Reset": "1003"}
    made, _, clock = api(Reply(200, full), Reply())
    made.get("/x/")
    assert clock.slept == []
    made.get("/x/")
    assert clock.slept == [3.0]


def test_a_rate_limit_that_does_not_end_is_an_error():
    made, pool, _ = api(*[Reply(429)] * 9)
    with pytest.raises(ApiError, match="rate limit does not end"):
        made.get("/x/")
    assert len(pool.requests) == 4


@pytest.mark.parametrize("failure", [Reply(502), OSError("connection reset")])
def test_what_changes_nothing_twice_is_tried_again(failure):
    for method in ("GET", "PUT", "DELETE"):
        made, pool, clock = api(failure, failure, Reply())
        made.send(method, "/x/")
        assert (len(pool.requests), clock.slept) == (3, [0.5, 1.0])
    made, pool, _ = api(failure, Reply())
    with pytest.raises(ApiError):
        made.send("POST", "/x/", {})
    assert len(pool.requests) == 1  # it may have been done


@pytest.mark.parametrize(("reply", "words"), [
    (Reply(401, {}, b'{"detail": "Invalid token"}'), "does not accept the token in SENTRY_AUTH_TOKEN (Invalid token)"),
    (Reply(403, {}, b'{"detail": {"message": "no permission"}}'), "may not do this: GET /x/ (no permission)"),
    (Reply(404), "has no /x/"),
    (Reply(302, {"Location": "https://login.example/?next=1"}), "sends requests on to https://login.example/"),
    (Reply(400, {}, b'{"name": ["too long"]}'), 'HTTP 400 ({"name": ["too long"]})'),
    (Reply(400, {}, b"<html>"), "HTTP 400"),
    (OSError(f"proxy refused {TOKEN}"), "cannot be reached: OSError: proxy refused [token]"),
])  # fmt: skip
def test_each_refusal_is_a_sentence_without_the_token(reply, words):
    made, _, _ = api(*[reply] * 4)
    with pytest.raises(ApiError) as raised:
        made.get("/x/")
    assert words in str(raised.value) and TOKEN not in str(raised.value)


def test_a_response_without_an_end_is_not_read_to_the_end(monkeypatch):
    monkeypatch.setattr("agent.sentry_project.api.MOST_BYTES", 10)
    made, _, _ = api(Reply(200, {}, b"x" * 11))
    with pytest.raises(ApiError, match="is this Sentry's address"):
        made.get("/x/")


def test_something_that_is_not_sentry_is_named():
    made, _, _ = api(Reply(200, {}, json.dumps({"hello": "world"}).encode()))
    with pytest.raises(ApiError, match="is this Sentry's address"):
        list(made.pages("/x/"))


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://host:port", "sentry.io"])
def test_an_address_that_is_none_is_named(url):
    with pytest.raises(ApiError, match="is no address of Sentry"):
        Api(url, TOKEN)


def test_names_in_paths_are_escaped():
    assert path("organizations", "a/b", "ü") == "/organizations/a%2Fb/%C3%BC/"
