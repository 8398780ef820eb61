"""Odoo, by a stand-in of ours with the same modules and calls: Odoo itself cannot be installed from PyPI.

`tests/compat/odoo_day.py` does the same with the real one.
"""

import pytest

SECRETS = ("v4lu3-0f-a-f13ld", "t0k3n-1n-th3-p4th", "v4lu3-0f-a-query")

EXCEPTIONS = """
class UserError(Exception): pass
class AccessDenied(UserError): pass
class ValidationError(UserError): pass
class RedirectWarning(Exception): pass
"""
API = """
def call_kw(model, name, args, kwargs):
    return getattr(model, name)(*args)
"""
USERS = """
from odoo.exceptions import AccessDenied
class Users:
    @classmethod
    def _login(cls, db, {login}, user_agent_env):
        raise AccessDenied()
"""
#: Models of an addon.
SHOP = """
from odoo.exceptions import UserError, ValidationError
class Collision(Exception): pass
class Order:
    _name = "sale.order"
    tries = 0
    def collide(self, times):
        Order.tries += 1
        if Order.tries <= times: raise Collision(Order.tries)
        Order.tries = 0
        return "ok"
    def divide(self, by): return 1 / by
    def refuse(self, text): raise ValidationError(text)
    def nightly(self): return self.divide(0)
    def remind(self): raise UserError("There is no template")
"""
#: Odoo 16 to 18: what a request does is a transaction, which `retrying` runs.
MODEL_18 = """
from odoo.addons.shop import Collision
def retrying(func, env):
    for number in range(3):
        try:
            return func()
        except Collision:
            if number == 2: raise
"""
HTTP_18 = """
import functools, json, threading
import odoo.api
from odoo.addons.base.models.res_users import Users
from odoo.addons.shop import Order
from odoo.exceptions import UserError
from odoo.service import model as service_model

class SessionExpiredException(Exception): pass
class Rule:
    def __init__(self, rule, endpoint): self.rule, self.endpoint = rule, endpoint
def page(request, token): raise KeyError("no page")
def call(request, token):
    model, method, args, kwargs = request.body
    return odoo.api.call_kw(Order(), method, args, kwargs)
def sign_in(request, token): return Users._login("erp", {"login": "anna", "password": request.body}, None)

class Dispatcher:
    def __init__(self, request): self.request = request
    def pre_dispatch(self, rule, args): pass
    def dispatch(self, endpoint, args): return endpoint(self.request, **args)
class HttpDispatcher(Dispatcher):
    def handle_error(self, exc): return "400" if isinstance(exc, UserError) else "500"
class JsonRPCDispatcher(Dispatcher):
    def handle_error(self, exc): return "200 " + type(exc).__name__

class Request:
    def __init__(self, body): self.body, self.dispatcher = body, HttpDispatcher(self)
    def _set_request_dispatcher(self, rule):
        self.dispatcher = (HttpDispatcher if rule.endpoint is page else JsonRPCDispatcher)(self)
    def _serve_ir_http(self, rule, args):
        self.dispatcher.pre_dispatch(rule, args)
        return self.dispatcher.dispatch(rule.endpoint, args)
    def _serve_db(self, rule, args):
        threading.current_thread().dbname, threading.current_thread().uid = "erp", 7
        self._set_request_dispatcher(rule)
        try:
            return service_model.retrying(functools.partial(self._serve_ir_http, rule, args), env=None)
        except Exception as exc:
            exc.answer = self.dispatcher.handle_error(exc)
            raise

RULES = {"page": Rule("/page/<string:token>", page), "call": Rule("/web/dataset/call_kw", call),
         "sign_in": Rule("/web/session/authenticate", sign_in)}
class Application:
    def __call__(self, environ, start_response):
        request = Request(environ["erp.body"])
        try:
            result = request._serve_db(RULES[environ["erp.rule"]], {"token": environ["PATH_INFO"].rpartition("/")[2]})
        except Exception as exc:
            result = exc.answer
        start_response("200 OK", [])
        return [str(result).encode()]
application = Application()
"""
CRON_18 = """
from odoo.addons.shop import Order
class ir_cron:
    def _callback(self, cron_name, server_action_id): getattr(Order(), cron_name.lower())()
    def run(self):
        for name in ("Nightly", "Remind", "Remind"):
            try: self._callback(name, 1)
            except Exception as error: print("job failed", type(error).__name__)
"""
#: Odoo 15: a decorator runs the function of a controller again.
MODEL_15 = """
from odoo.addons.shop import Collision
def check(f):
    def wrapper(*args, **kwargs):
        for number in range(3):
            try: return f(*args, **kwargs)
            except Collision:
                if number == 2: raise
    return wrapper
def execute_cr(cr, uid, obj, method, *args): pass
def dispatch(method, params): pass
"""
HTTP_15 = """
import threading
import odoo.api
from odoo.addons.base.models.res_users import Users
from odoo.addons.shop import Order
from odoo.exceptions import UserError
from odoo.service import model as service_model

class SessionExpiredException(Exception): pass
class EndPoint:
    def __init__(self, method, routing): self.method, self.routing = method, routing
    def __call__(self, *args, **kw): return self.method(*args, **kw)
class HTTPRequest:
    def __init__(self, environ): self.environ = environ
class WebRequest:
    def __init__(self, environ): self.httprequest, self.body = HTTPRequest(environ), environ["erp.body"]
    def set_handler(self, endpoint, arguments, auth): self.endpoint, self.arguments = endpoint, arguments
    def _call_function(self, *args, **kwargs):
        @service_model.check
        def checked_call(*a, **kw): return self.endpoint(*a, **kw)
        return checked_call(self, **self.arguments)
    def _handle_exception(self, exception): return "200 " + type(exception).__name__
class JsonRequest(WebRequest):
    def _handle_exception(self, exception): return super()._handle_exception(exception)
class HttpRequest(WebRequest):
    def _handle_exception(self, exception): return "400" if isinstance(exception, UserError) else "500"

def page(request, token): raise KeyError("no page")
def call(request, token):
    model, method, args, kwargs = request.body
    return odoo.api.call_kw(Order(), method, args, kwargs)
def sign_in(request, token): return Users._login("erp", "anna", request.body, None)
ENDPOINTS = {"page": EndPoint(page, {"routes": ["/page/<string:token>"]}),
             "call": EndPoint(call, {"routes": ["/web/dataset/call_kw"]}),
             "sign_in": EndPoint(sign_in, {"routes": ["/web/session/authenticate"]})}
class Root:
    def __call__(self, environ, start_response):
        threading.current_thread().dbname, threading.current_thread().uid = "erp", 7
        request = (HttpRequest if environ["erp.rule"] == "page" else JsonRequest)(environ)
        request.set_handler(ENDPOINTS[environ["erp.rule"]], {"token": environ["PATH_INFO"].rpartition("/")[2]}, "user")
        try: result = request._call_function()
        except Exception as exception: result = request._handle_exception(exception)
        start_response("200 OK", [])
        return [str(result).encode()]
application = Root()
"""
CRON_15 = """
from odoo.addons.shop import Order
class ir_cron:
    def _callback(self, cron_name, server_action_id, job_id):
        try: getattr(Order(), cron_name.lower())()
        except Exception as error: self._handle_callback_exception(cron_name, server_action_id, job_id, error)
    def _handle_callback_exception(self, cron_name, server_action_id, job_id, job_exception):
        print("job failed", type(job_exception).__name__)
    def run(self):
        for name in ("Nightly", "Remind", "Remind"): self._callback(name, 1, 1)
"""
MAIN = """
import io, sys
from wsgiref.handlers import SimpleHandler
import odoo.release
import odoo.http
from odoo.addons.base.models.ir_cron import ir_cron
value, token, query = sys.argv[1:]
def send(rule, body, path="/x"):
    out = io.BytesIO()
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "QUERY_STRING": "q=" + query, "SERVER_PROTOCOL": "HTTP/1.1",
               "erp.rule": rule, "erp.body": body}
    SimpleHandler(io.BytesIO(), out, io.BytesIO(), environ).run(odoo.http.application)
    print(rule, out.getvalue().rpartition(b"\\r\\n")[2].decode())
def call(method, *args):
    send("call", ("sale.order", method, args, {"context": {"allowed_company_ids": [3, 1]}}))
for _ in range(20):
    call("refuse", value)
call("collide", 2)
call("collide", 9)
call("divide", 0)
send("page", None, "/page/" + token)
for _ in range(11):
    send("sign_in", value)
ir_cron().run()
"""
MONITORS = """
version: 1
packs: [odoo]
monitors:
  - {targets: ["odoo.addons.shop:Order.collide", "odoo.addons.shop:Order.refuse"], operation: "order.{name}"}
"""


