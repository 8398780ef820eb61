from __future__ import annotations

import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from agent.cli.main import main
from agent.codebase.proposals import handled
from agent.codebase.proposals.propose import scalar
from agent.config.load import examine
from agent.config.read.tree import parse

ERP = Path(__file__).parents[2] / "examples" / "erp"


def run(*arguments: str) -> int:
    return main(arguments)


@pytest.fixture
def erp(tmp_path):
    return str(shutil.copytree(ERP, tmp_path / "erp", ignore=shutil.ignore_patterns("var", "__pycache__")))


def checked(path, folder, capsys):
    """No problem at all, and every target is found."""
    capsys.readouterr()
    status = run("validate", path, "--path", folder)
    out = capsys.readouterr().out
    assert status == 0, out
    assert "warning" not in out, out
    assert "not found" not in out
    return examine(path, {}).plan["monitors"]


def test_discover_proposes_with_reasons_and_validates(erp, tmp_path, capsys):
    assert run("discover", "sales", "--path", erp) == 0
    text = capsys.readouterr().out
    assert "  # a Celery task (@shared_task)\n  - target: sales.tasks.send_order_confirmation\n" in text
    path = tmp_path / "sales.yaml"
    path.write_text(text, encoding="utf-8")
    monitors = {monitor["targets"][0]["path"]: monitor for monitor in checked(str(path), erp, capsys)}
    assert monitors["sales.services.create_order"]["kind"] == "function"
    assert monitors["sales.tasks.nightly_invoicing"]["kind"] == "transaction"
    assert monitors["sales.api.orders"]["detail"] == {"endpoint": "sales.orders"}
    assert monitors["sales.managers.ProductManager.for_sale"]["detail"] == {"model": "Product"}
    assert not any(".tests." in target or ".migrations." in target for target in monitors)
    assert {monitor["module"] for monitor in monitors.values()} == {"sales"}


ROUTES = """
import flask, strawberry, graphene
from fastapi import APIRouter
from aiohttp import web
from pyramid.view import view_config
from ariadne import MutationType
app, router, routes, mutation, cache = flask.Flask("x"), APIRouter(), web.RouteTableDef(), MutationType(), {}
@app.route("/orders/<int:number>", methods=["GET"])
def order(number): ...
@router.post("/orders", status_code=201)
async def create(order): ...
@router.websocket("/talk")
async def talk(websocket): ...
@routes.get("/stock/{product}")
async def stock(request): ...
@view_config(route_name="plan")
def plan(request): ...
@mutation.field("payOrder")
def pay(obj, info): ...
class CreateOrder(graphene.Mutation):
    def mutate(self, info): ...
@strawberry.type
class Mutation:
    @strawberry.mutation
    def cancel_order(self) -> int: ...
@cache.get("no path")
def nothing(): ...
def helper(): ...
"""


def test_routes_and_mutations(tmp_path, capsys):
    package = tmp_path / "erp"
    package.mkdir()
    package.joinpath("__init__.py").touch()
    package.joinpath("web.py").write_text(ROUTES, encoding="utf-8")
    assert run("discover", "erp", "--path", str(tmp_path), "--only", "view") == 0
    path = tmp_path / "erp.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    found = {each["targets"][0]["path"]: each for each in examine(str(path), {}).plan["monitors"]}
    assert {target: each["detail"].get("endpoint", each["operation"]) for target, each in found.items()} == {
        "erp.web.order": "/orders/<int:number>",
        "erp.web.create": "POST /orders",
        "erp.web.talk": "WEBSOCKET /talk",
        "erp.web.stock": "GET /stock/{product}",
        "erp.web.plan": "plan",
        "erp.web.pay": "pay",
        "erp.web.CreateOrder.mutate": "CreateOrder",
        "erp.web.Mutation.cancel_order": "cancel_order",
    }


def test_management_commands_and_security(erp, capsys):
    assert run("discover", "erp", "--path", erp, "--only", "command") == 0
    assert "erp.management.commands.working_day:Command.handle" in capsys.readouterr().out
    assert run("discover", "accounts", "--path", erp, "--only", "security") == 0
    assert "event_type: user_for_token" in capsys.readouterr().out


