"""What docs/privacy.md calls private goes in every spelling; what a person on call needs to read stays."""

import json
import re
from urllib.parse import quote, urlencode

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from agent.privacy import redact

VALUE = "planted7x"

#: One a line; where it holds \\n, both that and a new line are meant.
GONE = r'''
bank account: planted7x
Card holder: planted7x Jones
cardHolder=planted7x
connection string: Server=db;User=sa;Password=planted7x
Server=db,1433;Database=erp;User Id=sa;Password=my planted7x pw;Encrypt=true
DRIVER={SQL Server};SERVER=db;UID=sa;PWD={planted7x;a}
host=db dbname=erp user=erp password='it\'s planted7x'
host=db password=planted7x
social security number: 078 05 planted7x
api_key: planted7x
X-Api-Key: planted7x
apiKeys: ['a', 'planted7x']
pass phrase: correct horse planted7x
passphrase = correct horse planted7x
Session ID = planted7x
PHPSESSID=planted7x; path=/
password (again): planted7x
user[password]=planted7x&x=1
user%5Bpassword%5D=planted7x&x=1
form['password'] = 'planted7x'
passwords["anna"] = "planted7x"
{"name": "password", "value": "planted7x"}
<input name="password" value="planted7x">
<soap:Password Type="x">planted7x</soap:Password>
<password><![CDATA[planted7x]]></password>
('password', 'planted7x')
[(b'authorization', b'planted7x')]
Command '['mysql', '--password', 'planted7x']' returned non-zero exit status 1
mysql --password planted7x
mysql --password=planted7x db
ALTER USER erp WITH PASSWORD 'planted7x'
CREATE USER x IDENTIFIED BY 'planted7x'
Wrong password 'planted7x'
User(name='anna', password='planted7x', age=5)
<User password=planted7x>
User{name=anna, password=planted7x}
b'password=planted7x'
{"password": "a\"b planted7x"}
{\"password\": \"a\\\"b planted7x\"}
{'password': 'it\'s planted7x'}
"{\"a\": {\"password\": \"x planted7x\"}}"
password="""a "b" planted7x"""
password: “a planted7x”
password&quot;:&quot;a planted7x&quot;
%22password%22%3A%22a%20planted7x%22
password%3Dplanted7x
password = ("a", "planted7x")
password={"a": {"b": [1, "planted7x"]}}
password -> planted7x
password => planted7x
password := planted7x
password != 'planted7x'
Cookie: a=b; c=planted7x; d=e
Set-Cookie: id=planted7x; Path=/
Proxy-Authorization: Digest a="b", c="planted7x"
Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=planted7x
curl -u anna:planted7x https://x.example
curl --user anna:planted7x https://x.example
erp:planted7x@db/erp
erp:Hun/planted7x@db.internal:5432/erp
scott/planted7x@//db:1521/x
postgres://erp:planted7x/a@db/x
postgres://erp:a@planted7x@db/x
amqp://erp:a'planted7x@mq//
redis://:planted7x@cache/0
jdbc:mysql://db/erp?user=x&password=planted7x
AccountName=x;AccountKey=planted7x==;EndpointSuffix=core
https://x.example/a?planted7x
GET /a?name=O'planted7x HTTP/1.1
csrfmiddlewaretoken=planted7x
smtp_pass=planted7x
DB_PASS: planted7x
pin1=planted7x
PIN-Code: planted7x
cvv2: planted7x
Key (lower(name))=(planted7x) already exists.
Key (a, b)=(1, x) conflicts with existing key (a, b)=(1, planted7x).
Schlüssel »(email)=(planted7x)« existiert bereits.
DETAIL:  Fehlgeschlagene Zeile enthält (1, planted7x).
DETAIL:  Token "planted7x" is invalid.\nCONTEXT:  JSON data, line 1: planted7x
invalid input syntax for type integer: "planted7x"
LINE 1: SELECT * FROM t WHERE a = 'planted7x'
LINE 1: ...nter' AND name = 'planted7x AN...
syntax error at or near "planted7x"
near "planted7x": syntax error
unrecognized token: "'planted7x"
(1062, "Duplicate entry 'O'x planted7x' for key 'u'")
(1062, "Doppelter Eintrag 'planted7x' für Schlüssel 'u'")
(1366, "Incorrect integer value: 'planted7x' for column 'x' at row 1")
(1064, "You have an error in your SQL syntax; check the manual for the right syntax to use near 'planted7x' at line 1")
Violation of UNIQUE KEY constraint 'UQ'. Cannot insert duplicate key in object 'dbo.u'. The duplicate key value is (planted7x, 5).
Conversion failed when converting the varchar value 'planted7x' to data type int.
Truncated value: 'planted7x'.
[SQL: UPDATE t SET a='planted7x' WHERE b = 5]\n[parameters: ('planted7x',)]
[SQL: INSERT INTO t VALUES ('it''s planted7x', $$planted7x$$)]
failed: select * from users where name = 'planted7x'
Execution failed on sql 'SELECT * FROM t WHERE a = "Hunter 2xyz planted7x"': no such table
input_value={'a': 'planted7x'}, input_type=dict]
On instance['a']:\n    'planted7x'
-----BEGIN OPENSSH PRIVATE KEY-----\nplanted7x\n
planted7x\n-----END RSA PRIVATE KEY-----
---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nplanted7x\n---- END SSH2 ENCRYPTED PRIVATE KEY ----
Bearer "planted7x"
bearer%20planted7x
Basic planted7x==
eyJplanted7x.planted7x.planted7x
hooks.slack.com/services/T0/B0/planted7x
glrt-planted7xplanted7x
"planted7x Jones"@example.com
o'planted7x@example.com
planted7x@[10.0.0.1]
planted7x%40example.com
planted7x@例子.公司
planted7x\u0040example.com
'''

