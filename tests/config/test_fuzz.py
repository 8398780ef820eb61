"""No bytes crash the loader, the expressions or the interpolation, and none of them reaches anything."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.load import examine
from agent.config.read.interpolation import interpolate
from agent.config.read.node import UnreadableDocument
from agent.config.read.tree import parse as parse_tree
from agent.language.expressions import ExpressionError, parse

pytestmark = pytest.mark.slow(reason="large spaces of input")

_pieces = st.sampled_from([
    "version: 1\n", "monitors:\n", "  - target: a.b.c\n", "    threshold: 2s\n", "    rules:\n", "      - when: x\n", "&a ", "*a",
    "<<: *a\n", "${X}", "${X:-1}", "${", "$$", "{", "}", "[", "]", ": ", "- ", "\n", "\t", "  ", "|\n", ">-\n", "!!python/object:os.system ",
    "!x ", "#", "'", '"', "\\", "\ufeff", "%YAML 1.1\n", "---\n", "...\n", "? ", "@", "`", "\x85", "\u2028", "é", "😀", ", ", "~", "null",
    "include: [monitors.yaml]\n", "packs: [django]\n", "sentry: {dsn: x}\n", "defaults: {severity: critical}\n", "modules: {m: {}}\n",
])  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "monitors.yaml"


@settings(max_examples=300, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=300), st.lists(_pieces, max_size=25).map(lambda parts: "".join(parts).encode()))
)
def test_any_bytes_give_a_plan_or_problems(file, data):
    file.write_bytes(data)
    result = examine(str(file), {"X": "value"})
    assert result.plan is not None or result.problems
    for problem in result.problems:
        assert problem.message
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", problem.slug)
        assert problem.line >= 0
        assert problem.severity in ("error", "warning", "note")


@settings(max_examples=200, deadline=None)
@given(st.lists(_pieces, max_size=25).map("".join))
def test_libyaml_and_pure_python_agree_that_it_can_be_read(text):
    text = text.replace("\ufeff", "")  # refused before any parser sees it
    answers = []
    for pure in (False, True):
        try:
            root, _ = parse_tree(text, pure=pure)
        except UnreadableDocument:
            answers.append("unreadable")
        else:
            answers.append("empty" if root is None else "tree")
    assert "tree" not in answers or set(answers) <= {"tree", "unreadable"}


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("${}:-AXa_ é"), max_size=30))
def test_interpolation_of_anything(text):
    import json

    root, _ = parse_tree(f"key: {json.dumps(text)}\n")
    value, read, defects = interpolate(root, {"A": "${X}", "X": ""})
    assert isinstance(value["key"], str)
    assert set(read) <= set(re.findall(r"[A-Za-z_]\w*", text))
    if not defects:
        # What a variable holds is not looked at again: `A` holds the text of a reference, and stays that.
        assert (
            value["key"].count("${X}") == len(re.findall(r"(?<!\$)(?:\$\$)*\$\{A(?::-[^}]*)?\}", text)) or "$$" in text
        )


_tokens = st.sampled_from(
    "a result error duration _x __class__ . , ( ) [ ] { } + - * / // % ** == != < > <= >= = := in not is and or if else "
    "lambda for await yield f'x' 'a' \"b\" 1 10**9 1e400 0x1f None True len str open eval getattr import : ; @ ~ & | ^ << "
    "b'x' ... 1j *a **k é \n \\ \x00 #".split(" ")
)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.lists(_tokens, max_size=15).map(" ".join), st.lists(_tokens, max_size=15).map("".join), st.binary(max_size=40).map(
    lambda data: data.decode("latin-1"))))  # fmt: skip
def test_any_text_is_an_expression_or_an_expression_error(text):
    try:
        parsed = parse(text)
    except ExpressionError as error:
        assert str(error)
        assert error.column >= 1
        return
    assert all(not name.startswith("_") for name in parsed["names"])


def _says(file, text):
    file.write_text(text, encoding="utf-8")
    result = examine(str(file), {})
    return {problem.slug for problem in result.problems if problem.severity == "error"}


def test_a_byte_order_mark_inside_a_text_is_refused(file):
    assert _says(file, "\ufeffversion: 1\n") == set()
    assert _says(file, "version: 1\n\ufeffmonitors: []\n") == {"yaml-character"}


def test_what_is_too_much_ends_in_a_problem_not_in_memory(file):
    laughs = "x-0: &a0 [l,l,l,l,l,l,l,l,l]\n" + "".join(
        f"x-{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    assert _says(file, "version: 1\n" + laughs) == {"yaml-size"}
    assert _says(file, "version: 1\nx-a: " + "[" * 5000 + "]" * 5000) == {"yaml-depth"}
    with open(file, "wb") as stream:
        stream.truncate(100_000_000)
    assert {problem.slug for problem in examine(str(file), {}).problems} == {"file-too-large"}
    os.truncate(file, 0)
    merged = "x-a: &a {%s}\n" % ", ".join(f"k{n}: 1" for n in range(2000))
    wide = "version: 1\n" + merged + "monitors:\n" + "  - {<<: *a, target: a.b.c}\n" * 2000
    assert "yaml-size" in _says(file, wide)
