"""How well the number of users is estimated, and that nobody can be found in it."""

import os
import stat

import pytest

from agent.measure import layout, users


def registers_of(ids, salt=1):
    registers = bytearray(layout.REGISTERS)
    for each in ids:
        users.add(registers, users.hashed(each, salt))
    return registers


@pytest.mark.parametrize("number", [0, 1, 2, 5, 20, 100, 300, 1_000, 5_000, 20_000, 100_000])
def test_the_estimate_is_within_three_standard_errors(number):
    """1.04 / √256 = 6.5 %; for few users less, but as many as one may share a register with another."""
    rounds = 3 if number > 1000 else 10
    for salt in range(rounds):
        estimate = users.estimate(bytes(registers_of(range(number), salt * 7919 + 1)))
        assert abs(estimate - number) <= max(3 * 0.065 * number, 1 if number <= 20 else 0)


def test_an_id_counts_once_as_a_number_and_as_text():
    assert users.estimate(bytes(registers_of([42, "42", 42]))) == 1


def test_merged_registers_are_those_of_both():
    one, other = registers_of(range(500)), registers_of(range(300, 900))
    users.merge(one, other)
    assert one == registers_of(range(900))


def test_hashes_differ_between_installations(tmp_path):
    first, second = (users.salt_in(str(tmp_path / name)) for name in ("a", "b"))
    assert first != second
    assert users.hashed("anna", first) != users.hashed("anna", second)


def test_the_salt_is_made_once_and_is_its_owners_alone(tmp_path):
    folder = tmp_path / "counts"
    assert users.salt_in(str(folder)) == users.salt_in(str(folder)) is not None
    assert stat.S_IMODE(os.stat(folder / "salt").st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["salt"]


def test_two_processes_that_make_it_at_once_agree(tmp_path, monkeypatch):
    folder = tmp_path / "counts"
    link = os.link

    def late(source, target):  # the other one is quicker
        monkeypatch.setattr(os, "link", link)
        theirs.append(users.salt_in(str(folder)))
        link(source, target)

    theirs = []
    monkeypatch.setattr(os, "link", late)
    assert users.salt_in(str(folder)) == theirs[0] is not None


def test_without_a_salt_nobody_is_counted(tmp_path):
    (tmp_path / "file").write_text("")
    assert users.salt_in(str(tmp_path / "file" / "counts")) is None
    (tmp_path / "salt").write_bytes(b"short")
    os.chmod(tmp_path, 0o700)
    assert users.salt_in(str(tmp_path)) is None
