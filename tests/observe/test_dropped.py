"""What a limit has dropped counts as reported, and is known as dropped: a Sentry client of the ERP's own may report it."""

import sys

import pytest

from agent.observe.failure import reported


def raised(error, cause=None):
    try:
        raise error from cause
    except type(error) as caught:
        return caught


@pytest.fixture(params=[ValueError, type("OfTheErp", (Exception,), {})], ids=["built-in", "class"])
def error(request):
    return raised(request.param("no price"))


@pytest.mark.parametrize("kind", [reported.Reported, reported.Dropped])
def test_a_dropped_failure_is_reported_for_us_and_not_for_others(error, kind):
    assert not reported.is_dropped(error)
    reported.remember(error, error.__traceback__, kind=kind)
    assert reported.is_reported(error)
    assert reported.is_dropped(error) == (kind is reported.Dropped)
    wrapped = raised(KeyError(), cause=error)
    assert reported.is_dropped(wrapped) == (kind is reported.Dropped)


def test_one_of_a_burst_is_dropped(error):
    reported.remember_another(
        error, error.__traceback__, None, (__file__, 1), 1, not reported.takes_references(type(error))
    )
    assert reported.is_dropped(error)


def test_what_was_reported_after_it_was_dropped_is_not_dropped(error):
    reported.remember(error, error.__traceback__, kind=reported.Dropped)
    reported.remember(error, error.__traceback__)
    assert not reported.is_dropped(error)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups")
def test_a_group_is_dropped_if_none_of_it_was_reported(error):
    other, group = raised(OSError()), sys.modules["builtins"].ExceptionGroup
    both = raised(group("both", [error, other]))
    reported.remember(error, error.__traceback__, kind=reported.Dropped)
    assert reported.is_dropped(raised(group("of it", [error])))
    assert reported.is_dropped(both)
    reported.remember(other, other.__traceback__)
    assert not reported.is_dropped(both)
