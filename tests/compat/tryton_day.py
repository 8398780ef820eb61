"""A day of Tryton with and without the agent: real Tryton, 5.0 to 8.2. Not part of `make test`; `.ci/run` runs its short form.

    python tests/compat/tryton_day.py --python /opt/tryton/bin/python [--times 30] [--postgres USER@HOST:PORT] [--keep]

The environment has trytond, trytond-sale, waitress and what the agent needs. A database with the modules party, company,
currency, product, account and sale, and with a module `shop`, is made and copied twice; each copy is served and gets the same
requests, among them the mistakes of users, and then one run of cron. On SQLite the process that has queued a task runs it. With
`--postgres`, where USER needs no password and may make databases, `trytond-worker` runs them: one that works, one that fails, one
that collides and works at the next try, and one that goes back into the queue. Exit status 1: responses, rows or exit codes differ,
an event is missing, ten or more are not worth reading, or a planted secret has left the process.
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

DATABASE = "erp_day"
PASSWORD = "pl4nt3d-p4ssw0rd"
#: What clients send and nothing may keep: a password, a tax identifier, an argument, a name, a parameter of a report.
SECRETS = (PASSWORD, "BE0897290877", "v4lu3-0f-a-c4ll", "Gr4zi4na-M0rett1", "r3p0rt-d4ta")
MONITORS = """
version: 1
sentry: {dsn: "${SENTRY_DSN:-}", release: erp@8, environment: day}
packs: [trytond]
"""
STOCK = """
from trytond import backend
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
    conflicts = {"contend": 1, "busy": 2, "crowded": 3}  # of 3 tries

    @classmethod
    def collides(cls, name):
        cls.conflicts[name] -= 1
        if cls.conflicts[name] >= 0:
            old = hasattr(backend, "get")
            raise (backend.get("DatabaseOperationalError") if old else backend.DatabaseOperationalError)("locked")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update(reserve={}, post={}, later={}, busily={}, contend={})

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
    def busily(cls, records):
        for name in ("count", "busy", "crowded"):
            getattr(cls.__queue__, name)(records)

    @classmethod
    def count(cls, records):
        cls.create([{"name": "counted"}])

    @classmethod
    def busy(cls, records):
        cls.create([{"name": "busy"}])
        cls.collides("busy")

    @classmethod
    def crowded(cls, records):
        cls.create([{"name": "crowded"}])
        cls.collides("crowded")

    @classmethod
    @ModelView.button
    def contend(cls, records):
        cls.collides("contend")
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
        if hasattr(cls, "method"):  # from Tryton 5.2 on
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
"""
CRON = """<record model="ir.cron" id="{0}"><field name="method">shop.stock|{0}</field>
    <field name="interval_number" eval="1"/><field name="interval_type">days</field></record>"""
CRON_5_0 = """<record model="ir.cron" id="{0}"><field name="name">{0}</field><field name="model">shop.stock</field>
    <field name="function">{0}</field><field name="user" ref="res.user_trigger"/>
    <field name="request_user" ref="res.user_admin"/><field name="number_calls" eval="-1"/>
    <field name="repeat_missed" eval="False"/>
    <field name="interval_number" eval="1"/><field name="interval_type">days</field></record>"""
#: What `trytond-cron --once` does, which Tryton 5.0 does not have.
CRON_ONCE = """
import sys
from trytond.config import config
config.update_etc()
from trytond.pool import Pool
from trytond.transaction import Transaction
Pool.start()
name = sys.argv[-1]
with Transaction().start(name, 0, readonly=True):
    Pool(name).init()
