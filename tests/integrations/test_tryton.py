"""What is read of Tryton: requests, transactions, jobs. With stand-ins that have its attributes."""

import sys
import types

import pytest
from support import no_work

from agent.integrations import retried, tryton
from agent.integrations.web import facts, frameworks, serving
from agent.observe.around import work
from agent.observe.failure import attempts


class Held:
    def __init__(self, **held):
        self.__dict__.update(held)


def served(path="/erp/rpc/", **held):
    """A request of Tryton's application is being served."""
    made = serving.Serving()
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "werkzeug.request": Held(**held)}
    serving.begin(made, environ)
    return made


@pytest.fixture(autouse=True)
def ends():
    yield
    no_work()


CAPTURED = {"database_name": "erp"}


@pytest.mark.parametrize(
    ("body", "route"),
    [
        ({"method": "model.sale.sale.quote", "params": [[7], {"company": 3}]}, "model.sale.sale.quote"),
        ((([7], {"company": 3}), "model.sale.sale.quote"), "model.sale.sale.quote"),  # XML-RPC
        ({"method": "model.sale; s3cr3t", "params": []}, "POST /<database_name>/rpc"),
        ({"method": "m" * 200, "params": []}, "POST /<database_name>/rpc"),
        ("text", "POST /<database_name>/rpc"),
        (None, "POST /<database_name>/rpc"),
    ],
)
def test_a_remote_call_is_its_own_route(body, route):
    served(view_args=CAPTURED, parsed_data=body)
    assert facts.operation()[0].rstrip("/") == route


def test_another_request_has_names_in_place_of_what_its_path_captured():
    served("/erp/party/7/label", view_args={**CAPTURED, "number": 7})
    assert facts.operation()[0] == "POST /<database_name>/party/<number>/label"


def test_a_request_that_no_rule_matches_has_no_route():
    served("/erp/s3cr3t", view_args=None)
    assert facts.operation()[0] == "POST request"


def test_whose_request_it_is():
    made = served(view_args=CAPTURED, parsed_data={"method": "a.b", "params": [1, {"company": 3}]}, user_id=5)
    assert frameworks.trytons(made) == ("erp", 3, 5)
    assert tryton.provide() == {"tags": {"database": "erp", "company": 3}, "user": {"id": 5}}
    assert frameworks.trytons(None) == ("", 0, 0)


def transaction(monkeypatch, **held):
    local = Held(transactions=[Held(**held)])
    kind = type("Transaction", (), {"_local": local})
    monkeypatch.setitem(sys.modules, "trytond.transaction", Held(Transaction=kind))


def test_a_transaction_comes_before_the_request(monkeypatch):
    served(view_args=CAPTURED, user_id=5)
    transaction(monkeypatch, database=Held(name="other"), user=6, context={"company": 4})
    assert tryton.provide() == {"tags": {"database": "other", "company": 4}, "user": {"id": 6}}


def test_root_acts_for_a_user_or_for_nobody(monkeypatch):
    transaction(monkeypatch, database=Held(name="erp"), user=0, context={"user": 7})
    assert tryton.user() == {"id": 7}
    transaction(monkeypatch, database=Held(name="erp"), user=0, context={})
    assert tryton.provide() == {"tags": {"database": "erp"}}


def test_a_transaction_that_has_ended_shows_nothing(monkeypatch):
    transaction(monkeypatch, database=None, user=None, context=None)
    assert tryton.provide() == {"tags": {}}


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_is_a_piece_of_work(fails):
    seen = []

    def run_once(cls, jobs):
        doing = work.current()
        seen.append((doing.kind.route(doing.about), tryton.provide()["transaction"]))
        seen.append(doing)
        if fails:
            raise ValueError(jobs)

    layer = tryton.follow_job(run_once, "Cron.run_once", tryton.cron_name)
    try:
        if fails:
            with pytest.raises(ValueError):
                run_once(None, [Held(method="ir.queue|clean")])
        else:
            run_once(None, [Held(method="ir.queue|clean")])
    finally:
        layer.undo()
    assert work.current() is None
    assert seen[0] == ("cron ir.queue.clean", "cron ir.queue.clean")
    assert seen[1].outcome == (work.CRASHED if fails else work.WELL)


def test_a_job_that_a_user_clicks_on_belongs_to_the_request():
    made = served(view_args=CAPTURED)
    seen = []

    def run_once(cls, jobs):
        seen.append(work.current().about)

    layer = tryton.follow_job(run_once, "Cron.run_once", tryton.cron_name)
    try:
        run_once(None, [Held(method="a|b")])
    finally:
        layer.undo()
    assert seen == [made]


def test_a_task_is_named_by_what_it_calls():
    assert tryton.task_name(Held(data={"model": "sale.sale", "method": "process"})) == "task sale.sale.process"


