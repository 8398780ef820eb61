"""Frappe, by a stand-in of ours with the same modules and calls: Frappe itself cannot be installed from PyPI.

`tests/compat/frappe_day.py` does the same with the real one.
"""

import pytest

pytest.importorskip("werkzeug")

SECRETS = ("v4lu3-0f-a-f13ld", "t0k3n-1n-th3-p4th", "anna@example.com")

FILES = {
    "__init__": """
from werkzeug.local import Local
__version__ = "15.4.0"
local = Local()
class Session(dict): pass
def init(site, user): local.site, local.session = site, Session(user=user)
def destroy():
    for name in ("site", "session"):
        if hasattr(local, name): delattr(local, name)
""",
    "exceptions": """
class ValidationError(Exception): http_status_code = 417
class MandatoryError(ValidationError): pass
class PermissionError(Exception): http_status_code = 403
class AuthenticationError(Exception): http_status_code = 401
class RetryBackgroundJobError(Exception): pass
""",
    "model/document": """
from frappe.exceptions import MandatoryError
class Document:
    def __init__(self, **fields): self.__dict__.update(fields)
    def save(self):
        self.validate()
        return self
    def submit(self):
        self.docstatus = 1
        return self.save()
class SalesOrder(Document):
    def validate(self):
        if self.name is None: raise MandatoryError(self.customer)
        return 1 / self.quantity
""",
    "auth": """
from frappe.exceptions import AuthenticationError
class LoginManager:
    def fail(self, message, user=None): raise AuthenticationError(message)
""",
    "handler": """
from frappe import methods
def handle(cmd, given): return execute_cmd(cmd, given)
def execute_cmd(cmd, given, from_async=False): return getattr(methods, cmd.rpartition(".")[2])(*given)
""",
    "methods": """
import frappe.auth
from frappe.exceptions import PermissionError
from frappe.model.document import SalesOrder
def submit(name, customer, quantity): return SalesOrder(name=name, customer=customer, quantity=quantity).submit()
def divide(by): return 1 / by
def peek(): raise PermissionError("not yours")
def login(password): frappe.auth.LoginManager().fail("wrong", user=password)
""",
    "api": """
import frappe.handler
def handle(request):
    parts = request["PATH_INFO"].split("/")
    if parts[2] == "method": return frappe.handler.handle(parts[3], request["erp.given"])
    return 1 / len(parts[5:])
""",
    "website/page_renderers/error_page": """
class ErrorPage:
    def __init__(self, path=None, http_status_code=None, exception=None): self.exception = exception
    def render(self): return "page: " + type(self.exception).__name__
""",
    "website/serve": """
from frappe.website.page_renderers.error_page import ErrorPage
def get_response(path=None, http_status_code=200):
    try: return [][0]
    except Exception as e: return ErrorPage(exception=e).render()
""",
    "app": """
import frappe, frappe.api
from frappe.website.serve import get_response
def application(environ, start_response):
    frappe.init("day.localhost", environ["erp.user"])
    try:
        result = frappe.api.handle(environ) if environ["PATH_INFO"].startswith("/api/") else get_response(environ["PATH_INFO"])
    except Exception as e:
        result = handle_exception(e)
    start_response("200 OK", [])
    frappe.destroy()
    return [str(type(result).__name__ if hasattr(result, "submit") else result).encode()]
def handle_exception(e): return "%s %s" % (getattr(e, "http_status_code", 500), type(e).__name__)
""",
    "jobs": """
from frappe.exceptions import MandatoryError, RetryBackgroundJobError
tries = []
def collide(times):
    tries.append(1)
    if len(tries) <= times: raise RetryBackgroundJobError(len(tries))
    tries.clear()
def tangle(times):
    tries.append(1)
    if len(tries) <= times: raise RetryBackgroundJobError(len(tries))
    tries.clear()
def divide(by): return 1 / by
def nightly(): return divide(0)
def remind(customer="nobody"): raise MandatoryError(customer)
""",
    "utils/background_jobs": """
import frappe
from frappe import jobs
from frappe.exceptions import RetryBackgroundJobError
def execute_job(site, method, event, job_name, kwargs, user=None, is_async=True, retry=0):
    frappe.init(site, user)
    try:
        return getattr(jobs, method.rpartition(".")[2])(**kwargs)
    except RetryBackgroundJobError:
        if retry < 2: return execute_job(site, method, event, job_name, kwargs, user, is_async, retry=retry + 1)
        raise
    finally:
        if job_name == "hooked": frappe.local.site  # the hooks after a job, which the last try has left without a site
        frappe.destroy()
""",
    "core/doctype/scheduled_job_type/scheduled_job_type": """
from frappe import jobs
class ScheduledJobType:
    def __init__(self, method): self.method = method
    def execute(self):
        try: getattr(jobs, self.method.rpartition(".")[2])()
        except Exception: self.log_status("Failed")
    def log_status(self, status): print("scheduled", status)
def run_scheduled_job(job_type): ScheduledJobType(job_type).execute()
""",
}
MAIN = """
import io, sys
from wsgiref.handlers import SimpleHandler
import frappe.app
from frappe import jobs
from frappe.core.doctype.scheduled_job_type.scheduled_job_type import run_scheduled_job
from frappe.utils.background_jobs import execute_job
value, token, user = sys.argv[1:]
def send(path, *given):
    out = io.BytesIO()
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "QUERY_STRING": "q=" + value, "SERVER_PROTOCOL": "HTTP/1.1",
               "erp.given": given, "erp.user": user}
    SimpleHandler(io.BytesIO(), out, io.BytesIO(), environ).run(frappe.app.application)
    print(path, out.getvalue().rpartition(b"\\r\\n")[2].decode())
for _ in range(20):
    send("/api/method/frappe.methods.submit", None, value, 3)
    send("/api/method/frappe.methods.peek")
send("/api/method/frappe.methods.submit", "SO-1", value, 3)
send("/api/method/frappe.methods.submit", "SO-2", value, 0)
send("/api/method/frappe.methods.divide", 0)
send("/api/resource/Sales Order/" + token)
send("/orders/" + token)
for _ in range(11):
    send("/api/method/frappe.methods.login", value)
def run(method, name="job", **kwargs):
    try: print(execute_job("day.localhost", method, None, name, kwargs, user))
    except Exception as error: print("job failed", type(error).__name__)
run("frappe.jobs.collide", times=2)
run("frappe.jobs.tangle", name="hooked", times=2)
run("frappe.jobs.collide", times=9)
run("frappe.jobs.divide", by=0)
jobs.run_scheduled_job = lambda: run_scheduled_job("frappe.jobs.nightly")
run("frappe.core.doctype.scheduled_job_type.scheduled_job_type.run_scheduled_job")
jobs.run_scheduled_job = lambda: run_scheduled_job("frappe.jobs.remind")
for _ in range(3):
    run("frappe.core.doctype.scheduled_job_type.scheduled_job_type.run_scheduled_job")
"""
MONITORS = """
version: 1
packs: [frappe]
monitors:
  - {target: frappe.jobs.collide, operation: collide, name: collide}
"""


