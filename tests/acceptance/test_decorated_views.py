"""Views behind decorators without `functools.wraps`: reports have the view's module, not that of the decorators."""

import pytest
from acceptance.test_django_answers import both_ways

MONITORS = "version: 1\nmodules: {sales: {owner: sales-team}, guards: {}}\nmonitors: []\n"
GUARDS = """
def may(permission):
    def decorator(function):
        def guarded(request, *args, **kwargs): return function(request, *args, **kwargs)
        return guarded
    return decorator
def signed_in(function):
    def inner(*args, **kwargs): return function(*args, **kwargs)
    return inner
"""
FLASK = """
import flask
from guards.decorators import signed_in
def show(number): return {}[number]
application = flask.Flask("shop", static_folder=None)
application.add_url_rule("/orders/<int:number>", "order", signed_in(signed_in(show)))
"""
STARLETTE = """
from guards.decorators import may, signed_in
from starlette.applications import Starlette
from starlette.routing import Route
def show(request): return {}[request.path_params["number"]]
application = Starlette(routes=[Route("/orders/{number}", may("show")(signed_in(show)))])
"""
CALL_WSGI = """
import io
from sales.views import application
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/orders/5", "wsgi.input": io.BytesIO(), "HTTP_HOST": "erp",
           "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http", "SERVER_NAME": "erp", "SERVER_PORT": "80"}
print(b"".join(application(environ, lambda status, headers, error=None: print(status)))[:10])
"""
CALL_ASGI = """
import asyncio
from sales.views import application
async def receive(): return {"type": "http.request", "body": b"", "more_body": False}
async def send(message): print(message["type"], message.get("status"))
scope = {"type": "http", "method": "GET", "path": "/orders/5", "headers": [], "query_string": b"", "root_path": ""}
try: asyncio.run(application(scope, receive, send))
except KeyError as error: print(repr(error))
"""


def check(event):
    assert event["contexts"]["request"]["view"] == "sales.views.show"
    assert (event["tags"]["erp.module"], event["tags"]["erp.owner"]) == ("sales", "sales-team")


@pytest.mark.parametrize(
    ("framework", "views", "main"), [("flask", FLASK, CALL_WSGI), ("starlette", STARLETTE, CALL_ASGI)]
)
def test_with(host, framework, views, main):
    pytest.importorskip(framework)
    host.write(
        guards___decorators__py=GUARDS, sales___views__py=views, main__py=main, monitors__yaml=MONITORS,
    )  # fmt: skip
    bare, done = host.run("main.py", agent=False), host.run("main.py")
    assert (done.stdout, done.returncode) == (bare.stdout, bare.returncode)
    (event,) = host.events()
    check(event)


def test_with_django(host):
    pytest.importorskip("django")
    files = {
        "guards___decorators__py": GUARDS,
        "sales___views__py": (
            "from guards.decorators import may, signed_in\n"
            "@may('show')\n@signed_in\n@may('look')\ndef show(request): return {}['no price']\n"
        ),
        "urls__py": "from django.urls import path\nfrom sales.views import show\nurlpatterns = [path('show', show)]",
    }
    printed, events = both_ways(host, MONITORS, "/show", **files)
    assert len(printed) == len(events) == 2
    for event in events:
        check(event)
