"""A stored plan, damaged in every way that a disk or a person can think of: it is whole, or it is known not to be."""

import marshal
import random

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.base import places
from agent.plan import index as cache
from agent.plan import write
from agent.plan.file import open_plan

PATH = "/srv/erp/monitors.yaml"


def plan_of(number, operation="op"):
    monitors = [
        support.monitor(f"erp.part{each % 7}.module{each}:function", name=f"m{each}", operation=f"{operation}{each}")
        for each in range(number)
    ]
    return {"path": PATH, "files": [], "environment": {}, "monitors": monitors, "sentry": {}, "spool": {}}


def monitors_in(data):
    """All that a process would find; None where it would have the plan made again."""
    index = cache.decode(data, PATH)
    if index is None:
        return None
    unreadable = []
    index.remake = lambda: unreadable.append(index)
    found = [*index.all_monitors(), [index.monitors_of(f"erp.part{each % 7}.module{each}") for each in range(12)]]
    return None if unreadable else found


PLAN = write.encode(plan_of(12), [])
OTHER = write.encode(plan_of(12, "xy"), [])
WHOLE = monitors_in(PLAN)


def test_a_plan_is_read_as_it_was_written():
    assert [each["operation"] for each in WHOLE[:-1]] == [f"op{number}" for number in range(12)]
    assert len(PLAN) == len(OTHER)
    assert all(len(found) == 1 for found in WHOLE[-1])


def test_monitors_that_are_nearly_alike_keep_their_own_values():
    values = [1, 1.0, True, "1", [1], [True], (1,), {}, {"1": 1}, [], None]
    monitors = [
        {**support.monitor(f"erp.a:f{number}", name=f"m{number}"), "learned": value, "tags": {"nearly": [value]}}
        for number, value in enumerate(values * 3)
    ]
    read = cache.decode(write.encode({**plan_of(0), "monitors": monitors}, []), PATH).all_monitors()
    assert [repr(each) for each in read] == [repr(write.plain(each)) for each in monitors]
    assert all(each["learned"] is each["tags"]["nearly"][0] for each in read)


@pytest.mark.slow(reason="a large space: 400 examples")
@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(PLAN) - 1), st.integers(1, 255))
def test_a_byte_that_is_wrong(at, flip):
    damaged = bytearray(PLAN)
    damaged[at] ^= flip
    assert monitors_in(bytes(damaged)) is None


@pytest.mark.slow(reason="a large space: 200 examples")
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_cut_off_added_exchanged_or_of_an_earlier_plan(data):
    at = data.draw(st.integers(0, len(PLAN) - 1))
    size = data.draw(st.integers(1, len(PLAN)))
    to = data.draw(st.integers(0, len(PLAN) - 1))
    piece = PLAN[at : at + size]
    rest = PLAN[:at] + PLAN[at + size :]
    for damaged in (
        PLAN[:at],
        PLAN + piece,
        rest,
        rest[:to] + piece + rest[to:],
        PLAN[:at] + bytes(len(piece)) + PLAN[at + size :],
        PLAN[:at] + OTHER[at : at + size] + PLAN[at + size :],
    ):
        found = monitors_in(damaged)
        assert found is None or damaged in (PLAN, OTHER)


def test_two_pieces_of_one_size_that_changed_places():
    monitors = [support.monitor(f"erp.a:f{number}", name=f"m{number}") for number in range(2)]
    data = write.encode({**plan_of(0), "monitors": monitors}, [])
    whole = cache.decode(data, PATH)
    (one, size), (other, _) = (place for number in range(2) for place in [whole.plan.part("erp")["erp.a"][number]])
    begin = whole.plan.at
    one, other, length = begin + one, begin + other, size + places.CHECKSUM
    assert marshal.loads(data[one:]) == write.plain(monitors[0])
    swapped = data[:one] + data[other : other + length] + data[one : one + length] + data[other + length :]
    assert len(swapped) == len(data)
    index = cache.decode(swapped, PATH)
    assert index.all_monitors() == []
    assert index.notes == ["the compiled plan is gone: modules imported since are not monitored"]