def test_requests_documents_and_jobs_of_frappe(host):
    for name, text in FILES.items():
        path = host.folder / "frappe" / f"{name}.py"
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
    assert set(found) == {
        ("frappe.document", "SalesOrder.submit"),
        ("frappe.request", "frappe.methods.divide"),
        ("frappe.request", "POST /api/resource/Sales Order/{name}"),
        ("unmonitored.request", "POST /{path}"),
        ("frappe.sign_in", "login_failed"),
        ("collide", "collide"),
        ("unmonitored.task", "frappe.jobs.tangle"),
        ("unmonitored.task", "frappe.jobs.divide"),
        ("unmonitored.task", "frappe.jobs.nightly"),
        ("unmonitored.task", "frappe.jobs.remind"),
    }
    assert found["unmonitored.task", "frappe.jobs.remind"]["level"] == "warning"
    assert len(events) == len(found)
    assert {event["tags"]["site"] for event in events} == {"day.localhost"}
    (user,) = {event["user"]["id"] for event in events}
    assert len(user) == 16
    submitted = found["frappe.document", "SalesOrder.submit"]
    assert submitted["transaction"] == "frappe.methods.submit"
    assert submitted["contexts"]["erp"]["operations"][-2:] == ["frappe.methods.submit", "SalesOrder.submit"]
    assert found["unmonitored.task", "frappe.jobs.nightly"]["transaction"] == "frappe.jobs.nightly"
    # The tries before the last one were held back, and dropped when another followed.
    assert found["collide", "collide"]["exception"]["values"][-1]["value"] == "3"
    sent = b"".join(host.envelopes())
    for secret in SECRETS:
        assert secret.encode() not in sent
