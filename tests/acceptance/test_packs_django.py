"""The packs django and drf on a real project, in a real process: what must arrive arrives once, and no value with it."""

import json
from collections import Counter

import pytest
from acceptance.host import summary

pytest.importorskip("django")

#: What no byte of an event may hold.
SECRETS = {"WORD": "hemligt", "CARD": "4711-0815", "MAIL": "kund@example.com"}

PROJECT = """
import os
import sys
import django
from planted import CARD, MAIL, WORD
from django.conf import settings

HERE = os.path.dirname(os.path.abspath(__file__))
settings.configure(
    SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", USE_TZ=True, MEDIA_ROOT=HERE + "/media",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField", EMAIL_BACKEND="backends.Mail",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                    "django.contrib.messages", "django.contrib.admin", "shop", *EXTRA],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE + "/db.sqlite3"},
               "away": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE + "/no/such/folder/db"}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [HERE], "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                            "django.contrib.auth.context_processors.auth",
                            "django.contrib.messages.context_processors.messages"]}}],
    REST_FRAMEWORK={"DEFAULT_THROTTLE_RATES": {"user": "1/hour", "anon": "1/hour"}},
)
django.setup()
"""

SHOP = {
    "shop___init____py": "",
    "shop___models__py": """
from django.core.validators import RegexValidator
from django.db import models
class Order(models.Model):
    number = models.CharField(max_length=9, validators=[RegexValidator("^SO-")])
    email = models.EmailField()
""",
    "shop___forms__py": """
from django import forms
from .models import Order
class OrderForm(forms.ModelForm):
    class Meta:
        model = Order
        fields = ["number", "email"]
""",
    "shop___admin__py": """
from django.contrib import admin
from .models import Order
admin.site.register(Order)
""",
    "backends__py": """
from planted import MAIL
from django.core.mail.backends.base import BaseEmailBackend
class Mail(BaseEmailBackend):
    def send_messages(self, messages):
        raise OSError("550 " + MAIL + ": no such mailbox")
""",
    "page__html": "{{ request.path }}",
    "urls__py": """
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
def page(request): return render(request, "page.html")
from planted import WORD
def refused(request): raise PermissionDenied(WORD)
def crash(request): raise ValueError("no")
def post(request): return HttpResponse("ok")
urlpatterns = [path("page/", page), path("refused/", refused), path("crash/", crash), path("post/", post),
               path("admin/", admin.site.urls)]
""",
}  # fmt: skip


def prepare(host, main, packs, extra="", **files):
    planted = "".join(f"{name} = {value!r}\n" for name, value in SECRETS.items())  # where no source line shows them
    host.write(
        **{**SHOP, **files},
        planted__py=planted,
        main__py=PROJECT.replace("EXTRA", f"[{extra}]") + main,
        monitors__yaml=packs,
    )


def run(host):
    """The events of one run, each as (report, operation, level), and the bytes searched for what must not be there."""
    done = host.run("main.py")
    assert "agent:" not in done.stderr, done.stderr
    raw = b"\n".join(host.envelopes()).decode()
    for secret in SECRETS.values():
        assert raw.count(secret) == 0, secret
    return host.events()


def named(events, monitor):
    found = [event for event in events if event["tags"]["erp.monitor"] == monitor]
    assert found, (monitor, Counter(event["tags"]["erp.monitor"] for event in events))
    return found


def captured(event):
    return event["contexts"]["erp"]["captured"]


EVERYDAY = """
from django.contrib.auth import authenticate, get_user_model
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.mail import send_mail
from django.core.exceptions import ValidationError
from django.dispatch import Signal
from shop.forms import OrderForm
from shop.models import Order

call_command("migrate", run_syncdb=True, verbosity=0)
User = get_user_model()
anna = User.objects.create_superuser("anna", MAIL, WORD)
client = Client(raise_request_exception=False)
assert authenticate(username="anna", password=CARD) is None
assert authenticate() is authenticate(request=None) is authenticate(None, username=None, token="") is None  # who is there?
assert client.login(username="anna", password=WORD)
assert client.get("/page/").status_code == 200
assert client.get("/nowhere/").status_code == 404
assert client.get("/refused/").status_code == 403
assert client.get("/crash/").status_code == 500
assert Client(enforce_csrf_checks=True).post("/post/", {"card": CARD}).status_code == 403
assert not OrderForm({"number": CARD, "email": WORD}).is_valid()
assert OrderForm({"number": "SO-1", "email": MAIL}).is_valid()
try:
    Order(number=CARD, email=MAIL).full_clean()
except ValidationError as error:
    assert "number" in error.message_dict
order = Order.objects.create(number="SO-1", email=MAIL)
assert client.post("/admin/shop/order/", {"action": "delete_selected", "_selected_action": [order.pk], "post": "yes"}).status_code == 302
assert client.post("/admin/login/", {"username": "anna", "password": CARD}).status_code in (200, 302)
cache.set(WORD, CARD); cache.get(WORD)
with connection.cursor() as cursor:
    cursor.execute("SELECT '" + WORD + "' WHERE 1 = %s", [4711])
try: send_mail(WORD, CARD, None, [MAIL, "a@example.com"])
except OSError: pass
try: default_storage.open(WORD + ".txt")
except FileNotFoundError: pass
name = default_storage.save(WORD + ".txt", ContentFile(CARD.encode())); default_storage.delete(name)
try: connections["away"].ensure_connection()
except Exception: pass
moved = Signal()
def receiver(**kwargs): raise LookupError(WORD)
moved.connect(receiver)
moved.send_robust(sender=Order)
client.logout()
"""


