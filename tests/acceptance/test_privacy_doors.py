"""Each door through which a text leaves, or is written down, of a host without any framework: no planted value passes one."""

import os
import tarfile

import pytest

MAIN = """
import logging, sys, threading
from shop import Order, work, login, told
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
log = logging.getLogger("shop")
name = value = sys.argv[1]
log.info("customer %s", name); log.info(f"customer {name} of {value}"); log.info("customer " + name); log.info(name)
log.warning("customer %s" % name); log.error("customer {}".format(name)); log.info(f"customer {name} %s", 5)
class Refused(Exception): pass
class Own(Exception):
    def __str__(self): return "token: " + value
MESSAGES = [
    "password=" + value, "Key (name)=(" + name + ") already exists.", "for " + value + "@example.com", {"api_key": value},
    "postgres://erp:" + value + "@db/erp", "[SQL: UPDATE t SET a = '" + name + "']", ("code", "pin:\\n  " + value),
    "mysql -uroot -p" + value + " erp", ["sshpass", "-p", value, "ssh"], "name,password\\nanna," + value,
    "userPassword:: " + value,
    "(1062, \\"Duplicate entry '" + name + "' for key 'u'\\")", "{'password': {'a': [1], 'b': '" + value + "'}}",
]
work.tenant = {"name": "x " + value + "@example.com", "password": value, "token": "pin=" + value, "not read": value, "id": 7}
def attempt(*arguments, **keywords):
    try: work(*arguments, **keywords)
    except Exception: pass
for each in MESSAGES:
    attempt(Refused(each), value, secret=value, note="card holder: " + name)
attempt(Own(value), value)
error = Refused("a"); error.__cause__ = Refused("the cookie: " + value); attempt(error, value)
attempt(Refused(Order(value)), Order(value))
threading.Thread(target=attempt, args=(Refused("x"), value)).start()
try: login("anna", value)
except Exception: pass
told(value)
"""
SHOP = """
from agent import capture_erp_error
def tenant(): return dict(work.tenant)
class Order:
    def __init__(self, name): self.name = name; self.id = 7
    def __repr__(self): return self.name
def work(error, argument, secret=None, note=None):
    inner = argument
    tenant()
    raise error
def login(user, password):
    raise PermissionError("wrong password '" + password + "'")
def told(value):
    try: 1 / 0
    except ZeroDivisionError as error:
        capture_erp_error(error, module="sales", operation="told", extra_data={"password": value, "text": "pin=" + value})
"""
MONITORS = """
version: 1
sentry: {dsn: "${SENTRY_DSN:-}", metrics: true, release: shop@1}
context:
  - name: tenant
    target: shop.tenant
    read: {password: "result['password']", name: "result['name']", text: "result['token']", number: "result['id']"}
    tags: {tenant: "result['name']", tenant_pin: "result['token']"}
    user: {id: "result['id']", email: "result['password']"}
monitors:
  - target: shop.work
    operation: work
    rate_limit: off
    fingerprint: ["{error}", "{note}"]
    capture: {secret: secret, note: note, order: argument.id, password: argument}
    rules: [{when: "note", message: "told {note} and {secret}"}]
  - {target: shop.login, operation: login, rate_limit: off}
"""


def written(folder):
    """Names and contents of every file below."""
    for place, _, files in os.walk(folder):
        for name in files:
            yield name.encode()
            with open(os.path.join(place, name), "rb") as file:
                yield file.read()


def test_no_planted_value_is_sent_written_or_printed(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    done = host.run("main.py", "Planted7x", SENTRY_DSN="http://k@127.0.0.1:1/1", SECRET="Planted7x")
    on_disk = b"\n".join(written(host.state))
    printed = [host.agent(*words.split()).stdout for words in (
        "status", "status --format json", "events", "events last", "events last --json", "spool show",
    )]  # fmt: skip
    assert "agent:" not in done.stderr, done.stderr
    assert on_disk.count(b'"event_id"') >= 18
    assert b'"type":"trace_metric"' in on_disk, "metrics are there"
    assert b'"number":7' in on_disk, "context is there"
    assert b'"message":"customer {name} of {value}"' in on_disk, "log lines are there"
    assert b"Planted7x" not in on_disk, on_disk[on_disk.find(b"Planted7x") - 300 :][:400]
    for text in printed:
        assert text
        assert "Planted7x" not in text
    assert "main.py" in printed[0]
    exported = host.agent("spool", "export", str(host.folder / "carried.tar"))
    assert exported.returncode == 0, exported.stderr
    with tarfile.open(host.folder / "carried.tar") as archive:
        carried = [archive.extractfile(each).read() for each in archive if each.isfile()]
        named = " ".join(archive.getnames())
    assert len(carried) >= 18
    assert b"Planted7x" not in b"".join(carried)
    assert "Planted7x" not in named


SITE = """
import os, sys
from django.conf import settings
settings.configure(
    SECRET_KEY="k", ROOT_URLCONF="site_urls", ALLOWED_HOSTS=["*"], SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"], INSTALLED_APPS=["django.contrib.sessions"],
)
import django
django.setup()
from django.test import Client
client, value = Client(raise_request_exception=False), sys.argv[1]
client.cookies["note"] = value
for path in ("/keep/", "/break/"):
    client.post(path + "?name=" + value, {"field": value}, HTTP_X_NOTE=value, HTTP_AUTHORIZATION="Custom " + value)
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
from shop import work
def keep(request):
    request.session["basket"] = request.headers["X-Note"]
    return HttpResponse("kept")
def broken(request):
    held = dict(request.session)
    work(KeyError("basket"), request.session)
urlpatterns = [path("keep/", keep), path("break/", broken)]
"""


def test_nothing_of_a_session_leaves_with_an_event_or_with_the_counts_of_requests(host):
    pytest.importorskip("django")
    monitors = (
        MONITORS.partition("context:")[0]
        + "monitors: [{target: shop.work, operation: work, capture: {held: argument}}]\n"
    )
    host.write(shop__py=SHOP.replace("    tenant()\n", ""), main__py=SITE, site_urls__py=URLS, monitors__yaml=monitors)
    done = host.run("main.py", "Planted7x", SENTRY_DSN="http://k@127.0.0.1:1/1")
    on_disk = b"\n".join(written(host.state))
    assert "agent:" not in done.stderr, done.stderr
    assert b'"type":"sessions"' in on_disk, "requests are counted"
    assert b'"operation":"work"' in on_disk, "the failure is there"
    assert b"Planted7x" not in on_disk, on_disk[on_disk.find(b"Planted7x") - 300 :][:400]