@pytest.mark.parametrize(
    ("version", "http", "model", "cron"), [(18, HTTP_18, MODEL_18, CRON_18), (15, HTTP_15, MODEL_15, CRON_15)]
)
def test_requests_and_jobs_of_odoo(host, version, http, model, cron):
    files = {
        "release": f"version_info = ({version}, 0, 0, 'final', 0, '')\n", "exceptions": EXCEPTIONS, "api": API,
        "http": http, "service/model": model, "addons/shop": SHOP, "addons/base/models/res_users": USERS.replace("{login}", "credential" if version > 17 else "login, password"),
        "addons/base/models/ir_cron": cron,
    }  # fmt: skip
    for name, text in files.items():
        path = host.folder / "odoo" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in list(path.relative_to(host.folder).parents)[:-1]:
            (host.folder / folder / "__init__.py").touch()
    host.write(main__py=MAIN, monitors__yaml=MONITORS)
    bare = host.run("main.py", *SECRETS, agent=False)
    watched = host.run("main.py", *SECRETS)
    assert watched.stdout == bare.stdout
    assert "agent:" not in watched.stderr

    events = host.events()
    found = {(event["tags"]["erp.monitor"], event["tags"]["erp.operation"]): event for event in events}
    request = "odoo.request" if version > 15 else "odoo.request_until_15"
    assert set(found) == {
        ("collide", "order.collide"),
        (request, "sale.order.divide"),
        (request, "POST /page/<string:token>"),
        ("odoo.sign_in" if version > 17 else "odoo.sign_in_until_17", "sign_in"),
        ("unmonitored.task", "cron Nightly"),
        ("unmonitored.task", "cron Remind"),
    }
    assert found["unmonitored.task", "cron Remind"]["level"] == "warning"
    assert len(events) == len(found)
    divided = found[request, "sale.order.divide"]
    assert divided["tags"]["database"] == "erp"
    assert divided["tags"]["company"] == "3"
    assert divided["user"] == {"id": "7"}
    assert divided["transaction"] == "sale.order.divide"
    assert found["unmonitored.task", "cron Nightly"]["transaction"] == "cron Nightly"
    # The tries before the last one were held back, and dropped when another followed.
    assert found["collide", "order.collide"]["exception"]["values"][-1]["value"] == "3"
    sent = b"".join(host.envelopes())
    for secret in SECRETS:
        assert secret.encode() not in sent