STAYS = r"""
order 1234567890123 was not found
SO-2024-00012345 is late
invoice INV/2024/0012345 of 2024-01-31: 1,234.56 EUR
total 12.50 + 3.25 = 15.75
2024-01-31 12:30:45.123456+00:00
from 2024-01-15 08:00 to 2024-01-16 17:30
20240131123045
550e8400-e29b-41d4-a716-446655440000
version 3.11.7-2+b1 of erp 2024.1.3
192.168.100.200:8080
quantity=12, price=9.99, discount=5%
material 000000000010023456
delivery 0080012345
article 978-3-16-148410-0
KeyError: 'customer_id'
sales.models.Order.DoesNotExist: Order matching query does not exist.
ValidationError: {'name': ['This field is required.']}
the secretary: Mrs. X
pinned: yes
shipping: 12 EUR
tokenizer: bert
author: someone
keyboard: 5
monkey=1
TokenError: the link is too old
PasswordTooShort is raised here
Basic functionality of the module
https://erp.example.com:8000/orders/12/
git@v4
a @ b
@app.route('/x')
x = a.select(from_date)
Please select a date from the list: 'May'
update the order and set it aside
where is the order 5?
key: value
(a) = (b)
session_count=5
using password: YES
password: None
duplicate key value violates unique constraint "users_email_key"
syntax error at or near "FROM"
column "total" of relation "orders" does not exist
+49
amount +1234567.50
weights 12 15 18 22 kg
dimensions 120 x 80 x 144
row 5, column 12
12:30:45
3.5e-10
0x7f3a2b
#1234
5 > 3
a/b/c
tax rate 19 %
HTTP 404: Not Found
UNIQUE constraint failed: users.email
lines: [1, 2, 3]
customer: {'id': 5, 'name': 'ACME'}
product=Hammer 500g
"""


def lines(text):
    return [each for each in text.strip("\n").split("\n") if each]


@pytest.mark.parametrize("text", lines(GONE))
def test_a_private_value_goes(text):
    for each in {text, text.replace("\\n", "\n")}:
        assert VALUE not in redact.text(each)
        assert VALUE not in redact.text(f"while posting order 17: {each}\nand then nothing")


@pytest.mark.parametrize("text", lines(STAYS))
def test_business_stays_readable(text):
    assert redact.text(text) == text


