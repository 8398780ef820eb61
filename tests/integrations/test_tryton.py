"""What is read of Tryton: requests, transactions, jobs. With stand-ins that have its attributes."""

import sys

import pytest

from agent.integrations import tryton
from agent.integrations.web import facts, frameworks, serving
from agent.observe.around import work


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
    while work.current() is not None:
        work._current.set(None)


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

    layer = tryton._job(run_once, "Cron.run_once", tryton._cron)
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

    layer = tryton._job(run_once, "Cron.run_once", tryton._cron)
    try:
        run_once(None, [Held(method="a|b")])
    finally:
        layer.undo()
    assert seen == [made]


def test_a_task_is_named_by_what_it_calls():
    assert tryton._task(Held(data={"model": "sale.sale", "method": "process"})) == "task sale.sale.process"


def test_a_task_belongs_to_the_user_who_has_queued_it(monkeypatch):
    """Where it fails, its transaction is Tryton's own again."""
    transaction(monkeypatch, database=Held(name="erp"), user=0, context={})
    data = {"model": "sale.sale", "method": "process", "user": 7, "context": {"company": 3}}
    seen = []

    def run(task):
        seen.append(tryton.provide())

    layer = tryton._job(run, "Queue.run", tryton._task)
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
    assert tryton._cron([job()]) == "cron shop.stock.nightly"
