"""The example ERP on PostgreSQL, Redis, gunicorn, a Celery worker and beat: what arrives at Sentry, and that it arrives once."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from acceptance.host import ROOT, summary
from full import compare, load, people, sums
from full.accidents import Accidents
from full.browser import Answer, Browser
from full.parts import Missing, Parts
from full.people import PASSWORD, TOKEN
from full.stack import Stack
from receiver import Receiver

from agent.base import own_folders, places
from agent.deliver.send.lock import DeliveryLock
from agent.measure import due
from agent.measure.fold import fold

for needed in ("django", "celery", "gunicorn", "psycopg", "redis"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def installed():
    try:
        return Parts()
    except Missing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def parts(installed, tmp_path_factory):
    """The servers, with a database `prepared` that has the demonstration company in it."""
    with installed as servers:
        with Stack(servers, str(tmp_path_factory.mktemp("prepared")), "prepared", {}, **QUICK) as stack:
            stack.prepare(compare.SALESPEOPLE)
        yield servers


#: Of the ERP: what makes a sign-in slow is not what is tested.
QUICK = {"ERP_PASSWORD_HASHERS": "MD5"}


def agent_variables(folder, **more):
    return {"PYTHONPATH": str(ROOT), "AGENT_STATE_DIR": str(folder / "agent"), "AGENT_TESTING": "1", **more}


def signed_in(stack, answers, name):
    browser = Browser(stack.port, answers.append)
    browser.submit(browser.get("/accounts/login/", ""), "", username=name, password=PASSWORD.format(name))
    return browser


def take_order(browser, customer, product, quantity):
    page = browser.get("/orders/new/", "")
    (choice,) = re.findall(rf'<option value="(\d+)">{customer}<', page.text)
    return browser.submit(page, "", customer=choice, product=product, quantity=str(quantity))


def order_over_api(browser, customer, product, quantity):
    body = {"customer": customer, "items": [{"product": product, "quantity": quantity}]}
    return browser.post("/api/orders/", "", body)


def play(stack):
    """A bit of everything that goes well, and of everything that does not. Answers the statuses of what went wrong."""
    answers = []
    anna, bo, _ = (signed_in(stack, answers, name) for name in ("anna", "bo", "carla"))
    shop, floor = (Browser(stack.port, answers.append, TOKEN.format(name)) for name in ("anna", "carla"))
    stranger = Browser(stack.port, answers.append, "norrland-nobody")
    # What goes well, or is everyday business.
    order = take_order(anna, "Torget 7", "CHR-ASPEN", 4)
    confirmed = anna.submit(order, "", f"{order.path}confirm/")
    bo.submit(bo.get(confirmed.path, ""), "", f"{confirmed.path}ship/")
    assert ">Shipped<" in bo.get(confirmed.path, "").text
    quiet = [
        anna.get("/orders/SO-99999/", ""),
        order_over_api(shop, "C-1021", "SHF-ELLE", 2),  # a blocked customer
        order_over_api(shop, "C-1015", "CAB-HAGE", 6),  # above the credit limit
        bo.get("/api/stock/lead-times/?codes=TEAK-XL", ""),
        stranger.get("/wp-login.php", ""),
    ]
    assert [answer.status for answer in quiet] == [404, 409, 422, 404, 404]
    # What does not.
    wrong = Browser(stack.port, answers.append)
    wrong.submit(wrong.get("/accounts/login/", ""), "", username="bo", password="granskog-bo-8")
    too_large = take_order(anna, "Hotell Norrsken", "CHR-TUVA", 60)
    delivery = take_order(anna, "Docksta Vandrarhem", "SRV-DELIVERY", 1)
    scarce = order_over_api(shop, "C-1022", "CAB-VINTER", 5).json()["number"]
    failures = [
        anna.get(f"{delivery.path}margin/", ""),
        stranger.get("/api/orders/", ""),
        shop.post(f"/api/orders/{scarce}/confirm/", ""),
        floor.post(
            "/api/inspections/", "", {"work_order": "WO-00001", "gauge": "MOI-2", "readings": {"moisture": 8.4}}
        ),
        floor.post("/api/inspections/", "", {"work_order": "WO-00002", "gauge": "CAL-300", "readings": {"wobble": 4}}),
        anna.get("/inspections/", ""),
        anna.get("/reports/sales-by-customer/?format=csv", ""),
    ]
    assert [answer.status for answer in failures] == [500, 401, 409, 409, 201, 403, 200]
    assert ">Rejected<" in too_large.text
    return too_large.path.split("/")[2], scarce


def captured(event):
    return event["contexts"]["erp"]["captured"]


#: (report, operation, level), then the module and the user.
EXPECTED = {
    ("rule", "create_order", "warning"): ("sales", "1"),
    ("error", "orders.margin", "error"): ("sales", "1"),
    ("rule", "token_rejected", "warning"): ("security", None),
    ("error", "reserve_stock", "warning"): ("inventory", "1"),
    ("error", "record_inspection", "error"): ("quality", "3"),
    ("rule", "record_inspection", "warning"): ("quality", "3"),
    ("slow", "report.sales_by_customer", "warning"): ("reports", "1"),
}


def test_what_must_arrive_arrives_once_and_nothing_else_does(parts, tmp_path):
    with Receiver() as sentry:
        variables = agent_variables(tmp_path, SENTRY_DSN=sentry.dsn)
        settings = {"ERP_DAY_SECONDS": "3", "ERP_CLOSED_PERIODS": "2026-03", **QUICK}
        with Stack(parts, str(tmp_path), "watched", variables, "prepared", **settings) as stack:
            stack.start(workers=2, threads=2, processes=2)
            rejected, scarce = play(stack)
            stack.worker.wait_until(lambda: "PeriodClosed" in stack.worker.said())
            stack.wait_for_tasks()
        said = stack.web.said() + stack.worker.said() + stack.beat.said()
        # What their last second was too short for waits on disk for whoever comes next.
        flushed = subprocess.run(
            [sys.executable, "-m", "agent", "spool", "flush"], cwd=ROOT, env={**stack.environment, **variables},
            capture_output=True, text=True,
        )  # fmt: skip
        assert flushed.returncode == 0, flushed.stdout + flushed.stderr
        events = sentry.events
    assert "agent:" not in said
    ids = [event["event_id"] for event in events]
    assert len(ids) == len(set(ids))

    tasks = [event for event in events if event["tags"]["erp.operation"] == "invoice_order"]
    # On a busy machine anything may be slow; the one report that is so by nature is told by its name.
    rest = [
        event
        for event in events
        if event not in tasks and (event["tags"]["erp.report"] != "slow" or "report" in event["tags"]["erp.operation"])
    ]
    assert Counter(map(summary, rest)) == dict.fromkeys(EXPECTED, 1)
    for event in rest:
        module, user = EXPECTED[summary(event)]
        assert event["tags"]["erp.module"] == module, event["tags"]
        assert event.get("user", {}).get("id") == user, (summary(event), event.get("user"))
        assert event["contexts"]["erp"]["operations"][-1] == event["tags"]["erp.operation"]
    by_operation = {event["tags"]["erp.operation"]: event for event in rest}
    assert captured(by_operation["create_order"])["order"] == rejected
    assert captured(by_operation["reserve_stock"]) == {"product": "CAB-VINTER", "quantity": 5, "order": scarce}
    assert by_operation["orders.margin"]["transaction"] == "/orders/<str:number>/margin/"
    assert by_operation["orders.margin"]["request"]["method"] == "GET"
    everyday = ("signed_in", "sign_in", "error_response")  # counted
    assert all(sums.counted(variables)[operation] for operation in everyday)

    # Each run of the task that failed in the worker is one event, and says which run.
    failed = re.findall(r"Task sales\.tasks\.nightly_invoicing\[([0-9a-f-]+)\] raised", stack.worker.said())
    assert failed
    assert sorted(event["contexts"]["celery"]["id"] for event in tasks) == sorted(failed)
    for event in tasks:
        assert summary(event) == ("error", "invoice_order", "error")
        assert event["tags"]["erp.module"] == "sales"
        assert event["contexts"]["celery"]["task"] == event["transaction"] == "sales.tasks.nightly_invoicing"
        assert event["contexts"]["erp"]["operations"][-2:] == ["task.nightly_invoicing", "invoice_order"]
        assert "user" not in event
        assert event["exception"]["values"][-1]["type"] == "PeriodClosed"


def test_the_same_work_gives_the_same_answers_rows_and_mails_with_the_agent_and_without(parts, tmp_path):
    outcomes = []
    for name, variables in (("without", {}), ("with", agent_variables(tmp_path))):
        with Stack(parts, str(tmp_path / name), name, variables, "prepared", **QUICK) as stack:
            outcomes.append(compare.play(stack, turns=5))
    assert compare.differences(*outcomes) == []
    without = outcomes[0]
    assert len(without.answers) > 100
    assert without.mail
    assert len(without.data["sales_order"]) > 12  # more than the company began with
    assert sums.counted(variables)["signed_in"]  # the agent was there


def fold_now(state):
    lock = DeliveryLock(os.path.join(state, due.FOLDER))
    own_folders.make(os.path.join(state, due.FOLDER))
    if lock.take():
        try:
            fold(state)
        finally:
            lock.release()


def work(stack, watch, variables, turns):
    """Shops order, all at once. Meanwhile what was counted is folded again and again, and never gets less."""
    figures = load.Figures()
    shops = [people.Shop("anna", stack.port, watch, f"{turns} {number}") for number in range(3)]

    def act(shop):
        for _ in range(turns):
            load.attempt(shop.act, figures)
        shop.leave()

    before = Counter()
    with ThreadPoolExecutor(len(shops)) as pool:
        running = [pool.submit(act, shop) for shop in shops]
        while not all(each.done() for each in running):
            fold_now(places.state_folder(variables, places.config_path(variables)))
            now = sums.counted(variables)
            assert not before - now, "totals have fallen"
            before = now
            wait(running, 0.2)
    for each in running:
        each.result()


def test_the_counts_equal_what_was_called_while_processes_are_recycled_and_killed(parts, tmp_path):
    known, variables = sums.Known(), agent_variables(tmp_path)

    def compared():
        stack.wait_for_tasks()
        tasks.wait()
        return known.beside(sums.counted(variables), tasks, asked=stack.asked)

    settings = {"ERP_DAY_SECONDS": "3", **QUICK}
    stack = Stack(parts, str(tmp_path), "counted", variables, "prepared", **settings)
    with stack, sums.Tasks(stack.broker) as tasks:
        stack.start(workers=2, threads=2, processes=2, recycled=(15, 4))
        work(stack, known.watch, variables, turns=6)
        recycled = sums.lines(compared())
        accidents = Accidents(stack, every=8)

        def watch(answer):
            known.watch(answer)
            accidents.watch(answer)

        work(stack, watch, variables, turns=8)
        stack.beat.stop()
        killed = compared()
        started = [each for server in (stack.web, stack.worker) for each in [server.pid, *server.children()]]
    assert {pid: (started[pid], command(pid)) for pid in started if is_alive(pid)} == {}
    print(recycled, accidents.happened, *killed, sep="\n")
    assert len(recycled) == 1, recycled
    assert len(sums.lines(killed)) == 1, sums.lines(killed)
    assert known.beside(sums.counted(variables), tasks, asked=stack.asked) == killed  # all have ended since
    assert {each.operation for each in killed} >= {"django.request", "create_order", "confirm_order", "api.as_json"}
    assert {"replenish", "task.send_order_confirmation"} <= {each.operation for each in killed if each.known > 1}
    assert {"web worker killed", "task process killed"} <= set(accidents.happened)


def test_a_sum_that_is_wrong_is_named():
    known, tasks = sums.Known(), sums.Tasks("")
    for status in (200, 404, 0):
        known.watch(Answer("", "GET", "/orders/", status, [], b"", 0.0, 0.0))
    assert sums.lines(known.beside({"django.request": 2}, tasks)) == [
        "Counted 2 of 2 calls of 1 operations, and 0 of up to 1 whose request or task was cut off"
    ]
    assert sums.lines(known.beside({"django.request": 3}, tasks)) == [
        "Counted 2 of 2 calls of 1 operations, and 1 of up to 1 whose request or task was cut off"
    ]
    for wrong in (1, 4):
        told = sums.lines(known.beside({"django.request": wrong}, tasks))
        assert told[1:] == [f"WRONG: django.request was called 2 to 3 times, counted {wrong}"]


def test_what_differs_is_told():
    one = compare.Outcome(["GET / 200\n\nyes"], {"sales_order": ["(1,)", "(2,)"]}, ["mail"])
    other = compare.Outcome(["GET / 200\n\nno", "GET / 200"], {"sales_order": ["(1,)", "(3,)"]}, [])
    assert compare.differences(one, one) == []
    assert compare.differences(one, other) == [
        "answer 0: GET / 200: 'yes' and 'no'", "1 answers and 2", "table sales_order: 2 rows of 2 and 2",
        "mail: 1 and 0 messages, not the same",
    ]  # fmt: skip


def test_a_missing_part_is_named_with_the_command_that_installs_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "examples/demo_full.py", "--home", str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        env={"PATH": str(tmp_path), "PG_BIN": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "needs PostgreSQL and Redis" in done.stderr
    assert "apt-get install postgresql redis-server" in done.stderr


@pytest.mark.usefixtures("installed")
def test_ctrl_c_stops_everything_that_was_started(tmp_path):
    """While the tables are made: PostgreSQL and Redis run, and the command that makes them."""
    demo = subprocess.Popen(
        [sys.executable, "examples/demo_full.py", "--home", str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **QUICK},
    )  # fmt: skip
    try:
        seen = ""
        while "Redis on port" not in seen:
            line = demo.stdout.readline()
            assert line, seen
            seen += line
        started = {pid: command(pid) for pid in descendants(demo.pid)}
        assert len(started) >= 2
        demo.send_signal(signal.SIGINT)
        said, _ = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 130, said
    assert "Stopped, with everything that it had started." in said
    assert "Traceback" not in said
    assert {pid: (started[pid], command(pid)) for pid in started if is_alive(pid)} == {}


def test_ctrl_c_while_people_work_sends_them_home():
    here = set(threading.enumerate())
    acted, left = threading.Event(), []

    class Anybody:
        dice = random.Random("1952")
        act = staticmethod(acted.set)
        leave = staticmethod(lambda: left.append(1))

    def ctrl_c():
        if acted.wait(0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load.crowd([Anybody, Anybody], load.Figures(), seconds=600, think=0, show=ctrl_c)
    assert set(threading.enumerate()) <= here
    assert left == [1]  # the other one had not come yet


def is_alive(pid):
    """One that has ended, and that the machine's first process has not looked at yet, is not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read().replace("\0", " ").strip()
    except FileNotFoundError:
        return ""


def descendants(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = [int(child) for child in file.read().split()]
    return children + [each for child in children for each in descendants(child)]
