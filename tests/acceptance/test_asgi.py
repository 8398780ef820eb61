"""Any ASGI application under every server: the same bytes are sent, and its requests and connections are seen."""

import pytest
from acceptance import webhost
from acceptance.test_wsgi import SECRETS, needs

APPLICATION = """
import asyncio
class OutOfStock(Exception): pass
started = []
async def application(scope, receive, send):
    if scope["type"] == "lifespan": return await lifespan(receive, send)
    if scope["type"] == "websocket": return await talk(scope, receive, send)
    method, path = scope["method"], scope["path"]
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"): break
    if path.startswith("/crash"): raise OutOfStock("no chair")
    await asyncio.sleep(0)
    try:
        if path == "/handled": raise OutOfStock("handled by the application")
    except OutOfStock: pass
    await send({"type": "http.response.start", "status": 201 if method == "POST" else 200, "headers": [(b"content-type", b"text/plain")]})
    if path in ("/stream", "/broken"):
        for part in range(3):
            await send({"type": "http.response.body", "body": b"%d " % part, "more_body": True})
            if part and path == "/broken": raise OutOfStock("in a stream")
            await asyncio.sleep(0)
    body = repr(started).encode() if path == "/started" else body
    await send({"type": "http.response.body", "body": body})
    if path == "/later":
        await asyncio.sleep(0.01)
        raise OutOfStock("in the background")
    if path == "/cancelled": raise asyncio.CancelledError
async def lifespan(receive, send):
    while True:
        message = await receive()
        started.append(message["type"])
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown": return
async def talk(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect": return
        if message["text"] == "crash": raise OutOfStock("in a websocket")
        await send({"type": "websocket.send", "text": message["text"].upper()})
"""
REQUESTS = [
    ("GET", "/fine"),
    ("POST", f"/form?q={SECRETS[2]}", f"field={SECRETS[3]}"),
    ("GET", "/stream"),
    ("HEAD", "/stream"),
    ("GET", "/started"),
    ("GET", "/handled"),
    ("POST", f"/crash?page={SECRETS[2]}&size=2", f"field={SECRETS[3]}"),
    ("GET", "/broken"),
    ("GET", "/later"),
]
CRASHED = {"/crash": 6, "/broken": 7, "/later": 8}


def talk(port):
    webhost.talk(port, f"/talk?q={SECRETS[2]}", "/talk")


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn", "gunicorn-asgi"])
def test_an_application_under(host, name):
    needs(name)
    host.write(web__py=APPLICATION, monitors__yaml=webhost.MONITORS.format(more=""))
    bare = webhost.serve(host, name, "web", REQUESTS, agent=False, talk=talk)
    watched = webhost.serve(host, name, "web", REQUESTS, talk=talk)
    assert watched.responses == bare.responses
    assert watched.status == bare.status
    assert "agent:" not in watched.printed
    for secret in SECRETS:
        assert secret.encode() not in watched.raw
    events = {event["request"]["url"]: event for event in watched.events}
    assert set(events) == {"/talk", *CRASHED}
    assert len(watched.events) == 4
    for path, number in CRASHED.items():
        event = events[path]
        assert event["transaction"].startswith("web.")
        assert event["tags"]["erp.operation"] == f"{REQUESTS[number][0]} {event['transaction']}"
        assert event["exception"]["values"][-1]["type"] == "OutOfStock"
        frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
        assert frames[-1]["filename"].endswith("web.py")
        assert not [frame for frame in frames if "erp_agent" in frame.get("module", "")]
        assert event["contexts"]["trace"]["trace_id"] == f"{webhost.TRACE[:-2]}{number:02x}"
    assert events["/crash"]["contexts"]["request"]["parameters"] == ["page", "size"]
    assert events["/talk"]["tags"]["erp.operation"] == "WEBSOCKET web.talk"
    assert watched.health == {"exited": len(REQUESTS) - 3, "errored": 0, "crashed": 3}, "a connection is no request"
