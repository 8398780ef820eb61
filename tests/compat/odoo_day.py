"""A day of Odoo with and without the agent: real Odoo, from its sources, on a real PostgreSQL. Not part of `make test`.

    ODOO_SOURCE=/opt/odoo ODOO_PYTHON=/opt/odoo/venv/bin/python python tests/compat/odoo_day.py
        [--postgres HOST:PORT] [--user odoo] [--modules base,contacts,sale_management] [--workers 0|2] [--keep]

Odoo 15 to 18, with `odoo-bin` in ODOO_SOURCE. The first run makes the database `erp_day_template_18`, which takes minutes.
Each run copies it twice, serves the one without the agent and the other with it, and sends both the same requests, among
them the mistakes of users. Exit status 1: responses or rows differ, an event is missing, or too many are there, or a
planted secret has left the machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

SECRETS = ("p4ssw0rd-0f-anna", "v4lu3-0f-a-f13ld", "1n-th3-p4th", "v4lu3-0f-a-query", "1n-a-l0c4l")

MANIFEST = (
    "{'name': 'ERP day', 'version': '1.0', 'depends': ['base', 'web'], 'data': ['data.xml'], 'license': 'LGPL-3'}\n"
)
ADDON = '''
import logging
from odoo import api, fields, http, models
from odoo.exceptions import UserError
from odoo.service import model as service

PRIVATE = "-0f-a-".join(["v4lu3", "f13ld"])  # which the lines of source around a failure do not show

class Quickly:
    """Odoo waits for seconds before it tries again."""
    @staticmethod
    def uniform(low, high):
        return 0.0

service.random = Quickly
tries = {}

class Day(models.Model):
    _name = "erp.day"
    _description = "A day"
    name = fields.Char()

    @api.model
    def collide(self, key, times):
        secret = "1n-a-l0c4l"
        self.create({"name": key})
        tries[key] = tries.get(key, 0) + 1
        if tries[key] <= times:
            self.env.cr.execute("DO $$ BEGIN RAISE EXCEPTION 'collision' USING ERRCODE = '40001'; END $$")
        return tries[key]

    @api.model
    def divide(self, by):
        secret = "1n-a-l0c4l"
        return 1 / by

    @api.model
    def refuse(self):
        raise UserError("You may not, " + PRIVATE)

    @api.model
    def nightly(self):
        return self.divide(0)

    @api.model
    def dream(self):
        self.env.cr.execute("SELECT pg_sleep(1.2), '%s'" % PRIVATE)
        return True

class Pages(http.Controller):
    @http.route("/erp_day/<int:number>", type="http", auth="user")
    def page(self, number, **more):
        return "%d" % (100 // number)

    @http.route("/erp_day/open/<string:token>", type="http", auth="public")
    def opened(self, token, **more):
        raise KeyError("no such page")
'''
DATA = """<?xml version="1.0" encoding="utf-8"?>
<odoo>
    <record id="access_day" model="ir.model.access">
        <field name="name">day</field>
        <field name="model_id" ref="model_erp_day"/>
        <field name="group_id" ref="base.group_user"/>
        <field name="perm_read" eval="1"/><field name="perm_write" eval="1"/>
        <field name="perm_create" eval="1"/><field name="perm_unlink" eval="1"/>
    </record>
    <record id="clerk" model="res.users">
        <field name="name">Clerk</field><field name="login">clerk</field>
        <field name="password">clerk-p4ssw0rd-0f-anna</field>
    </record>
    <record id="nightly" model="ir.cron">
        <field name="name">ERP day: nightly</field>
        <field name="model_id" ref="model_erp_day"/>
        <field name="state">code</field><field name="code">model.nightly()</field>
        <field name="interval_number">1</field><field name="interval_type">days</field>
        <field name="active" eval="True"/>
        <field name="nextcall">2020-01-01 00:00:00</field>
    </record>
</odoo>
"""
MONITORS = """
version: 1
sentry: {dsn: "${SENTRY_DSN:-}", release: erp@7, environment: live, traces_sample_rate: 1.0}
packs: [odoo]
modules: {sales: {description: Orders}}
monitors:
  - {target: "odoo.addons.erp_day.models:Day.collide", module: sales, operation: collide, rate_limit: off}
  - {target: "odoo.addons.erp_day.models:Day.refuse", module: sales, operation: refuse}
