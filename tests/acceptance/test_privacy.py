"""Secrets planted everywhere in a Django host with tracing on: none is found in a single byte that arrives."""

import re

import pytest
from acceptance.host import SDKS, with_sdk
from receiver import Receiver

pytest.importorskip("django")

#: Where a secret is planted → a text that occurs nowhere else. Those of VALUES need no form to be recognised by.
VALUES = [
    "argument", "keyword", "local", "global", "attribute", "header", "cookie", "body", "jsonbody", "query", "fragment",
    "sqlparam", "sqlliteral", "environment", "commandline", "session", "username", "repr", "upload", "sdkextra",
    "sdkcontext", "loglocal", "taskargument", "nested", "useragent", "logargument", "dictkey",
]  # fmt: skip
#: In running text a secret is known by its form.
FORMS = {
    "email": "anna.svensson@planted.example",
    "password": "password=planted-pw-9134",
    "bearer": "Authorization: Bearer planted.bearer.2291aaaa",
    "url": "postgres://erp:planted-dbpw@db.internal/erp",
    "card": "4111 1111 1111 1111",
    "iban": "SE45 5000 0000 0583 9825 7466",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJlcGxhbnRlZA",
    "apikey": "api_key: 'planted-apikey-771'",
}
SECRET_OF_FORM = {
    "email": "anna.svensson", "password": "planted-pw-9134", "bearer": "planted.bearer.2291aaaa", "url": "planted-dbpw",
    "card": "1111 1111", "iban": "5000 0000 0583", "jwt": "eyJzdWIiOiJwbGFudGVkIn0", "apikey": "planted-apikey-771",
}  # fmt: skip


def planted(name):
    return f"planted-{name}-zq7x"


SETTINGS = """
import os
SECRET_KEY = "planted-secretkey-zq7x"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "views"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "PASSWORD": "planted-dbsetting-zq7x"}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
USE_TZ = True
"""
VIEWS = """
import logging
from django.db import connection
from django.http import HttpResponse
from django.urls import path
import shop

GLOBAL = "planted-global-zq7x"
FORMS = {forms!r}

class Thing:
    def __init__(self): self.attribute = "planted-attribute-zq7x"
    def __repr__(self): return "planted-repr-zq7x"
    __str__ = __repr__

def view(request, kind):
    local = "planted-local-zq7x"
    nested = {{"a": [{{"b": "planted-nested-zq7x"}}], "planted-dictkey-zq7x": 1}}
    request.session["k"] = "planted-session-zq7x"
    request.POST, request.FILES, request.COOKIES, request.user
    logging.getLogger("erp").warning("a log line %s", "planted-logargument-zq7x")
    logging.getLogger("erp").error("login with " + FORMS["password"] + " " + FORMS["email"], exc_info=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s, 'planted-sqlliteral-zq7x'", ["planted-sqlparam-zq7x"])
        cursor.execute("SELECT 1 WHERE 'x' = %s", ["planted-sqlparam-zq7x"])
    thing = Thing()
    if kind == "slow": return HttpResponse(str(shop.slow("planted-argument-zq7x", thing)))
    if kind == "answer": return HttpResponse("x", status=503)
    shop.work("planted-argument-zq7x", thing, keyword="planted-keyword-zq7x", kind=kind)

def unwatched(request):
    secret = Thing()
    raise LookupError("not monitored: " + " | ".join(FORMS.values()))

urlpatterns = [path("tasks/<str:kind>/", view), path("unwatched/", unwatched)]
"""
SHOP = """
import time
def slow(argument, thing):
    time.sleep(0.02)
    return 1
def work(argument, thing, keyword=None, kind=""):
    inside = "planted-local-zq7x"
    try:
        int("no")
    except ValueError as error:
        raise RuntimeError({forms!r}[kind]) from error
def rule(argument): return None
"""
MAIN = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from django.test import Client, RequestFactory
from django.core.wsgi import get_wsgi_application
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
User.objects.create_user("planted-username-zq7x", "anna.svensson@planted.example", "planted-pw-9134")
client = Client(raise_request_exception=False)
client.login(username="planted-username-zq7x", password="planted-pw-9134")
serve = get_wsgi_application()
class client:
    cookie = "c=planted-cookie-zq7x; sessionid=" + client.cookies["sessionid"].value
    @classmethod
    def post(cls, path, data=None, content_type=None, method="post", **extra):
        words = {{"content_type": content_type}} if content_type else {{}}
        path, _, query = path.partition("?")
        request = getattr(RequestFactory(), method)(path, data, QUERY_STRING=query, HTTP_COOKIE=cls.cookie, **words, **extra)
        answer = serve(request.environ, lambda status, headers, exc_info=None: None)
        list(answer); answer.close()
extra = dict(HTTP_X_THING="planted-header-zq7x", HTTP_AUTHORIZATION="Bearer planted.bearer.2291aaaa",
             HTTP_USER_AGENT="planted-useragent-zq7x", REMOTE_ADDR="203.0.113.77")
for kind in {kinds!r} + ["slow", "answer"]:
    client.post("/tasks/" + kind + "/?q=planted-query-zq7x&token=planted-query-zq7x#planted-fragment-zq7x",
                {{"a": "planted-body-zq7x", "password": "planted-pw-9134"}}, **extra)