@pytest.mark.parametrize("package", ["django.contrib.auth", "django.contrib.admin"])
def test_an_installed_package(package, tmp_path, capsys):
    pytest.importorskip(package.partition(".")[0])
    path = tmp_path / "found.yaml"
    assert run("discover", package, "--output", str(path)) == 0
    assert examine(str(path), {}).plan["monitors"]
    run("validate", str(path))
    assert "not found" not in capsys.readouterr().out


HOME_GROWN = """
class OutOfStock(Exception):
    def hint(self): ...
class Warehouse:
    def __init__(self, connection): ...
    def take(self, sku, quantity): ...
def place_order(connection, sku): ...
def _total(rows): ...
"""


def test_a_package_in_which_nothing_has_a_role_is_proposed_by_its_public_functions(tmp_path, capsys):
    (tmp_path / "kiosk").mkdir()
    (tmp_path / "kiosk" / "__init__.py").write_text("")
    (tmp_path / "kiosk" / "orders.py").write_text(HOME_GROWN)
    assert run("discover", "kiosk", "--path", str(tmp_path), "--only", "service") == 1
    assert "nothing that looks like a service" in capsys.readouterr().err
    assert run("discover", "kiosk", "--path", str(tmp_path)) == 0
    path = tmp_path / "found.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    monitors = checked(str(path), str(tmp_path), capsys)
    assert [monitor["targets"][0]["path"] for monitor in monitors] == [
        "kiosk.orders.Warehouse.take", "kiosk.orders.place_order"]  # fmt: skip
    (tmp_path / "kiosk" / "services.py").write_text("def invoice(): ...\n")
    assert run("discover", "kiosk", "--path", str(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "invoice" in text
    assert "place_order" not in text
    assert run("discover", "kiosk", "--path", str(tmp_path), "--only", "function") == 0
    assert "place_order" in capsys.readouterr().out


def test_init_names_the_command_that_proposes_monitors_where_it_found_none(tmp_path, capsys):
    (tmp_path / "kiosk").mkdir()
    (tmp_path / "kiosk" / "__init__.py").write_text("")
    (tmp_path / "kiosk" / "orders.py").write_text(HOME_GROWN)
    assert run("init", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "Django" not in out
    assert "python -m agent discover kiosk" in out
    assert "python -m agent discover kiosk" in (tmp_path / "monitors.yaml").read_text(encoding="utf-8")


def test_discover_never_overwrites(erp, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("mine")
    assert run("discover", "sales", "--path", erp, "--output", str(path)) == 2
    assert path.read_text() == "mine"


def test_discover_of_nothing(tmp_path, capsys):
    (tmp_path / "empty.py").write_text("x = 1\nraise SystemExit\n")
    assert run("discover", "empty", "--path", str(tmp_path)) == 1
    assert run("discover", "no_such_package") == 2
    assert run("discover", "math") == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow(reason="reads all of the example ERP")
def test_init_writes_a_file_that_validates(erp, capsys):
    pytest.importorskip("django")
    assert run("init", erp) == 0
    out = capsys.readouterr().out
    assert "7 Django apps" in out or "6 Django apps" in out
    path = str(Path(erp) / "monitors.yaml")
    text = Path(path).read_text(encoding="utf-8")
    names = ("aiohttp apscheduler asyncpg celery django django_q dramatiq drf fastapi flask httpx huey marshmallow mysql "
             "oracledb psycopg pyramid redis requests rq sqlalchemy starlette wtforms")  # fmt: skip
    packages = {name: {"drf": "rest_framework", "mysql": "pymysql"}.get(name, name) for name in names.split()}
    covered = ("asyncpg", "mysql", "oracledb", "psycopg")  # Django's: the ERP imports none of these drivers
    installed = [pack for pack, name in packages.items() if find_spec(name) and pack not in covered]
    assert f"packs: [{', '.join(installed)}]" in text
    monitors = checked(path, erp, capsys)
    assert "sales.services.create_order" in {monitor["targets"][0]["path"] for monitor in monitors}
    before = text
    assert run("init", erp) == 2
    assert Path(path).read_text(encoding="utf-8") == before


def test_init_of_an_empty_folder(tmp_path, capsys):
    assert run("init", str(tmp_path)) == 0
    assert run("validate", str(tmp_path / "monitors.yaml")) == 0
    assert run("init", str(tmp_path / "none")) == 2


def test_nothing_of_the_project_runs(tmp_path, capsys):
    package = tmp_path / "shop"
    package.mkdir()
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit\n"
    (package / "__init__.py").write_text(trap)
    (package / "services.py").write_text(trap + "def sell(item): ...\nclass Till:\n    def close(self): ...\n")
    assert run("init", str(tmp_path)) == 0
    assert "shop.services.sell" in (tmp_path / "monitors.yaml").read_text()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text", ["a.b.c", "a:B.c", "yes", "Null", "null", "1", "GET /x", "größe", "a: b", "#x", "on", "-", ""]
)
def test_texts_are_the_same_texts_in_yaml(text):
    root, _ = parse(f"key: {scalar(text)}\n")
    assert root.children["key"].value == text


def test_init_names_what_the_source_imports_and_this_python_does_not_have(tmp_path, capsys):
    package = tmp_path / "kiosk"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text("import sys, os.path\nfrom kiosk import till\nimport yaml\nfrom . import x\n")
    (package / "tests" / "kit.py").write_text("import absent_in_tests\n")
    assert run("init", str(tmp_path)) == 0
    assert "cannot be found" not in capsys.readouterr().out
    optional = "try:\n    import absent_optional\nexcept ImportError: pass\n"
    (package / "till.py").write_text("import absent_queue.tasks\nfrom absent_orm import models\n" + optional)
    assert run("init", str(tmp_path), "--output", str(tmp_path / "other.yaml")) == 0
    said = capsys.readouterr().out
    assert (
        f"note: 2 packages that this source imports cannot be found with {sys.executable}: absent_orm, absent_queue\n"
        in said
    )
    assert "--python PATH" in said


def test_init_leaves_out_the_packs_of_drivers_that_only_django_uses(tmp_path, capsys):
    """Below Django's, they would see each statement once more, and report none."""
    pytest.importorskip("django")
    pytest.importorskip("psycopg")
    package = tmp_path / "kiosk"
    package.mkdir()
    (package / "__init__.py").write_text("from django.db import models\n")
    assert run("init", str(tmp_path)) == 0
    assert re.search(r"note: left out: .*psycopg", capsys.readouterr().out)
    assert not re.search(r"^packs:.*psycopg", (tmp_path / "monitors.yaml").read_text(), re.MULTILINE)
    (package / "till.py").write_text("def listen():\n    import psycopg\n")
    assert run("init", str(tmp_path), "--output", str(tmp_path / "other.yaml")) == 0
    assert not re.search(r"note: left out: .*psycopg", capsys.readouterr().out)
    assert re.search(r"^packs:.*psycopg", (tmp_path / "other.yaml").read_text(), re.MULTILINE)


def test_init_names_a_project_that_is_installed_as_the_erp(tmp_path, capsys):
    folder = project(tmp_path / "site-packages", mayan__apps__sales__services="def order(): ...")
    assert run("init", f"{folder}/mayan", "--output", str(tmp_path / "m.yaml")) == 0
    assert "\n  in_app_include: [mayan]  #" in (tmp_path / "m.yaml").read_text(encoding="utf-8")
    assert run("validate", str(tmp_path / "m.yaml"), "--path", folder) == 0
    folder = project(tmp_path / "source", shop__sales__services="def order(): ...")
    assert run("init", folder) == 0
    assert "in_app_include" not in Path(folder, "monitors.yaml").read_text(encoding="utf-8")


def test_init_names_the_installed_erp_that_a_project_configures(tmp_path, capsys, monkeypatch):
    installed = project(tmp_path / "site-packages", cosi__lib__settings="DEBUG = False", cosi__lib__vat__services="")
    folder = project(
        tmp_path / "source",
        mysite__settings="from cosi.lib.settings import *\nfrom django.conf.global_settings import *\n",
        mysite__views="from collections import *\n",
    )
    monkeypatch.syspath_prepend(installed)
    assert run("init", folder) == 0
    out = capsys.readouterr().out
    assert "note: this project configures cosi, which is installed, and counts as the ERP." in out
    assert "`python -m agent discover cosi` proposes monitors of it." in out
    assert "\n  in_app_include: [cosi, mysite]  #" in Path(folder, "monitors.yaml").read_text(encoding="utf-8")


def test_init_names_a_sentry_client_of_the_erps_own(tmp_path, capsys):
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert run("init", str(tmp_path)) == 0
    assert "Sentry client" not in capsys.readouterr().out
    (package / "settings.py").write_text("import sentry_sdk\nsentry_sdk.init(dsn='https://k@sentry.io/1')\n")
    assert run("init", str(tmp_path), "--output", str(tmp_path / "other.yaml")) == 0
    out = capsys.readouterr().out
    assert "settings.py sets up a Sentry client of the ERP's own" in out
    assert "keep them apart" in out


def project(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        for above in path.relative_to(folder).parents:
            if str(above) != ".":
                (folder / above / "__init__.py").touch()
        path.with_suffix(".py").write_text(text, encoding="utf-8")
    return str(folder)


LOGINS = """
from functools import wraps
def login_required(function):
    @wraps(function)
    def inner(request): return function(request)
    return inner
def sign_in_allowed(role):
    def decorate(function): return lambda request: function(request)
    return decorate
def login(request): return request
"""


@pytest.mark.slow(reason="reads all of the example ERP")
def test_modules_are_the_applications(tmp_path, capsys):
    folder = project(
        tmp_path / "big erp", shop__sales__apps="", shop__sales__services__orders="def create(): ...",
        shop__stock__services="def reserve(): ...", shop__graphql__stock__services="def look(): ...",
        plain__services="def work(): ...", shop__accounts__auth=LOGINS, shop__lib__vat__services="def declare(): ...",
        shop__lib__services="def share(): ...", shop__addons__modules__crm__services="def follow_up(): ...",
    )  # fmt: skip
    assert run("init", folder) == 0
    out = capsys.readouterr().out
    assert f"next: python -m agent validate '{folder}/monitors.yaml' --path '{folder}'" in out
    text = Path(folder, "monitors.yaml").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "site-packages" not in text
    assert "$schema=/" not in text
    every = checked(f"{folder}/monitors.yaml", folder, capsys)
    monitors = {one["targets"][0]["path"]: one for one in every if not one["where"].startswith("packs/")}
    assert {path: one["module"] for path, one in monitors.items()} == {
        "shop.sales.services.orders.create": "sales", "shop.stock.services.reserve": "stock",
        "shop.graphql.stock.services.look": "graphql", "plain.services.work": "plain", "shop.accounts.auth.login": "accounts",
        "shop.lib.vat.services.declare": "vat", "shop.lib.services.share": "lib",
        "shop.addons.modules.crm.services.follow_up": "crm",
    }  # fmt: skip
    assert monitors["shop.accounts.auth.login"]["severity"] == "warning"
    assert monitors["shop.accounts.auth.login"]["thresholds"] == []
    assert monitors["plain.services.work"]["thresholds"] == [(5.0, "warning")]


def test_what_discover_prints_holds_no_path_of_the_machine(erp, capsys):
    assert run("discover", "sales", "--path", erp) == 0
    text = capsys.readouterr().out
    assert erp not in text
    assert "$schema" not in text


QUEUES = """
import dramatiq, huey
from apscheduler.schedulers.background import BackgroundScheduler
from rq.decorators import job
app, scheduler = huey.MemoryHuey(), BackgroundScheduler()
@job("low")
def ship(number): ...
@dramatiq.actor(max_retries=3)
def bill(number): ...
@app.task(retries=2)
def mail(number): ...
@huey_app.periodic_task(huey.crontab(minute="0"))
def nightly(): ...
@scheduler.scheduled_job("interval", minutes=5)
def sync(): ...
def helper(): ...
"""


def test_discover_finds_the_tasks_of_queues(tmp_path, capsys):
    (tmp_path / "erp").mkdir()
    (tmp_path / "erp" / "__init__.py").write_text("")
    (tmp_path / "erp" / "tasks.py").write_text(QUEUES)
    assert run("discover", "erp", "--path", str(tmp_path)) == 0
    text = capsys.readouterr().out
    reasons = [line.strip("# ") for line in text.splitlines() if line.strip().startswith("# a")]
    assert reasons == [
        "an RQ job (@job)", "a Dramatiq actor (@actor)", "a Huey task (@task)", "a Huey task (@periodic_task)",
        "an APScheduler job (@scheduled_job)",
    ]  # fmt: skip
    path = tmp_path / "found.yaml"
    path.write_text(text, encoding="utf-8")
    assert len(checked(str(path), str(tmp_path), capsys)) == 5


def test_discover_knows_whose_task_it_is(tmp_path, capsys):
    """`@task` is Celery's, Django's, Huey's and that of invoke, whose functions are commands of a developer."""
    (tmp_path / "site-packages" / "acme_queue").mkdir(parents=True)
    (tmp_path / "site-packages" / "acme_queue" / "__init__.py").write_text("from celery import shared_task as task\n")
    (tmp_path / "site-packages" / "invoke.py").write_text("def task(*given): ...\n")
    (tmp_path / "erp" / "deep").mkdir(parents=True)
    (tmp_path / "erp" / "__init__.py").write_text("")
    (tmp_path / "erp" / "deep" / "__init__.py").write_text("")
    for name, lines in {
        "commands": "from invoke import task\n@task(help={})\ndef deploy(c): ...\n",
        "absent": "from fabric2.decorators import task\n@task\ndef copy(c): ...\n",
        "own": "from erp.queue import task\n@task\ndef bill(): ...\n",
        "relative": "from .queue import app\n@app.task\ndef pay(): ...\n",
        "around": "import acme_queue\n@acme_queue.task\ndef ship(): ...\n",
        "modern": "from django.tasks import task\n@task()\ndef mail(): ...\n",
        "assigned": "from huey import RedisHuey\nqueue = RedisHuey()\ntask = queue.task\n@task()\ndef pack(): ...\n",
    }.items():
        (tmp_path / "erp" / "deep" / f"{name}.py").write_text(lines)
    folders = ("--path", str(tmp_path), "--path", str(tmp_path / "site-packages"))
    assert run("discover", "erp", *folders, "--only", "task") == 0
    text = capsys.readouterr().out
    reasons = re.findall(r"# (an? .+)\n  - target: erp\.deep\.(\w+)", text)
    found = {module: reason for reason, module in reasons}
    assert found == {
        "around": "a Celery task (@task)", "assigned": "a Huey task (@task)", "modern": "a Django task (@task)",
        "own": "a Celery task (@task)", "relative": "a Celery task (@task)",
    }  # fmt: skip


JOBS = """
from datetime import date
def nightly(): ...
def hourly(): ...
def weekly(): ...
def yearly(): ...
def helper(): ...
"""
SCHEDULER = """
from apscheduler.schedulers.background import BackgroundScheduler
def tidy(): ...
def start():
    from . import jobs
    from .jobs import nightly as at_night
    scheduler = BackgroundScheduler()
    scheduler.add_job(tidy, "interval", hours=1)
    scheduler.add_job(at_night, "cron", hour=2)
    scheduler.add_job(func=jobs.hourly, trigger="interval", hours=1)
    scheduler.add_job("erp.jobs:weekly", "interval", weeks=1)
    scheduler.add_job(lambda: 1, "date")
    scheduler.add_job()
"""


def test_discover_finds_functions_that_are_added_to_a_scheduler(tmp_path, capsys):
    (tmp_path / "erp").mkdir()
    (tmp_path / "erp" / "__init__.py").write_text("")
    (tmp_path / "erp" / "jobs.py").write_text(JOBS)
    (tmp_path / "erp" / "scheduler.py").write_text(SCHEDULER)
    (tmp_path / "erp" / "broken.py").write_text("scheduler.add_job(")
    assert run("discover", "erp", "--only", "task", "--path", str(tmp_path)) == 0
    text = capsys.readouterr().out
    assert text.count("# an APScheduler job (add_job)") == 4
    targets = [line.rpartition(" ")[2] for line in text.splitlines() if line.strip().startswith("- target:")]
    assert targets == ["erp.jobs.nightly", "erp.jobs.hourly", "erp.jobs.weekly", "erp.scheduler.tidy"]
    path = tmp_path / "found.yaml"
    path.write_text(text, encoding="utf-8")
    assert len(checked(str(path), str(tmp_path), capsys)) == 4


REFUSING = """
class PermissionDenied(Exception): ...
class NotAuthenticatedError(PermissionDenied): ...
class PermissionDeniedMixin: ...
class StockError(Exception): ...
"""


def test_init_names_the_exceptions_that_refuse_somebody(tmp_path, capsys):
    (tmp_path / "erp").mkdir()
    (tmp_path / "erp" / "__init__.py").write_text("")
    (tmp_path / "erp" / "tasks.py").write_text(QUEUES)
    assert run("init", str(tmp_path), "--output", str(tmp_path / "bare.yaml")) == 0
    assert "expect" not in (tmp_path / "bare.yaml").read_text(encoding="utf-8")
    (tmp_path / "erp" / "errors.py").write_text(REFUSING)
    path = tmp_path / "monitors.yaml"
    assert run("init", str(tmp_path), "--output", str(path)) == 0
    expected = yaml.safe_load(path.read_text(encoding="utf-8"))["defaults"]["expect"]
    assert expected == ["erp.errors.PermissionDenied", "erp.errors.NotAuthenticatedError"]
    assert checked(str(path), str(tmp_path), capsys)


RUNNERS = """
class JobRunner:
    def handle(self): ...
class Import(JobRunner):
    def __init__(self, job): ...
    def run(self, *args): ...
    def rows(self): ...
class Empty(JobRunner): ...
"""
BESIDE = """
class Panel:
    def render(self, context): ...
@receiver(user_login_failed)
def log_user_login_failed(sender, **kwargs): ...
"""


def test_jobs_of_the_erps_own_classes_and_what_is_no_service(tmp_path, capsys):
    for folder in ("erp", "erp/ui", "erp/models"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "erp" / "jobs.py").write_text(RUNNERS)
    (tmp_path / "erp" / "ui" / "actions.py").write_text(BESIDE)
    (tmp_path / "erp" / "models" / "services.py").write_text("class Service:\n    def save(self): ...\n")
    assert run("discover", "erp", "--path", str(tmp_path)) == 0
    text = capsys.readouterr().out
    targets = [line.rpartition(" ")[2] for line in text.splitlines() if line.strip().startswith("- target:")]
    assert targets == ["erp.jobs:Import.run"]
    assert "# a background job (a JobRunner)" in text
    assert "operation: job.Import" in text


def test_tasks_of_one_name_in_one_application_get_names_of_their_own(tmp_path, capsys):
    files = {
        "erp/mail/apps.py": "",
        "erp/mail/tasks.py": "@task\ndef tidy(): ...\n",
        "erp/mail/smtp/tasks.py": "@task\ndef send(): ...\n",
        "erp/mail/relay/tasks.py": "@task\ndef send(): ...\n",
        "erp/mail/relay/relay/tasks.py": "@task\ndef tidy(): ...\n",
        "erp/mail/a/b/tasks.py": "@task\ndef move(): ...\n",
        "erp/mail/b/a/tasks.py": "@task\ndef move(): ...\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.parents:
            if folder != tmp_path and tmp_path in folder.parents:
                (folder / "__init__.py").write_text("")
        path.write_text(text)
    assert run("init", str(tmp_path), "--output", str(tmp_path / "first.yaml")) == 0
    assert run("discover", "erp", "--path", str(tmp_path), "--output", str(tmp_path / "more.yaml")) == 0
    for name in ("first.yaml", "more.yaml"):
        monitors = yaml.safe_load((tmp_path / name).read_text(encoding="utf-8"))["monitors"]
        assert sorted(each["name"] for each in monitors) == [
            "erp.mail.a.b.tasks.move", "erp.mail.b.a.tasks.move", "mail.relay.relay.tidy", "mail.relay.send",
            "mail.smtp.send", "mail.tidy",
        ]  # fmt: skip
        capsys.readouterr()
        assert checked(str(tmp_path / name), str(tmp_path), capsys)


def test_what_a_base_class_handles_is_expected(tmp_path, capsys):
    files = {
        "erp/errors.py": "class Refused(Exception): ...\nclass Wrong(Exception): ...\nclass Late(Exception): ...\n",
        "erp/base.py": """
from . import errors
from .errors import Refused as No
class BaseMutation:
    def mutate(cls, root, info, **data):
        try:
            with lock():
                return cls.perform_mutation(root, info, **data)
        except (No, errors.Wrong) as error:
            return cls.handle(error)
        except errors.Late:
            raise TimeoutError
        except Exception:
            return None
    def perform_mutation(cls, root, info): ...
    def tidy(self):
        try:
            other.perform_mutation()
        except KeyError: ...
""",
        "erp/orders.py": """
from .base import BaseMutation
class Cancel(BaseMutation):
    def perform_mutation(cls, root, info): ...
class Close(BaseMutation):
    def mutate(cls, root, info):
        try:
            return cls.perform_mutation(root, info)
        except ValueError:
            return 1
    def perform_mutation(cls, root, info): ...
""",
    }
    (tmp_path / "erp").mkdir()
    (tmp_path / "erp" / "__init__.py").write_text("")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "found.yaml"
    assert run("discover", "erp.orders", "--path", str(tmp_path), "--output", str(path)) == 0
    monitors = yaml.safe_load(path.read_text(encoding="utf-8"))["monitors"]
    assert [(each["target"], each.get("expect")) for each in monitors] == [
        ("erp.orders:Cancel.perform_mutation", ["erp.errors.Refused", "erp.errors.Wrong"]),
        ("erp.orders:Close.mutate", None),
    ]
    assert len(checked(str(path), str(tmp_path), capsys)) == 2


def test_what_many_classes_inherit_is_looked_through_once(tmp_path, monkeypatch, capsys):
    """Frameworks have bases of a hundred methods, and an ERP hundreds of classes below them."""
    erp = tmp_path / "erp"
    erp.mkdir()
    (erp / "__init__.py").touch()
    (erp / "base.py").write_text(
        "class BaseMutation:\n    def mutate(cls, root):\n        try: return cls.perform_mutation(root)\n"
        "        except KeyError: ...\n    def tidy(self): ...\n"
    )
    for n in range(4):
        text = f"class Cancel{n}(BaseMutation):\n    def perform_mutation(cls, root): ...\n"
        (erp / f"orders_{n}.py").write_text("from .base import BaseMutation\n" + text)
    looked = []
    through = handled.handling
    monkeypatch.setattr(handled, "handling", lambda function: looked.append(function.name) or through(function))
    path = tmp_path / "found.yaml"
    assert run("discover", "erp", "--path", str(tmp_path), "--output", str(path)) == 0
    found = yaml.safe_load(path.read_text(encoding="utf-8"))["monitors"]
    assert len([each for each in found if each.get("expect") == ["KeyError"]]) == 4
    assert sorted(looked) == ["mutate", "tidy"]  # what has no `except` in its file is not looked through


def test_what_callers_of_a_function_handle_is_expected(tmp_path, capsys):
    files = {
        "erp/errors.py": """
class PaymentError(Exception): ...
class Empty(Exception): ...
class Refused(Exception): ...
""",
        "erp/services.py": """
from .errors import Empty
def void(payment): ...
def capture(payment): ...
def refund(payment): ...
def charge(payment): ...
def settle(payment): ...
def remind(payment): ...
def reserve(order): ...
def ship(order): ...
def later(order): ...
def deferred(order): ...
def shadowed(order): ...
def keyword(order): ...
def starred(order): ...
class Stock:
    def take(self): ...
""",
        "erp/runner.py": """
from .errors import PaymentError, Refused
def attempt(order, func, *args, how=None, **more):
    try:
        func(*args)
        how(order)
    except (PaymentError, ValueError) as error:
        raise TypeError(str(error)) from error
class Desk:
    def attempt(self, func):
        try:
            func()
        except Refused: ...
""",
        "erp/views.py": """
import functools
from . import errors, services
from .errors import Empty as Nothing, PaymentError
from .runner import attempt
from .services import capture, charge, refund, settle, remind, later, deferred, shadowed, starred, keyword
def answer(request):
    attempt(request, services.void, 3)
    attempt(request, func=functools.partial(capture, 3))
    attempt(request, lambda: refund(3))
    attempt(*request, starred)
    attempt(request, None, how=keyword)
    try:
        settle(request)
    except PaymentError:
        log.exception("no payment")
    try:
        remind(request)
    except PaymentError:
        raise
    except errors.Refused as error:
        raise error
    except Nothing as error:
        raise error.with_traceback(None)
    try:
        charge(request)
    except ValueError: ...
    try:
        with lock(), services.reserve(request) as made:
            services.ship(made)
        later(lambda: deferred(request))
        def inner(): deferred(request)
    except (Nothing, KeyError):
        return 404
    except errors.Refused:
        return 403
def other(shadowed):
    try:
        shadowed()
    except Nothing: ...
broken = {}
""",
        "erp/broken.py": "try:\n    services.charge(\nexcept PaymentError: ...\n",
    }
    (tmp_path / "erp").mkdir()
    (tmp_path / "erp" / "__init__.py").write_text("")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "found.yaml"
    assert run("discover", "erp", "--path", str(tmp_path), "--only", "service", "--output", str(path)) == 0
    monitors = yaml.safe_load(path.read_text(encoding="utf-8"))["monitors"]
    payment, both = ["erp.errors.PaymentError"], ["erp.errors.Empty", "erp.errors.Refused"]
    assert {each["target"]: each["expect"] for each in monitors if "expect" in each} == {
        "erp.services.void": payment, "erp.services.capture": payment, "erp.services.refund": payment,
        "erp.services.keyword": payment, "erp.services.reserve": both, "erp.services.ship": both,
        "erp.services.later": both,
    }  # fmt: skip
    assert len(checked(str(path), str(tmp_path), capsys)) == len(monitors)


def test_an_erp_of_modules_and_one_that_is_an_installed_package_are_read_by_the_names_they_are_imported_by(
    tmp_path, capsys
):
    flat = tmp_path / "flat"
    (flat / "kiosk").mkdir(parents=True)
    (flat / "app.py").write_text("from kiosk.services import create\nfrom nightly_tasks import nightly\n")
    (flat / "nightly_tasks.py").write_text(QUEUES)
    (flat / "kiosk" / "services.py").write_text("def create(order):\n    return order\n")
    assert run("init", str(flat)) == 0
    assert f"next: python -m agent validate {flat}/monitors.yaml --path {flat}" in capsys.readouterr().out
    checked(str(flat / "monitors.yaml"), str(flat), capsys)
    targets = [line.strip() for line in (flat / "monitors.yaml").read_text().splitlines() if "- target:" in line]
    assert len(targets) == 6
    assert targets[0] == "- target: kiosk.services.create"
    assert "- target: nightly_tasks:ship" in targets

    erp = tmp_path / "site" / "erp"
    (erp / "apps").mkdir(parents=True)
    for name in ("__init__.py", "apps/__init__.py"):
        (erp / name).touch()
    (erp / "apps" / "services.py").write_text("from erp.apps import stock\ndef create(order): ...\n")
    (erp / "apps" / "stock.py").write_text("def count(): ...\n")
    assert run("init", str(erp), "--output", str(tmp_path / "erp.yaml")) == 0
    said = capsys.readouterr().out
    assert f"--path {erp.parent}\n" in said
    assert "0 Django apps" not in said, "a package that is called apps makes none"
    checked(str(tmp_path / "erp.yaml"), str(erp.parent), capsys)
    assert "- target: erp.apps.services.create\n" in (tmp_path / "erp.yaml").read_text()
    assert run("validate", str(tmp_path / "erp.yaml"), "--path", str(erp)) == 0
    said = capsys.readouterr()
    assert f"note: --path {erp} is the package `erp`, which is imported from {erp.parent}" in said.err
    assert "no problems in 1 file, 1 monitor checked" in said.out
