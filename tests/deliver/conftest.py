from __future__ import annotations

import os
import sys

os.environ.setdefault("AGENT_TESTING", "1")
_HERE = os.path.dirname(os.path.abspath(__file__))
for _path in (os.path.dirname(_HERE), os.path.dirname(os.path.dirname(_HERE)), _HERE):
    if _path not in sys.path:
        sys.path.insert(0, _path)

import pytest  # noqa: E402
from kit import Counts, Kit, Time  # noqa: E402
from receiver import Receiver  # noqa: E402


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def kit(tmp_path, counts, clock):
    return Kit(tmp_path / "state" / "spool", counts, clock)


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running