@pytest.fixture(scope="module")
def everyday(tmp_path_factory):
    from acceptance.host import Host

    host = Host(tmp_path_factory.mktemp("everyday"))
    prepare(host, EVERYDAY, "version: 1\npacks: [django]\n")
    return run(host)


def test_an_everyday_run_tells_what_failed_and_not_what_one_user_did_wrong(everyday):
    told = Counter((event["tags"]["erp.monitor"], *summary(event)) for event in everyday)
    expected = {
        ("django.request", "error", "django.request", "error"): 1,
        ("django.admin_deletion", "audit", "admin.delete_queryset", "info"): 1,
        ("django.mail", "error", "mail.send", "error"): 1,
        ("django.connect", "error", "connect", "error"): 1,
    }
    import django

    if django.VERSION >= (5, 0):
        expected["django.signal_failed", "rule", "signal.send_robust", "warning"] = 1
    slow = {key for key in told if key[1] == "slow"}  # on a busy machine anything may be
    assert {key: count for key, count in told.items() if key not in slow} == expected


def test_events_name_no_recipients_and_the_database(everyday):
    (mail,) = named(everyday, "django.mail")
    assert captured(mail) == {"recipients": 2}
    assert [(each["type"], each["value"]) for each in mail["exception"]["values"]] == [("OSError", "")]
    assert named(everyday, "django.connect")[0]["contexts"]["erp"]["captured"]["database"] == "away"


SLOW = """
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from shop.models import Order
import sales

call_command("migrate", run_syncdb=True, verbosity=0)
sales.count(WORD, CARD)
with connection.cursor() as cursor:
    cursor.executemany("INSERT INTO shop_order (number, email) VALUES (%s, %s)", [(CARD, MAIL)])
assert Client().get("/page/").status_code == 200
cache.get_many([WORD])
default_storage.save(WORD + ".txt", ContentFile(CARD.encode()))
"""

SALES = """
from django.db import connection
from shop.models import Order
def count(number, email):
    return list(Order.objects.filter(number=number, email=email).exclude(pk=4711))
"""


def test_what_is_slow_tells_where_it_comes_from_and_no_value(host):
    prepare(
        host,
        SLOW,
        """
version: 1
budget: off
modules: {sales: {owner: sales-team}}
packs:
  - django:
      except: [django.signal, django.connect]
      monitors:
        django.query: {threshold: 0.001ms, rate_limit: off}
        django.query_many: {threshold: 0.001ms}
        django.template: {threshold: 0.001ms}
        django.cache: {threshold: 0.001ms}
        django.storage: {threshold: 0.001ms}
monitors:
  - {target: sales.count, module: sales, operation: count}
""",
        sales__py=SALES,
    )
    events = run(host)
    (query,) = [event for event in named(events, "django.query") if event["tags"].get("erp.module") == "sales"]
    assert summary(query) == ("slow", "execute", "warning")
    assert captured(query)["verb"] == "SELECT"
    assert captured(query)["vendor"] == "sqlite"
    assert '"shop_order"."number" = %s' in captured(query)["statement"]
    assert query["contexts"]["erp"]["operations"] == ["count", "execute"]
    assert query["tags"]["erp.owner"] == "sales-team"
    ours = [frame for frame in query["threads"]["values"][0]["stacktrace"]["frames"] if frame["in_app"]]
    assert (ours[-1]["module"], ours[-1]["function"]) == ("sales", "count")
    (many,) = named(events, "django.query_many")
    assert captured(many)["statement"] == "INSERT INTO shop_order (number, email) VALUES (%s, %s)"
    (template,) = named(events, "django.template")
    assert captured(template) == {"template": "page.html"}
    (cache,) = named(events, "django.cache")  # get_many calls get: told once
    assert summary(cache) == ("slow", "cache.get_many", "warning")
    assert captured(cache) == {"cache": "django.core.cache.backends.locmem.LocMemCache"}
    (storage,) = named(events, "django.storage")
    assert summary(storage) == ("slow", "storage.save", "warning")


