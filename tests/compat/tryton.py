"""A day of Tryton with and without the agent: real Tryton on SQLite. Not part of `make test`; `.ci/run` runs its short form.

    python tests/compat/tryton.py --python /opt/tryton/bin/python [--times 30] [--keep]

The environment has trytond 8.2, trytond-sale, waitress and what the agent needs. A database with the modules party, company,
currency, product, account and sale, and with a module `shop`, is made and copied twice; each copy is served and gets the same
requests, among them the mistakes of users, and then one run of `trytond-cron`. SQLite has no `trytond-worker`: the process that
has queued a task runs it. Exit status 1: responses, rows or exit codes differ, an event is missing, ten or more are not
worth reading, or a planted secret has left the process.
"""

from __future__ import annotations

import argparse
import base64
import collections
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

PASSWORD = "pl4nt3d-p4ssw0rd"
#: What clients send and nothing may keep: a password, a tax identifier, an argument, a name, a parameter of a report.
SECRETS = (PASSWORD, "BE0897290877", "v4lu3-0f-a-c4ll", "Gr4zi4na-M0rett1", "r3p0rt-d4ta")
MONITORS = """
version: 1
sentry: {dsn: "${SENTRY_DSN:-}", release: erp@8, environment: day}
packs: [trytond]
"""
STOCK = """
import sqlite3

from trytond.exceptions import UserError
from trytond.model import ModelSQL, ModelView, fields
from trytond.pool import PoolMeta
from trytond.report import Report
from trytond.wizard import StateTransition, Wizard


class Stock(ModelSQL, ModelView):
    "Stock"
    __name__ = "shop.stock"
    name = fields.Char("Name", required=True)
    tries = fields.Integer("Tries")
    conflicts = [1]

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update(reserve={}, post={}, later={}, contend={})

    @classmethod
    @ModelView.button
    def reserve(cls, records):
        raise ZeroDivisionError("no shelf")

    @classmethod
    @ModelView.button
    def post(cls, records):
        raise UserError("The stock of %s is closed" % records[0].name)

    @classmethod
    @ModelView.button
    def later(cls, records):
        cls.__queue__.move(records)

    @classmethod
    def move(cls, records):
        raise LookupError("no forklift")

    @classmethod
    @ModelView.button
    def contend(cls, records):
        if cls.conflicts:
            cls.conflicts.pop()
            raise sqlite3.OperationalError("database is locked")
        cls.write(records, {"tries": 2})

    @classmethod
    def nightly(cls):
        raise OverflowError("too many pallets")

    @classmethod
    def closing(cls):
        raise UserError("The period is closed")

    @classmethod
    def counting(cls):
        for record in cls.search([]):
            cls.write([record], {"tries": (record.tries or 0) + 1})


class Cron(metaclass=PoolMeta):
    __name__ = "ir.cron"

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection += [("shop.stock|" + name, name) for name in ("nightly", "closing", "counting")]


class Move(Wizard):
    "Move"
    __name__ = "shop.move"
    start_state = "carry"
    carry = StateTransition()

    def transition_carry(self):
        raise ArithmeticError("nobody carries")


class Label(Report):
    "Label"
    __name__ = "shop.label"

    @classmethod
    def _execute(cls, *arguments):
        raise BufferError("no printer")
"""
REGISTER = """
from trytond.pool import Pool
from . import stock

def register():
    Pool.register(stock.Stock, stock.Cron, module="shop", type_="model")
    Pool.register(stock.Move, module="shop", type_="wizard")
    Pool.register(stock.Label, module="shop", type_="report")
"""
DATA = """<?xml version="1.0"?>
<tryton><data>
    <record model="ir.action.wizard" id="move"><field name="name">Move</field><field name="wiz_name">shop.move</field></record>
    <record model="ir.action.report" id="label">
        <field name="name">Label</field><field name="model">shop.stock</field><field name="report_name">shop.label</field>
    </record>
    %s
</data></tryton>
""" % "".join(
    f'<record model="ir.cron" id="{name}"><field name="method">shop.stock|{name}</field>'
    '<field name="interval_number" eval="1"/><field name="interval_type">days</field></record>'
    for name in ("nightly", "closing", "counting")
)
CONFIG = "[tryton]\nversion={0}.0\ndepends:\n    ir\n    res\n    party\n    product\n    account\n    sale\nxml:\n    shop.xml\n"
#: Monitor, transaction or operation, and type of what must be reported, each once.
WANTED = collections.Counter([
    ("trytond.call", "model.shop.stock.reserve", "ZeroDivisionError"),
    ("trytond.wizard", "wizard shop.move", "ArithmeticError"),
    ("trytond.report", "report shop.label", "BufferError"),
    ("trytond.task", "task shop.stock.move", "LookupError"),
    ("trytond.cron", "cron shop.stock.nightly", "OverflowError"),
])  # fmt: skip


