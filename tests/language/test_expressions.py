from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.language import expressions
from agent.language.expressions import ExpressionError, parse


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("result.id", ["attr", ["name", "result"], "id"]),
        ("items[0]", ["item", ["name", "items"], ["const", 0]]),
        ("items[-1]", ["item", ["name", "items"], ["const", -1]]),
        ("len(items) > 3", ["compare", ["call", "len", [["name", "items"]]], [[">", ["const", 3]]]]),
        ("1 < x <= 2", ["compare", ["const", 1], [["<", ["name", "x"]], ["<=", ["const", 2]]]]),
        ("a and not b", ["and", [["name", "a"], ["not", ["name", "b"]]]]),
        ("x in ('a', 'b')", ["compare", ["name", "x"], [["in", ["tuple", [["const", "a"], ["const", "b"]]]]]]),
        ("a if b else -c", ["if", ["name", "b"], ["name", "a"], ["neg", ["name", "c"]]]),
        (
            "total // 2 % [1]",
            ["binary", "%", ["binary", "//", ["name", "total"], ["const", 2]], ["list", [["const", 1]]]],
        ),
    ],
)
def test_trees(text, tree):
    assert parse(text)["tree"] == tree


def test_names_are_what_the_expression_reads():
    assert parse("len(items) > limit and result.len")["names"] == ["items", "limit", "result"]


def test_a_parameter_whose_name_is_one_of_our_words_is_named_in_quotes():
    assert parse('argument("error") is error')["names"] == ["argument.error", "error"]
    assert parse('argument("customer").id')["tree"] == ["attr", ["name", "customer"], "id"]
    for text in (
        "argument(error)",
        'argument("_x")',
        'argument("a.b")',
        "argument(1)",
        'argument("a", "b")',
        "argument()",
    ):
        with pytest.raises(ExpressionError):
            parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "x ** 2", "a & b", "~a", "+a", "lambda: 1", "[a for a in b]", "{a}", "{1: 2}", "f'{a}'", "(a := 1)",
        "a.b()", "open('x')", "eval(x)", "_a", "a._b", "a.__class__", "__import__('os')", "len(a, b)", "len(x=1)",
        "min(*a)", "a[1:2]", "await a", "b'x'", "1j", "...", "a; b", "a = 1", "import os", "10**9", "'a' * 1000000",
        "1000000 * [1]", "(a, 1) * n", "str(a) * 99", "a * 99999999", "a * 1000 * 1000 * 1000", "'%99999999d' % a",
        "9999999999999999999", "1e300", "a" * 1001, "(" * 300 + ")" * 300, "-" * 500 + "a", "not " * 200 + "a",
        "a" + ".b" * 100, "+".join(["a"] * 300), "a\x00b", "(yield)", "a if b", "getattr(a, 'b')", "len", "x @ y",
    ],
)  # fmt: skip
def test_refused(text):
    if text == "len":
        assert parse(text)["names"] == ["len"]  # a parameter may have that name
        return
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert str(caught.value)
    assert caught.value.column >= 1


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [("a + b._c", 5, ""), ("result ** 2", 8, "allowed are"), ("  a.b()", 3, ""), ("a and lne(b)", 7, "`len`"),
     ("é + ü._x", 5, ""), ("a | b", 3, "`or`")],
)  # fmt: skip
def test_the_column_and_hint(text, column, hint):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.column == column
    assert hint in caught.value.hint


def nodes(tree):
    yield tree
    for part in tree:
        if isinstance(part, list):
            yield from nodes(part)


atoms = st.sampled_from(["a", "result", "_x", "__class__", "1", "'t'", "None", "open", "len", "a.__dict__", "error"])
texts = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "*", "**", "==", " and ", " in ", "|", " is not "]), inner).map("".join),
        inner.map("({})".format),
        st.tuples(st.sampled_from(["len", "eval", "getattr", "a.pop", "str"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        inner.map("{}.real".format),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
    ),
    max_leaves=12,
)


@given(st.one_of(texts, st.text(max_size=60)))
def test_no_expression_reaches_private_names_or_other_functions(text):
    try:
        parsed = parse(text)
    except ExpressionError:
        return
    assert json.loads(json.dumps(parsed)) == parsed
    assert not any(name.startswith("_") for name in parsed["names"])
    for node in nodes(parsed["tree"]):
        if node and node[0] == "attr":
            assert not node[2].startswith("_")
        if len(node) == 3 and node[0] == "call" and isinstance(node[1], str):
            assert node[1] in expressions.FUNCTIONS


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("result is []", 11, "did you mean `== []`?"),
        ("result is not ()", 15, "did you mean `!= ()`?"),
        ("'x' is kind", 1, "did you mean `== 'x'`?"),
        ("a == 1 and (b is -1)", 18, "did you mean `== -1`?"),
        ("len(a) > 1 or a is b is (a, 1)", 25, "did you mean `== (a, 1)`?"),
    ],
)
def test_identity_with_a_literal_is_doubted(text, column, hint):
    doubts = []
    parse(text, doubts.append)
    assert [(doubt.column, doubt.hint) for doubt in doubts] == [(column, hint)]


@pytest.mark.parametrize("text", ["a is None", "a is not True", "False is a", "a is b", "a == []", "1 is None"])
def test_identity_that_can_be_meant_is_not_doubted(text):
    doubts = []
    parse(text, doubts.append)
    assert len(doubts) == (text == "1 is None")
