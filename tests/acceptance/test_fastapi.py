"""FastAPI and Starlette without a line about the agent: routes, mounts, handlers, background tasks, invalid requests."""

import json

import pytest
from acceptance import webhost
from acceptance.test_wsgi import needs

pytest.importorskip("fastapi")

APPLICATION = """
import fastapi
from fastapi import BackgroundTasks, FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
class OutOfStock(Exception): pass
class Refused(Exception): pass
class Clash(Exception): pass
class Order(BaseModel):
    product: str
    quantity: int
class User(BaseUser):
    def __init__(self, key): self.id = key
    is_authenticated = True
class Backend(AuthenticationBackend):
    async def authenticate(self, conn):
        if "x-user" in conn.headers: return AuthCredentials(["authenticated"]), User(conn.headers["x-user"])
application = app = FastAPI()
app.add_middleware(AuthenticationMiddleware, backend=Backend())
@app.exception_handler(Refused)
async def refused(request, error): return JSONResponse({"refused": True}, 409)
@app.exception_handler(Clash)
def clash(request, error): return JSONResponse({"clash": True}, 503)
@app.get("/")
async def home(): return "home"
@app.get("/orders/{number:int}")
async def order(number: int): raise OutOfStock(f"no chair in order {number}")
@app.get("/sync/{number}")
def sync(number: int): raise OutOfStock("in a thread")
@app.post("/orders")
def create(order: Order): return order
@app.get("/refused")
def refuse(): raise Refused
@app.get("/clash")
async def clashes(): raise Clash("two orders at once")
@app.get("/missing")
def missing(): raise HTTPException(404)
@app.get("/later")
def later(tasks: BackgroundTasks):
    tasks.add_task(send_mail, "anna@example.com")
    return "later"
def send_mail(address): raise OutOfStock("of stamps")
@app.get("/export/{kind}")
def export(kind: str):
    def parts():
        yield "a line, "
        raise OutOfStock("after a line")
    return StreamingResponse(parts())
@app.websocket("/talk/{room}")
async def talk(websocket: WebSocket, room: str):
    await websocket.accept()
    while True:
        text = await websocket.receive_text()  # raises when the client has gone
        if text == "crash": raise OutOfStock("in a websocket")
        await websocket.send_text(text.upper())
router = fastapi.APIRouter(prefix="/api/{version}")
@router.get("/stock/{product}")
async def stock(version: str, product: str): raise OutOfStock("of a router")
app.include_router(router)
async def page(request): raise OutOfStock("of a mounted application")
app.mount("/old/{tenant}", Starlette(routes=[Route("/pages/{name}", page)]))
"""
SECRET = webhost.SECRETS[4]
REQUESTS = [
    ("GET", "/"),
    ("GET", "/missing"),
    ("GET", "/nowhere"),
    ("GET", "/refused"),
    ("POST", "/orders", f"product={webhost.SECRETS[3]}"),
    ("GET", f"/orders/7?q={webhost.SECRETS[2]}"),
    ("GET", "/sync/8"),
    ("GET", "/clash"),
    ("GET", "/later"),
    ("GET", "/export/csv"),
    ("GET", "/api/v2/stock/chair"),
    ("GET", "/old/acme/pages/about"),
]
EXPECTED = {
    "GET /orders/{number:int}": "web.order",
    "GET /sync/{number}": "web.sync",
    "GET /clash": "web.clashes",
    "GET /later": "web.later",
    "GET /export/{kind}": "web.export",
    "GET /api/{version}/stock/{product}": "web.stock",
    "GET /old/{tenant}/pages/{name}": "web.page",
    "WEBSOCKET /talk/{room}": "web.talk",
}


def talk(port):
    webhost.talk(port, "/talk/cellar", "/talk/kitchen")


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn"])
def test_fastapi_under(host, name):
    needs(name)
    host.write(web__py=APPLICATION, monitors__yaml=webhost.MONITORS.format(more=""))
    bare = webhost.serve(host, name, "web", REQUESTS, agent=False, talk=talk)
    watched = webhost.serve(host, name, "web", REQUESTS, talk=talk)
    assert watched.responses == bare.responses
    assert watched.status == bare.status
    assert "agent:" not in watched.printed
    for secret in (*webhost.SECRETS, "anna@example.com"):
        assert secret.encode() not in watched.raw
    events = {event["tags"]["erp.operation"]: event for event in watched.events}
    assert set(events) == set(EXPECTED)
    assert len(watched.events) == len(events)
    for operation, view in EXPECTED.items():
        event = events[operation]
        assert event["contexts"]["erp"]["function"] == event["contexts"]["request"]["view"] == view
        assert event["transaction"] == event["contexts"]["request"]["route"] == operation.partition(" ")[2]
        assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["filename"].endswith("web.py")
    assert watched.health == {"exited": 5, "errored": 0, "crashed": 7}
    traced = {
        each["transaction"]: each["contexts"]["trace"]["data"].get("http.response.status_code")
        for each in watched.transactions
    }
    assert len(watched.transactions) == len(REQUESTS) + 2
    assert (traced["/"], traced["/clash"], traced["/refused"], traced["/orders"]) == (200, 503, 409, 422)


def test_the_packs(host):
    """Each route is an operation, an invalid request shows the names of its fields, and a failure is reported once."""
    host.write(web__py=APPLICATION, monitors__yaml=webhost.MONITORS.format(more="packs: [starlette, fastapi]"))
    refused = next(each for each in REQUESTS if each[1] == "/orders")
    watched = webhost.serve(host, "uvicorn", "web", [*REQUESTS, *[refused] * 21], talk=talk)
    assert "agent:" not in watched.printed
    seen = {(event["tags"]["erp.monitor"], event["tags"]["erp.operation"]) for event in watched.events}
    # What a handler of the ERP's has made a response of leaves no route.
    unhandled = {("starlette.request", operation) for operation in EXPECTED if operation != "GET /clash"}
    assert seen == {*unhandled, ("unmonitored.request", "GET /clash"), ("fastapi.validation", "POST /orders")}
    assert len(watched.events) == len(seen)
    (refused,) = [event for event in watched.events if event["tags"]["erp.monitor"] == "fastapi.validation"]
    assert refused["level"] == "warning"
    assert "again and again because of [] (more than 20 times" in refused["logentry"]["formatted"]
    for secret in webhost.SECRETS:
        assert secret.encode() not in watched.raw
    counted = host.agent("status", "--format", "json")
    operations = {each["operation"]: each["calls"] for each in json.loads(counted.stdout)["operations"]}
    assert operations["GET /"] == 1
    assert operations["WEBSOCKET /talk/{room}"] == 2