Pool(name).get("ir.cron").run(name)
"""
CONFIG = "[tryton]\nversion={0}.0\ndepends:\n    ir\n    res\n    party\n    product\n    account\n    sale\nxml:\n    shop.xml\n"
#: Monitor, transaction or operation, and type of what must be reported, each once.
WANTED = [
    ("trytond.call", "model.shop.stock.reserve", "ZeroDivisionError"),
    ("trytond.wizard", "wizard shop.move", "ArithmeticError"),
    ("trytond.report", "report shop.label", "BufferError"),
    ("trytond.task", "task shop.stock.move", "LookupError"),
    ("trytond.cron", "cron shop.stock.nightly", "OverflowError"),
    ("unmonitored.task", "cron shop.stock.closing", "UserError"),
]


#: The frame of a trampoline, before Python 3.11: docs/limits.md.
_LINE = re.compile(r'  File \\"[^,]+, line \d+, in \w+\\n    (?:@|def )[^\\]*\\n')


class Client:
    """What Tryton's own client does: it signs in, and calls. `got`: each status and response."""

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path, self.session, self.user = port, path, "", 0
        self.context: "dict[str, Any]" = {"language": "en"}
        self.got: "list[tuple[int, str]]" = []

    def post(self, method: str, *parameters: Any) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.session:
            headers["Authorization"] = "Session " + self.session
        body = json.dumps({"id": len(self.got), "method": method, "params": parameters})
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request("POST", self.path, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        self.got.append((response.status, _LINE.sub("", re.sub(r"\b[0-9a-f]{64}\b", "KEY", text))))
        return json.loads(text).get("result") if response.status == 200 else None

    def call(self, method: str, *parameters: Any) -> Any:
        return self.post(method, *parameters, self.context)

    def sign_in(self, password: str) -> None:
        found = self.post("common.db.login", "admin", {"password": password}, "en")
        if found:
            self.user = found[0]
            self.session = base64.b64encode(f"admin:{found[0]}:{found[1]}".encode()).decode()


def day(tryton: "Tryton", times: int) -> "list[tuple[int, str]]":
    """What the client gets. `times`: how often the ordinary part of the day is repeated."""
    client = Client(tryton.port, f"/{DATABASE}/" + ("" if tryton.release < (8, 0) else "rpc/"))
    client.sign_in("wr0ng-" + PASSWORD)
    client.sign_in(PASSWORD)
    currency = client.call("model.currency.currency.create", [{"name": "Euro", "symbol": "E", "code": "EUR"}])
    owner = client.call("model.party.party.create", [{"name": "Owner"}])
    client.call("model.company.company.create", [{"party": owner[0], "currency": currency[0]}])
    allowed = {"main_company": 1} if tryton.release < (5, 8) else {"companies": [["add", [1]]]}
    tryton.user = client.user
    client.call("model.res.user.write", [client.user], {**allowed, "company": 1})
    client.context["company"] = 1
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
        client.call("model.ir.cron.search_read", [], 0, 3, None, ["interval_number"])
        client.call("model.party.party.delete", party)
    client.call("model.shop.stock.contend", stock)
    client.call("model.shop.stock.reserve", stock)
    client.call("model.shop.stock.later", stock)
    if tryton.postgres:
        client.call("model.shop.stock.busily", stock)
    wizard = client.call("wizard.shop.move.create")
    client.call("wizard.shop.move.execute", wizard[0], {"carry": {"note": SECRETS[2]}}, "carry")
    client.call("report.shop.label.execute", stock, {"note": SECRETS[4]})
    client.call("model.shop.stock.read", stock, ["name", "tries"])
    return client.got


class Tryton:
    """`postgres`: USER@HOST:PORT, else it runs on SQLite."""

    def __init__(self, folder: str, python: str, postgres: str) -> None:
        self.folder, self.python, self.postgres = folder, python, postgres
        self.ended: "list[int]" = []
        self.user = 0  # who signs in; the number differs between databases
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = int(taken.getsockname()[1])  # the same in both runs: Tryton keeps it with a task
        self.modules = os.path.join(folder, "modules")
        asked = "import trytond; print(*trytond.__version__.split('.')[:2], sep='.'); print(trytond.__path__[0])"
        found = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout
        version, place = found.splitlines()
        self.packages = os.path.dirname(place)
        self.release = tuple(map(int, version.split(".")))
        job = CRON_5_0 if self.release < (5, 2) else CRON
        data = DATA % "".join(map(job.format, ("nightly", "closing", "counting")))
        about = "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n"
        for path, text in {
            "shop/__init__.py": REGISTER, "shop/stock.py": STOCK, "shop/shop.xml": data,
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
        uri = f"postgresql://{self.postgres}/" if self.postgres else "sqlite://"
        config = self.write(
            name + "/trytond.conf",
            f"[database]\nuri = {uri}\npath = {place}\nretry = 2\n[queue]\nworker = {bool(self.postgres)}\n",
        )
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AGENT_", "SENTRY_", "PYTHON"))}
        path = os.pathsep.join([agent["PYTHONPATH"], self.modules] if agent else [self.modules])
        ours = {"TRYTOND_CONFIG": config, "TRYTONPASSFILE": os.path.join(self.folder, "password"),
                "TRYTOND_DATABASE_NAMES": DATABASE, "PYTHONHASHSEED": "1"}  # fmt: skip
        return {**kept, **agent, **ours, "PYTHONPATH": path}

    def program(self, name: str) -> "list[str]":
        return [self.python, os.path.join(os.path.dirname(self.python), name), "-d", DATABASE]

    def run(self, name: str, agent: "dict[str, str]", what: str, command: "list[str]") -> int:
        with open(os.path.join(self.folder, f"{name}-{what}.log"), "w", encoding="utf-8") as log:
            return subprocess.run(
                command, check=False, env=self.environment(name, agent), input="a@b.example\n", text=True,
                stdout=log, stderr=log, timeout=600,
            ).returncode  # fmt: skip

    def sql(self, text: str, database: str = "postgres") -> str:
        command = ["psql", "-qAt", "-v", "ON_ERROR_STOP=1", f"postgresql://{self.postgres}/{database}"]
        return subprocess.run(command, check=True, input=text, capture_output=True, text=True, timeout=120).stdout

    def create(self) -> None:
        self.write(f"template/{DATABASE}.sqlite", "")
        if self.postgres:
            self.drop()
            self.sql(f"create database {DATABASE}")
        email = ["--email", "a@b.example"] if self.release >= (5, 2) else []
        command = [*self.program("trytond-admin"), "-u", "shop", "--activate-dependencies", *email]
        status = self.run("template", {}, "admin", command)
        if status:
            sys.exit(f"trytond-admin ended with status {status}: see {self.folder}/template-admin.log")
        self.rename("template")

    def rename(self, name: str) -> None:
        if self.postgres:
            self.sql(f"alter database {DATABASE} rename to {DATABASE}_{name}")

    def drop(self) -> None:
        for name in ("", "_template", "_bare", "_watched"):
            self.sql(f"drop database if exists {DATABASE}{name}")

    @contextmanager
    def running(self, name: str, agent: "dict[str, str]", what: str, command: "list[str]") -> "Iterator[Any]":
        with open(os.path.join(self.folder, f"{name}-{what}.log"), "w", encoding="utf-8") as log:
            process = subprocess.Popen(command, env=self.environment(name, agent), stdout=log, stderr=log)
            try:
                yield process
            finally:
                process.send_signal(signal.SIGINT)
                self.ended.append(process.wait(60))

    def day(self, name: str, agent: "dict[str, str]", times: int) -> "tuple[list[tuple[int, str]], list[int]]":
        """The responses, and the exit codes of the server, of the worker, and of cron."""
        self.ended = []
        shutil.copytree(os.path.join(self.folder, "template"), os.path.join(self.folder, name))
        if self.postgres:
            self.sql(f"create database {DATABASE} template {DATABASE}_template")
        serve = ["-m", "waitress", f"--listen=127.0.0.1:{self.port}", "--threads=2", "trytond.application:app"]
        with self.running(name, agent, "server", [self.python, *serve]) as server:
            for _ in range(600):
                with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                    break
                if server.poll() is not None:
                    break
                time.sleep(0.1)
            got = day(self, times)
        if self.postgres:
            with self.running(name, agent, "worker", [*self.program("trytond-worker"), "-n", "1"]) as worker:
                done = "select count(*) from shop_stock where name in ('counted', 'busy', 'crowded')"
                for _ in range(120):  # the last task waits for up to four seconds in the queue
                    if worker.poll() is not None or self.sql(done, DATABASE).strip() == "3":
                        break
                    time.sleep(0.5)
                else:
                    print("WRONG: the worker has not done its tasks in a minute")
        once = [*self.program("trytond-cron"), "--once"]
        if self.release < (5, 8):
            once = [self.python, "-c", CRON_ONCE, DATABASE]
        self.ended.append(self.run(name, agent, "cron", once))
        self.rename(name)
        return got, self.ended

    def failed_jobs(self, name: str) -> "set[str]":
        """Jobs of cron that have failed according to Tryton's own log. In 7.0, on SQLite, each that writes fails: cron has
        locked its table, and with it the database.
        """
        with open(os.path.join(self.folder, name + "-cron.log"), encoding="utf-8") as log:
            return {"cron " + job.replace("|", ".") for job in re.findall(r"<Cron \d+@\S+ (\S+)> failed", log.read())}

    def rows(self, name: str) -> "dict[str, list[Any]]":
        """Table → its rows, without times and keys."""
        found = {}
        if self.postgres:
            database = f"{DATABASE}_{name}"
            named = "select table_name, column_name from information_schema.columns where table_schema = 'public'"
            columns: "dict[str, list[str]]" = {}
            for line in self.sql(named + " order by 1, ordinal_position", database).splitlines():
                columns.setdefault(line.partition("|")[0], []).append(line.partition("|")[2])
            selects = [f"\\echo >{table}\n{text};\n" for table, text in _selects(columns)]
            for part in ("\n" + self.sql("".join(selects), database)).split("\n>")[1:]:
                table, _, lines = part.partition("\n")
                found[table] = sorted(lines.splitlines())
            return found
        with closing(sqlite3.connect(os.path.join(self.folder, name, DATABASE + ".sqlite"))) as store:
            names = [each for (each,) in store.execute("select name from sqlite_master where type = 'table'")]
            columns = {each: [column[1] for column in store.execute(f'pragma table_info("{each}")')] for each in names}
            for table, text in _selects(columns):
                found[table] = sorted(store.execute(text), key=repr)
        return found


def _selects(columns: "dict[str, list[str]]") -> "Iterator[tuple[str, str]]":
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"' for name in names if not _VARIES.search(name))
        if listed and not table.startswith(("ir_session", "ir_cache", "sqlite_", "res_user_login_attempt")):
            yield table, f'select {listed} from "{table}"'


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
    return (
        tags.get("erp.monitor", "").replace("_until_6_2", ""),
        tags.get("erp.operation", ""),
        values[-1].get("type") or "",
    )


def check(events: "list[dict[str, Any]]", user: int, failed: "set[str]") -> "list[str]":
    """What is wrong with what has arrived, which is printed as a table. `failed`: the jobs of cron that have."""
    seen, wanted = collections.Counter(about(event) for event in events), set(WANTED)
    for (monitor, operation, kind), count in sorted(seen.items()):
        if monitor == "trytond.cron" and operation in failed:
            wanted.add((monitor, operation, kind))
        worth = "wanted" if (monitor, operation, kind) in wanted else "NOT WORTH READING"
        print(f"{count:3}  {monitor:18}{operation:34}{kind:22}{worth}")
    wrong = [f"{seen[each]} events for {each}, in place of 1" for each in sorted(wanted) if seen[each] != 1]
    others = sum(seen.values()) - sum(seen[each] for each in wanted)
    if others >= 10:
        wrong.append(f"{others} events that are not worth reading")
    for event in events:
        called = about(event)[0] not in ("trytond.cron", "unmonitored.task", "unmonitored.logged")  # cron has no user
        shown = event["tags"].get("database"), event["tags"].get("company"), str(event.get("user", {}).get("id"))
        if shown != ((DATABASE, "1", str(user)) if called else (DATABASE, None, "None")):
            wrong.append(f"{about(event)}: database, company and user are {shown}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="the interpreter of the environment with Tryton")
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--postgres", metavar="USER@HOST:PORT", default="", help="in place of SQLite")
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and databases")
    options = parser.parse_args()
    from packs import unknown_exceptions
    from receiver import Receiver

    folder = tempfile.mkdtemp(prefix="tryton-day-")
    tryton = Tryton(folder, os.path.abspath(options.python), options.postgres)
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
    wrong = check(events, tryton.user, tryton.failed_jobs("bare"))
    wrong += [f"response {at}: {one} {other}" for at, (one, other) in enumerate(zip(bare, watched)) if one != other]
    if len(bare) != len(watched) or bare_status != watched_status:
        wrong.append(f"{len(bare)} and {len(watched)} responses, exit codes {bare_status} and {watched_status}")
    if tryton.release >= (7, 0):  # which have all that the pack names
        wrong += [f"the pack's `defaults` name {name}" for name in unknown_exceptions("trytond", tryton.packages)]
    one, other = tryton.rows("bare"), tryton.rows("watched")
    wrong += [f"rows of {table} differ" for table in {*one, *other} if one.get(table) != other.get(table)]
    for secret in SECRETS:
        if any(secret.encode() in data for data in sent):
            wrong.append(f"the secret {secret} has left the process")
        if any(secret.encode() in data for data in kept(state)):
            wrong.append(f"the secret {secret} is in the state folder")
    if tryton.postgres:
        wrong += [
            f"no row {name}" for name in ("counted", "busy", "crowded") if str(one["shop_stock"]).count(name) != 1
        ]
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
        if tryton.postgres:
            tryton.drop()
        shutil.rmtree(folder, ignore_errors=True)  # the agent's courier may still be writing; it ends by itself
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
