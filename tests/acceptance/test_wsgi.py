"""Any WSGI application under every server: the same bytes are sent, and its requests are seen."""

import importlib.util

import pytest
from acceptance import webhost
from acceptance.services import uwsgi_program

APPLICATION = """
import sys
class OutOfStock(Exception): pass
closed = []
class Body:
    "Not a list, and not a generator."
    def __init__(self, *parts): self.parts = parts
    def __iter__(self): return iter(self.parts)
    def __len__(self): return len(self.parts)
    def close(self): closed.append(len(self.parts))
class Breaking(Body):
    def __iter__(self):
        yield self.parts[0]
        raise OutOfStock("after the first part")
def parts(number):
    try:
        for part in range(number): yield b"%d " % part
    finally: closed.append("generator")
def broken(number):
    yield from parts(number)
    raise OutOfStock("in a generator")
def application(environ, start_response):
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain")]
    if path.startswith("/crash"): raise OutOfStock("no chair " + environ["HTTP_HOST"])
    if path == "/handled":
        try: raise OutOfStock("handled by the application")
        except OutOfStock: start_response("500 Handled", headers, sys.exc_info())
        return [b"sorry"]
    write = start_response("201 Created" if method == "POST" else "200 OK", headers)
    if path == "/write":
        write(b"written, ")
        return [b"returned"]
    if path == "/body": return Body(b"one part, ", b"and another")
    if path == "/single": return Body(b"a length of one")
    if path == "/stream": return parts(3)
    if path == "/broken": return broken(2)
    if path == "/breaking": return Breaking(b"a part", b"and none")
    if path == "/file": return environ["wsgi.file_wrapper"](open(__file__, "rb"), 100)
    if path == "/closed": return [repr(closed).encode()]
    if path == "/started": return [repr((type(environ).__name__, callable(start_response), start_response.__name__)).encode()]
    return [b"read ", environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]
"""
SECRETS = webhost.SECRETS
REQUESTS = [
    ("GET", "/fine"),
    ("POST", f"/form?q={SECRETS[2]}", f"field={SECRETS[3]}"),
    ("GET", "/write"),
    ("GET", "/body"),
    ("GET", "/single"),
    ("GET", "/stream"),
    ("HEAD", "/stream"),
    ("GET", "/file"),
    ("GET", "/handled"),
    ("POST", f"/crash?page={SECRETS[2]}&size={SECRETS[2]}", f"field={SECRETS[3]}"),
    ("GET", "/broken"),
    ("GET", "/breaking"),
    ("GET", "/closed"),
    ("GET", "/started"),
]
CRASHED = 9, 10, 11

#: Servers that show what fails while the response is iterated over.
SERVERS = [
    "gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent", "waitress", "werkzeug", "cheroot", "wsgiref", "gevent",
    "hypercorn-wsgi", "eventlet", "uwsgi", "uwsgi-file", "paste", "rocket3",
]  # fmt: skip

#: What a server cannot do.
LACKING = {
    "uwsgi": ["/handled"], "uwsgi-file": ["/handled"],  # it raises what start_response is given
    "cheroot": ["/file"], "eventlet": ["/file"], "gevent": ["/file"], "werkzeug": ["/file"], "hypercorn-wsgi": ["/file", "/write"],
    "paste": ["/file"], "twisted": ["/file", "/broken", "/breaking"],  # nothing shows what fails in its thread
    "tornado": ["/file", "/crash", "/broken", "/breaking"],  # the client waits for ever
}  # fmt: skip


def needs(name):
    if name == "unknown":
        return
    if name.startswith("uwsgi"):
        uwsgi_program()
    elif importlib.util.find_spec(name.partition("-")[0]) is None:
        pytest.skip(f"{name} is not installed")


def both(host, name, application, requests):
    needs(name)
    host.write(web__py=application, monitors__yaml=webhost.MONITORS.format(more=""))
    lacking = LACKING.get(name, ())
    requests = [("GET", "/fine") if each[1].partition("?")[0] in lacking else each for each in requests]
    bare = webhost.serve(host, name, "web", requests, agent=False)
    watched = webhost.serve(host, name, "web", requests)
    for request, expected, response in zip(requests, bare.responses, watched.responses):
        assert response == expected, request
    assert watched.status == bare.status
    assert "agent:" not in watched.printed
    for secret in SECRETS:
        assert secret.encode() not in watched.raw
    return watched


