"""What users do wrong, under the packs: one mistake is counted, an attack or a fault of many is one event."""

import json
from collections import Counter

import pytest
from acceptance.host import summary
from acceptance.test_packs_django import API_URLS, SHOP, captured, named, prepare, run

pytest.importorskip("django")

BEGIN = """
import asyncio
from django.contrib.auth import authenticate, get_user_model
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import AsyncClient, Client
from shop.forms import OrderForm
from shop.models import Order
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
call_command("migrate", run_syncdb=True, verbosity=0)
User = get_user_model()
anna, bo = [User.objects.create_superuser(name, MAIL, WORD) for name in ("anna", "bo")]
def browser(user):
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client
"""

#: Of one login, one more than is normal; of another, as many as are. Then as many others as `LAST` allows.
SIGN_INS = """
for _ in range(11): assert authenticate(username=MAIL, password=CARD) is None
for _ in range(10): assert authenticate(username="bo", password=CARD) is None
for _ in range(11): assert authenticate(token=CARD) is None  # of nobody
for number in range(LAST - 32): assert authenticate(email=f"{number}{MAIL}", password=CARD) is None
assert authenticate(username="anna", password=WORD) is not None
assert authenticate(request=None) is None
"""


#: As a view that checks permissions: it has loaded the user.
LOOKS = SHOP["urls__py"].replace("def refused(request):", "def refused(request): request.user.pk;")


def attacks(host, main, **variables):
    values = "".join(f"{name} = {value!r}\n" for name, value in variables.items())
    prepare(host, BEGIN + values + main, "version: 1\nbudget: off\npacks: [django]\n", urls__py=LOOKS)
    return [event for event in run(host) if event["tags"]["erp.report"] != "slow"]


def counted(host):
    """Monitor → (calls, calls that a rule matched)."""
    found = json.loads(host.agent("status", "--format", "json").stdout)["operations"]
    return {each["monitor"]: (each["calls"], each["rules"]) for each in found}


@pytest.mark.parametrize(("last", "messages"), [(100, 1), (101, 2)])
def test_one_login_that_is_tried_again_and_again_is_one_event_and_so_are_many(host, last, messages):
    events = attacks(host, SIGN_INS, LAST=last)
    assert {summary(event) for event in events} == {("rule", "sign_in", "warning")}
    assert [event["logentry"]["formatted"] for event in events] == [
        "Sign-in failed again and again for one login (more than 10 times in 3600 s)",
        "Sign-ins fail again and again (more than 100 times in 3600 s)",
    ][:messages]
    assert counted(host)["django.sign_in"] == (last + 2, last)
    table = host.agent("status").stdout
    (row,) = [line for line in table.splitlines() if "django.sign_in" in line]
    assert "98 %" in row, table
    assert f'monitor="django.sign_in",kind="security"}} {last}' in host.agent("metrics").stdout


def test_asynchronous_sign_ins(host):
    import django

    if django.VERSION < (5, 0):
        pytest.skip("aauthenticate is new in Django 5.0")
    main = """
from django.contrib.auth import aauthenticate
async def guess():
    for _ in range(13): assert await aauthenticate(username="anna", password=CARD) is None
asyncio.run(guess())
"""
    (event,) = attacks(host, main)
    assert event["logentry"]["formatted"].startswith("Sign-in failed again and again for one login")
    assert counted(host)["django.sign_in_async"] == (13, 13)


def test_a_backend_that_fails_is_an_error_of_the_request(host):
    main = """

settings.AUTHENTICATION_BACKENDS = ["people.Directory"]
assert Client(raise_request_exception=False).post("/admin/login/", {"username": "anna", "password": CARD}).status_code == 500
"""
    directory = """
class Directory:
    def authenticate(self, request, username=None, password=None): raise ConnectionError("the directory is down")
"""
    prepare(host, BEGIN + main, "version: 1\npacks: [django]\n", people__py=directory)
    (event,) = run(host)
    assert (event["tags"]["erp.monitor"], event["level"]) == ("django.request", "error")


PAGES = """
first, second, nobody = browser(anna), browser(bo), Client()
for _ in range(33): assert first.get("/refused/").status_code == 403
for _ in range(30): assert second.get("/refused/").status_code == 403
for _ in range(LAST - 63): assert nobody.get("/refused/").status_code == 403
"""


@pytest.mark.parametrize(("last", "messages"), [(100, 1), (101, 2)])
def test_pages_that_are_refused_to_one_user_again_and_again_or_to_many(host, last, messages):
    events = attacks(host, PAGES, LAST=last)
    assert {summary(event) for event in events} == {("rule", "error_response", "warning")}
    assert [event["logentry"]["formatted"] for event in events] == [
        "Pages are refused to one user again and again (more than 30 times in 3600 s)",
        "Pages are refused again and again (more than 100 times in 3600 s)",
    ][:messages]
    assert events[0]["user"] == {"id": "1"}
    assert events[0]["contexts"]["response"]["status_code"] == events[0]["contexts"]["request"]["status"] == 403
    assert captured(events[0]) == {"refusal": "django.core.exceptions.PermissionDenied"}
    assert counted(host)["django.permission_denied"] == (last, last)


