"""The example ERP, which never mentions the agent: the same working day with and without it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from http.cookiejar import CookieJar

import pytest
from acceptance.host import ROOT, Host, summary
from acceptance.services import free_port
from receiver import Receiver

pytest.importorskip("django")
pytest.importorskip("celery")

ERP = ROOT / "examples" / "erp"
MONITORS = ROOT / "monitors.yaml"


class Erp(Host):
    def __init__(self, folder):
        super().__init__(folder)
        self.config = MONITORS

    def environment(self, agent=True, **extra):
        return super().environment(agent, **{"ERP_PASSWORD_HASHERS": "MD5", **extra})

    def manage(self, *arguments, **extra):
        name = "with" if extra.get("agent", True) else "without"
        extra.setdefault("ERP_DB", str(self.folder / name / "erp.sqlite3"))
        return self.run("manage.py", *arguments, cwd=ERP, **extra)


def failures(events):
    """What the day makes. What monitors cost a process depends on how long the machine takes for the day's hours."""
    return Counter(each for each in map(summary, events) if each[0] != "budget")


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """One working day both ways: (with the agent, without it, the host)."""
    erp = Erp(tmp_path_factory.mktemp("erp"))
    without = erp.manage("working_day", "--count-queries", agent=False)
    under = erp.manage("working_day", "--count-queries")
    return under, without, erp


def test_the_erp_never_mentions_the_agent():
    # ("monitor" is what a furniture maker may well sell a stand for; these are not.)
    for path in ERP.rglob("*"):
        if path.suffix in (".py", ".html", ".txt", ".md", ".css", ".toml") and "var" not in path.parts:
            text = path.read_text(encoding="utf-8").lower()
            for word in ("sentry", "sitecustomize", "monitors.yaml", "_erp_agent", "import agent"):
                assert word not in text, (path, word)


def test_output_exit_code_and_queries_are_the_same(day):
    under, without, _ = day
    assert under.returncode == without.returncode == 0
    assert under.stderr == without.stderr == ""
    assert under.stdout == without.stdout
    assert "SQL statements" in under.stdout


def test_the_day_is_caught_in_the_erps_own_words(day):
    events = day[2].events()
    seen = Counter(summary(event) for event in events)
    for expected in [
        ("error", "reserve_stock", "warning"),  # out of stock
        ("error", "reserve_stock", "info"),  # stock being counted
        ("rule", "create_order", "warning"),  # rejected
        ("slow", "report.sales_by_customer", "warning"),
        ("rule", "record_inspection", "warning"),  # failed inspection
        ("error", "record_inspection", "error"),  # calibration expired
        ("rule", "sign_in", "warning"),  # somebody guesses a password
        ("error", "orders.margin", "error"),  # a crash in a view
        ("error", "release_work_order", "fatal"),  # machine breakdown
        ("error", "fetch_lead_times", "warning"),  # a coroutine
        ("error", "verify_archive", "error"),  # a Celery task that fails for good
        ("error", "invoice_order", "warning"),  # the ledger does not answer at the last attempt either
    ]:
        assert seen[expected], expected
    # Part of the business, or caught by a second try: counted, not reported.
    types = Counter(value["type"] for event in events if "exception" in event for value in event["exception"]["values"])
    assert "MachineBreakdown" in types
    quiet = {"OrderOnHold", "CreditLimitExceeded", "MailServerBusy", "Http404", "PermissionDenied"}
    assert not set(types) & quiet
    assert types["LedgerUnavailable"] == 1, "six attempts of two tasks, one of which fails"
    assert {event["tags"].get("erp.module") for event in events} >= {
        "sales", "inventory", "production", "quality", "reports", "security",
    }  # fmt: skip


def test_a_crash_in_a_view_is_one_event_with_user_and_request(day):
    (event,) = [event for event in day[2].events() if event["tags"]["erp.operation"] == "orders.margin"]
    assert event["user"] == {"id": "1"}
    assert event["request"]["method"] == "GET"
    assert event["contexts"]["erp"]["operations"][-2:] == ["django.request", "orders.margin"]
    assert event["tags"]["tier"] == "1"
    assert event["contexts"]["erp"]["owner"] == "sales-team"


