"""Numbers are added and taken apart as if each stood by itself: agent/measure/counts.py and packed.py."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.measure import layout, packed
from agent.measure.counts import Counts, DamagedError

NUMBERS = st.lists(
    st.one_of(st.just(0), st.integers(0, 300), st.integers(0, 2**60)),
    min_size=layout.INTEGERS,
    max_size=layout.INTEGERS,
)
REGISTERS = st.one_of(
    st.just(bytes(layout.REGISTERS)),
    st.binary(min_size=256, max_size=256).map(lambda data: bytes(each % 58 for each in data)),
)
SUMS = [index for index in range(layout.INTEGERS) if index not in layout.GREATEST]


@settings(max_examples=25, deadline=None)
@given(NUMBERS, NUMBERS, REGISTERS, REGISTERS)
def test_each_number_is_added_by_itself(some, others, registers, more):
    both = Counts(some, registers) + Counts(others, more)
    for index in range(layout.INTEGERS):
        expected = max(some[index], others[index]) if index in layout.GREATEST else some[index] + others[index]
        assert both.integers[index] == expected
    assert both.registers == bytes(map(max, registers, more))
    since = both - Counts(others, more)
    assert [since.integers[index] for index in SUMS] == [some[index] for index in SUMS]


@settings(max_examples=25, deadline=None)
@given(NUMBERS, NUMBERS)
def test_a_number_that_has_become_less_was_not_counted_since(now, before):
    since = Counts(now) - Counts(before)
    assert [since.integers[index] for index in SUMS] == [max(now[index] - before[index], 0) for index in SUMS]


@settings(max_examples=25, deadline=None)
@given(NUMBERS, REGISTERS)
def test_a_row_is_read_as_it_was_written(numbers, registers):
    counts = Counts(numbers, registers)
    assert Counts.of_row(counts.row()) == counts
    assert hash(Counts.of_row(counts.row())) == hash(counts)


@pytest.mark.parametrize("at", [7, 767, 1000])
def test_what_no_process_has_counted_is_damaged(at):
    row = bytearray(layout.ROW)
    row[at] = 0xFF
    with pytest.raises(DamagedError):
        Counts.of_row(bytes(row))


def row(**numbers):
    integers = [0] * layout.INTEGERS
    for name, number in numbers.items():
        integers[int(name[1:]) if name[0] == "b" else getattr(layout, name)] = number
    return integers


def test_the_longest_of_a_difference_is_new_or_that_of_its_slowest_bucket():
    before = Counts(row(b41=3, LONGEST=9 * 10**9))
    assert (Counts(row(b41=4, LONGEST=10 * 10**9)) - before).longest == 10
    assert (Counts(row(b41=4, LONGEST=9 * 10**9)) - before).longest == pytest.approx(layout.bound(41))
    assert (Counts(row(b41=3, LONGEST=9 * 10**9)) - before).longest is None


def test_users_and_the_last_failure_are_those_of_differences_with_a_failure():
    registers = bytes([3] * 20 + [0] * 236)
    before = Counts(row(FAILURES=4, LAST_FAILURE=5000), registers)
    calm = Counts(row(FAILURES=4, LAST_FAILURE=5000, b3=1), registers) - before
    assert (calm.last_failure, calm.users, bool(calm)) == (None, 0, True)
    failed = Counts(row(FAILURES=6, LAST_FAILURE=9000), registers) - before
    assert (failed.last_failure, failed.users, failed.failures) == (9.0, 2, 2)  # at most one for each failure


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(NUMBERS, REGISTERS), max_size=5))
def test_packed_rows_are_the_same(rows):
    counts = [Counts(*each) for each in rows]
    assert packed.unpack(packed.pack(counts, exact=True), exact=True) == counts
    for found, given_ in zip(packed.unpack(packed.pack(counts, exact=False), exact=False), counts):
        for index in range(layout.INTEGERS):
            number = given_.integers[index]
            if index in (layout.TOTAL, layout.LONGEST) and number < 2**51:
                assert 0 <= number - found.integers[index] <= max(number / 1000, 255)
            elif index not in (layout.TOTAL, layout.LONGEST):
                assert found.integers[index] == number


def test_damaged_rows_are_found():
    data = packed.pack([Counts(row(b3=7, FAILURES=1), bytes([1] * 256))] * 3, exact=True)
    chance = random.Random(3)
    for _ in range(300):
        torn = bytearray(data)
        torn[chance.randrange(len(torn))] ^= 1 << chance.randrange(8)
        with pytest.raises(DamagedError):
            packed.unpack(bytes(torn[: chance.randrange(1, len(torn))]), exact=True)