API = """
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
from rest_framework.test import APIClient
client = APIClient(raise_request_exception=False)
headers = {"HTTP_AUTHORIZATION": "Token " + CARD}
assert client.get("/private/", **headers).status_code in (401, 403)
assert client.get("/private/").status_code in (401, 403)  # nobody yet: no refusal
assert client.get("/staff/").status_code == 403
assert b"GET" in client.get("/browse/", HTTP_ACCEPT="text/html").content  # asks whether it may show a form for POST
assert client.options("/browse/").status_code == 200
assert client.post("/orders/", {"number": CARD, "email": WORD}, format="json").status_code == 400
assert client.post("/many/", [{"number": "SO-1", "email": WORD}, {}], format="json").status_code == 400
assert client.post("/orders/", {"number": "SO-1", "email": MAIL}, format="json").status_code == 200
assert client.post("/checked/", {"number": WORD, "email": WORD}, format="json").status_code == 400
assert client.get("/often/").status_code == 200
assert client.get("/often/").status_code == 429
assert client.get("/crash/").status_code == 500
"""

API_URLS = """
from django.urls import path
from rest_framework import authentication, exceptions, generics, permissions, serializers, throttling
from rest_framework.response import Response
from rest_framework.views import APIView
from shop.models import Order
from planted import WORD
class OrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = ["number", "email"]
class CheckedSerializer(serializers.Serializer):
    number = serializers.CharField()
    email = serializers.CharField()
    def validate(self, data):
        Order(**data).full_clean()
        return data
class Checked(APIView):
    authentication_classes = []
    def post(self, request):
        CheckedSerializer(data=request.data).is_valid(raise_exception=True)
        return Response({})
class Tokens(authentication.BaseAuthentication):
    def authenticate(self, request):
        if "HTTP_AUTHORIZATION" in request.META:
            raise exceptions.AuthenticationFailed("no such token: " + WORD)
    def authenticate_header(self, request): return "Token"
class Private(APIView):
    authentication_classes = [Tokens]
    permission_classes = [permissions.IsAuthenticated]
    def get(self, request): return Response({})
class Anna(authentication.BaseAuthentication):
    def authenticate(self, request):
        from django.contrib.auth.models import User
        return User(username="anna"), None
class Staff(APIView):
    authentication_classes = [Anna]
    permission_classes = [permissions.IsAdminUser]
    def get(self, request): return Response({})
class ReadOnly(permissions.BasePermission):
    def has_permission(self, request, view): return request.method in permissions.SAFE_METHODS
class Browse(generics.ListCreateAPIView):
    authentication_classes = [Anna]
    permission_classes = [ReadOnly]
    queryset, serializer_class = Order.objects.none(), OrderSerializer
class Orders(APIView):
    authentication_classes = []
    def post(self, request):
        serializer = OrderSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response({})
class Many(APIView):
    authentication_classes = []
    def post(self, request):
        serializer = OrderSerializer(data=request.data, many=True)
        return Response({}, status=200 if serializer.is_valid() else 400)
class Often(APIView):
    authentication_classes = []
    throttle_classes = [throttling.AnonRateThrottle]
    def get(self, request): return Response({})
class Crash(APIView):
    authentication_classes = []
    def get(self, request): raise ValueError("no")
urlpatterns = [path("private/", Private.as_view()), path("staff/", Staff.as_view()), path("browse/", Browse.as_view()),
               path("orders/", Orders.as_view()), path("many/", Many.as_view()), path("checked/", Checked.as_view()),
               path("often/", Often.as_view()), path("crash/", Crash.as_view())]
"""


def test_rest_framework(host):
    pytest.importorskip("rest_framework")
    prepare(host, API, "version: 1\npacks: [django, drf]\n", '"rest_framework"', urls__py=API_URLS)
    events = run(host)
    told = Counter((event["tags"]["erp.monitor"], event["tags"]["erp.report"], event["level"]) for event in events)
    assert {key: count for key, count in told.items() if key[1] != "slow"} == {("django.request", "error", "error"): 1}
    found = json.loads(host.agent("status", "--format", "json").stdout)["operations"]
    assert {each["monitor"]: each["rules"] for each in found if each["rules"]} == {
        "drf.authentication": 1, "drf.permission_denied": 1, "drf.validation": 3, "drf.throttled": 1,
    }  # fmt: skip


def test_packs_of_what_is_not_there_cost_nothing_and_are_no_problem(host):
    """None of these libraries is imported, and nothing is said about those that are not installed."""
    packs = "celery, django, drf, redis, requests, urllib3, httpx, sqlalchemy, psycopg, sqlite3"
    host.write(
        main__py="import sys\nprint(sorted(n for n in sys.modules if n.startswith('_erp_agent')))\n",
        monitors__yaml=f"version: 1\npacks: [{packs}, sales, inventory, production, quality]\n",
    )
    host.run("main.py")  # compiles the plan
    on = host.run("main.py")
    host.write(monitors__yaml="version: 1\nmonitors: [{target: a.b}]\n")
    host.run("main.py")
    off = host.run("main.py")
    assert (on.stdout, on.stderr) == (off.stdout, off.stderr)