def test_signing_in_and_a_forbidden_page_are_counted_and_not_reported(day):
    everyday = {"signed_in", "error_response"}
    assert not everyday & {event["tags"]["erp.operation"] for event in day[2].events()}
    found = json.loads(day[2].agent("status", "--format", "json").stdout)["operations"]
    calls = {each["operation"]: each["calls"] for each in found}
    assert all(calls[each] for each in everyday), calls
    assert "MATCHED" in day[2].agent("status").stdout


def test_a_recursive_failure_is_one_event(day):
    (event,) = [event for event in day[2].events() if event["tags"]["erp.operation"] == "explode_bom"]
    assert event["contexts"]["erp"]["operations"].count("explode_bom") == 3


def test_nobody_is_named_and_no_password_leaves(day):
    raw = b"\n".join(day[2].envelopes())
    for secret in (b"granskog-anna-7", b"norrland-anna-demo-token", b"anna@", b"csrfmiddlewaretoken", b"sessionid="):
        assert secret not in raw, secret


def test_every_monitor_found_its_target(day):
    (process,) = day[2].status()
    assert process["failed"] == []
    # What a pack watches and this day does not need (stored files, say) is not imported.
    packs = ("django.", "redis.")
    assert [entry for entry in process["waiting"] if not str(entry[0]).startswith(packs)] == []
    assert len(process["patched"]) > 30


def test_events_and_show(day):
    erp = day[2]
    table = erp.agent("events")
    assert table.returncode == 0
    lines = table.stdout.splitlines()
    assert lines[0].split() == ["SEVERITY", "MODULE", "OPERATION", "WHAT", "COUNT", "LAST", "SEEN", "STATE", "ID"]
    assert lines[1].split()[:3] == ["fatal", "production", "release_work_order"]
    assert "\x1b" not in table.stdout
    identity = lines[1].split()[-1]
    shown = erp.agent("events", "show", identity)
    assert "MachineBreakdown" in shown.stdout
    assert "As it is sent to Sentry" in shown.stdout
    assert erp.agent("events", "show", "zzz").returncode == 2
    quality = [
        line for line in erp.agent("events", "--module", "quality").stdout.splitlines() if "% of this" not in line
    ]
    assert "\n".join(quality).count("record_inspection") == 2


def test_sentry_test_works_although_the_settings_know_nothing(tmp_path):
    erp = Erp(tmp_path)
    with Receiver() as sentry:
        done = erp.manage("sentry_test", "--all", SENTRY_DSN=sentry.dsn)
        assert done.stdout.count("accepted") == 3
        sentry.wait_for(3)
        assert len(sentry.transactions) == 1
    refused = erp.manage("sentry_test", "--error", check=False)
    assert refused.returncode == 1
    assert "no DSN" in refused.stderr
    assert "sentry_test" in erp.manage("help").stdout
    assert "sentry_test" not in erp.manage("help", agent=False).stdout