class Client:
    """What Tryton's own client does: it signs in, and calls. `got`: each status and response."""

    def __init__(self, port: int) -> None:
        self.port, self.session = port, ""
        self.got: "list[tuple[int, str]]" = []

    def post(self, method: str, *parameters: Any) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.session:
            headers["Authorization"] = "Session " + self.session
        body = json.dumps({"id": len(self.got), "method": method, "params": parameters})
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request("POST", "/erp/rpc/", body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        self.got.append((response.status, re.sub(r"\b[0-9a-f]{64}\b", "KEY", text)))
        return json.loads(text).get("result") if response.status == 200 else None

    def call(self, method: str, *parameters: Any) -> Any:
        return self.post(method, *parameters, {"company": 1, "language": "en"})

    def sign_in(self, password: str) -> None:
        found = self.post("common.db.login", "admin", {"password": password}, "en")
        if found:
            self.session = base64.b64encode(f"admin:{found[0]}:{found[1]}".encode()).decode()


def day(port: int, times: int) -> "list[tuple[int, str]]":
    """What the client gets. `times`: how often the ordinary part of the day is repeated."""
    client = Client(port)
    client.sign_in("wr0ng-" + PASSWORD)
    client.sign_in(PASSWORD)
    currency = client.call("model.currency.currency.create", [{"name": "Euro", "symbol": "E", "code": "EUR"}])
    owner = client.call("model.party.party.create", [{"name": "Owner"}])
    client.call("model.company.company.create", [{"party": owner[0], "currency": currency[0]}])
    client.call("model.res.user.write", [1], {"companies": [["add", [1]]], "company": 1})
    stock = client.call("model.shop.stock.create", [{"name": SECRETS[3]}])
    for number in range(times):
        party = client.call("model.party.party.create", [{"name": f"{SECRETS[3]} {number}"}])
        client.call("model.party.party.search_read", [["name", "like", SECRETS[3] + "%"]], 0, 5, None, ["name"])
        client.call("model.party.party.write", party, {"name": SECRETS[3]})
        identifier = {"type": "be_vat", "code": SECRETS[1] + "-1"}
        client.call("model.party.party.create", [{"name": "Y", "identifiers": [["create", [identifier]]]}])  # not valid
        client.call("model.party.party.read", [987654], ["name"])  # nobody
        client.call("model.party.party.delete", [987654])
        client.call("model.currency.currency.create", [{"name": SECRETS[2], "symbol": "X"}])  # a field is missing
        client.call("model.sale.sale.create", [{"party": party[0], "description": SECRETS[2]}])  # no address
        client.call("model.sale.sale.search_count", [])
        client.call("model.product.template.create", [{"name": SECRETS[2]}])  # no unit
        client.call("model.shop.stock.post", stock)  # closed
        client.call("model.ir.cron.search_read", [], 0, 3, None, ["method"])
        client.call("model.party.party.delete", party)
    client.call("model.shop.stock.contend", stock)
    client.call("model.shop.stock.reserve", stock)
    client.call("model.shop.stock.later", stock)
    wizard = client.call("wizard.shop.move.create")
    client.call("wizard.shop.move.execute", wizard[0], {"carry": {"note": SECRETS[2]}}, "carry")
    client.call("report.shop.label.execute", stock, {"note": SECRETS[4]})
    client.call("model.shop.stock.read", stock, ["name", "tries"])
    return client.got


class Tryton:
    def __init__(self, folder: str, python: str) -> None:
        self.folder, self.python = folder, python
        self.ended: "list[int]" = []
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = int(taken.getsockname()[1])  # the same in both runs: Tryton keeps it with a task
        self.modules = os.path.join(folder, "modules")
        version = subprocess.run(
            [python, "-c", "import trytond; print(trytond.__series__)"], check=True, capture_output=True, text=True
        ).stdout.strip()
        about = "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n"
        for path, text in {
            "shop/__init__.py": REGISTER, "shop/stock.py": STOCK, "shop/shop.xml": DATA,
            "shop/tryton.cfg": CONFIG.format(version), "shop-1.0.dist-info/METADATA": about,
            "shop-1.0.dist-info/entry_points.txt": "[trytond.modules]\nshop = shop\n",
        }.items():  # fmt: skip
            self.write(os.path.join("modules", path), text)
        self.write("password", PASSWORD)

    def write(self, path: str, text: str) -> str:
        full = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as stream:
            stream.write(text)
        return full

    def environment(self, name: str, agent: "dict[str, str]") -> "dict[str, str]":
        """`name`: the folder of this run's database."""
        place = os.path.join(self.folder, name)
        config = self.write(name + "/trytond.conf", f"[database]\nuri = sqlite://\npath = {place}\nretry = 5\n")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AGENT_", "SENTRY_", "PYTHON"))}
        path = os.pathsep.join([agent["PYTHONPATH"], self.modules] if agent else [self.modules])
        ours = {"TRYTOND_CONFIG": config, "TRYTONPASSFILE": os.path.join(self.folder, "password"),
                "TRYTOND_DATABASE_NAMES": "erp", "PYTHONHASHSEED": "1"}  # fmt: skip
        return {**kept, **agent, **ours, "PYTHONPATH": path}

    def run(self, name: str, agent: "dict[str, str]", program: str, *arguments: str) -> int:
        command = [self.python, os.path.join(os.path.dirname(self.python), program), "-d", "erp", *arguments]
        with open(os.path.join(self.folder, f"{name}-{program}.log"), "w", encoding="utf-8") as log:
            env = self.environment(name, agent)
            return subprocess.run(command, check=False, env=env, stdout=log, stderr=log, timeout=600).returncode

    def create(self) -> None:
        self.write("template/erp.sqlite", "")
        more = ("-u", "shop", "--activate-dependencies", "--email", "a@b.example")
        status = self.run("template", {}, "trytond-admin", *more)
        if status:
            sys.exit(f"trytond-admin ended with status {status}: see {self.folder}/template-trytond-admin.log")

    @contextmanager
    def serving(self, name: str, agent: "dict[str, str]") -> "Iterator[None]":
        serve = ["-m", "waitress", f"--listen=127.0.0.1:{self.port}", "--threads=2", "trytond.application:app"]
        with open(os.path.join(self.folder, name + "-server.log"), "w", encoding="utf-8") as log:
            server = subprocess.Popen([self.python, *serve], env=self.environment(name, agent), stdout=log, stderr=log)
            try:
                for _ in range(600):
                    with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                        break
                    if server.poll() is not None:
                        break
                    time.sleep(0.1)
                yield
            finally:
                server.send_signal(signal.SIGINT)
                self.ended.append(server.wait(60))

    def day(self, name: str, agent: "dict[str, str]", times: int) -> "tuple[list[tuple[int, str]], list[int]]":
        """The responses, and the exit codes of the server and of `trytond-cron`."""
        self.ended = []
        shutil.copytree(os.path.join(self.folder, "template"), os.path.join(self.folder, name))
        with self.serving(name, agent):
            got = day(self.port, times)
        return got, [*self.ended, self.run(name, agent, "trytond-cron", "--once")]

    def rows(self, name: str) -> "dict[str, list[Any]]":
        """Table → its rows, without times and keys."""
        found = {}
        with closing(sqlite3.connect(os.path.join(self.folder, name, "erp.sqlite"))) as database:
            for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
                columns = [each[1] for each in database.execute(f'pragma table_info("{table}")')]
                listed = ", ".join(f'"{column}"' for column in columns if not _VARIES.search(column))
                if listed and not table.startswith(("ir_session", "ir_cache", "sqlite_", "res_user_login_attempt")):
                    found[table] = sorted(database.execute(f'select {listed} from "{table}"'), key=repr)
        return found


#: Columns that differ between two runs in any case.
_VARIES = re.compile(r"_date$|_at$|^(started|ended|next_call|key|password_hash|uuid|login_date)$|timestamp")


def kept(state: str) -> "Iterator[bytes]":
    """The content of each file of the state folder, unpacked where it is compressed."""
    for place, _, names in os.walk(state):
        for name in names:
            with open(os.path.join(place, name), "rb") as stream:
                data = stream.read()
            yield data
            for start in (found.start() for found in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", data)):
                with suppress(zlib.error):
                    yield zlib.decompressobj(47).decompress(data[start:])


def about(event: "dict[str, Any]") -> "tuple[str, str, str]":
    values = event.get("exception", {}).get("values") or [{}]
    tags = event["tags"]
    return tags.get("erp.monitor", ""), tags.get("erp.operation", ""), values[-1].get("type") or ""


def check(events: "list[dict[str, Any]]") -> "list[str]":
    """What is wrong with what has arrived, which is printed as a table."""
    seen = collections.Counter(about(event) for event in events)
    for (monitor, operation, kind), count in sorted(seen.items()):
        worth = "wanted" if (monitor, operation, kind) in WANTED else "NOT WORTH READING"
        print(f"{count:3}  {monitor:18}{operation:34}{kind:22}{worth}")
    wrong = [f"{seen[wanted]} events for {wanted}, in place of 1" for wanted in WANTED if seen[wanted] != 1]
    others = sum(seen.values()) - sum(seen[wanted] for wanted in WANTED)
    if others >= 10:
        wrong.append(f"{others} events that are not worth reading")
    for event in events:
        called = about(event)[0] != "trytond.cron"
        shown = event["tags"].get("database"), event["tags"].get("company"), str(event.get("user", {}).get("id"))
        if shown != (("erp", "1", "1") if called else ("erp", None, "None")):
            wrong.append(f"{about(event)}: database, company and user are {shown}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="the interpreter of the environment with Tryton")
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and databases")
    options = parser.parse_args()
    from receiver import Receiver

    folder = tempfile.mkdtemp(prefix="tryton-day-")
    tryton = Tryton(folder, os.path.abspath(options.python))
    began = time.monotonic()
    tryton.create()
    made = time.monotonic() - began
    state = os.path.join(folder, "state")
    bare, bare_status = tryton.day("bare", {}, options.times)
    with Receiver() as sentry:
        agent = {"PYTHONPATH": ROOT, "AGENT_CONFIG": tryton.write("monitors.yaml", MONITORS), "AGENT_STATE_DIR": state,
                 "SENTRY_DSN": sentry.dsn}  # fmt: skip
        watched, watched_status = tryton.day("watched", agent, options.times)
        flush = [tryton.python, "-m", "agent", "spool", "flush"]
        subprocess.run(flush, env={**os.environ, **agent}, cwd=ROOT, check=False, capture_output=True)
        events, sent = sentry.events, [data for each in sentry.envelopes for _, data in each.items]
    wrong = check(events)
    wrong += [f"response {at}: {one} {other}" for at, (one, other) in enumerate(zip(bare, watched)) if one != other]
    if len(bare) != len(watched) or bare_status != watched_status:
        wrong.append(f"{len(bare)} and {len(watched)} responses, exit codes {bare_status} and {watched_status}")
    one, other = tryton.rows("bare"), tryton.rows("watched")
    wrong += [f"rows of {table} differ" for table in {*one, *other} if one.get(table) != other.get(table)]
    for secret in SECRETS:
        if any(secret.encode() in data for data in sent):
            wrong.append(f"the secret {secret} has left the process")
        if any(secret.encode() in data for data in kept(state)):
            wrong.append(f"the secret {secret} is in the state folder")
    if not re.search(r'"tries":\s*2\b', bare[-1][1]):
        wrong.append(f"the conflict was not tried again: {bare[-1]}")
    failed = sum(status != 200 or '"error"' in text for status, text in bare)
    kinds = collections.Counter(found[1] for _, text in bare for found in re.finditer(r'"error":\["(\w+)"', text))
    print("What users were shown:", ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    print(f"{len(bare)} requests, of which {failed} failed, and a run of cron: {len(events)} events. "
          f"{made:.0f} s for the database, {time.monotonic() - began:.0f} s in all")  # fmt: skip
    for line in wrong:
        print("WRONG:", line)
    if options.keep:
        print("folder:", folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)  # the agent's courier may still be writing; it ends by itself
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
