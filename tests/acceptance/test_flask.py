"""Flask without a line about the agent: failures that Flask makes a page of, routes, users of Flask-Login."""

import json

import pytest
from acceptance import webhost
from acceptance.test_wsgi import needs

pytest.importorskip("flask")
pytest.importorskip("flask_login")

APPLICATION = """
import flask, flask_login
class OutOfStock(Exception): pass
class Refused(Exception): pass
class Clash(Exception): pass
application = app = flask.Flask("shop", static_folder=None)
app.secret_key = "not-a-secret-of-anybody"
login = flask_login.LoginManager(app)
class User(flask_login.UserMixin):
    def __init__(self, key): self.id, self.email = key, "anna@example.com"
login.user_loader(User)
@app.errorhandler(Refused)
def refused(error): return "refused", 409
@app.errorhandler(Clash)
def clash(error): return flask.make_response("clash", 503)
@app.route("/")
def home(): return "home"
@app.route("/orders/<int:number>", methods=["GET", "POST"])
def order(number): raise OutOfStock(f"no chair in order {number}")
@app.route("/reset/<token>")
def reset(token): raise OutOfStock("nothing to reset")
@app.route("/refused/")
def refuse(): raise Refused
@app.route("/clash/")
def clashes(): raise Clash("two orders at once")
@app.route("/missing/")
def missing(): flask.abort(404)
@app.route("/enter/<name>")
def enter(name):
    flask_login.login_user(User(name))
    return str(flask_login.current_user.id)
@app.route("/mine/")
@flask_login.login_required
def mine(): raise OutOfStock(flask_login.current_user.id[:0] + "mine")
@app.route("/anonymous/")
def anonymous(): raise OutOfStock("nobody is signed in")
@app.route("/export/<kind>")
def export(kind):
    def parts():
        yield "a line, "
        raise OutOfStock("after a line")
    return flask.Response(parts())
api = flask.Blueprint("api", "api", url_prefix="/api")
@api.route("/stock/<product>")
def stock(product): raise OutOfStock("of a blueprint")
app.register_blueprint(api)
"""
SECRET = webhost.SECRETS[4]
REQUESTS = [
    ("GET", "/"),
    ("GET", "/missing/"),
    ("GET", "/nowhere/"),
    ("GET", "/refused/"),
    ("GET", f"/orders/7?q={webhost.SECRETS[2]}"),
    ("POST", "/orders/7", f"field={webhost.SECRETS[3]}"),
    ("GET", f"/reset/{SECRET}"),
    ("GET", "/clash/"),
    ("GET", "/export/csv"),
    ("GET", "/api/stock/chair"),
    ("GET", "/anonymous/"),
    ("GET", "/mine/"),
]
EXPECTED = {
    "GET /orders/<int:number>": "web.order",
    "POST /orders/<int:number>": "web.order",
    "GET /reset/<token>": "web.reset",
    "GET /clash/": "web.clashes",
    "GET /export/<kind>": "web.export",
    "GET /api/stock/<product>": "web.stock",
    "GET /anonymous/": "web.anonymous",
}


def sign_in(port):
    """Somebody signs in, and then a page fails."""
    entered = webhost.exchange(port, "GET", "/enter/anna-7", 100).decode()
    cookie = entered.partition("Set-Cookie: session=")[2].partition(";")[0]
    assert cookie
    webhost.exchange(port, "GET", "/mine/", 101, cookie=cookie)


def test_the_pack(host):
    """Each route is an operation, and a failure is reported once."""
    family = "packs: [flask]\ndefaults: {errors: {web.OutOfStock: warning}}"
    host.write(web__py=APPLICATION, monitors__yaml=webhost.MONITORS.format(more=family))
    watched = webhost.serve(host, "waitress", "web", REQUESTS, talk=sign_in)
    assert "agent:" not in watched.printed
    seen = sorted((event["tags"]["erp.monitor"], event["tags"]["erp.operation"]) for event in watched.events)
    failed = [("flask.request", operation) for operation in (*EXPECTED, "GET /mine/")]
    failed.remove(("flask.request", "GET /clash/"))  # a handler of the ERP's has made a response of it
    failed.remove(("flask.request", "GET /export/<kind>"))  # it fails when the view has returned
    assert seen == sorted(
        [
            *failed,
            ("unmonitored.request", "GET /clash/"),
            ("unmonitored.request", "GET /export/<kind>"),
        ]
    )
    for event in watched.events:
        values = event.get("exception", {}).get("values") or [{"type": ""}]
        expected = {"OutOfStock": "warning", "Clash": "error"}.get(values[-1]["type"], "info")
        assert event["level"] == expected, "a monitor's and that of a failure which no monitor has seen"
    counted = host.agent("status", "--format", "json")
    operations = {each["operation"]: each["calls"] for each in json.loads(counted.stdout)["operations"]}
    assert operations["signed_in"] == operations["permission_denied"] == 1
    assert operations["GET /orders/<int:number>"] == 1
    assert operations["GET /mine/"] == 2


@pytest.mark.parametrize("name", ["gunicorn-gthread", "werkzeug"])
def test_flask_under(host, name):
    needs(name)
    host.write(web__py=APPLICATION, monitors__yaml=webhost.MONITORS.format(more=""))
    bare = webhost.serve(host, name, "web", REQUESTS, agent=False, talk=sign_in)
    watched = webhost.serve(host, name, "web", REQUESTS, talk=sign_in)
    assert watched.responses == bare.responses
    assert watched.status == bare.status
    assert "agent:" not in watched.printed
    for secret in (*webhost.SECRETS, "anna@example.com"):
        assert secret.encode() not in watched.raw
    events = {event["tags"]["erp.operation"]: event for event in watched.events}
    assert set(events) == {*EXPECTED, "GET /mine/"}
    assert len(watched.events) == len(events)
    for operation, view in EXPECTED.items():
        event = events[operation]
        assert event["contexts"]["erp"]["function"] == event["contexts"]["request"]["view"] == view
        assert event["transaction"] == event["contexts"]["request"]["route"] == operation.partition(" ")[2]
        assert "user" not in event
        assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["filename"].endswith("web.py")
    assert events["GET /mine/"]["user"]["id"] == "anna-7"
    assert watched.health == {"exited": 6, "errored": 0, "crashed": 8}
    traced = {
        (each["transaction"], each["contexts"]["trace"]["data"]["http.response.status_code"])
        for each in watched.transactions
    }
    assert len(watched.transactions) == len(REQUESTS) + 2
    assert traced == {
        ("/", 200), ("/missing/", 404), ("/nowhere/", 404), ("/refused/", 409), ("/orders/<int:number>", 500),
        ("/reset/<token>", 500), ("/clash/", 503), ("/export/<kind>", 200), ("/api/stock/<product>", 500),
        ("/anonymous/", 500), ("/mine/", 401), ("/mine/", 500), ("/enter/<name>", 200),
    }  # fmt: skip