@pytest.mark.parametrize("name", SERVERS)
def test_an_application_under(host, name):
    watched = both(host, name, APPLICATION, REQUESTS)
    events = {event["request"]["url"]: event for event in watched.events}
    assert set(events) == {"/crash", "/broken", "/breaking"}
    assert len(watched.events) == 3
    for path, number in zip(("/crash", "/broken", "/breaking"), CRASHED):
        event = events[path]
        method = REQUESTS[number][0]
        assert event["tags"]["erp.operation"] == f"{method} {event['transaction']}"
        assert event["transaction"].startswith(("web.", "uwsgi_file_"))  # of the file that uWSGI runs
        assert event["tags"]["erp.monitor"] == "unmonitored.request"
        assert event["exception"]["values"][-1]["type"] == "OutOfStock"
        assert event["exception"]["values"][-1]["mechanism"]["handled"] is False
        assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["filename"].endswith("web.py")
        assert event["request"]["method"] == method
        assert event["contexts"]["trace"]["trace_id"] == f"{webhost.TRACE[:-2]}{number:02x}"
        assert event["contexts"]["trace"]["parent_span_id"] == webhost.SPAN
    assert events["/crash"]["contexts"]["request"]["parameters"] == ["page", "size"]
    assert events["/crash"]["contexts"]["request"].get("status") in (None, 500), "none was decided by the application"
    if not name.startswith("uwsgi"):  # whose process may end before its last request has
        assert watched.health == {"exited": len(REQUESTS) - 3, "errored": 0, "crashed": 3}


@pytest.mark.parametrize(("name", "fails"), [("twisted", {"/crash"}), ("tornado", set())])
def test_an_application_under_a_server_that_shows_less(host, name, fails):
    watched = both(host, name, APPLICATION, REQUESTS)
    assert {event["request"]["url"] for event in watched.events} == fails
    assert watched.health == {"exited": len(REQUESTS) - len(fails), "errored": 0, "crashed": len(fails)}


FRAMEWORKS = {
    "bottle": """
import bottle
application = bottle.Bottle()
@application.route("/orders/<number:int>")
def order(number):
    return str(1 / number)
""",
    "falcon": """
import falcon
class Order:
    def on_get(self, request, response, number):
        response.text = str(1 / number)
application = falcon.App()
application.add_route("/orders/{number:int}", Order())
""",
    "flask": """
import flask
application = flask.Flask(__name__)
@application.route("/orders/<int:number>")
def order(number):
    return str(1 / number)
""",
    "pyramid": """
from pyramid.config import Configurator
from pyramid.response import Response
def order(request):
    return Response(str(1 / int(request.matchdict["number"])))
with Configurator() as config:
    config.add_route("order", "/orders/{number}")
    config.add_view(order, route_name="order")
    application = config.make_wsgi_app()
""",
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_application_of_a_framework_is_found_without_its_server(host, framework):
    pytest.importorskip(framework)
    watched = both(host, "unknown", FRAMEWORKS[framework], [("GET", f"/orders/{number}") for number in (1, 0, 2)])
    (event,) = watched.events
    assert event["exception"]["values"][-1]["type"] == "ZeroDivisionError"
    assert event["tags"]["erp.operation"].startswith("GET /orders/")
    assert "number" in event["tags"]["erp.operation"]
    assert watched.health == {"exited": 2, "errored": 0, "crashed": 1}


HANDLING = (
    FRAMEWORKS["bottle"]
    + """
inner = application
inner.catchall = False
def application(environ, start_response):
    try:
        return inner(environ, start_response)
    except ZeroDivisionError:
        start_response("200 OK", [])
        return [b"nothing"]
"""
)


@pytest.mark.parametrize("server", ["wsgiref", "unknown"])
def test_what_the_outer_application_handles_is_no_failure(host, server):
    watched = both(host, server, HANDLING, [("GET", "/orders/0"), ("GET", "/orders/1")])
    assert watched.bodies == ["nothing", "1.0"]
    if server == "wsgiref":  # elsewhere the outer one is not found
        assert watched.events == []
        assert watched.health == {"exited": 2, "errored": 0, "crashed": 0}


GENERATOR = """
class OutOfStock(Exception): pass
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"a part, "
    yield environ["PATH_INFO"].encode()
    if environ["PATH_INFO"] == "/crash": raise OutOfStock("after the last part")
"""


@pytest.mark.parametrize("name", ["gunicorn-sync", "uwsgi", "wsgiref"])
def test_an_application_that_is_a_generator_under(host, name):
    watched = both(host, name, GENERATOR, [("GET", "/fine"), ("GET", f"/crash?q={SECRETS[2]}"), ("GET", "/fine")])
    (event,) = watched.events
    assert event["request"]["url"] == "/crash"
    assert event["contexts"]["trace"]["trace_id"] == f"{webhost.TRACE[:-2]}01"
    if name != "uwsgi":  # whose process may end before its last request has
        assert watched.health == {"exited": 2, "errored": 0, "crashed": 1}


def test_an_application_that_the_configuration_names(host):
    """As a server calls it that nobody knows."""
    host.write(
        web__py=APPLICATION,
        monitors__yaml=webhost.MONITORS.format(more="web: {application: web.application}"),
        main__py="""
import io
from web import application
def start(status, headers, exc_info=None): print(status)
for path in ("/fine", "/stream", "/crash"):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "wsgi.input": io.BytesIO(), "HTTP_HOST": "erp"}
    try: print(b"".join(application(environ, start)))
    except Exception as error: print(repr(error))
""",
    )
    bare, watched = host.run("main.py", agent=False), host.run("main.py")
    assert (watched.stdout, watched.stderr) == (bare.stdout, bare.stderr)
    (event,) = host.events()
    assert event["request"]["url"] == "/crash"
    assert event["tags"]["erp.operation"] == "GET web.application"
    assert event["transaction"] == "web.application"
