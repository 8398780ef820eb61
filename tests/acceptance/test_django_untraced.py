"""Django with a DSN and nothing traced: without the Sentry SDK, what it would tell of failed requests is told."""

import http.client
import json
import signal

import pytest
from acceptance import djangohost
from acceptance.host import Host
from acceptance.running import deliver
from acceptance.services import free_port
from acceptance.test_django_hosts import WAYS, Browser, serve
from receiver import Receiver

pytest.importorskip("django")

MONITORS = """
version: 1
modules: {sales: {}}
sentry: {dsn: "${SENTRY_DSN:-}", release: erp@7, environment: live, user: [id]INTEGRATIONS}
monitors: [{target: shop.services.order, module: sales, operation: order}]
"""
VIEWS = (
    djangohost.VIEWS
    + """
import logging
from django.http import Http404, StreamingHttpResponse
def parts():
    yield "the first line"
    raise LookupError("the second line")
async def aparts():
    for part in parts(): yield part
def export(request): return StreamingHttpResponse(parts())
async def aexport(request): return StreamingHttpResponse(aparts())
def missing(request): raise Http404("no such page")
def loaded(request):
    import sys
    logging.getLogger("shop").info("%s asks for %s", "anna@example.com", request.path)
    return JsonResponse({"sdk": "sentry_sdk" in sys.modules})
def staff(request):
    logging.getLogger("shop").warning("%s looks at secrets", request.user.email)
    raise PermissionError("not you")
"""
)
URLS = djangohost.URLS.replace(
    "urlpatterns = [",
    "urlpatterns = [\n"
    + "".join(f'    path("{name}/", views.{name}),\n' for name in ("export", "aexport", "missing", "loaded", "staff")),
)


def a_project(folder, integrations=""):
    host = Host(folder)
    djangohost.write(host, monitors=MONITORS.replace("INTEGRATIONS", integrations))
    host.write(shop___views__py=VIEWS, urls__py=URLS)
    djangohost.migrate(host)
    return host


def sessions(sentry):
    held = [
        json.loads(payload) for each in sentry.envelopes for head, payload in each.items if head["type"] == "sessions"
    ]
    attributes = {tuple(sorted(each["attrs"].items())) for each in held}
    buckets = [bucket for each in held for bucket in each["aggregates"]]
    return attributes, {how: sum(each.get(how, 0) for each in buckets) for how in ("exited", "errored", "crashed")}


@pytest.mark.parametrize("way", WAYS)
def test_requests_that_fail_outside_of_all_monitors(tmp_path, way):
    if way != "runserver":
        pytest.importorskip(way)
    project, port = a_project(tmp_path), free_port()
    with Receiver() as sentry:
        # Sentry is there once the server has ended: what that was still sending would come a second time.
        with serve(project, way, port, SENTRY_DSN=f"http://public@127.0.0.1:{free_port()}/42") as server:
            browser = Browser(port)
            assert browser.get("/enter/")[0] == 200
            assert json.loads(browser.get("/loaded/")[1]) == {"sdk": False}
            assert [browser.get(path)[0] for path in ("/staff/?q=secret", "/order/1/", "/missing/")] == [500, 500, 404]
            try:
                browser.get("/aexport/" if way == "uvicorn" else "/export/")
            except (OSError, http.client.HTTPException):
                pass  # how a server breaks off is its own affair
            # By SIGTERM, runserver and uvicorn are killed in the end, and with them the minute that is being counted.
            server.stop(signal.SIGTERM if way == "gunicorn" else signal.SIGINT)
        deliver(project, sentry)
        events = {event["request"]["url"].split("/")[1]: event for event in sentry.events}
        assert len(sentry.events) == 3
        health = sessions(sentry)
        raw = b"".join(data for each in sentry.envelopes for _, data in each.items)
    assert "agent:" not in server.printed
    staff = events.pop("staff")
    assert staff["transaction"] == "/staff/"
    assert staff["user"] == {"id": "1"}
    assert (staff["tags"]["erp.monitor"], staff["tags"]["erp.operation"]) == ("unmonitored.request", "GET /staff/")
    assert staff["contexts"]["erp"]["function"] == "shop.views.staff"
    assert staff["exception"]["values"][-1]["mechanism"]["handled"] is False
    traces = {event["contexts"]["trace"]["trace_id"] for event in (staff, *events.values())}
    assert len(traces) == 3, "each request has its own"
    crumbs = [crumb["message"] for crumb in staff["breadcrumbs"]["values"] if crumb["category"] == "shop"]
    assert crumbs == ["%s looks at secrets"], "of this request, and without values"
    frames = staff["exception"]["values"][-1]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "staff"
    assert not [frame for frame in frames if "erp_agent" in frame.get("module", "")]
    assert events.pop("order")["tags"]["erp.monitor"] == "order"
    ((name, export),) = events.items()
    assert export["exception"]["values"][-1]["type"] == "LookupError"
    assert export["transaction"] == f"/{name}/"
    # A request ends when its response was sent: a stream that breaks off has crashed.
    assert health == ({(("environment", "live"), ("release", "erp@7"))}, {"exited": 3, "errored": 0, "crashed": 3})
    assert b"secret" not in raw.replace(b"looks at secrets", b"")
    assert b"anna@" not in raw


def test_without_integrations_only_monitors_tell(tmp_path):
    project, port = a_project(tmp_path, ", integrations: []"), free_port()
    with Receiver() as sentry:
        with serve(project, "runserver", port, SENTRY_DSN=sentry.dsn) as server:
            browser = Browser(port)
            browser.get("/enter/")
            assert [browser.get(path)[0] for path in ("/staff/", "/order/1/")] == [500, 500]
            server.stop()
        deliver(project, sentry)
        (event,) = sentry.events
        assert event["tags"]["erp.monitor"] == "order"
        assert "breadcrumbs" not in event
        assert sessions(sentry)[0] == set()


def test_without_a_dsn_they_are_kept_as_well(tmp_path):
    project, port = a_project(tmp_path), free_port()
    with serve(project, "runserver", port) as server:
        browser = Browser(port)
        assert [browser.get(path)[0] for path in ("/crash/", "/crash/")] == [500, 500]
        server.stop()
    assert [event["tags"]["erp.monitor"] for event in project.events()] == ["unmonitored.request"] * 2
