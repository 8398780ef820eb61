"""Folders of our own that several processes make at the same moment."""

from __future__ import annotations

import os

import pytest

from agent.base import own_folders


@pytest.mark.parametrize("there", ["state", "state/spool"])
def test_another_process_makes_the_folder_above_in_between(tmp_path, monkeypatch, there):
    """This process finds nothing; before it looks what is missing, the other one has made a part or all of it."""
    wanted = tmp_path / "state" / "spool"
    mkdir = os.mkdir

    def too_late(folder, mode):
        monkeypatch.setattr(os, "mkdir", mkdir)
        os.makedirs(tmp_path / there, 0o700)
        raise FileNotFoundError(2, "No such file or directory", folder)

    monkeypatch.setattr(os, "mkdir", too_late)
    own_folders.make(str(wanted))
    assert wanted.stat().st_mode & 0o777 == 0o700


def test_a_folder_in_which_nothing_can_be_made_is_an_error():
    with pytest.raises(FileNotFoundError):
        own_folders.make("/proc/nowhere/spool")
