"""Source lines of stack frames: no secret that is written in them, and code that can still be read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.privacy import literals, redact

VALUE = "planted7x"


def shown(code):
    lines = code.split("\n")
    result = literals.shown(lines, 0, len(lines), 200)
    assert len(result) == len(lines)
    return "\n".join(result)


WAYS = [
    'password = "planted7x"', "PASSWORD: str = 'planted7x'", 'self.password = b"planted7x"', 'API_KEY = "a" + "planted7x"',
    'connect("host=db password=planted7x")', 'd = {"password": "planted7x"}', 'dict(password="planted7x")',
    'os.environ["API_KEY"] = "planted7x"', 'os.environ.setdefault("API_KEY", "planted7x")', 'x = getenv("TOKEN", "planted7x")',
    'if password == "planted7x":', 'if "planted7x" == password:', 'user, password = "anna", "planted7x"',
    '(user, password) = ("anna", "planted7x")', 'smtp.login("anna", "planted7x")', 'user.set_password("planted7x")',
    'auth = HTTPBasicAuth("anna", "planted7x")', 'get(url, auth=("anna", "planted7x"))', 'compare_digest(password, "planted7x")',
    'run(["mysql", "--password", "planted7x", "db"])', 'run("mysql --password planted7x")', 'setattr(u, "password", "planted7x")',
    'password = f"planted7x{suffix}"', 'password = given or "planted7x"', 'def f(user="a", password="planted7x"): ...',
    'password: str = field(default="planted7x")', 'password = ("a"\n    "planted7x")', "password = '''a\nplanted7x\nb'''",
    'PASSWORDS = {\n    "anna": "planted7x",\n}', 'connect(\n    password=\n        "planted7x",\n)', 'password = "a" \\\n    "planted7x"',
    'os.environ.setdefault(\n    "API_KEY",\n    "planted7x",\n)', "# the password is planted7x", "x = 1  # pin: planted7x",
    'engine = create_engine("postgres://u:planted7x@h/d")', 'lambda password="planted7x": 1', 'token = T["planted7x"] if x else 1',
    'cr.execute("SELECT 1 FROM t WHERE name = \'planted7x\'")', 'headers = [("Authorization", "planted7x")]',
    'for password in ("a", "planted7x"):', 'assert check_password("planted7x", user.hash)', 'password.startswith("planted7x")',
    '"""\nUse it as password: planted7x\n"""', 'w = "mail planted7x@example.com"', 'print("pw", password, "planted7x")',
    'x = """\n<password>planted7x</password>\n"""', "def get_token(kind='planted7x'): ...", "password = r'planted7x'",
    'self.client.post("/in", {"username": "a", "password": "planted7x"})', "match password:\n    case 'a': x = token == 'planted7x'",
]  # fmt: skip


@pytest.mark.parametrize("code", WAYS)
def test_a_secret_that_is_written_in_the_source_goes(code):
    assert VALUE not in shown(code)
    assert VALUE not in shown("def f():\n    x = 1\n    " + code + "\n    return x")
    assert VALUE not in shown("try:\n    f()\nexcept E: pass\nif x:\n    pass\n" + code + "\nwhile x:\n\tpass")


def test_the_statement_pass_is_no_private_name():
    code = "try:\n    close('a4', 17.25)\nexcept OSError:\n\tpass\nif ready: pass  \nleft(\"to\", f'{x!r}', 1234)"
    assert shown(code) == code


@pytest.mark.parametrize("code", [
    'd = {"pass": "planted7x"}\nif d: pass', 'x = {\'db pass\':\n"planted7x"}\npass', 'run(["--pass", "planted7x"])\npass',
])  # fmt: skip
def test_a_text_that_is_pass_is_one(code):
    assert VALUE not in shown(code)


def test_pass_in_a_text_is_one():
    lines = ['USERS = """', "user", *[""] * 20, "\tpass", "\tplanted7x", *[""] * 20, '"""']
    at = lines.index("\tplanted7x")
    assert VALUE not in "".join(literals.shown(lines, at - 5, at + 5, 200))


def test_numbers_go_too():
    assert shown("PIN = 12\nTOKEN = 123456\nretry(token, 3, limit=100)") == (
        "PIN = [Filtered]\nTOKEN = [Filtered]\nretry(token, 3, limit=100)"
    )


def test_a_key_goes_by_its_looks():
    assert shown('c = Client("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")') == "c = Client([Filtered])"
    assert shown('c = Client("9b74c9897bac770ffc029102a200c5de")') == "c = Client([Filtered])"


READABLE = """
raise ValueError("password must have 8 characters")
raise ValueError("bad token %s" % token)
raise ValueError("no user with token {}".format(token))
log.info(f"password={pw} of {user.name}")
user = authenticate(username=name, password=password)
session.query(Order).filter(Order.state == "draft", Order.total > 1000)
request.session["cart"] = {"lines": []}
def reset(self, password, host="localhost", port=5432):
token.split(".")
password.encode("utf-8")
def create_order(customer, items, *, currency="EUR", due="2024-05-17"):
return render(request, "sales/order.html", {"order": order, "title": "Order 17"})
if order.state not in ("draft", "sent"):
total = sum(line.price * line.quantity for line in lines)  # net
x = d["customer"]["id"] if d.get("customer") else None
self.env["sale.order"].search([("state", "=", "sale"), ("partner_id", "=", 17)])
raise PasswordTooShortError("at least 8 characters")
path("orders/<int:pk>/", views.OrderView.as_view(template_name="order.html"), name="order-detail")
id = "550e8400-e29b-41d4-a716-446655440000"
""".strip().split("\n")


@pytest.mark.parametrize("line", READABLE)
def test_code_stays_readable(line):
    assert shown(line) == line


def test_what_began_above_the_lines_counts():
    lines = ["PASSWORDS = {", *(f'    "{number}": "x",' for number in range(6)), '    "anna": "planted7x",', "}"]
    assert VALUE not in "\n".join(literals.shown(lines, 6, 9, 200))
    text = ["x = '''", "a", "it's password=planted7x", "b'''", "y = 'open'"]
    assert literals.shown(text, 2, 5, 200) == ["it's password=[Filtered]", "b'''", "y = 'open'"]


@pytest.mark.slow(reason="a large space: 300 examples")
@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([
    "password", "token", "=", '"', "'", '"""', "'''", "(", ")", "[", "]", "{", "}", ",", ":", "\n", "\\", "#", "f", "b", " ", "x",
    "%s", "5", "{pw}", "==", "\\\n", ";", ".", "login(", "-----BEGIN PRIVATE KEY-----",
]), max_size=30).map("".join))  # fmt: skip
def test_any_text_is_as_many_lines_as_it_was(code):
    shown(code)


def test_it_reads_each_line_a_bounded_number_of_times():
    """Tokens that are read of code twice as long: twice as many."""
    counts = []
    for number in (500, 1000):
        code = 'password = [("a", {"b": \'c"\'}), # token\n' * number
        private, found = literals.private_literals(code)
        counts.append(len(found))
        assert private
    assert counts[1] == 2 * counts[0]


def test_the_configurations_names_are_private_in_source_too():
    redact.configure({"names": ["salary"], "national_ids": [], "forms": {}})
    try:
        assert shown("base_salary = 52000") == "base_salary = [Filtered]"
    finally:
        redact.configure(None)
    assert shown("base_salary = 52000") == "base_salary = 52000"
