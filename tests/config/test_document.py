from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.load import load
from agent.config.read import text as text_of_files
from agent.config.read.interpolation import TYPED, interpolate
from agent.config.read.node import UnreadableDocument
from agent.config.read.shipped import schema_path
from agent.config.read.text import decode
from agent.config.read.tree import parse, resolve_scalar


def values(text, *, pure=False):
    root, defects = parse(text, pure=pure)
    return interpolate(root, {})[0], defects


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("~", None), ("", None), ("yes", "yes"),
     ("on", "on"), ("12:30", "12:30"), ("2024-01-31", "2024-01-31"), ("5m", "5m"), ("010", "010"), ("1_000", "1_000"),
     (".inf", ".inf"), ("1e999", "1e999"), ("9" * 5000, "9" * 5000), ("0x1f", "0x1f"), ("=", "=")],
)  # fmt: skip
def test_scalars_mean_what_people_expect(text, value):
    assert resolve_scalar(text) == value


def test_both_parsers_of_pyyaml_give_the_same():
    text = "a: &x {b: 1, c: [d, 'e', \"f\"]}\ng: *x\nh: {<<: *x, b: 2}\ni: |\n  text\n  more\n"
    assert values(text) == values(text, pure=True)
    marks = [[(n.line, n.column) for n in (parse(text, pure=p)[0].children.values())] for p in (True, False)]
    assert marks[0] == marks[1]


def test_explicit_keys_win_over_merged_ones_and_earlier_merges_over_later():
    value, _ = values("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 9}\n")
    assert value["c"] == {"y": 9, "x": 1, "z": 2}


def test_quoted_numbers_stay_text_and_quoted_merge_keys_are_keys():
    value, _ = values("a: '5'\nb: !!str 5\n'<<': {c: 1}\n")
    assert value == {"a": "5", "b": "5", "<<\0": {"c": 1}}


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (b"\xff\xfea\0", "yaml-encoding"),
        (b"a: \xff", "yaml-encoding"),
        (b"a: \0", "yaml-character"),
        (b"\x07", "yaml-character"),
    ],
)
def test_bytes_that_are_no_text(data, slug):
    with pytest.raises(UnreadableDocument) as caught:
        decode(data)
    assert caught.value.defect.slug == slug


def test_a_byte_order_mark_is_noted_and_does_no_harm(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\n")
    plan, problems = load(str(path), {})
    assert plan is not None
    assert [(problem.slug, problem.severity) for problem in problems] == [("yaml-bom", "note")]


def test_a_file_over_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_of_files, "MOST_BYTES", 100)
    path = tmp_path / "m.yaml"
    path.write_text("version: 1\n" + "#" * 200)
    plan, problems = load(str(path), {})
    assert plan is None
    assert problems[0].slug == "file-too-large"


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path):
    assert load(str(tmp_path), {}).problems[0].slug == "file-unreadable"
    assert load(str(tmp_path / "no.yaml"), {}).problems[0].slug == "file-missing"
    assert load(str(tmp_path / "a\0b"), {}).problems[0].slug == "file-unreadable"


def test_merge_keys_cannot_multiply_without_bound():
    big = "{" + ", ".join(f"k{number}: 1" for number in range(5000)) + "}"
    text = f"a: &a {big}\nb:\n" + "  - {<<: *a}\n" * 500
    with pytest.raises(UnreadableDocument) as caught:
        parse(text)
    assert caught.value.defect.slug == "yaml-size"


def test_the_typed_keys_are_those_of_the_schema():
    with open(schema_path(), encoding="utf-8") as stream:
        schema = json.load(stream)
    found = {"version"}

    def walk(node):
        if isinstance(node, dict):
            for key, value in node.get("properties", {}).items():
                target = value.get("$ref", "").rpartition("/")[2]
                target = schema["$defs"].get(target, {}).get("$ref", target).rpartition("/")[2]
                if target in ("flag", "fraction", "count", "repeats") or value.get("title") == "audit":
                    found.add(key)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(schema)
    assert found == TYPED


fragments = st.sampled_from(
    ["a", ": ", "- ", "\n", "  ", "{", "}", "[", "]", "&a ", "*a", "<<: ", "!!x ", "'", '"', "|\n", "#", "\t", "? ",
     ",", "---\n", "...", "%YAML 1.1\n", "@", "`", "version: 1\n", "monitors:\n", "${A}", "é", "\x85", "\u2028", "~"]
)  # fmt: skip


@pytest.mark.slow(reason="a large space: 150 examples")
@settings(max_examples=150, deadline=None)
@given(st.one_of(st.lists(fragments, max_size=40).map(lambda parts: "".join(parts).encode()), st.binary(max_size=80)))
def test_any_bytes_give_problems_and_never_a_crash(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "m.yaml"
    path.write_bytes(data)
    plan, problems = load(str(path), {})
    assert plan is not None or any(problem.severity == "error" for problem in problems)


@settings(max_examples=100, deadline=None)
@given(st.lists(fragments, max_size=30).map("".join))
def test_both_parsers_agree_on_what_they_accept(text):
    def outcome(pure):
        try:
            root, _ = parse(text, pure=pure)
        except UnreadableDocument:
            return "refused"
        return None if root is None else interpolate(root, {})[0]

    fast, slow = outcome(pure=False), outcome(pure=True)
    assert fast == slow or "refused" in (fast, slow)  # libyaml and PyYAML differ in which odd text they refuse


def test_tags_are_text_as_it_is_written(look):
    text = "version: 1\nsentry: {tags: {build: 010, rate: 1.50}}\nmodules: {m: {tags: {tier: 1}}}\n"
    plan = look(text + "monitors: [{target: a.b, module: m, tags: {live: True, part: '2'}}]\n").plan
    assert plan["sentry"]["tags"] == {"build": "010", "rate": "1.50"}
    assert plan["monitors"][0]["tags"] == {"tier": "1", "live": "True", "part": "2"}
    assert [problem.slug for problem in look("version: 1\nsentry: {tags: {tier: null}}\n").problems] == ["wrong-type"]