client.post("/tasks/email/", '{{"a": "planted-jsonbody-zq7x"}}', content_type="application/json", **extra)
from django.core.files.uploadedfile import SimpleUploadedFile
client.post("/tasks/email/", {{"f": SimpleUploadedFile("f.txt", b"planted-upload-zq7x")}}, **extra)
client.post("/unwatched/?q=planted-query-zq7x", method="get", **extra)
import sentry_sdk
scope = sentry_sdk.get_isolation_scope() if hasattr(sentry_sdk, "get_isolation_scope") else sentry_sdk.Hub.current.scope
scope.set_extra("x", "planted-sdkextra-zq7x")
scope.set_context("y", {{"x": "planted-sdkcontext-zq7x"}})
try:
    loglocal = "planted-loglocal-zq7x"
    raise KeyError({forms!r}["bearer"])
except KeyError:
    sentry_sdk.capture_exception()
sentry_sdk.capture_message("a message with " + {forms!r}["url"])
try:
    import celery
except ImportError: pass
else:
    app = celery.Celery("x", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    import celery.app.trace
    @app.task
    def fails(argument, keyword): raise LookupError("task")
    fails.apply(args=["planted-taskargument-zq7x"], kwargs={{"keyword": "planted-taskargument-zq7x"}})
sentry_sdk.flush()
"""
MONITORS = """
version: 1
packs: [django]
sentry: {dsn: "${SENTRY_DSN:-}", traces_sample_rate: 1.0, profiles_sample_rate: 1.0, tracing: WAY}
monitors:
  - {target: shop.work, operation: work, threshold: 1ms, rate_limit: off, fingerprint: ["{error}", "{operation}"]}
  - {target: shop.slow, operation: slow, threshold: 1ms}
"""


@pytest.mark.parametrize(("way", "sdk"), [("agent", None), *(("sdk", sdk) for sdk in SDKS)])
def test_no_planted_secret_is_found_in_what_arrives(host, way, sdk):
    host.write(
        settings__py=SETTINGS, views__py=VIEWS.format(forms=FORMS), shop__py=SHOP.format(forms=FORMS),
        main__py=MAIN.format(kinds=sorted(FORMS), forms=FORMS), monitors__yaml=MONITORS.replace("WAY", way),
    )  # fmt: skip
    with Receiver() as sentry:
        done = host.run(
            "main.py", planted("commandline"), SENTRY_DSN=sentry.dsn, PLANTED=planted("environment"),
            DATABASE_URL=FORMS["url"], PYTHONPATH=with_sdk(sdk),
        )  # fmt: skip
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        everything = b"\n".join(request.body for request in sentry.requests)
        everything += repr([list(request.headers.items()) for request in sentry.requests]).encode()
        events, transactions = sentry.events, sentry.transactions
        kinds = {headers["type"] for envelope in sentry.envelopes for headers, _ in envelope.items}
    assert "agent:" not in done.stderr, done.stderr
    # It was not quiet because nothing was sent.
    assert kinds >= {"event", "transaction"}, kinds
    operations = {event["tags"].get("erp.operation") for event in events}
    assert {"work", "slow", "django.request"} <= operations, operations
    if way == "sdk":
        assert any("erp.monitor" not in event["tags"] for event in events), "the SDK's own events are there too"
    assert any(span["op"].startswith("db") for each in transactions for span in each["spans"])
    leaked = sorted(set(re.findall(r"planted-\w+-zq7x", everything.decode(errors="replace"))))
    # Source lines around a frame hold what is written in the source itself: the fixture's own literals.
    leaked = [each for each in leaked if not in_source_only(each, events)]
    assert leaked == []
    for name, secret in SECRET_OF_FORM.items():
        assert secret.encode() not in without_source(events, everything), name
    everything = without_source(events, everything)
    where = everything.find(b"203.0.113.77")
    assert where < 0, everything[where - 200 : where + 40]


def without_source(events, everything):
    """The bytes without the lines of source code that frames show."""
    for line in source_lines(events):
        everything = everything.replace(line, b"")
    return everything


def source_lines(events):
    import json

    lines = set()
    for event in events:
        for holder in ("exception", "threads"):
            for value in (event.get(holder) or {}).get("values", ()):
                for frame in (value.get("stacktrace") or {}).get("frames", ()):
                    for line in [
                        *frame.get("pre_context", ()),
                        frame.get("context_line"),
                        *frame.get("post_context", ()),
                    ]:
                        if line and line.strip():
                            lines.add(json.dumps(line, ensure_ascii=False)[1:-1].encode())
                            lines.add(json.dumps(line)[1:-1].encode())
    return sorted(lines, key=len, reverse=True)


def in_source_only(secret, events):
    import json

    stripped = json.loads(json.dumps(events))
    for event in stripped:
        for holder in ("exception", "threads"):
            for value in (event.get(holder) or {}).get("values", ()):
                for frame in (value.get("stacktrace") or {}).get("frames", ()):
                    for name in ("pre_context", "context_line", "post_context"):
                        frame.pop(name, None)
    return secret not in json.dumps(stripped)
