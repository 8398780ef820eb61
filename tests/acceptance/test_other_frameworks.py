"""aiohttp, whose server is its own, and Pyramid, without a line about the agent."""

import json

import pytest
from acceptance import webhost

AIOHTTP = """
from aiohttp import web
class OutOfStock(Exception): pass
routes = web.RouteTableDef()
@routes.get("/")
async def home(request): return web.Response(text="home")
@routes.get("/orders/{number}")
async def order(request): raise OutOfStock("no chair")
@routes.get("/missing")
async def missing(request): raise web.HTTPNotFound
@routes.get("/stream")
async def stream(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"a part")
    return response
@routes.post("/read")
async def read(request): return web.Response(text=str(len(await request.read())))
@routes.view("/class/{kind:[a-z]+}")
class View(web.View):
    async def get(self): raise OutOfStock("of a view")
async def mounted(request): raise OutOfStock("of a sub-application")
part = web.Application()
part.router.add_get("/pages/{name}", mounted)
application = web.Application()
application.add_routes(routes)
application.add_subapp("/old", part)
"""
PYRAMID = """
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
class OutOfStock(Exception): pass
class Clash(Exception): pass
class Refused(Exception): pass
def home(request): return Response("home")
def order(request): raise OutOfStock("no chair")
def missing(request): raise HTTPNotFound()
def clashes(request): raise Clash("two orders at once")
def refuse(request): raise Refused
def clash(error, request): return Response("clash", status=503)
def refused(error, request): return Response("refused", status=409)
with Configurator() as config:
    for name, path, view in (("home", "/", home), ("order", "/orders/{number}", order), ("missing", "/missing", missing),
                             ("clashes", "/clash/{name}", clashes), ("refuse", "/refused", refuse)):
        config.add_route(name, path)
        config.add_view(view, route_name=name)
    config.add_exception_view(clash, context=Clash)
    config.add_exception_view(refused, context=Refused)
    application = config.make_wsgi_app()
"""


def check(host, name, application, requests, expected, health):
    host.write(web__py=application, monitors__yaml=webhost.MONITORS.format(more=""))
    bare = webhost.serve(host, name, "web", requests, agent=False)
    watched = webhost.serve(host, name, "web", requests)
    assert watched.responses == bare.responses
    assert watched.status == bare.status
    assert "agent:" not in watched.printed
    for secret in webhost.SECRETS:
        assert secret.encode() not in watched.raw
    events = {event["tags"]["erp.operation"]: event for event in watched.events}
    assert set(events) == set(expected)
    assert len(watched.events) == len(events)
    for operation, event in events.items():
        assert event["transaction"] == event["contexts"]["request"]["route"] == operation.partition(" ")[2]
        assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["filename"].endswith("web.py")
    assert watched.health == health
    assert len(watched.transactions) == len(requests)
    return watched


def test_aiohttp(host):
    pytest.importorskip("aiohttp")
    requests = [
        ("GET", "/"),
        ("GET", f"/orders/7?q={webhost.SECRETS[2]}"),
        ("GET", "/missing"),
        ("GET", "/nowhere"),
        ("GET", "/stream"),
        ("POST", "/read", f"field={webhost.SECRETS[3]}"),
        ("GET", "/class/chairs"),
        ("GET", "/old/pages/about"),
    ]
    expected = ["GET /orders/{number}", "GET /class/{kind}", "GET /old/pages/{name}"]
    watched = check(host, "aiohttp", AIOHTTP, requests, expected, {"exited": 5, "errored": 0, "crashed": 3})
    (order,) = [event for event in watched.events if "orders" in event["transaction"]]
    assert order["contexts"]["erp"]["function"] == "web.order"
    assert order["contexts"]["request"]["parameters"] == ["q"]
    assert order["contexts"]["trace"]["trace_id"] == f"{webhost.TRACE[:-2]}01"


def test_pyramid(host):
    pytest.importorskip("pyramid")
    requests = [
        ("GET", "/"),
        ("GET", f"/orders/7?q={webhost.SECRETS[2]}"),
        ("GET", "/missing"),
        ("GET", "/nowhere"),
        ("GET", "/clash/chairs"),
        ("GET", "/refused"),
    ]
    expected = ["GET /orders/{number}", "GET /clash/{name}"]
    check(host, "waitress", PYRAMID, requests, expected, {"exited": 4, "errored": 0, "crashed": 2})


@pytest.mark.parametrize(
    ("name", "server", "application"), [("aiohttp", "aiohttp", AIOHTTP), ("pyramid", "waitress", PYRAMID)]
)
def test_the_pack(host, name, server, application):
    pytest.importorskip(name)
    host.write(web__py=application, monitors__yaml=webhost.MONITORS.format(more=f"packs: [{name}]"))
    watched = webhost.serve(host, server, "web", [("GET", "/"), ("GET", "/orders/7"), ("GET", "/missing")])
    (event,) = watched.events
    assert (event["tags"]["erp.monitor"], event["tags"]["erp.operation"]) == (f"{name}.request", "GET /orders/{number}")
    counted = host.agent("status", "--format", "json")
    operations = {each["operation"]: each["calls"] for each in json.loads(counted.stdout)["operations"]}
    assert operations == {"GET /": 1, "GET /orders/{number}": 1, "GET /missing": 1}
