from __future__ import annotations

import io

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