def test_a_task_belongs_to_the_user_who_has_queued_it(monkeypatch):
    """Where it fails, its transaction is Tryton's own again."""
    transaction(monkeypatch, database=Held(name="erp"), user=0, context={})
    data = {"model": "sale.sale", "method": "process", "user": 7, "context": {"company": 3}}
    seen = []

    def run(task):
        seen.append(tryton.provide())

    layer = tryton.follow_job(run, "Queue.run", tryton.task_name)
    try:
        run(Held(data=data))
        run(Held(data={**data, "user": 0, "context": {}}))
    finally:
        layer.undo()
    name = "task sale.sale.process"
    assert seen == [
        {"tags": {"database": "erp", "company": 3}, "transaction": name, "user": {"id": 7}},
        {"tags": {"database": "erp"}, "transaction": name},
    ]


def test_a_job_of_tryton_5_0():
    job = type("Cron", (), {"model": "shop.stock", "function": "nightly"})
    assert tryton.cron_name([job()]) == "cron shop.stock.nightly"


class Sink:
    """What becomes of tries in which something was reported: is there another?"""

    def __init__(self):
        self.settled = []

    def settle(self, attempt, *, again):
        self.settled.append((*attempt.held.values(), again))


@pytest.fixture
def tried(monkeypatch):
    """Returns what makes a module of Tryton's known, and `report`, which its jobs call."""
    sink, undo = Sink(), []
    monkeypatch.setattr(attempts, "current", attempts.outside)
    monkeypatch.setattr(retried, "others", [])
    engine = Held(
        outlet=Held(sink=lambda: sink), look_again=lambda: None,
        frameworks=Held(tracing=Held(follow=lambda: None), failed=lambda *_, **__: None),
    )  # fmt: skip

    def install(name, source):
        module = types.ModuleType(name)
        exec(compile(source, name, "exec"), module.__dict__)
        monkeypatch.setattr(tryton, "register", lambda *_: None)
        undo.extend(tryton.install(name, module, engine))
        module.report = lambda what: attempts.current().held.update({what: what})
        return module

    yield install, sink.settled
    for each in undo:
        each.undo()
    assert attempts.current() is None


CRON = """
class Cron:
    @classmethod
    def run_once(cls, jobs):
        job = jobs[0]
        job.tries -= 1
        report(job.id)
        if job.tries: raise ArithmeticError
    @classmethod
    def run(cls, jobs):
        for job in jobs:
            while job.tries:
                try: cls.run_once([job])
                except ArithmeticError: pass
"""


def test_a_try_of_cron_is_followed_by_another_of_the_same_job(tried):
    install, settled = tried
    cron = install("trytond.ir.cron", CRON).Cron
    cron.run([Held(id=1, method="a|b", tries=3), Held(id=2, method="a|b", tries=1), Held(id=3, method="c|d", tries=2)])
    assert settled == [(1, True), (1, True), (1, False), (2, False), (3, True), (3, False)]


def test_cron_of_tryton_5_0_makes_no_second_try(tried):
    """What it runs again is what it has missed."""
    install, settled = tried
    cron = install("trytond.ir.cron", CRON.replace("Cron:", "Cron:\n    function = None", 1)).Cron
    with pytest.raises(AttributeError):  # there is no attempt to report in
        cron.run([Held(id=1, model="a", function="b", tries=1)])
    assert settled == []


QUEUE = """
class Queue:
    def run(self):
        report(self.name)
        if self.fails: raise self.fails
    @classmethod
    def push(cls, name, data): pass
"""
WORKER = """
def run_task(queue, task):
    for _ in range(3):
        try: return queue.run(task)
        except ArithmeticError: pass
        except LookupError: return
    queue.push("task", {})
"""


def test_a_task_that_goes_back_into_the_queue_is_run_again(tried):
    install, settled = tried
    queue, run = install("trytond.ir.queue_", QUEUE).Queue, install("trytond.worker", WORKER).run_task

    def task(name, fails, scheduled=None):
        return Held(name=name, fails=fails, scheduled_at=scheduled, data={"model": "a", "method": "b"})

    run(queue, task("works", None))
    run(queue, task("fails", LookupError()))
    run(queue, task("collides", ArithmeticError()))
    run(queue, task("collides again", ArithmeticError(), scheduled="10:00"))
    assert settled == [
        ("works", False),
        ("fails", False),
        *[("collides", True)] * 3,
        *[("collides again", True)] * 2,
        ("collides again", False),
    ]


def test_a_task_that_queues_others_has_not_been_put_back(tried):
    install, settled = tried
    queues = QUEUE.replace("        if self.fails", "        Queue.push('other', {})\n        if self.fails")
    queue, run = install("trytond.ir.queue_", queues).Queue, install("trytond.worker", WORKER).run_task
    run(queue, Held(name="queues", fails=LookupError(), scheduled_at=None, data={"model": "a", "method": "b"}))
    assert settled == [("queues", False)]
