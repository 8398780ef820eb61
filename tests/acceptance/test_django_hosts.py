"""A Django project that knows nothing of the agent, started in every way: what arrives, and in whose name."""

import http.cookiejar
import re
import signal
import urllib.error
import urllib.parse
import urllib.request

import pytest
from acceptance import djangohost
from acceptance.host import Host
from acceptance.running import Running, deliver, is_listening
from acceptance.services import free_port
from receiver import Receiver

pytest.importorskip("django")

WAYS = {
    "gunicorn": ("-m", "gunicorn", "wsgi", "--bind=127.0.0.1:{port}"),
    "uvicorn": ("-m", "uvicorn", "asgi:application", "--port={port}"),
    "runserver": ("manage.py", "runserver", "--noreload", "127.0.0.1:{port}"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """With its database made; tests that change files write their own."""
    host = Host(tmp_path_factory.mktemp("django"))
    djangohost.write(host)
    djangohost.migrate(host)
    return host


@pytest.fixture
def sentry():
    with Receiver() as receiver:
        yield receiver


class Browser:
    def __init__(self, port):
        self.address = f"http://127.0.0.1:{port}"
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, path, **fields):
        data = None
        if fields:
            token = next(cookie.value for cookie in self.jar if cookie.name == "csrftoken")
            data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        request = urllib.request.Request(self.address + path, data, {"Referer": self.address + path})
        try:
            with self.opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def serve(host, way, port, **extra):
    running = Running(host, *[word.format(port=port) for word in WAYS[way]], **extra)
    try:
        running.until(lambda: is_listening(port), what="a server")
    except BaseException:
        running.__exit__()
        raise
    return running


def failures(sentry):
    """The pack audits sign-ins too."""
    return [event for event in sentry.events if event["tags"].get("erp.report") != "audit"]


def by_path(events):
    return sorted(((event["request"]["url"], event) for event in events), key=lambda pair: pair[0])


@pytest.mark.parametrize("way", WAYS)
def test_views_sync_and_async_under_wsgi_and_asgi(project, sentry, way):
    if way not in ("runserver",):
        pytest.importorskip(way)
    port = free_port()
    with serve(project, way, port, SENTRY_DSN=sentry.dsn) as server:
        browser = Browser(port)
        assert browser.get("/enter/")[0] == 200
        paths = ["/fine/", "/order/1/?code=secret-in-a-query", "/aorder/2/", "/crash/", "/who/"]
        assert [browser.get(path)[0] for path in paths] == [200, 500, 500, 500, 500]
        server.stop()
    deliver(project, sentry)
    assert "agent:" not in server.printed
    events = by_path(failures(sentry))
    assert [(url, event["tags"]["erp.operation"]) for url, event in events] == [
        ("/aorder/2/", "order"), ("/crash/", "django.request"), ("/order/1/", "order"), ("/who/", "django.request"),
    ]  # fmt: skip
    for url, event in events:
        assert event["request"]["method"] == "GET"
        assert event["sdk"]["name"] == "erp-sentry-agent"
    views = {url: (event["transaction"], event["contexts"]["request"]["view"]) for url, event in events}
    assert views["/order/1/"] == ("/order/<int:number>/", "shop.views.order")
    assert views["/aorder/2/"] == ("/aorder/<int:number>/", "shop.views.aorder")
    assert events[-1][1]["user"] == {"id": "1"}  # whom the view has asked for; nobody is asked by us
    assert not any("user" in event for _, event in events[:-1])
    order = events[2][1]
    assert order["tags"]["erp.module"] == "sales"
    crumbs = [crumb.get("message") for crumb in order["breadcrumbs"]["values"] if crumb["category"] == "shop"]
    assert crumbs == ["order %s of card [card] is being made"]

    transactions = {item["transaction"]: item for item in sentry.transactions}
    assert transactions["/who/"]["user"]["id"] in (1, "1")
    spans = {name: [span["op"] for span in item["spans"]] for name, item in transactions.items()}
    assert spans["/order/<int:number>/"].count("view.render") == 1
    assert [op for op in spans["/order/<int:number>/"] if op.startswith("cache")] == ["cache.put", "cache.get"]
    assert "function" in spans["/order/<int:number>/"]  # the monitored call
    assert spans["/enter/"].count("db") > 3
    assert "db" not in spans["/crash/"], "no query is run to know the user"
    raw = b"".join(data for each in sentry.envelopes for _, data in each.items)
    for secret in (
        b"secret-in-a-query",
        b"anna@example",
        b"4111 1111",
        *[cookie.value.encode() for cookie in browser.jar],
    ):
        assert secret not in raw


def statements(log):
    return len(re.findall("^SQL", log.read_text(), re.MULTILINE))


def test_the_same_statements_run_with_a_dsn_and_without_the_agent(project, sentry):
    """The SDK would ask for the user of a request, which Django has not loaded."""
    counts = []
    for agent in (False, True):
        log = project.folder / f"sql-{agent}.log"
        port = free_port()
        extra = {"SENTRY_DSN": sentry.dsn} if agent else {}
        with serve(project, "gunicorn", port, agent=agent, SQL_LOG=str(log), **extra) as server:
            browser = Browser(port)
            browser.get("/enter/")
            before = statements(log)
            for path in ("/fine/", "/order/1/", "/crash/", "/who/"):
                browser.get(path)
            server.stop()
        counts.append(statements(log) - before)
    assert counts[0] == counts[1] > 0
    deliver(project, sentry)
    assert len(sentry.transactions) == 5


def test_the_admin_and_its_actions(project, sentry):
    port = free_port()
    with serve(project, "gunicorn", port, SENTRY_DSN=sentry.dsn) as server:
        browser = Browser(port)
        browser.get("/enter/")
        assert browser.get("/admin/")[0] == 200
        assert browser.get("/admin/auth/user/")[0] == 200
        status, _ = browser.get("/admin/auth/user/", action="explode", _selected_action="1")
        assert status == 500
        status, _ = browser.get("/admin/auth/user/", action="deactivate", _selected_action="1")
        assert status == 200
        server.stop()
    deliver(project, sentry)
    assert "agent:" not in server.printed
    (event,) = failures(sentry)
    assert event["tags"]["erp.operation"] == "explode"
    assert event["user"] == {"id": "1"}
    assert event["request"]["method"] == "POST"
    assert event["transaction"] == "/admin/auth/user/"
    assert event["contexts"]["erp"]["operations"] == ["django.request", "admin.action", "explode"]
    spans = [span["description"] for item in sentry.transactions for span in item["spans"]]
    assert "deactivate" in spans


def test_commands_tests_and_the_shell(project, sentry):
    extra = {"SENTRY_DSN": sentry.dsn, "DB": str(project.folder / "other.sqlite3")}
    done = project.run("manage.py", "migrate", "-v", "0", **extra)
    assert (done.stdout, done.stderr) == ("", "")
    done = project.run("manage.py", "test", **extra)
    assert "Ran 2 tests" in done.stderr
    assert "OK" in done.stderr
    assert "agent:" not in done.stderr
    done = project.run("manage.py", "shell", "-c", "from shop import services\nprint(services.fine())", **extra)
    assert done.stdout.strip().isdigit() or "imported automatically" in done.stdout
    done = project.run("manage.py", "order", check=False, **extra)
    assert done.returncode == 1
    assert "OutOfStock: 7" in done.stderr
    done = project.run("manage.py", "sentry_test", "--error", **extra)
    assert "accepted" in done.stdout
    deliver(project, sentry)
    told = sorted((event["transaction"], event["tags"]["erp.operation"]) for event in sentry.events)
    assert told == [
        ("/order/<int:number>/", "order"),  # a view that the project's own tests make fail
        ("manage.py order", "order"), ("manage.py sentry_test", "test"),
    ]  # fmt: skip


def test_the_reloader(tmp_path, sentry):
    """runserver's parent, which serves nothing, and its child, which is replaced at each change."""
    project = Host(tmp_path)
    djangohost.write(project)
    djangohost.migrate(project)
    port = free_port()
    command = ("manage.py", "runserver", f"127.0.0.1:{port}")
    with Running(project, *command, SENTRY_DSN=sentry.dsn) as server:
        server.until(lambda: is_listening(port), what="a server")
        browser = Browser(port)
        assert browser.get("/order/1/")[0] == 500
        services = project.folder / "shop" / "services.py"
        services.write_text(djangohost.SERVICES.replace('f"{number} in', 'f"new {number} in'))

        def said():
            values = [event["exception"]["values"][-1]["value"].split(" in ") for event in sentry.events]
            return {what: int(pid) for what, pid in values}

        def reloaded():
            try:
                browser.get("/order/1/")
            except OSError:
                return False  # it is being replaced
            new = len(said()) == 2
            if not new:
                services.touch()  # the reloader may have looked for the first time after the change
            return new

        server.until(reloaded, what="the new code")
        server.stop(signal.SIGINT)
    assert "agent:" not in server.printed
    pids = said()
    assert pids["1"] != pids["new 1"]
    assert server.pid not in pids.values()


@pytest.mark.parametrize(
    ("settings", "configured", "where"),
    [
        ('SENTRY_DSN = os.environ["OTHER_DSN"]', False, "settings"),
        ('SENTRY_DSN = os.environ["OTHER_DSN"]\nENABLE_SENTRY = False', False, "held"),
        ('SENTRY_DSN = os.environ["OTHER_DSN"]', True, "configured"),
        ("ENABLE_SENTRY = False", True, "held"),
        ('SENTRY_DSN = "nonsense"', False, "held"),
    ],
)
def test_settings_that_speak_of_sentry(tmp_path, sentry, settings, configured, where):
    project = Host(tmp_path)
    djangohost.write(project, settings)
    project.write(
        main__py="import wsgi\nfrom django.test import Client\n"
        "print(Client(raise_request_exception=False).get('/order/1/').status_code)\n"
    )
    with Receiver() as other:
        extra = {"SENTRY_DSN": sentry.dsn} if configured else {}
        assert project.run("main.py", OTHER_DSN=other.dsn, **extra).stdout == "500\n"
        deliver_to = {"settings": other, "configured": sentry}.get(where)
        if deliver_to is not None:
            deliver(project, deliver_to)
        came = {"settings": other, "configured": sentry}
        assert {name: len(receiver.events) for name, receiver in came.items()} == {
            name: int(name == where) for name in came
        }
    held = list((project.state / "spool" / "held").glob("*.envelope"))
    assert len([path for path in held if b'"type":"event"' in path.read_bytes()]) == int(where == "held")
    said = "".join(path.read_text() for path in (project.state / "run").iterdir())
    assert ("SENTRY_DSN in Django's settings is not used" in said) == ("nonsense" in settings)
