"""Parts of files in memory: what is written there, and what the process pays for it."""

import os

import pytest

from agent.measure import mapping

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are listed by Linux alone")


@pytest.fixture
def file(tmp_path):
    if not mapping.is_safe(str(tmp_path)):
        pytest.skip("nothing is mapped on this file system")
    path = tmp_path / "counts"
    path.touch()
    return path


def descriptors():
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return {link: os.readlink(link) for link in links if os.path.exists(link)}  # the listing's own is closed


def test_a_mapping_is_the_file_and_costs_the_host_no_descriptor(file):
    before = descriptors()
    rows = mapping.map_new(str(file), 4096 + 1024, 1024)
    assert str(file) not in descriptors().values()
    assert descriptors().items() <= before.items()  # another test's may have been collected meanwhile
    rows[:4] = b"rows"
    assert file.read_bytes()[4096 + 1024 :] == b"rows" + bytes(1020)


def test_a_number_that_another_thread_took_meanwhile_stays_its_own(file, monkeypatch):
    taken = []
    close = os.close

    def closed(number):
        close(number)
        if not taken:  # the number that the mapping would get next
            taken.append(os.open(os.devnull, os.O_RDONLY))
            assert taken == [number]

    monkeypatch.setattr(os, "close", closed)
    rows = mapping.map_new(str(file), 0, 1024)
    monkeypatch.undo()
    assert os.path.samestat(os.fstat(taken[0]), os.stat(os.devnull))
    rows[:1] = b"x"
    assert file.read_bytes()[:1] == b"x"
    os.close(taken[0])
