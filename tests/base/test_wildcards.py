import pytest

from agent.base.wildcards import matches, segment_match


@pytest.mark.parametrize(
    ("pattern", "name", "answer"),
    [
        ("*", "anything", True), ("", "", True), ("a*", "abc", True), ("a*", "b", False), ("*c", "abc", True),
        ("a*c", "ac", True), ("a*c", "a", False), ("ab*ba", "aba", False), ("*b*", "abc", True), ("*x*", "abc", False),
        ("a*b*c", "a1b2c", True), ("a*b*c", "a1c2b", False), ("name", "name", True), ("name", "names", False),
    ],
)  # fmt: skip
def test_segment_match(pattern, name, answer):
    assert segment_match(pattern, name) is answer


@pytest.mark.parametrize(
    ("pattern", "path", "answer"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a:b*", "a.bc", True),
        ("a.b", "a.b", True),
        ("*.b", "a.c", False),
    ],
)
def test_matches(pattern, path, answer):
    assert matches(pattern, path) is answer
