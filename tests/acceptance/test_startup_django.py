"""A process that imports Django and serves nothing does without the engine; one that serves a request has it in time."""

import os

import pytest
from acceptance.host import summary
from receiver import Receiver

pytest.importorskip("django")

MONITORS = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"
SHOP = "def f(x):\n    raise ValueError(x)\n"
DJANGO = """
import sys, django
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF="web", ALLOWED_HOSTS=["*"], MIDDLEWARE=[], LOGGING_CONFIG=None)
django.setup()
import django.core.handlers.wsgi, django.core.handlers.asgi, django.core.management
from django.core.handlers.base import BaseHandler
def loaded(): return "_erp_agent.boot.engine" in sys.modules
"""
WEB = """
import shop
from django.http import HttpResponse
from django.urls import path
def view(request, number):
    try: shop.f(number)
    except ValueError: return HttpResponse("as always")
urlpatterns = [path("orders/<int:number>/", view)]
"""


@pytest.fixture
def site(host):
    host.write(shop__py=SHOP, web__py=WEB, monitors__yaml=MONITORS)
    return host


def test_who_only_imports_django_loads_no_engine_and_leaves_no_file(site):
    site.write(main__py=DJANGO + "print(loaded(), 'ast' in sys.modules and 'sentry_sdk' in sys.modules)\n")
    assert site.run("main.py").stdout == "False False\n"
    assert not (site.state / "run").exists()


@pytest.mark.parametrize("kind", ["wsgi", "test client"])
def test_the_first_request_is_reported_with_its_facts(site, kind):
    serve = {
        "wsgi": "from django.core.handlers.wsgi import WSGIHandler\nfrom django.test import RequestFactory\n"
                "environ = RequestFactory().get('/orders/7/').environ\n"
                "print(b''.join(WSGIHandler()(environ, lambda status, headers: None)).decode())\n",
        "test client": "from django.test import Client\nprint(Client().get('/orders/7/').content.decode())\n",
    }[kind]  # fmt: skip
    own = "code = BaseHandler.load_middleware.__code__\n"
    site.write(main__py=DJANGO + own + serve + "print(loaded(), BaseHandler.load_middleware.__code__ is not code)\n")
    assert site.run("main.py").stdout == "as always\nTrue True\n"
    (event,) = site.events()
    assert summary(event) == ("error", "op", "error")
    assert event["request"]["url"].endswith("/orders/7/") or "/orders/7/" in str(event["request"])
    assert "orders/" in event["transaction"]


def test_a_monitored_import_brings_the_waiting_parts_along(site):
    site.write(
        main__py=DJANGO + "import shop\nprint(loaded())\nfrom django.test import Client\nClient().get('/orders/7/')\n"
    )
    assert site.run("main.py").stdout == "True\n"
    (event,) = site.events()
    assert "orders/" in event["transaction"]


def test_commands_are_there_when_the_first_one_is_asked_for(site):
    for ask in ("execute_from_command_line(['manage.py', 'check'])", "call_command('check')"):
        name = ask.partition("(")[0]
        ask = (
            f"from django.core.management import get_commands, {name}\n{ask}\nprint('sentry_test' in get_commands())\n"
        )
        site.write(main__py=DJANGO + ask)
        assert site.run("main.py").stdout.splitlines()[-1] == "True"


def test_the_sdk_is_there_with_the_import_of_the_framework_only_where_something_is_traced(site):
    site.write(main__py=DJANGO + "print(loaded(), 'sentry_sdk' in sys.modules)\n")
    traced = site.config.read_text().replace(
        "version: 1", "version: 1\nsentry: {traces_sample_rate: 0.1, tracing: sdk}"
    )
    with Receiver() as sentry:
        assert site.run("main.py", SENTRY_DSN=sentry.dsn).stdout == "False False\n"
        site.write(monitors__yaml=traced)
        assert site.run("main.py", SENTRY_DSN=sentry.dsn).stdout == "True True\n"


def test_a_middleware_that_cannot_be_loaded_fails_as_ever(site):
    source = DJANGO.replace("MIDDLEWARE=[]", "MIDDLEWARE=['no.such.Middleware']") + (
        "from django.core.handlers.wsgi import WSGIHandler\nWSGIHandler()\n"
    )
    site.write(main__py=source)
    under, bare = site.run("main.py", check=False), site.run("main.py", check=False, agent=False)
    assert (under.returncode, under.stdout) == (bare.returncode, bare.stdout)
    assert under.stderr.splitlines()[-1] == bare.stderr.splitlines()[-1]
    assert "_erp_agent" not in under.stderr and f"{os.sep}agent{os.sep}" not in under.stderr