def test_pages_of_an_asynchronous_client(host):
    main = """
client = AsyncClient(raise_request_exception=False)
client.cookies = browser(anna).cookies
async def look():
    for _ in range(31): assert (await client.get("/refused/")).status_code == 403
asyncio.run(look())
"""
    (event,) = attacks(host, main)
    assert event["user"] == {"id": "1"}


FORMS = """
def full_clean(number):
    try: Order(number=number, email=MAIL).full_clean()
    except ValidationError: pass
strict = Client(enforce_csrf_checks=True)
for _ in range(23):
    assert not OrderForm({"number": CARD, "email": WORD}).is_valid()
    full_clean(CARD)
    assert strict.post("/post/", {"card": CARD}).status_code == 403
for _ in range(20):
    assert not OrderForm({"number": "SO-1", "email": WORD}).is_valid()
"""


def test_input_that_is_refused_again_and_again(host):
    events = attacks(host, FORMS)
    assert Counter((event["tags"]["erp.monitor"], *summary(event)) for event in events) == {
        ("django.form", "rule", "django.form", "warning"): 1,
        ("django.model", "rule", "django.model", "warning"): 1,
        ("django.csrf_rejected", "rule", "csrf_rejected", "warning"): 1,
    }
    (form,), (model,) = named(events, "django.form"), named(events, "django.model")
    assert captured(form) == {"form": "shop.forms.OrderForm", "fields": ["email", "number"]}
    assert form["logentry"]["formatted"] == (
        "shop.forms.OrderForm refuses ['email', 'number'] again and again (more than 20 times in 3600 s)"
    )
    assert captured(model) == {"model": "shop.models.Order", "fields": ["number"]}
    assert form["fingerprint"] == ["django.form", "shop.forms.OrderForm", "['email', 'number']"]
    seen = counted(host)
    assert seen["django.form"][1] == 43
    assert seen["django.csrf_rejected"] == (23, 23)


API = """
from rest_framework.test import APIClient
client = APIClient(raise_request_exception=False)
old, other = {"HTTP_AUTHORIZATION": "Token " + CARD}, {"HTTP_AUTHORIZATION": "Token " + WORD}
for _ in range(12): assert client.get("/private/", **old).status_code == 401
for _ in range(10): assert client.get("/private/", **other).status_code == 401
for _ in range(32): assert client.get("/staff/").status_code == 403
for _ in range(23): assert client.post("/orders/", {"number": CARD, "email": WORD}, format="json").status_code == 400
for _ in range(20): assert client.post("/many/", [{"number": "SO-1", "email": WORD}], format="json").status_code == 400
for _ in range(70): assert client.get("/often/").status_code in (200, 429)
"""


def test_rest_framework(host):
    pytest.importorskip("rest_framework")
    urls = API_URLS.replace('User(username="anna")', 'User(pk=7, username="anna")')
    prepare(host, BEGIN + API, "version: 1\nbudget: off\npacks: [django, drf]\n", '"rest_framework"', urls__py=urls)
    events = [event for event in run(host) if event["tags"]["erp.report"] != "slow"]
    assert Counter((event["tags"]["erp.monitor"], event["level"]) for event in events) == {
        ("drf.authentication", "warning"): 1,
        ("drf.permission_denied", "warning"): 1,
        ("drf.validation", "warning"): 1,
        ("drf.throttled", "warning"): 1,
    }
    (refused,) = named(events, "drf.permission_denied")
    assert captured(refused) == {"view": "urls.Staff", "refusal": "rest_framework.exceptions.PermissionDenied"}
    assert refused["user"]["id"] == "7"
    assert captured(named(events, "drf.validation")[0])["fields"] == ["email", "number"]
    assert captured(named(events, "drf.throttled")[0])["view"] == "urls.Often"
    assert counted(host)["drf.authentication"][1] == 22
    status = host.agent("status")
    assert "raised" not in status.stdout, status.stdout


def test_each_one_where_it_is_wanted(host):
    """The lines that docs/packs.md gives for those who want every security event."""
    from acceptance.host import ROOT

    text = (ROOT / "docs" / "packs.md").read_text(encoding="utf-8")
    lines = text.partition("### Who signs in")[2].partition("```yaml\n")[2].partition("```")[0]
    main = """
browser(anna).logout()
assert authenticate(username="anna", password=CARD) is None
assert browser(anna).get("/refused/").status_code == 403
assert not OrderForm({"number": CARD, "email": WORD}).is_valid()
"""
    prepare(host, BEGIN + main, "version: 1\n" + lines)
    events = [event for event in run(host) if event["tags"]["erp.report"] != "slow"]
    assert Counter(map(summary, events)) == {
        ("audit", "signed_in", "info"): 2,
        ("audit", "signed_out", "info"): 1,
        ("rule", "sign_in", "warning"): 1,
        ("rule", "error_response", "info"): 1,
        ("rule", "django.form", "info"): 1,
    }
    assert captured(named(events, "django.signed_in")[0]) == {"user": 1}
