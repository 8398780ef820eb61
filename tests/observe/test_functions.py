"""Functions of expressions that describe a value: none of them reveals its content."""

import pytest

from agent.language.expressions import parse
from agent.observe.around import work
from agent.observe.expression.evaluate import compile_expression


def run(text, value):
    return compile_expression(parse(text))(value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/v1/orders?token=s3cret", "api.example.com"),
        ("http://anna:s3cret@API.example.com:8443/?a=b@c", "api.example.com:8443"),
        (b"redis://:s3cret@10.0.0.5:6379/0", "10.0.0.5:6379"),
        ("http://[::1]:80?x=s3cret", "[::1]:80"),
        ("https://example.com\\s3cret", "example.com"),
        ("https://example.com#s3cret", "example.com"),
    ],
)
def test_host(url, expected):
    assert run("host(a)", url) == expected


@pytest.mark.parametrize(
    "url", ["s3cret", "/path?s3cret", "https:///s3cret", "http://s3 cret/", "", "http://ü/", None, 5]
)
def test_no_host(url):
    with pytest.raises((ValueError, TypeError)):
        run("host(a)", url)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "SELECT %s"),
        ("select *\n  from t where a = 'it''s' -- s3cret", "select * from t where a = %s"),
        ('SELECT /* user=s3cret */ "t"."id" FROM t1 WHERE x IN (1, 2.5, 0xff)',
         'SELECT "t"."id" FROM t1 WHERE x IN (%s, %s, %s)'),
        ('UPDATE `t` SET `a` = "s3cret" # s3cret', "UPDATE `t` SET `a` = %s"),
        ("SELECT $$s3cret$$, $x$s3cret", "SELECT %s, %s"),
        ("INSERT INTO t VALUES ('s3cret", "INSERT INTO t VALUES (%s"),
        ("SELECT /* s3cret", "SELECT"),
        (b"select %s, :name, $1 from t", "select %s, :name, $1 from t"),
        ("select :1,:12 from t where a=?1 and b[1:2] = :1234", "select :1,:12 from t where a=?1 and b[%s:%s] = :%s"),
    ],
)  # fmt: skip
def test_statement(sql, expected):
    assert run("statement(a)", sql) == expected


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_statement_that_is_composed(driver):
    sql = pytest.importorskip(driver + ".sql")
    table, columns = sql.Identifier("public", "t"), sql.SQL(", ").join([sql.Identifier("a"), sql.Identifier("b")])
    made = sql.SQL("SELECT {} FROM {} WHERE a = {} AND b = {}").format(
        columns, table, sql.Literal("s3cret"), sql.Placeholder("b")
    )
    assert run("statement(a)", made) == 'SELECT "a", "b" FROM "public"."t" WHERE a = %s AND b = %s'
    assert run("verb(a)", made) == "SELECT"
    assert run("statement(a)", sql.SQL("SELECT 's3cret'")) == "SELECT %s"
    with pytest.raises(ValueError):
        run("verb(a)", sql.Literal("s3cret"))


@pytest.mark.parametrize("sql", [None, 5, ["SELECT 1"], object()])
def test_no_statement(sql):
    with pytest.raises(TypeError):
        run("statement(a)", sql)


def test_keys_of_what_is_in_memory():
    assert run("keys(a)", {"email": ["s3cret"], 5: 1}) == ["email"]
    assert run("keys(a)", [{"email": "s3cret"}, {}, {"price": 1, "email": 2}, "s3cret"]) == ["email", "price"]
    assert run("keys(a)", {0: {"email": "s3cret"}, 7: {"price": 1}}) == ["email", "price"]
    assert run("keys(a)", ()) == []
    assert len(run("keys(a)", {str(number): 1 for number in range(1000)})) == 100

    class Query:
        def __iter__(self):
            raise AssertionError("a query was run")

    for value in (Query(), iter([1]), (x for x in [1]), "s3cret", range(3), {"s3cret"}):
        with pytest.raises(TypeError):
            run("keys(a)", value)


@pytest.mark.parametrize(("text", "word"), [("get", "GET"), (b"HSET a s3cret", "HSET"), ("\n select 1", "SELECT")])
def test_the_first_word(text, word):
    assert run("verb(a)", text) == word


@pytest.mark.parametrize("text", ["", "4111111111111111", "a=s3cret", "s3cret", "x" * 40, None, 5, ["GET"]])
def test_no_first_word(text):
    with pytest.raises((ValueError, TypeError)):
        run("verb(a)", text)


def test_the_class_of_a_value():
    assert run("type(a)", ValueError("s3cret")) == "ValueError"
    assert run("type(a)", parse) == "function"


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("nightly", True), ("reminder-1234", True), ("deadbeef", True), ("", False), (None, False), (7, False),
        ("0b8f6ce29f3e4d53a0b7b6a2f0e4c6d1", False), ("import-E3A4C4B0-5A4E-4F0C-9D0E-6D8F7C1B2A39", False),
        ("507f1f77bcf86cd799439011", False),
    ],
)  # fmt: skip
def test_a_name_that_somebody_has_chosen(name, chosen):
    assert run('chosen(a) or "its function"', name) == (name if chosen else "its function")


def test_the_task_that_runs(monkeypatch):
    monkeypatch.setattr(work, "task", str)
    assert run("request(a)", "task") == ""
    monkeypatch.setattr(work, "task", lambda: "shop.ship")
    assert run("request(a)", "task") == "shop.ship"
