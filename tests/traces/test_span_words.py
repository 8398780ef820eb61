"""Descriptions and data of spans, as they may leave."""

import pytest

from agent.traces import words


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("prices:4711", "prices:*"),
        (":1:prices:4711", "prices:*"),
        ("erp:2:prices:4711", "erp:*"),
        (":1:django.contrib.sessions.cache0a1b2c", "*"),
        ("anna.smith@example.com", "*"),
        ("sessions", "*"),
        ("user42:name", "*"),
        ("", "*"),
        (":::", "*"),
        ("1:2", "*"),
    ],
)
def test_of_a_caches_key_only_the_word_in_front_is_shown(key, shown):
    assert words.key(key) == shown
    assert words.description("cache.get", key) == shown
    assert words.value("cache.key", key) == [shown]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("GET https://u:p@api.example.com/v1/rates?key=x#y", "GET https://api.example.com/v1/rates"),
        ("POST http://10.0.0.1:8080/", "POST http://10.0.0.1:8080/"),
        ("GET /relative?x=1", "GET /relative"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_address_loses_its_query_and_credentials(given, shown):
    assert words.description("http.client", given) == shown


def test_statements_lose_their_values_and_commands_their_arguments():
    assert words.description("db", "SELECT 'x'\n -- y\n WHERE a = 5") == "SELECT %s WHERE a = %s"
    assert words.description("db.redis", "GET") == "GET"
    assert words.description("db.redis", "SET secret value") == "SET"
    assert words.description("db.redis", "7") == "command"


def test_data_is_text_numbers_and_truth():
    assert [words.value("x", each) for each in (1, 2.5, True, "word", None, [1])] == [1, 2.5, True, "word", None, None]