"""


class Client:
    """A browser: one session, JSON-RPC and pages."""

    def __init__(self, port: int) -> None:
        self.port, self.cookie = port, ""

    def send(self, method: str, path: str, body: "bytes | None" = None, kind: str = "") -> "tuple[int, bytes]":
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Content-Type": kind} if kind else {}
        if self.cookie:
            headers["Cookie"] = self.cookie
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        for value in response.headers.get_all("Set-Cookie") or ():
            if value.startswith("session_id="):
                self.cookie = value.partition(";")[0]
        connection.close()
        return response.status, content

    def json(self, path: str, **params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}).encode()
        status, content = self.send("POST", path, body, "application/json")
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content.decode("utf-8", "replace")

    def call(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("context", {"lang": "en_US", "allowed_company_ids": [1]})
        return self.json(f"/web/dataset/call_kw/{model}/{method}", model=model, method=method, args=args, kwargs=kwargs)

    def sign_in(self, database: str, login: str, password: str) -> Any:
        return self.json("/web/session/authenticate", db=database, login=login, password=password)


def day(port: int, database: str, times: int) -> "list[Any]":
    """What clients get. `times`: how often the ordinary part of the day is repeated."""
    admin, clerk, visitor = Client(port), Client(port), Client(port)
    got: "list[Any]" = [
        visitor.sign_in(database, "admin", SECRETS[0]),
        admin.sign_in(database, "admin", "admin"),
        clerk.sign_in(database, "clerk", "clerk-" + SECRETS[0]),
    ]
    for number in range(times):
        made = admin.call(
            "res.partner", "create", {"name": f"Partner {number} {SECRETS[1]}", "email": f"p{number}@example.com"}
        )
        partner = made[1].get("result", 0)
        domain = [["name", "like", f"Partner {number} "]]
        got += [
            made,
            admin.call("res.partner", "search_read", domain=domain, fields=["name"]),
            admin.call("res.partner", "write", [partner], {"comment": SECRETS[1]}),
            admin.call("res.partner", "write", [partner], {"parent_id": partner}),  # its own parent: ValidationError
            admin.call("res.partner", "read", [987654], ["name"]),  # nobody: MissingError
            clerk.call("res.users", "write", [2], {"login": SECRETS[1]}),  # AccessError
            clerk.call("res.users", "create", {"name": "x", "login": f"admin{number}"}),
            admin.call("res.users", "create", {"name": "again", "login": "clerk"}),  # unique
            admin.call("res.partner", "create", {"name": False}),  # required
            admin.call("erp.day", "refuse"),
            admin.call("res.partner", "unlink", [partner]),
            visitor.call("res.partner", "read", [1], ["name"]),  # no session
            visitor.sign_in(database, "admin", SECRETS[0]),
            visitor.send("GET", f"/nowhere?q={SECRETS[3]}"),
            admin.send("GET", "/erp_day/7"),
        ]
    got += [admin.call("erp.day", "collide", "twice", 2), admin.call("erp.day", "collide", "always", 9)]
    got += [admin.call("erp.day", "divide", 0), admin.call("erp.day", "dream")]
    got += [admin.send("GET", "/erp_day/0"), visitor.send("GET", f"/erp_day/open/{SECRETS[2]}?q={SECRETS[3]}")]
    got += xml_rpc(port, database)
    got.append(admin.json("/jsonrpc", service="object", method="execute_kw",
                          args=[database, 2, "admin", "erp.day", "divide", [0]]))  # fmt: skip
    return got


def xml_rpc(port: int, database: str) -> "Iterator[Any]":
    common = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}/xmlrpc/2/common")
    models = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}/xmlrpc/2/object")
    yield common.authenticate(database, "admin", "admin", {})
    yield common.authenticate(database, "admin", SECRETS[0], {})
    for model, method, arguments in (
        ("res.partner", "search_count", [[]]),
        ("res.partner", "read", [[987654]]),
        ("erp.day", "refuse", []),
        ("erp.day", "collide", ["by xml", 1]),
        ("erp.day", "divide", [0]),
    ):
        try:
            yield models.execute_kw(database, 2, "admin", model, method, arguments)
        except xmlrpc.client.Fault as fault:
            yield fault.faultCode, fault.faultString


#: What differs between two runs in any case.
_VARIES = (
    (re.compile(r"0x[0-9a-f]{6,}"), "0x"), (re.compile(r"csrf_token[^,]{1,120}"), ""),
    (re.compile(r"erp_day_(bare|watched)"), "DB"), (re.compile(r"[0-9a-f]{40,}[-\w]*"), "HASH"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?"), "TIME"), (re.compile(r"odoo-day-\w+"), "TMP"),
    (re.compile(r"session_id[^;,]+"), ""), (re.compile(r"\[\d+\.\d+\]"), ""), (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
    # The frame of a trampoline, before Python 3.11: docs/limits.md
    (re.compile(r"File [^,]+, line \d+, in \w+(\\\\*)n\s+def \w+\([^\n]*?:\1n\s*"), ""),
    (re.compile(r"\\?\"(cache_hashes|registry_hash|uid_hash)[^}]+"), ""), (re.compile(r"unique=\w+"), ""),
)  # fmt: skip


def plain(got: object) -> str:
    text = repr(got)
    for pattern, replacement in _VARIES:
        text = pattern.sub(replacement, text)
    return text


class Odoo:
    def __init__(self, options: argparse.Namespace, folder: str) -> None:
        self.options, self.folder = options, folder
        self.source, self.python = os.environ["ODOO_SOURCE"], os.environ.get("ODOO_PYTHON", sys.executable)
        host, _, port = options.postgres.partition(":")
        self.host, self.port = host, port or "5432"
        self.template = "erp_day_template_" + self.version()
        addon = os.path.join(folder, "addons", "erp_day")
        os.makedirs(addon)
        for name, text in (("__manifest__.py", MANIFEST), ("__init__.py", "from . import models\n"),
                           ("models.py", ADDON), ("data.xml", DATA)):  # fmt: skip
            with open(os.path.join(addon, name), "w", encoding="utf-8") as stream:
                stream.write(text)
        self.config = os.path.join(folder, "odoo.conf")
        addons = [
            os.path.join(self.source, "addons"),
            os.path.join(self.source, "odoo", "addons"),
            os.path.dirname(addon),
        ]
        with open(self.config, "w", encoding="utf-8") as stream:
            stream.write(
                f"[options]\ndb_host = {self.host}\ndb_port = {self.port}\ndb_user = {options.user}\n"
                f"db_password = {options.user}\naddons_path = {','.join(addons)}\ndata_dir = {folder}/data\n"
                "http_interface = 127.0.0.1\nlimit_time_real = 600\nlimit_time_cpu = 600\n"
            )

    def sql(self, database: str, statement: str) -> str:
        address = ["--host", self.host, "--port", self.port, "--username", self.options.user]
        return subprocess.run(
            ["psql", *address, "-Atc", statement, database], check=True, capture_output=True, text=True
        ).stdout

    def prepare(self) -> None:
        there = self.sql("postgres", f"select 1 from pg_database where datname = '{self.template}'")
        if not there or not self.sql(
            self.template, "select 1 from ir_module_module where name = 'erp_day' and state = 'installed'"
        ):
            print("making the template database …", flush=True)
            subprocess.run(
                [*self.command(self.template), "-i", self.options.modules + ",erp_day", "--without-demo=all",
                 "--stop-after-init", "--no-http"], check=True, env=self.environment({})
            )  # fmt: skip
        for name in ("erp_day_bare", "erp_day_watched"):
            self.sql("postgres", f"drop database if exists {name}")
            self.sql("postgres", f"create database {name} template {self.template}")

    def command(self, database: str) -> "list[str]":
        return [self.python, os.path.join(self.source, "odoo-bin"), "-c", self.config, "-d", database]

    def environment(self, extra: "dict[str, str]") -> "dict[str, str]":
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AGENT_", "SENTRY_", "PYTHON"))
        }
        return {**kept, "PYTHONHASHSEED": "1", **extra}

    @contextmanager
    def serving(self, database: str, extra: "dict[str, str]") -> "Iterator[int]":
        port = _free_port()
        more = [f"--http-port={port}", "--max-cron-threads=1", f"--workers={self.options.workers}"]
        more.append(f"--{'longpolling' if self.version() == '15' else 'gevent'}-port={_free_port()}")
        log = open(os.path.join(self.folder, database + ".log"), "w", encoding="utf-8")
        server = subprocess.Popen([*self.command(database), *more], stdout=log, stderr=log, env=self.environment(extra))
        try:
            for _ in range(600):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if server.poll() is not None:
                    break
                time.sleep(0.2)
            yield port
        finally:
            server.send_signal(signal.SIGINT if not self.options.workers else signal.SIGTERM)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
            log.close()

    def day(self, port: int, database: str) -> "list[Any]":
        got = day(port, database, self.options.times)
        self.sql("postgres", f"notify cron_trigger, '{database}'")  # else it looks once a minute
        for _ in range(150):
            if "ERROR" in self.log(database) and "server action" in self.log(database):
                break
            time.sleep(0.2)
        time.sleep(1)
        return got

    def log(self, database: str) -> str:
        with open(os.path.join(self.folder, database + ".log"), encoding="utf-8") as stream:
            return stream.read()

    def version(self) -> str:
        with open(os.path.join(self.source, "odoo", "release.py"), encoding="utf-8") as stream:
            return re.search(r"version_info = \((\d+)", stream.read()).group(1)  # type: ignore[union-attr]

    def rows(self, database: str) -> "list[str]":
        """The number of rows of each table, and all of those that the day writes, without times."""
        tables = self.sql(database, "select tablename from pg_tables where schemaname = 'public' order by 1").split()
        skipped = (
            "bus_bus",
            "res_users_log",
            "ir_logging",
            "ir_attachment",
            "bus_presence",
            "res_device_log",
            "ir_profile",
        )
        union = " union all ".join(
            f"select '{name}', count(*) from \"{name}\"" for name in tables if name not in skipped
        )
        return [
            self.sql(database, union + " order by 1"),
            self.sql(database, "select id, name, email, active from res_partner order by id"),
            self.sql(database, "select id, name from erp_day order by id"),
            self.sql(database, "select id, login, active from res_users order by id"),
        ]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", default="127.0.0.1:5432")
    parser.add_argument("--user", default="odoo")
    parser.add_argument("--modules", default="base,contacts,sale_management")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and events")
    options = parser.parse_args()
    if not os.environ.get("ODOO_SOURCE"):
        parser.error("ODOO_SOURCE is not set: the folder that holds odoo-bin")
    from receiver import Receiver

    folder = tempfile.mkdtemp(prefix="odoo-day-")
    odoo = Odoo(options, folder)
    odoo.prepare()
    config = os.path.join(folder, "monitors.yaml")
    with open(config, "w", encoding="utf-8") as stream:
        stream.write(MONITORS)
    state = os.path.join(folder, "state")
    with odoo.serving("erp_day_bare", {}) as port:
        bare = odoo.day(port, "erp_day_bare")
    with Receiver() as sentry:
        agent = {"PYTHONPATH": ROOT, "AGENT_CONFIG": config, "AGENT_STATE_DIR": state, "SENTRY_DSN": sentry.dsn}
        with odoo.serving("erp_day_watched", agent) as port:
            watched = odoo.day(port, "erp_day_watched")
        time.sleep(3)
        subprocess.run([sys.executable, "-m", "agent", "spool", "flush"], env={**os.environ, **agent, "PYTHONPATH": ""},
                       cwd=ROOT, check=False, capture_output=True)  # fmt: skip
        time.sleep(1)
        events, raw = sentry.events, b"".join(data for each in sentry.envelopes for _, data in each.items)
        transactions = sentry.transactions
    from packs import unknown_exceptions

    wrong = compare(odoo, bare, watched)
    wrong += [f"the pack's `defaults` name {name}" for name in unknown_exceptions("odoo", odoo.source)]
    for event in events:
        contexts, tags = event.get("contexts", {}), event.get("tags", {})
        values = event.get("exception", {}).get("values") or [{}]
        print(f"{event.get('level'):8}{tags.get('erp.monitor', ''):26}{tags.get('erp.operation', ''):34}"
              f"{values[-1].get('type') or event.get('message', event.get('logentry', ''))} "
              f"database={tags.get('database')} company={tags.get('company')} user={event.get('user')} "
              f"route={contexts.get('request', {}).get('route')}")  # fmt: skip
    for secret in SECRETS:
        if secret.encode() in raw:
            wrong.append(f"the secret {secret} has left the machine")
    seen = {(event["tags"].get("erp.operation", ""), event["exception"]["values"][-1]["type"])
            for event in events if event.get("exception")}  # fmt: skip
    for wanted in (("erp.day.divide", "ZeroDivisionError"), ("GET /erp_day/<int:number>", "ZeroDivisionError"),
                   ("GET /erp_day/open/<string:token>", "KeyError"), ("cron ERP day: nightly", "ZeroDivisionError"),
                   ("collide", "SerializationFailure")):  # fmt: skip
        if wanted not in seen:
            wrong.append(f"no event for {wanted}")
    attacks = [event for event in events if event["tags"].get("erp.operation") == "sign_in"]
    if len(attacks) != 1:
        wrong.append(f"{len(attacks)} events for {options.times} failures to sign in with one login, in place of 1")
    collisions = [event for event in events if event["tags"].get("erp.operation") == "collide"]
    if len(collisions) != 1:
        wrong.append(f"{len(collisions)} events for transactions that were run again, in place of 1")
    names = sorted({each["transaction"] for each in transactions})
    print(f"{len(bare)} requests, {len(events)} events, {len(transactions)} transactions: {', '.join(names)[:600]}")
    for line in wrong:
        print("WRONG:", line)
    print("folder:", folder)
    return 1 if wrong else 0


def compare(odoo: Odoo, bare: "list[Any]", watched: "list[Any]") -> "list[str]":
    wrong = []
    for number, (one, other) in enumerate(zip(bare, watched)):
        if plain(one) != plain(other):
            at = next((at for at, (a, b) in enumerate(zip(plain(one), plain(other))) if a != b), 0)
            wrong.append(
                f"response {number} differs: {plain(one)[max(0, at - 60) : at + 80]!r} {plain(other)[max(0, at - 60) : at + 80]!r}"
            )
    for one, other in zip(odoo.rows("erp_day_bare"), odoo.rows("erp_day_watched")):
        if one != other:
            wrong.append("rows differ: " + repr(sorted(set(one.splitlines()) ^ set(other.splitlines()))[:10]))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
