"""The servers that other tests run against: that they answer, and that a missing one fails where it must not be missing."""

import socket
import subprocess

import pytest
from acceptance import services


def test_redis_answers(redis_server):
    with socket.create_connection((redis_server.host, redis_server.port), 10) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"


def test_postgres_makes_databases(postgres_server):
    url = postgres_server.create("books")
    asked = subprocess.run(
        [f"{postgres_server.binaries}/psql", url, "-Atc", "select current_database()"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert asked.stdout.strip() == "books"


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_server_is_a_failure_in_ci_alone(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no-such-server is not installed"):
        services.missing("no-such-server")
