"""Commands on the pages of the documentation: each is run by a test or marked, and each exists with its options.

What they print is compared in tests/acceptance/test_documentation.py.
"""

import re
import shlex

import pages
import pytest

from agent.cli.main import COMMANDS, build_parser

AGENT = re.compile(r"(?:[A-Z_]+=\S+ )*(?:python -m agent|erp-agent) (.+)", re.DOTALL)
PROGRAM = re.compile(r"(?:[A-Z_]+=\S+ )*python ((?:bench|tests|examples|docs)/\S+\.py)(.*)")
PARSER = build_parser()
EACH = pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.relative_to(pages.ROOT).as_posix())


@EACH
def test_each_command_is_run_or_marked_with_the_reason(page):
    for block in pages.blocks(page.read_text("utf-8")):
        assert not block.unmarked(), f"{page.name}:{block.line}: in a block ```console, with '$ ' before each command"
        assert len(block.comments.get("not run", "long enough")) > 9, f"{page.name}:{block.line}: no reason"


def written(page):
    """All commands of a page: in blocks, in the text, and in tables without the words `python -m agent`."""
    text = page.read_text("utf-8")
    for block in pages.blocks(text):
        if block.language == "console":
            yield from (command for command, _ in block.commands())
    for code in re.findall(
        r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    ):
        first, _, rest = code.replace("\\|", "|").partition(" ")
        subcommand = first in COMMANDS and re.match(r"(--|[A-Z]+\b|[a-z]+ --)", rest)
        yield f"python -m agent {code}" if subcommand else code


@EACH
def test_each_command_of_the_agent_exists_with_its_options(page, capsys):
    for command in written(page):
        found = AGENT.fullmatch(command)
        if not found or re.match(r"[A-Z…]", found[1]):
            continue
        line = re.split(r" [|>&;#]|\)$", found[1].replace("\\\n", " "))[0]
        words = [word for word in shlex.split(line, comments=True) if word != "…"]
        if words[:1] == ["run"] and words[-1] == "--":
            words.append("true")
        try:
            PARSER.parse_args(words)
        except SystemExit as error:
            wrong = capsys.readouterr().err
            # The text also names a command without its arguments, and an option without its value.
            assert not error.code or re.search(r"expected (one|at least one) argument|are required", wrong), (
                command,
                wrong,
            )


@EACH
def test_each_program_of_the_checkout_exists_with_its_options(page):
    for command in written(page):
        found = PROGRAM.match(command)
        if not found:
            continue
        source = (pages.ROOT / found[1]).read_text("utf-8")
        for option in re.findall(r"--[\w-]+", found[2]):
            assert f'"{option}"' in source, f"{page.name}: {command}"


def test_a_page_is_read_as_blocks_with_their_comments():
    page = "Text\n\n<!-- before: a\n  b -->\n<!-- exit: 1 -->\n```console\n$ one\nprinted\n$ two \\\n  more\n```\n\n- list\n\n    make x\n\n1. a\n\n    <!-- not run: b -->\n    ```console\n    $ c\n    ```\n"
    console, indented, in_list = pages.blocks(page)
    assert console.commands() == [("one", "printed\n"), ("two \\\n  more", "")]
    assert (console.line, console.comments) == (6, {"before": "a\n  b", "exit": "1"})
    assert (indented.unmarked(), console.unmarked()) == (["make x"], [])
    assert (in_list.commands(), in_list.comments) == ([("c", "")], {"not run": "b"})


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("2 found\n", "2 found\n", True),
        ("2 found\n", "3 found\n", False),
        ("2 found\n", "2 found\nmore\n", False),
        ("2 found\n…\n", "2 found\nmore\n", True),
        ("…\nlast\n", "first\n\nlast\n", True),
        ("at 2026-01-01 10:00:01, 1a2b3c4d, 12 ms\n", "at 2027-02-03 11:12:13, ffff0001, 9.5 ms\n", True),
        ("at 2026-01-01\n", "at noon\n", False),
        ("A  B\n", "A      B\n", True),
        ("A … C\n", "A b C\n", True),
        ("A … C\n", "A b D\n", False),
    ],
)
def test_what_is_printed_is_compared_but_for_what_differs_each_time(shown, printed, same):
    assert pages.matches(shown, printed) is same


def test_the_sites_search_fetches_nothing_from_the_network():
    """The theme's plug-in `offline` names a script on a server, unless the site has one of that name."""
    configuration = (pages.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (script,) = re.findall(r"^extra: \{polyfills: \[(\S+)\]\}", configuration, re.MULTILINE)
    assert "iframe-worker" in script
    assert "IFrameWorker" in (pages.ROOT / "docs" / script).read_text(encoding="utf-8")
