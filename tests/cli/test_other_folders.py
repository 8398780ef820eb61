"""State folders of one configuration that belong to others: root sees what is in them, a user only that they exist."""

from __future__ import annotations

import os

import pytest

from agent.base import places
from agent.cli.state import other_folders

CONFIG = "/srv/erp/monitors.yaml"
STRANGER = 54321


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setattr(places, "SHARED", str(tmp_path / "shared-"))
    return str(tmp_path / "base" / places.folder_name(CONFIG))


def fill(folder):
    for name in ("run/1-2.state", "spool/new/a.envelope", "spool/held/b.envelope"):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8"):
            pass
    return folder


def test_an_own_folder_elsewhere_is_listed_with_the_command_that_shows_it(state, tmp_path):
    fill(state)
    assert other_folders.readable(CONFIG, state) == []
    usual = fill(str(tmp_path / "home" / ".local/state/erp-sentry-agent" / places.folder_name(CONFIG)))
    os.makedirs(state + "-7")  # nothing is in it
    os.symlink(usual, state + "-8")
    (other,) = other_folders.readable(CONFIG, state)
    assert other == (usual, places.user, 1, 2)
    assert "2 events and 1 process of " in other.line("events")
    assert f"to look: AGENT_STATE_DIR={os.path.dirname(usual)} python" in other.line("events")
    assert other_folders.unreadable(CONFIG, state) == []


@pytest.mark.skipif(places.user != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user(state, monkeypatch):
    theirs = fill(state + f"-{STRANGER}")
    os.chown(theirs, STRANGER, -1)
    (other,) = other_folders.readable(CONFIG, state)
    assert f"runuser -u #{STRANGER} -- python" in other.line("status")
    monkeypatch.setattr(places, "user", 1)
    assert other_folders.readable(CONFIG, state) == []
    (hidden,) = other_folders.unreadable(CONFIG, state)
    assert hidden.hint() == (
        f"user #{STRANGER} has a state folder of this configuration, {theirs}: run this command as #{STRANGER}"
    )
