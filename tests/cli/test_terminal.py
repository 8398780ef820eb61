from __future__ import annotations

import io
import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli import terminal


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_colour_is_for_terminals_without_no_color(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        screen = Screen()
        monkeypatch.setattr("sys.stdout", screen)
        terminal.console().print(terminal.styled(("text", "bold red")))
        assert ("\x1b" in screen.getvalue()) is coloured


def test_a_terminal_without_a_cursor_gets_what_fits_and_no_codes(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    made = terminal.table("WHAT", "WHEN", folding="WHAT", dense=True)
    made.add_row(terminal.cut("too long " * 20), terminal.styled("now", "bold"))
    terminal.show_table(made)
    assert (terminal.is_terminal(), terminal.has_cursor()) == (True, False)
    assert "\x1b" not in screen.getvalue()
    assert [len(line.rstrip()) <= 80 for line in screen.getvalue().splitlines()] == [True, True]


def test_a_piped_table_has_one_line_a_row_and_no_trailing_spaces(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    table = terminal.table("A", "B")
    table.add_row("x" * 300, "[b]y[/b]" * 10)
    table.add_row("1", "2")
    terminal.show_table(table)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert not any(line.endswith(" ") for line in lines)


def test_a_terminal_that_cannot_spell_a_character_still_gets_the_rest(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    terminal.console().print(terminal.styled("a › b"))
    terminal.sys.stdout.flush()
    assert raw.getvalue() == b"a ? b\n"


#: What a terminal, or what reads a line of text, would take for something else than text.
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

texts = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x07\x08\r\x7f\x9b\x9d\u202e\u2066\u200f\u2028\ud800"),
        st.sampled_from("[]0;mJ\\ \n"),
    ),
    max_size=40,
)


def printed(monkeypatch, show, terminal_=False, encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    stream.isatty = lambda: terminal_
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", stream)
        patched.setattr("sys.stderr", stream)
        patched.setenv("TERM", "xterm-256color")
        patched.setenv("NO_COLOR", "1")  # what colour is ours is shown by its absence
        show()
        stream.flush()
    return raw.getvalue().decode(encoding)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts, st.booleans())
def test_no_text_reaches_the_terminal_with_what_it_would_obey(monkeypatch, text, on_terminal):
    def show():
        terminal.out(text)
        terminal.err(text)
        terminal.console().print(terminal.styled(text, (text, "bold")))
        terminal.console().print(text)
        table = terminal.table("A", "B", folding="B")
        table.add_row(terminal.styled(text), terminal.cut(text))
        table.add_row(text, text)  # also where a command forgets to make a cell of it
        terminal.show_table(table)

    assert not DANGEROUS.search(printed(monkeypatch, show, on_terminal))


values = st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(texts, inner, max_size=3), max_leaves=8)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values, st.sampled_from([None, 2]), st.sampled_from(["utf-8", "latin-1", "ascii"]))
def test_json_reads_back_as_it_was_and_holds_nothing_of_it(monkeypatch, value, indent, encoding):
    shown = printed(monkeypatch, lambda: terminal.out(terminal.json_text(value, indent)), encoding=encoding)
    assert not DANGEROUS.search(shown)
    assert json.loads(shown) == json.loads(json.dumps(value))


def test_what_is_escaped_can_still_be_read():
    assert terminal.clean("a\x1b[2J\x9b31m\u202eb\r\n\tc") == "a\\x1b[2J\\x9b31m\\u202eb\\x0d\n\tc"
    assert terminal.one_line("a\nplan up to date") == "a\\nplan up to date"
    assert terminal.clean("Müller, 李, فارسی, 👩\u200d🚀") == "Müller, 李, فارسی, 👩\u200d🚀"