def test_sizes_that_no_file_has(tmp_path):
    """Read as far as the file reaches, and not at all where its size is not the one in its first line."""
    tmp_path.chmod(0o700)
    file = tmp_path / "plan.bin"
    line = PLAN.partition(b"\n")[0]
    for number in (b"999999999999", b"-1", b"9" * 5000, b"1e9", b"\xff"):
        for word in range(2, 5):
            words = line.split()
            words[word] = number
            file.write_bytes(b" ".join(words) + PLAN[len(line) :])
            assert open_plan(str(file), PATH) is None
    file.write_bytes(PLAN)
    with file.open("r+b") as stream:
        stream.truncate(1 << 40)  # takes no room, and would take a terabyte to read
    assert open_plan(str(file), PATH) is None


def test_a_large_plan_is_read_piece_by_piece_and_each_piece_is_checked(tmp_path):
    tmp_path.chmod(0o700)
    file = tmp_path / "plan.bin"
    data = bytearray(write.encode(plan_of(700), []))
    assert len(data) > places.SMALL_PLAN
    generator = random.Random(4)
    file.write_bytes(data)
    whole = cache.index_of(open_plan(str(file), PATH))
    assert whole.monitors_of("erp.part1.module8")[0]["operation"] == "op8"
    for _ in range(8):
        at = generator.randrange(len(data) // 2, len(data))
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        index = cache.index_of(open_plan(str(file), PATH))
        made = []

        def remake(made=made):
            file.write_bytes(data)
            made.append(1)
            return cache.index_of(open_plan(str(file), PATH))

        if index is None:
            continue  # seen at once
        index.remake = remake
        found = [monitor["name"] for monitor in index.all_monitors()]
        found += [index.monitors_of(f"erp.part{each % 7}.module{each}")[0]["name"] for each in range(0, 700, 70)]
        assert found == [f"m{each}" for each in [*range(700), *range(0, 700, 70)]]
        assert made == [1] or bytes(data) == file.read_bytes()


@pytest.mark.parametrize(("apart", "opened"), [(1, 1), (200, 4)])
def test_a_large_plan_is_opened_once_for_monitors_that_lie_close_together(tmp_path, monkeypatch, apart, opened):
    tmp_path.chmod(0o700)
    plan = plan_of(700)
    for number in range(4):
        plan["monitors"][apart * number] = support.monitor("erp.sales:function", name=f"s{number}")
    (tmp_path / "plan.bin").write_bytes(write.encode(plan, []))
    index = cache.index_of(open_plan(str(tmp_path / "plan.bin"), PATH))
    assert "erp.sales" in index
    times = []
    real = places.open_own
    monkeypatch.setattr(places, "open_own", lambda file: times.append(file) or real(file))
    assert [monitor["name"] for monitor in index.monitors_of("erp.sales")] == ["s0", "s1", "s2", "s3"]
    assert len(times) == opened


def test_a_small_plan_stays_in_memory_until_it_is_released_and_is_then_read_from_its_file(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    file = tmp_path / "plan.bin"
    file.write_bytes(PLAN)
    index = cache.index_of(open_plan(str(file), PATH))
    times = []
    real = places.open_own
    monkeypatch.setattr(places, "open_own", lambda file: times.append(file) or real(file))
    assert index.monitors_of("erp.part1.module1")[0]["name"] == "m1"
    assert times == []
    index.plan.release()
    times.clear()
    assert index.monitors_of("erp.part2.module2")[0]["name"] == "m2"
    assert times == [str(file)]


def test_a_plan_whose_file_is_gone_or_cannot_be_read_is_not_released(tmp_path):
    tmp_path.chmod(0o700)
    file = tmp_path / "plan.bin"
    for end in (file.unlink, lambda: file.write_bytes(OTHER)):
        file.write_bytes(PLAN)
        index = cache.index_of(open_plan(str(file), PATH))
        index.remake = lambda: pytest.fail("it is in memory")
        end()
        index.plan.release()
        assert index.monitors_of("erp.part2.module2")[0]["operation"] == "op2"
