"""What people write by habit, and the hint that each gets."""

from __future__ import annotations

import pytest

from agent.cli.reference import markdown

MONITOR = "version: 1\nmodules: {sales: {}}\nmonitors:\n  - target: a.b.c\n    %s\n"


def hints(look, text):
    return " | ".join(f"{problem.message} -> {problem.hint}" for problem in look(text).problems)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("threshold: {warning: 1s, error: 5s}", "write a duration for each severity under `thresholds`"),
        ("threshold: 250", "this is 250 seconds -> write `250s` if that is meant, else `250ms`"),
        ("thresholds: {warning: 1500}", "this is 1500 seconds"),
        ("threshold: 2 sec", "`2s`"), ("threshold: 5 minutes", "`5m`"), ("threshold: 1000ms/req", "`1000ms`"),
        ("threshold: '>2s'", "`2s`"), ("threshold: “2s”", "`2s`"), ("threshold: PT5S", "`5s`"), ("threshold: never", "`off`"),
        ("capture: order_id", "did you mean `[order_id]`?"),
        ("capture: [len(items)]", 'give it a name: `{name: "expression"}`'),
        ("capture: [a.b, a_b]", "would be captured as `a_b`, as another one is"),
        ("errors: [ValueError]", "`{ValueError: warning}`"), ("errors: {warning: [KeyError]}", "the exception comes first"),
        ("tags: [a]", "`{a: value}`"), ("rules: {when: x, message: m}", "begin each rule with `- `"),
        ("rules: [result is None]", 'write `when: "result is None"` and a `message`'),
        ("rules: [{if: x, then: m}]", "it is called `when` here"), ("level: error", "it is called `severity` here"),
        ("timeout: 2s", "it is called `threshold` here"), ("ignore: [KeyError]", "it is called `expect` here"),
        ("kind: http", "did you mean `api`?"), ("kind: celery", "did you mean `transaction`?"), ("kind: sql", "`database`?"),
        ("kind: auth", "`security`?"), ("kind: workflow", "`business`?"), ("kind: apis", "`api`?"),
        ("enabled: on", "did you mean `true`?"), ("enabled: 'false'", "write it without quotes"),
        ("sample: 10%", "did you mean `0.1`?"), ("sample: 25", "did you mean `0.25`?"), ("severity: HIGH", "`error`?"),
        ("audit: yes", "did you mean `true`?"), ("audit: warn", "did you mean `warning`?"),
        ("unless: \"x.name.startswith('A')\"", "`x.name[0] == 'A'`"), ("unless: x.lower() == 'a'", "`x in ('a', 'A')`"),
        ("unless: x.get('a')", "write `x['key']`"), ("unless: orders.exists()", "it would run a query"),
        ("unless: \"re.match('a', x)\"", "there are no regular expressions"), ("unless: x.total()", "read an attribute"),
        ("unless: isinstance(error, KeyError)", "`type(error) == 'KeyError'`"), ("unless: x === 1", "did you mean `==`?"),
        ("unless: x && y", "`and` or `or`"), ("unless: '{order.id}'", "write it without braces"),
        ("unless: $order.id", "without `$`"), ("unless: x = 1", "did you mean `==`?"),
        ("rules: [{when: result['x'] == 'a', message: m}]", "inside `{…}` quote a text"),
        ('capture: {total: result["total"]}', "inside `{…}` quote a text"),
        ("operation: [a] b", "quote the whole text"),
        ("capture: {n: ${X}}", 'quote the variable inside `{…}` and `[…]`: "${NAME}"'),
    ],
)  # fmt: skip
def test_in_a_monitor(look, line, hint):
    assert hint in hints(look, MONITOR % line)


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        (r"sales\.orders\..*", "no regular expression: `*` matches any characters in one segment; did you mean `sales.orders.*`?"),
        ("^sales.create$", "did you mean `sales.create`?"), ("sales.(create|update)", "no regular expression"),
        ("sales.Order.save()", "did you mean `sales.Order.save`?"), ("sales.Order.save(self)", "did you mean `sales.Order.save`?"),
        ("sales/orders.py", "did you mean `sales.orders.FUNCTION`, or `sales.orders.*`?"),
        ("sales/orders.py:create", "did you mean `sales.orders:create`?"), ("sales/orders.py::create", "`sales.orders:create`?"),
        ("sales.orders::create", "did you mean `sales.orders:create`?"), ("sales.orders#create", "`sales.orders:create`?"),
        ("from sales import create", "did you mean `sales.create`?"),
    ],
)  # fmt: skip
def test_of_a_target(look, target, hint):
    assert hint in hints(look, f"version: 1\nmonitors: [{{target: '{target}'}}]\n")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("monitors:\n  create:\n    target: a.b\n", "each monitor is an item of a list: `- target: package.module.function`"),
        ("monitors:\n  -target: a.b\n", "a space belongs after the `-`"), ("monitors:\n  -\u00a0target: a.b\n", "an ordinary one"),
        ("monitors:\n  - target:a.b\n", "a space belongs after the `:`"), ("monitors:\n  - a.b.c\n", "write `target: a.b.c`"),
        ("monitors:\n  - a.b.c: {threshold: 2s}\n", "write `target: a.b.c`"), ("monitors:\n  - function: a.b\n", "called `target` here"),
        ("monitors:\n- target: a.b\nthreshold: 2s\n", "indent it as far as the `target` above it"),
        ("monitors:\n  - target: a.b\n   threshold: 2s\n", "keys of one mapping are indented alike"),
        ("monitors:\n\t- target: a.b\n", "use spaces"), ("monitors:\n  - target: *.create\n", "begins with `*`"),
        ("monitors: [{target: [a.b, a.c]}]\n", "write several under `targets`"),
        ("modules: [sales, stock]\n", "`{sales: {}, stock: {}}`"), ("dsn: https://k@h/1\n", "it belongs under `sentry`"),
        ("packs: {django: true}\n", "did you mean `[django]`?"), ("sentry: {dsn: ${SENTRY_DSN:-}}\n", "quote the variable"),
        ("delivery: {spool: {max_size: 256 megabytes}}\n", "did you mean `256MB`?"),
    ],
)  # fmt: skip
def test_in_the_file(look, text, hint):
    assert hint in hints(look, "version: 1\n" + text)


@pytest.mark.parametrize("value", ["59", "2s", "250s", "off", "0.25"])
def test_a_number_that_may_well_be_seconds_needs_no_hint(look, value):
    assert look(MONITOR % f"threshold: {value}").problems == []


def test_one_mistake_is_one_problem(look):
    for line in ("function: a.b", "condition: x"):
        text = "version: 1\nmonitors:\n  - " + (
            line if "function" in line else f"target: a.b\n    rules: [{{{line}, message: m}}]"
        )
        assert len(look(text + "\n").problems) == 1, line


def test_a_list_of_names_is_short_for_a_mapping(look):
    (monitor,) = look(
        MONITOR % "capture: [customer, order.number]\n    rules: [{when: customer, message: '{order_number}'}]"
    ).plan["monitors"]
    assert {name: expression["text"] for name, expression in monitor["capture"].items()} == {
        "customer": "customer", "order_number": "order.number"}  # fmt: skip
    assert "a list of names is short for a mapping" in markdown().lower()
