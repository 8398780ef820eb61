from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.language.targets import TargetError, parse_dotted, parse_exclude, parse_target


@pytest.mark.parametrize(
    ("text", "module", "attribute", "path", "pattern"),
    [
        ("a.b.c", None, None, "a.b.c", False),
        ("a.b:C.d", "a.b", "C.d", "a.b.C.d", False),
        ("a:b", "a", "b", "a.b", False),
        ("a.b.*", None, None, "a.b.*", True),
        ("a.*.save_*", None, None, "a.*.save_*", True),
        ("a.*:save", "a.*", "save", "a.*.save", True),
        ("größe.preis", None, None, "größe.preis", False),
        # Django loads commands by their file's name, `import.py` too.
        (
            "a.commands.import:Command.handle",
            "a.commands.import",
            "Command.handle",
            "a.commands.import.Command.handle",
            False,
        ),
        ("a.commands.import.Command.handle", None, None, "a.commands.import.Command.handle", False),
    ],
)
def test_targets(text, module, attribute, path, pattern):
    assert parse_target(text) == {"path": path, "module": module, "attribute": attribute, "pattern": pattern}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("print", "`module.print`"),
        ("a.b.c()", "`a.b.c`"),
        ("a/b/c.py", "`a.b.c`"),
        ("a.b.c-d", "`c_d`"),
        ("a. b", "`a.b`"),
        (".a.b", "absolute"),
        ("*.b", "`package.*.function`"),
    ],
)
def test_hints(text, hint):
    with pytest.raises(TargetError) as caught:
        parse_target(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["import.a", "a.import", "a:import", "a:import.b", "a.b:C.class"])
def test_no_statement_binds_a_keyword(text):
    with pytest.raises(TargetError, match="is not a Python name"):
        parse_target(text)


def test_excludes_may_hold_a_star_anywhere_and_become_dotted():
    assert parse_exclude("*.b:C.d*") == "*.b.C.d*"


def test_exceptions_are_plain_names():
    assert parse_dotted("ValueError") == "ValueError"
    for text in ("a:B", "a.*", "a b", "", "a..b"):
        with pytest.raises(TargetError):
            parse_dotted(text)


@given(st.one_of(st.text(max_size=30), st.text("ab.:*_-<>() ", max_size=20)))
def test_any_text_is_a_target_or_a_target_error(text):
    for parse in (parse_target, parse_exclude, parse_dotted):
        try:
            parse(text)
        except TargetError as error:
            assert str(error)
