"""Commands look at the machine's processes: those of tests beside them are not theirs."""

import pytest

from agent.cli.state import other_processes


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(other_processes, "pythons", lambda *_: ())
