from __future__ import annotations

import os

from kit import envelope

HOUR, DAY, YEAR = 3600.0, 86400.0, 365 * 86400.0


def lived(kit, clock, seconds):
    """Time goes by, with a sweep each minute at most."""
    for _ in range(10):
        clock.now += seconds / 10
        kit.spool(max_age=7 * DAY).sweep()


def test_a_clock_that_leaps_ahead_makes_nothing_old(kit, clock):
    spool = kit.spool(max_age=7 * DAY)
    spool.write(envelope())
    lived(kit, clock, HOUR)
    spool.write(envelope())  # after the last sweep before the leap
    clock.leap(YEAR)
    spool.write(envelope())
    lived(kit, clock, HOUR)
    assert len(kit.files()) == 3
    lived(kit, clock, 6 * DAY)
    assert len(kit.files()) == 3
    lived(kit, clock, 2 * DAY)
    assert kit.files() == []
    assert kit.counts.all == {("too-old", "error"): 3}


def test_a_clock_that_was_wrong_for_a_while_and_is_corrected(kit, clock):
    spool = kit.spool(max_age=7 * DAY)
    for leap in (YEAR, -YEAR, YEAR, -YEAR):
        spool.write(envelope())
        lived(kit, clock, DAY)
        clock.leap(leap)
    lived(kit, clock, 2 * DAY)
    assert kit.counts.all == {}
    lived(kit, clock, 8 * DAY)
    assert kit.files() == []


def test_a_machine_that_began_in_1970_keeps_what_it_caught_before_it_knew_the_time(kit, clock):
    clock.leap(-clock.now + 100)
    kit.spool().write(envelope())
    clock.leap(55 * YEAR)
    lived(kit, clock, HOUR)
    assert len(kit.files()) == 1


def test_after_a_boot_the_time_that_nobody_saw_counts_as_a_day_at_most(kit, clock):
    kit.spool(max_age=7 * DAY).write(envelope())
    lived(kit, clock, HOUR)
    clock.now += 5 * YEAR
    booted = clock.now
    spool = kit.spool(max_age=7 * DAY, uptime=lambda: clock.now - booted + 60)
    spool.sweep()
    assert len(kit.files()) == 1
    for _ in range(3):
        clock.now += 3 * DAY
        spool.sweep()
    assert kit.files() == []


def test_two_machines_that_share_a_folder_and_were_booted_at_different_times_drop_nothing_early(kit, clock):
    kit.spool(max_age=7 * DAY).write(envelope())
    for day in range(12):
        clock.now += DAY / 2
        kit.spool(max_age=7 * DAY, uptime=lambda: clock.now - (0 if day % 2 else 1e9)).sweep()
    assert len(kit.files()) == 1


def test_without_a_mark_or_with_nonsense_in_it_nothing_is_old(kit, clock):
    spool = kit.spool(max_age=DAY)
    spool.write(envelope())
    for text in (None, "", "nonsense", "1 2", "1 2\n3 4", "nan nan\nnan nan nan", "\xff"):
        clock.now += 30 * DAY
        path = os.path.join(kit.directory, "swept")
        if text is None:
            os.unlink(path)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        spool.sweep()
        assert len(kit.files()) == 1


def test_a_mark_that_cannot_be_written_is_tried_again_and_ages_go_on(kit, clock, monkeypatch):
    spool = kit.spool(max_age=DAY)
    spool.write(envelope())
    real = os.open

    def full(path, flags, *arguments, **more):
        if flags & os.O_CREAT:
            raise OSError(28, "No space left on device")
        return real(path, flags, *arguments, **more)

    monkeypatch.setattr(os, "open", full)
    clock.leap(YEAR)
    clock.now += HOUR
    spool.sweep()
    assert len(kit.files()) == 1
    clock.now += 2 * DAY
    spool.sweep()
    assert kit.files() == []