NUMBERS = {
    "[card]": [
        "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111", "4111_1111_1111_1111",
        "4111/1111/1111/1111", "4111,1111,1111,1111", "4111%201111%201111%201111", "4111+1111+1111+1111",
        "4111\u20091111\u20091111\u20091111", "4111\u20111111\u20111111\u20111111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "41 11 11 11 11 11 11 11", "378282246310005", "3782 822463 10005", "card4111111111111111", "4111111111111111x",
        "B4111111111111111^DOE/JOHN^2712", "4111\n1111\n1111\n1111", "6304000000000000",
    ],
    "[phone]": [
        "+46701234567", "+46 70 123 45 67", "0046701234567", "0046 (0)70 123 45 67", "tel:0046701234567",
        "(+46) 70-123 45 67", "%2B46701234567", "to=%2B46%20701234567", "+46701234567,2 items", "tel+46701234567",
        "+1 (555) 123-4567", "0015551234567", "+46\u00a070\u00a0123\u00a045\u00a067", "+46.70.123.45.67",
    ],
    "[iban]": [
        "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "DE89-3704-0044-0532-0130-00", "IBANDE89370400440532013000",
        "to%3DDE89370400440532013000", "DE89%203704%200044%200532%200130%2000", "GB82 WEST 1234 5698 7654 32",
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000", "de89 3704 0044 0532 0130 00", "DE89.3704.0044.0532.0130.00",
    ],
    "[email]": [
        "anna@example.com", "o'neil@example.com", '"anna svensson"@example.com', "anna@[10.0.0.1]", "anna%40example.com",
        "用户@例子.公司", "anna\\u0040example.com", "anna\uff20example.com", "anna+tag@mail.example.co.uk",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("placeholder", "number"), [(name, each) for name, many in NUMBERS.items() for each in many])
@pytest.mark.parametrize("around", ["{}", "for {} now", "({})", "'{}'", "{},", "[{}]", "no: {}.", "a\n{}\nb"])
def test_a_form_goes_however_it_is_written(placeholder, number, around):
    text = redact.text(around.format(number))
    assert placeholder in text or number[:3] == '"an'
    digits = re.sub(r"[^0-9]", "", number)
    assert len(digits) < 8 or digits not in re.sub(r"[^0-9]", "", text)


def test_track_data_of_a_card_goes_with_the_name():
    assert redact.text("swiped %B4111111111111111^DOE/JOHN^2712101?") == "swiped %B[card]"


# ------------------------------------------------------------------------------------------------------- any spelling

WORDS = [
    "password", "passphrase", "secret", "token", "authorization", "cookie", "csrf token", "credential", "api key",
    "access key", "private key", "session id", "session key", "credit card", "card number", "card holder",
    "security code", "cvv", "cvc", "pin", "otp", "jwt", "iban", "bank account", "social security", "connection string",
]  # fmt: skip
STYLES = [
    lambda words: "_".join(words), lambda words: "-".join(words), lambda words: "".join(words),
    lambda words: "_".join(words).upper(), lambda words: "-".join(each.title() for each in words),
    lambda words: words[0] + "".join(each.title() for each in words[1:]), lambda words: "".join(map(str.title, words)),
    lambda words: "customer_" + "_".join(words), lambda words: "_".join(words) + "_2",
    lambda words: "x-" + "-".join(words), lambda words: "new" + "".join(map(str.title, words)),
]  # fmt: skip
names = st.builds(lambda word, style: style(word.split()), st.sampled_from(WORDS), st.sampled_from(STYLES))
spoken = st.sampled_from(WORDS).flatmap(lambda word: st.sampled_from([word, word.title(), word.upper()]))
#: Beginning and end of a value: whatever a person may have chosen for a password.
ends = st.text(st.sampled_from("aZ5 '\"\\\\,;:&=)]}([{/%+.-<>#@?\n\t|“ö"), max_size=6)
unbroken = st.text(st.sampled_from("aZ5'\",;:=)]}/%+.-#?|ö"), max_size=6)


def as_python(name, value):
    return repr({"id": 5, name: value, "state": "open"})


def as_json(name, value):
    return json.dumps({"id": 5, name: value, "state": "open"}, ensure_ascii=False)


def in_json(name, value):
    return json.dumps({"body": as_json(name, value)})


def in_python(name, value):
    return repr(["x", as_python(name, value)])


def deeper(name, value):
    return repr({name: {"old": [{"a": 1}], "new": (value, None)}})


def call(name, value):
    return f"User(id=5, {re.sub('-', '_', name)}={value!r}, state='open')"


def query(name, value):
    return urlencode({"id": 5, name: value, "state": "open"})


def encoded(name, value):
    return quote(as_json(name, value))


def pair(name, value):
    return repr([("id", 5), (name, value)])


def bytes_(name, value):
    return repr({name.encode(): value.encode()})


@pytest.mark.slow(reason="a large space: 1500 examples")
@settings(max_examples=500, deadline=None)
@given(
    names, ends, ends,
    st.sampled_from([as_python, as_json, in_json, in_python, deeper, call, query, encoded, pair, bytes_]),
)  # fmt: skip
def test_no_value_of_a_private_name_is_left_however_it_is_printed(name, before, after, printed):
    text = printed(name, before + VALUE + after)
    assert VALUE not in redact.text(text), text


@pytest.mark.slow(reason="a large space: 800 examples")
@settings(max_examples=400, deadline=None)
@given(
    names | spoken, st.sampled_from(["=", ":", " = ", ": ", ":   ", "\t=\t", "=>", " := ", " -> ", ":\n  ", "%3D"]), unbroken,
    unbroken, st.sampled_from(["{}", "at 5: {}", "a=1, {}", "({})", "<{}>", "{}\nhost=db", "[{}]", "x={};y=2"]),
)  # fmt: skip
def test_no_value_of_a_private_name_is_left_in_running_text(name, sign, before, after, around):
    value = before.lstrip(",;)]}>'\"|=:&?+%") + VALUE + after
    assume(not re.search(r";[^;]*(=|$)", value))  # that is where the next one begins: PWD=…;Encrypt=yes
    text = around.format(name + sign + value)
    assert VALUE not in redact.text(text), text


users = st.text(st.sampled_from("abc1._-"), min_size=1, max_size=5)
passwords = st.text(st.sampled_from("aZ5'/:@?#%&=+$!*(),;"), max_size=5)


@pytest.mark.slow(reason="a large space: 500 examples")
@settings(max_examples=500, deadline=None)
@example("postgres", "1", "@://", ":", "{}")
@given(st.sampled_from(["postgres", "mysql+pymysql", "redis", "amqp", "https", "ldap", "mssql+pyodbc"]), users, passwords,
       passwords, st.sampled_from(["{}", "could not connect to {}: refused", "'{}'", '"{}"', "url={}"]))  # fmt: skip
def test_no_password_of_an_address_is_left(scheme, user, before, after, around):
    assume(not re.search(r"@.*\w://", before + VALUE + after))  # that is where another address begins
    text = around.format(f"{scheme}://{user}:{before}{VALUE}{after}@db.internal:5432/erp")
    assert VALUE not in redact.text(text), text


@pytest.mark.slow(reason="a large space: 500 examples")
@settings(max_examples=500, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12), st.sampled_from([
    "Key (email)=({}) already exists.", "Key (lower(name::text), b)=({}, 5) already exists.",
    "DETAIL:  Failing row contains (1, {}, null).", "(1062, \"Duplicate entry '{}' for key 'u'\")",
    "[SQL: SELECT 1]\n[parameters: ('{}',)]", "[type=int_parsing, input_value='{}', input_type=str]",
    "The duplicate key value is ({}).",
]))  # fmt: skip
def test_no_value_is_left_in_what_a_database_says(before, after, message):
    before, after = (re.sub(r"[\r\n]", "", each) if "(1" not in message else each for each in (before, after))
    text = message.format(before + VALUE + after)
    assert VALUE not in redact.text(text), text


