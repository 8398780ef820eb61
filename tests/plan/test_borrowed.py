"""Which interpreters of other environments may compile: those that nobody but this user and root can change."""

import os

import pytest

from agent.base import places
from agent.plan import borrowed


@pytest.fixture
def venv(tmp_path):
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True, mode=0o755)
    (folder / "lib").mkdir(mode=0o755)
    python = folder / "bin" / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    for each in (folder, folder / "bin", folder / "lib"):
        each.chmod(0o755)
    return folder


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return str(folder)


def python_of(folder):
    return str(folder / "bin" / "python")


def test_one_that_only_this_user_and_root_can_change_is_safe(venv):
    assert borrowed.is_safe(python_of(venv))


@pytest.mark.parametrize("part", ["", "bin", "bin/python", "lib"])
def test_one_that_others_may_write_is_not(venv, part):
    (venv / part).chmod(0o777)
    assert not borrowed.is_safe(python_of(venv))


def test_nor_one_below_a_folder_that_others_may_write(venv, tmp_path):
    tmp_path.chmod(0o777)
    assert not borrowed.is_safe(python_of(venv))
    tmp_path.chmod(0o1777)  # there, nobody can rename what is another's, as in /tmp
    assert borrowed.is_safe(python_of(venv))


def test_nor_a_link_to_one(venv, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(python_of(venv))
    assert borrowed.is_safe(str(link))
    (venv / "bin").chmod(0o777)
    assert not borrowed.is_safe(str(link))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives a file to another user")
@pytest.mark.parametrize("part", ["", "bin", "bin/python", "lib"])
def test_nor_one_that_belongs_to_somebody_else(venv, part):
    os.chown(venv / part, 12345, -1)
    assert not borrowed.is_safe(python_of(venv))


@pytest.mark.parametrize("name", ["", "python", "/nowhere/bin/python"])
def test_nor_what_is_no_program(name):
    assert not borrowed.is_safe(name)


def test_what_compiled_last_comes_before_the_agents_own_environment(venv, state, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PACKAGE", str(tmp_path / "checkout" / "agent"))
    (tmp_path / "checkout").mkdir(mode=0o755)
    (tmp_path / "checkout" / ".venv").symlink_to(venv)
    beside = str(tmp_path / "checkout" / ".venv" / "bin" / "python")
    assert list(borrowed.candidates(state)) == [beside]
    borrowed.compiled_with(state, python_of(venv))
    assert list(borrowed.candidates(state)) == [python_of(venv), beside]


def test_installed_the_agents_environment_is_the_one_that_it_is_in(venv, state, monkeypatch):
    monkeypatch.setattr(places, "PACKAGE", str(venv / "lib" / "python3.11" / "site-packages" / "agent"))
    assert list(borrowed.candidates(state)) == [python_of(venv)]


def test_its_own_environment_is_no_other_one(venv, state, monkeypatch):
    monkeypatch.setattr("sys.prefix", str(venv))
    monkeypatch.setattr(places, "PACKAGE", "/nowhere/agent")
    borrowed.compiled_with(state, python_of(venv))
    assert list(borrowed.candidates(state)) == []


def test_one_in_use_is_checked_again_each_time(venv, state):
    borrowed.use(state, python_of(venv))
    assert borrowed.in_use(state) == python_of(venv)
    (venv / "lib").chmod(0o777)
    assert borrowed.in_use(state) is None
    borrowed.forget(state)
    (venv / "lib").chmod(0o755)
    assert borrowed.in_use(state) is None
