"""Rows under a header that names a private column lose what stands in that column, and nothing else."""

import pytest

from agent.privacy import redact
from agent.privacy.scrub import scrub_json

TABLES = {
    "name,password\nanna,planted7x\nbob,planted7x": "name,password\nanna,[Filtered]\nbob,[Filtered]",
    "id;api_key;note\r\n1;planted7x;a\r\n": "id;api_key;note\r\n1;[Filtered];a\r\n",
    "user\tPIN\nanna\tplanted7x": "user\tPIN\nanna\t[Filtered]",
    '"name","passWord","x"\n"anna","planted7x, ""b""","c"': '"name","passWord","x"\n"anna","[Filtered]","c"',
    "row 5 of:\npassword,name\nplanted7x,anna": "row 5 of:\npassword,name\n[Filtered],anna",
    " id | password | x \n----+----------+---\n  1 | planted7x | 2\n(1 row)": (
        " id | password | x \n----+----------+---\n  1 | [Filtered] | 2\n(1 row)"
    ),
    "| name | token |\n|---|---|\n| anna | planted7x |": "| name | token |\n|---|---|\n| anna | [Filtered] |",
    "+---+-----+\n| a | otp |\n+---+-----+\n| 1 | planted7x |": "+---+-----+\n| a | otp |\n+---+-----+\n| 1 | [Filtered] |",
    "ValueError('name,secret\\nanna,planted7x\\n')": "ValueError('name,secret\\nanna,[Filtered]\\n')",
    "ValueError('pwd,name\\nplanted7x,anna')": "ValueError('pwd,name\\n[Filtered],anna')",
    "cannot read: name,pwd\nanna,planted7x": "cannot read: name,pwd\nanna,[Filtered]",
    "user,session id\nanna,planted7x": "user,session id\nanna,[Filtered]",
    "a,token,b,iban\n1,planted7x,2,planted7x\n3,,4,": "a,token,b,iban\n1,[Filtered],2,[Filtered]\n3,,4,",
}


@pytest.mark.parametrize("table", TABLES)
def test_a_private_column_goes(table):
    assert redact.text(table) == TABLES[table]
    assert redact.text(TABLES[table]) == TABLES[table]


@pytest.mark.parametrize(
    "text",
    [
        "name,state\nanna,open",
        "The password, as given, is wrong\nplease try again, later",
        "token,\n",
        "a,b\n1,2\npassword,c",
        "the sales,token\nhas,one,two",
    ],
)
def test_other_rows_stay(text):
    assert redact.text(text) == text


def test_rows_that_were_read_already_lose_it_too():
    rows = [["name", "password", "n"], ["anna", "planted7x", 1], ["bob", None, 2], ["short"]]
    assert scrub_json(rows) == [["name", "password", "n"], ["anna", "[Filtered]", 1], ["bob", None, 2], ["short"]]
    assert scrub_json([["name", "state"], ["anna", "open"]]) == [["name", "state"], ["anna", "open"]]


@pytest.mark.parametrize(
    "text",
    ["userPassword:: cGxhbnRlZDd4", "dn: uid=a\nuserPassword:: cGxhbn\n RlZDd4\nmail: x", "password::cGxhbnRlZDd4"],
)
def test_a_value_in_base_64_goes_whole(text):
    clean = redact.text(text)
    assert "cGxhbn" not in clean
    assert "RlZDd4" not in clean
    assert clean.endswith("mail: x") == text.endswith("mail: x")