literal = st.text(st.sampled_from('aZ5 "\\\\,;:-/*#$%@)('), max_size=6)


@pytest.mark.slow(reason="a large space: 500 examples")
@settings(max_examples=500, deadline=None)
@given(literal, literal, st.sampled_from([
    "[SQL: UPDATE t SET a = {} WHERE b = 5]", "SELECT * FROM t -- it's\nWHERE a = {}", "INSERT INTO t VALUES ({}, 5)",
    "no such column x in: select a from t where b = {} and c = 'x'", 'LINE 1: SELECT * FROM "t" WHERE a = {}',
]))  # fmt: skip
def test_no_literal_of_a_statement_is_left(before, after, statement):
    quoted = "'" + (before + VALUE + after).replace("'", "''") + "'"
    text = statement.format(quoted)
    assert VALUE not in redact.text(text), text


plain = st.lists(st.sampled_from([
    "order", "SO-17", "invoice", "2024-05-17", "12:30", "9.99", "EUR", "1,234.56", "late", "customer", "17", "v3.11.7", "total",
    "sales.models.Order", "ValueError", "(17)", "[1, 2]", "is", "not", "found:", "quantity=5", "state='open'", "10.0.0.1",
    "550e8400-e29b-41d4-a716-446655440000", "50%", "#17", "a/b", "Hammer 500g", "None", "{'id': 5}", "row=3;", "->", "==",
]), max_size=10).map(" ".join)  # fmt: skip


@pytest.mark.slow(reason="a large space: 500 examples")
@settings(max_examples=500, deadline=None)
@given(plain)
def test_ordinary_text_is_left_alone(text):
    assert redact.text(text) == text