class Browser:
    def __init__(self, address):
        self.address = address
        self.jar = CookieJar()
        self.open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar)).open

    def get(self, path, data=None):
        body = urllib.parse.urlencode(data).encode() if data else None
        headers = {"Referer": self.address + path}
        try:
            with self.open(urllib.request.Request(self.address + path, body, headers), timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def sign_in(self, path, username, password):
        self.get(path)
        token = next(cookie.value for cookie in self.jar if cookie.name == "csrftoken")
        return self.get(path, {"username": username, "password": password, "csrfmiddlewaretoken": token})


@pytest.fixture(scope="module")
def margins(tmp_path_factory):
    """The database of a company with a customer whose margin cannot be shown."""
    erp = Erp(tmp_path_factory.mktemp("margins"))
    database = str(erp.folder / "erp.sqlite3")
    erp.manage("working_day", "--steps", "margin-page", agent=False, ERP_DB=database)
    return database


@pytest.mark.parametrize("options", [["--workers=2"], ["--preload", "--workers=1", "--threads=2"]])
def test_under_gunicorn_a_crash_reaches_sentry_once(tmp_path, margins, options):
    pytest.importorskip("gunicorn")
    erp = Erp(tmp_path)
    database = shutil.copy(margins, str(tmp_path / "erp.sqlite3"))
    port = free_port()
    with Receiver() as sentry:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "erp.wsgi", f"--bind=127.0.0.1:{port}", *options],
            cwd=ERP, env=erp.environment(SENTRY_DSN=sentry.dsn, ERP_DB=database, ERP_ALLOWED_HOSTS="127.0.0.1"),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            browser = Browser(f"http://127.0.0.1:{port}")
            until = time.monotonic() + 30
            while True:
                try:
                    browser.get("/")
                    break
                except OSError:
                    assert time.monotonic() < until and server.poll() is None
                    time.sleep(0.05)  # waiting for a server's port is the one thing that has no event to wait on
            status, _ = browser.sign_in("/accounts/login/", "anna", "granskog-anna-7")
            assert status == 200
            crashed = None
            for number in range(1, 40):
                status, _ = browser.get(f"/orders/SO-{number:05d}/margin/")
                if status == 500:
                    crashed = number
                    break
            assert crashed is not None
            errors = []
            while not errors:  # sign-ins, sessions and sampled transactions arrive as well, in any order
                seen = len(sentry.envelopes)
                errors = [event for event in sentry.events if event["level"] == "error"]
                if not errors:
                    sentry.wait_for(seen + 1)
            assert [summary(event) for event in errors] == [("error", "orders.margin", "error")]
            assert errors[0]["user"] == {"id": "1"}
            assert errors[0]["transaction"] == "/orders/<str:number>/margin/"
            frames = [frame for value in errors[0]["exception"]["values"] for frame in value["stacktrace"]["frames"]]
            assert [frame["abs_path"] for frame in frames if "sentry_sdk" in frame["abs_path"]] == []
        finally:
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=120)
    assert "agent:" not in said
    assert "Traceback" not in said or "order_margin" in said
    assert os.path.exists(database)


def test_with_a_sentry_and_tracing_the_day_is_the_same_and_each_failure_arrives_once(day, tmp_path):
    erp = Erp(tmp_path)
    erp.config = tmp_path / "monitors.yaml"
    text = MONITORS.read_text(encoding="utf-8")
    assert "traces_sample_rate: 0.1" in text
    erp.config.write_text(text.replace("traces_sample_rate: 0.1", "traces_sample_rate: 1.0"), encoding="utf-8")
    with Receiver() as sentry:
        under = erp.manage("working_day", "--count-queries", SENTRY_DSN=sentry.dsn)
        erp.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        assert erp.envelopes() == []
        events, transactions = sentry.events, sentry.transactions
    assert under.stdout == day[1].stdout
    assert under.stderr == ""
    # Celery's integration and our monitors see the same failures: each arrives once, in the ERP's words.
    assert all("erp.monitor" in event["tags"] for event in events)
    assert failures(events) == failures(day[2].events())
    ids = [event["event_id"] for event in events]
    assert len(ids) == len(set(ids))
    names = {(each["transaction"], each["contexts"]["trace"]["op"]) for each in transactions}
    assert "manage.py working_day" in {name for name, _ in names}
    assert {name for name, op in names if op == "queue.process"} >= {"sales.tasks.nightly_invoicing"}
    assert "manage.py working_day" not in {name for name, op in names if op == "queue.process"}, "a task has its own"
    spans = [span for transaction in transactions for span in transaction["spans"]]
    assert "task.send_order_confirmation" in {span.get("description") for span in spans}
    (process,) = erp.status()
    assert process["sdk"] == "not needed: it traces nothing"
