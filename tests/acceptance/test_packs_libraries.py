"""The packs of libraries that an ERP leans on, with the real libraries against real servers, in real processes.

What must arrive arrives once, also where one library runs over another, and no value comes with it.
"""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from acceptance.host import summary
from acceptance.services import free_port

from agent.deliver import wire

#: What no byte of an event may hold.
SECRETS = {"WORD": "hemligt", "CARD": "4711-0815"}

ALWAYS = "0.001ms"  # what takes longer than this is every call


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        self.send_response({"/broken": 503, "/busy": 429, "/moved": 302, "/missing": 404}.get(path, 200))
        if path == "/moved":
            self.send_header("Location", "/broken?token=hemligt")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def partner():
    """The address of another company's system."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def run(host, main, packs, monitors="", **places):
    """The events of a process that runs `main`; `places` are addresses that it knows by these names."""
    planted = "".join(f"{name} = {value!r}\n" for name, value in {**SECRETS, **places}.items())
    text = f"version: 1\nmodules: {{sales: {{owner: sales-team}}}}\npacks: {packs}\nmonitors: {monitors or '[]'}\n"
    host.write(planted__py=planted, main__py="from planted import *\n" + main, monitors__yaml=text)
    done = host.run("main.py")
    assert "agent:" not in done.stderr, done.stderr
    raw = b"\n".join(host.envelopes()).decode()
    for secret in SECRETS.values():
        assert secret not in raw
    return host.events()


def told(events):
    return Counter((event["tags"]["erp.monitor"], event["tags"]["erp.report"], event["level"]) for event in events)


def captured(event):
    return event["contexts"]["erp"].get("captured", {})


OUTBOUND = """
import asyncio
import httpx
import requests
import urllib3

def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except Exception as error:
        return error

query = f"?card={CARD}&token={WORD}"
requests.get(f"http://{PARTNER}/fine{query}")
requests.get(f"http://{PARTNER}/missing{query}")
requests.post(f"http://{PARTNER}/broken{query}", data={"card": CARD}, headers={"Authorization": WORD})
requests.get(f"http://{PARTNER}/moved{query}")
requests.get(f"http://{PARTNER}/busy{query}")
attempt(requests.get, f"http://{NOBODY}/{CARD}/{query}", auth=("anna", WORD))
pool = urllib3.PoolManager()
pool.request("GET", f"http://{PARTNER}/fine{query}")
pool.request("GET", f"http://{PARTNER}/broken{query}")
attempt(pool.request, "GET", f"http://{NOBODY}/{CARD}/{query}", retries=urllib3.Retry(2, backoff_factor=0))
attempt(pool.request, "POST", f"http://{NOBODY}/api/1/envelope/", retries=False)
httpx.get(f"http://{PARTNER}/fine{query}")
httpx.get(f"http://{PARTNER}/broken{query}")
attempt(httpx.get, f"http://{NOBODY}/{CARD}/{query}")
async def later():
    async with httpx.AsyncClient() as client:
        await client.get(f"http://{PARTNER}/broken{query}")
        try:
            await client.get(f"http://{NOBODY}/{CARD}/{query}")
        except httpx.ConnectError:
            pass
asyncio.run(later())
"""


def test_calls_of_other_systems(host, partner):
    for name in ("requests", "urllib3", "httpx"):
        pytest.importorskip(name)
    nobody = f"127.0.0.1:{free_port()}"
    packs = "[{requests: {monitors: {requests.send: {rate_limit: off}}}}, urllib3, httpx]"  # each, equal ones too
    events = run(host, OUTBOUND, packs, PARTNER=partner, NOBODY=nobody)
    assert {key: count for key, count in told(events).items() if key[1] != "slow"} == {
        ("requests.send", "rule", "warning"): 3,
        ("requests.send", "error", "error"): 1,
        ("urllib3.urlopen", "rule", "warning"): 1,
        ("urllib3.urlopen", "error", "error"): 1,
        ("httpx.send", "rule", "warning"): 1,
        ("httpx.send", "error", "error"): 1,
        ("httpx.send_async", "rule", "warning"): 1,
        ("httpx.send_async", "error", "error"): 1,
    }
    broken, moved, busy, refused = [event for event in events if event["tags"]["erp.monitor"] == "requests.send"]
    assert captured(broken) == {"method": "POST", "host": partner, "status": 503}
    assert broken["logentry"]["formatted"] == f"{partner} returned 503 for POST"
    assert captured(moved)["status"] == 503
    assert captured(busy)["status"] == 429
    assert captured(refused) == {"method": "GET", "host": nobody, "status": None}
    kinds = [value["type"] for value in refused["exception"]["values"]]
    assert kinds[-1] == "ConnectionError"
    assert kinds[0] == "ConnectionRefusedError"
    assert {value["value"] for value in refused["exception"]["values"]} == {""}
    assert refused["fingerprint"][:3] == ["requests.send", "error", nobody]
    (direct,) = [event for event in events if summary(event) == ("rule", "urllib3.urlopen", "warning")]
    assert captured(direct) == {"method": "GET", "host": "127.0.0.1", "port": int(partner.split(":")[1]), "status": 503}
    (later,) = [event for event in events if event["tags"]["erp.monitor"] == "httpx.send_async"][1:]
    assert captured(later) == {"method": "GET", "host": "127.0.0.1", "status": None}


def test_a_failure_that_the_erp_passes_on_is_one_event_in_its_module(host):
    pytest.importorskip("requests")
    host.write(
        shop__py="import requests\n"
        "class SupplierAway(Exception): pass\n"
        "def fetch(url):\n"
        "    try: return requests.get(url)\n"
        "    except requests.ConnectionError as error: raise SupplierAway('no prices') from error\n"
    )
    main = "import shop\ntry: shop.fetch(f'http://{NOBODY}/')\nexcept shop.SupplierAway: pass\n"
    own = "[{target: shop.fetch, module: sales}]"
    nobody = f"127.0.0.1:{free_port()}"
    (event,) = run(host, main, "[requests, urllib3]", own, NOBODY=nobody)
    assert summary(event) == ("error", "requests.send", "error")
    assert (event["tags"]["erp.module"], event["tags"]["erp.owner"]) == ("sales", "sales-team")
    assert event["contexts"]["erp"]["operations"] == ["fetch", "requests.send"]
    # In the ERP's own words, where it says so.
    for path in (host.state / "spool").rglob("*"):
        if path.is_file():
            path.unlink()
    expect = "{requests: {monitors: {requests.send: {expect: [requests.exceptions.RequestException]}}}}"
    (event,) = run(host, main, f"[{expect}]", own, NOBODY=nobody)
    assert summary(event) == ("error", "fetch", "error")
    assert event["exception"]["values"][-1]["value"] == "no prices"


COMMANDS = """
import redis

def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except redis.RedisError as error:
        return error

store = redis.Redis(host="127.0.0.1", port=PORT, db=DATABASE)
store.set(WORD, CARD)
store.execute_command(f"SET {WORD} {CARD}")
attempt(store.lpush, WORD, CARD)
store.blpop(WORD + "-queue", timeout=1)
with store.pipeline() as pipe:
    pipe.set(WORD, CARD).get(WORD).execute()
away = redis.Redis(host="127.0.0.1", port=NOBODY)
attempt(away.get, WORD)
"""


LATER = """
import asyncio
import redis.asyncio

async def later():
    other = redis.asyncio.Redis(host="127.0.0.1", port=PORT, db=DATABASE)
    await other.get(WORD)
    await other.aclose() if hasattr(other, "aclose") else await other.close()
    try:
        await redis.asyncio.Redis(host="127.0.0.1", port=NOBODY).get(WORD)
    except redis.ConnectionError:
        pass
asyncio.run(later())
"""


def test_redis_that_is_slow_or_gone(host, redis_server):
    pytest.importorskip("redis")
    nobody = free_port()
    changes = ", ".join(f"redis.{name}: {{threshold: {ALWAYS}, rate_limit: off}}" for name in ("command", "pipeline"))
    packs = f"[{{redis: {{monitors: {{{changes}}}}}}}]"
    events = run(host, COMMANDS, packs, PORT=redis_server.port, NOBODY=nobody, DATABASE=7)
    assert told(events) == {
        ("redis.command", "slow", "warning"): 2,  # not what Redis refused, and not what waits because it is asked to
        ("redis.pipeline", "slow", "warning"): 1,
        ("redis.command", "error", "error"): 1,
    }
    assert [captured(event) for event in events if event["tags"]["erp.report"] == "slow"][:2] == [
        {"command": "SET"}
    ] * 2
    lost = next(event for event in events if event["tags"]["erp.report"] == "error")
    assert captured(lost) == {"command": "GET"}
    assert lost["exception"]["values"][-1]["type"] == "ConnectionError"


def test_redis_asynchronously(host, redis_server):
    pytest.importorskip("redis.asyncio")
    packs = f"[{{redis: {{monitors: {{redis.command_async: {{threshold: {ALWAYS}}}}}}}}}]"
    events = run(host, LATER, packs, PORT=redis_server.port, NOBODY=free_port(), DATABASE=7)
    assert told(events) == {("redis.command_async", "slow", "warning"): 1, ("redis.command_async", "error", "error"): 1}


def test_with_its_own_thresholds_a_healthy_redis_says_nothing(host, redis_server):
    pytest.importorskip("redis")
    main = "import redis\nstore = redis.Redis(host='127.0.0.1', port=PORT)\nfor _ in range(50): store.get(WORD)\n"
    assert run(host, main, "[{redis: {monitors: {redis.command: {threshold: 10s}}}}]", PORT=redis_server.port) == []


ENGINES = """
import asyncio
import sqlalchemy
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
import shop
from sqlalchemy.pool import QueuePool

def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except Exception as error:
        return error

def ask(engine):
    with engine.connect() as connection:
        connection.execute(text(f"SELECT '{WORD}' WHERE 1 = :card OR :word = '{CARD}'"), {"card": 1, "word": WORD})
        attempt(connection.execute, text("SELECT nothing FROM nowhere"))

for url in ENGINES:
    ask(create_engine(url))
async def ask_later():
    engine = create_async_engine(LATER)
    async with engine.connect() as connection:
        await connection.execute(text(f"SELECT '{WORD}' WHERE 3 = :card"), {"card": 1})
    await engine.dispose()
if LATER:
    asyncio.run(ask_later())
with create_engine(ENGINES[-1]).connect() as connection:
    connection.execute(text("SELECT 1"))
    shop.lines(connection)
    attempt(shop.order, connection, WORD)
for url in AWAY:
    attempt(create_engine(url).connect)
full = create_engine(ENGINES[0], poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
with full.connect():
    attempt(full.connect)
"""


SHOP = """
from sqlalchemy import text

def order(connection, word):
    connection.execute(text(f"INSERT INTO nowhere VALUES ('{word}')"))

def lines(connection):
    for number in range(30):
        connection.execute(text("SELECT 5 WHERE 1 = :number"), {"number": number})
"""


def test_sqlalchemy(host, postgres_server):
    drivers = ["psycopg2", "psycopg"] if pytest.importorskip("sqlalchemy").__version__ >= "2" else ["psycopg2"]
    for name in drivers:
        pytest.importorskip(name)
    url = postgres_server.create("alchemy")
    engines = ["sqlite://", *(url.replace("postgresql:", f"postgresql+{driver}:") for driver in drivers)]
    nobody = free_port()
    away = [f"postgresql+{driver}://erp@127.0.0.1:{nobody}/erp" for driver in drivers]
    away.append("sqlite:////no/such/folder/db")
    later = url.replace("postgresql:", "postgresql+psycopg:") if "psycopg" in drivers else ""
    wanted = "repeats: 29, unless: \"'WHERE' not in statement\""
    changes = f"{{sqlalchemy.execute: {{threshold: {ALWAYS}, rate_limit: off, {wanted}}}}}"
    slow = f"{{psycopg: {{monitors: {{psycopg.execute: {{threshold: {ALWAYS}}}}}}}}}"
    packs = f"[{{sqlalchemy: {{monitors: {changes}}}}}, {slow}, sqlite3]"
    host.write(shop__py=SHOP)
    own = "[{target: shop.order, module: sales}, {target: shop.lines, kind: transaction, module: sales}]"
    own += "\nsentry: {traces_sample_rate: 1.0}"
    events = run(host, ENGINES, packs, own, ENGINES=engines, AWAY=away, LATER=later)
    ours = [event for event in events if not event["tags"]["erp.monitor"].startswith("psycopg.execute")]
    assert told(ours) == {
        ("order", "error", "error"): 1,
        ("sqlalchemy.execute", "repeats", "warning"): 1,
        ("sqlalchemy.execute", "slow", "warning"): len(engines) + bool(later) + 30,
        ("sqlalchemy.connect", "error", "error"): len(away),
        ("sqlalchemy.pool", "error", "error"): 1,
    }
    statements = {captured(event)["statement"] for event in ours if event["tags"]["erp.report"] == "slow"}
    assert {statement.split(" WHERE ")[0] for statement in statements} == {"SELECT %s"}
    assert {captured(event)["dialect"] for event in ours if event["tags"]["erp.monitor"] == "sqlalchemy.connect"} == {
        "postgresql", "sqlite",
    }  # fmt: skip
    (failed,) = [event for event in ours if event["tags"]["erp.operation"] == "order"]
    assert failed["contexts"]["erp"]["failed_in"] == {
        "monitor": "sqlalchemy.execute", "statement": "INSERT INTO nowhere VALUES (%s)", "verb": "INSERT",
        "dialect": "postgresql",
    }  # fmt: skip
    (repeated,) = [event for event in ours if event["tags"]["erp.report"] == "repeats"]
    (line,) = repeated["contexts"]["erp"]["repeats"]["lines"]
    assert (line["file"], line["function"], line["times"]) == ("shop.py", "lines", 30)
    assert repeated["contexts"]["erp"]["called_from"] == f"shop.py:{line['line']} in lines"
    items = [item for data in host.envelopes() for item in wire.decode(data).items if item.type == "transaction"]
    (trace,) = [json.loads(item.payload) for item in items]
    spans = Counter((span["op"], span["data"]["erp.monitor"], span["description"]) for span in trace["spans"])
    assert spans == {("db", "sqlalchemy.execute", "SELECT %s WHERE %s = %(number)s"): 30}, "and none of the driver's"
    # What SQLAlchemy runs for itself when it connects passes no statement of its own dialect.
    assert not [event for event in events if "WHERE %s" in str(captured(event)) and event not in ours]


RAW = """
import asyncio
import sqlite3
import psycopg
import psycopg2
import psycopg2.extras

def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except Exception as error:
        return error

with psycopg.connect(URL) as connection:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT '{WORD}' WHERE 1 = %s", [1])
        attempt(cursor.execute, "SELECT nothing FROM nowhere")
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE t (a text)")
        cursor.executemany("INSERT INTO t VALUES (%s)", [[WORD], [CARD]])
connection = psycopg2.connect(URL)
cursor = connection.cursor(cursor_factory=psycopg2.extras.DictCursor)
cursor.execute(f"SELECT '{WORD}' WHERE 2 = %s", [1])
attempt(psycopg.connect, AWAY)
attempt(psycopg2.connect, AWAY)
async def later():
    async with await psycopg.AsyncConnection.connect(URL) as connection:
        await connection.execute(f"SELECT '{WORD}' WHERE 3 = %s", [1])
asyncio.run(later())
attempt(sqlite3.connect, "/no/such/folder/" + WORD)
memory = sqlite3.connect(":memory:")
assert memory.execute("SELECT 1").fetchone() == (1,)
"""


def test_drivers_by_themselves(host, postgres_server):
    for name in ("psycopg", "psycopg2"):
        pytest.importorskip(name)
    slow = "{%s}" % ", ".join(
        f"psycopg.{name}: {{threshold: {ALWAYS}, unless: \"'CREATE' in query\"}}"
        for name in ("execute", "executemany", "execute_async", "execute_2")
    )
    places = {"URL": postgres_server.create("raw"), "AWAY": f"postgresql://erp@127.0.0.1:{free_port()}/erp"}
    events = run(host, RAW, f"[{{psycopg: {{monitors: {slow}}}}}, sqlite3]", **places)
    assert told(events) == {
        ("psycopg.execute", "slow", "warning"): 1,
        ("psycopg.executemany", "slow", "warning"): 1,
        ("psycopg.execute_2", "slow", "warning"): 1,
        ("psycopg.execute_async", "slow", "warning"): 1,
        ("psycopg.connect", "error", "error"): 1,
        ("psycopg.connect_2", "error", "error"): 1,
        ("sqlite3.connect", "error", "error"): 1,
    }
    statements = {captured(event)["statement"] for event in events if event["tags"]["erp.report"] == "slow"}
    assert statements == {"SELECT %s WHERE %s = %s", "INSERT INTO t VALUES (%s)"}


MYSQL = """
from types import SimpleNamespace
import pymysql.cursors
import shop

class Connection:  # a server that is there
    _result = SimpleNamespace(affected_rows=1, description=None, insert_id=0, rows=[], warning_count=0, has_next=False)
    encoding = "utf-8"
    def escape(self, value, mapping=None): return repr(value)
    literal = escape
    def query(self, statement):
        if "nowhere" in str(statement): raise pymysql.err.ProgrammingError(1146, "no such table")

cursor = pymysql.cursors.DictCursor(Connection())
cursor.execute(f"SELECT '{WORD}' WHERE 1 = %s", [CARD])
cursor.executemany("INSERT INTO t VALUES (%s)", [[WORD], [CARD]])
try:
    shop.order(cursor, WORD)
except pymysql.MySQLError:
    pass
try:
    pymysql.connect(host="127.0.0.1", port=AWAY)
except pymysql.MySQLError:
    pass
"""


def test_mysql(host):
    pytest.importorskip("pymysql")
    host.write(shop__py="def order(cursor, word):\n    cursor.execute('DELETE FROM nowhere WHERE a = %s', [word])\n")
    slow = ", ".join(f"mysql.pymysql_{name}: {{threshold: {ALWAYS}}}" for name in ("execute", "executemany"))
    own = "[{target: shop.order, module: sales}]"
    events = run(host, MYSQL, f"[{{mysql: {{monitors: {{{slow}}}}}}}]", own, AWAY=free_port())
    assert told(events) == {
        ("mysql.pymysql_execute", "slow", "warning"): 1,
        ("mysql.pymysql_executemany", "slow", "warning"): 1,
        ("mysql.pymysql_connect", "error", "error"): 1,
        ("order", "error", "error"): 1,
    }
    execute, many, failed, _ = events
    assert captured(execute) == {"statement": "SELECT %s WHERE %s = %s", "verb": "SELECT"}
    assert execute["contexts"]["erp"]["called_from"] == "main.py:16 in <module>"
    assert captured(many)["statement"] == "INSERT INTO t VALUES (%s)"
    assert failed["contexts"]["erp"]["failed_in"] == {
        "monitor": "mysql.pymysql_execute", "statement": "DELETE FROM nowhere WHERE a = %s", "verb": "DELETE",
    }  # fmt: skip


FORMS = """
import marshmallow, wtforms
from marshmallow import fields

class Line(marshmallow.Schema):
    product = fields.String(required=True)
class Order(marshmallow.Schema):
    number = fields.Integer()
    lines = fields.List(fields.Nested(Line))
    @marshmallow.validates("number")
    def fails(self, value, **_):
        if value == 13: raise RuntimeError(WORD)

Order().load({"number": 1, "lines": [{"product": WORD}]})
for _ in range(22): assert Order().validate({"number": CARD, "lines": [{}]})
for many in (False, True):
    try:
        Order(many=many).load([{"number": WORD}] if many else {"number": 13})
    except (marshmallow.ValidationError, RuntimeError):
        pass

class Address(wtforms.Form):
    street = wtforms.StringField(validators=[wtforms.validators.InputRequired()])
class Customer(wtforms.Form):
    name = wtforms.StringField()
    number = wtforms.IntegerField()
    address = wtforms.FormField(Address)

class Sent(dict):
    def getlist(self, name): return [self[name]]
for _ in range(22): assert not Customer(Sent({"name": WORD, "number": CARD})).validate()
for _ in range(20): assert not Customer(Sent({"number": CARD, "address-street": WORD})).validate()
assert Customer(Sent({"number": "5", "address-street": WORD})).validate()
"""


def test_input_that_is_refused(host):
    for name in ("marshmallow", "wtforms"):
        pytest.importorskip(name)
    events = run(host, FORMS, "[marshmallow, wtforms]")
    assert {summary(event) for event in events} == {
        ("rule", "marshmallow.load", "warning"), ("rule", "wtforms.form", "warning"),
    }  # fmt: skip
    assert [captured(event) for event in events] == [
        {"schema": "__main__.Order", "fields": ["lines", "number"]},
        {"form": "__main__.Customer", "fields": ["address", "number"]},
    ]
    assert events[0]["logentry"]["formatted"].startswith("__main__.Order refuses ['lines', 'number'] again and again")


DJANGO = """
from django.conf import settings
settings.configure(USE_TZ=True, DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **DATABASE},
                   "away": {"ENGINE": "django.db.backends.postgresql", **DATABASE, "PORT": AWAY}})
import django
django.setup()
from django.db import connection, connections
with connection.cursor() as cursor:
    cursor.execute("SELECT %s", [WORD])
try:
    connections["away"].ensure_connection()
except Exception:
    pass
"""


def test_django_speaks_for_its_drivers(host, postgres_server):
    for name in ("django", "psycopg"):
        pytest.importorskip(name)
    postgres_server.create("django")
    database = {"NAME": "django", "USER": "erp", "HOST": postgres_server.host, "PORT": postgres_server.port}
    changes = f"threshold: {ALWAYS}"
    packs = (
        f"[{{django: {{monitors: {{django.query: {{{changes}}}}}}}}}, "
        f"{{psycopg: {{monitors: {{psycopg.execute: {{{changes}}}, psycopg.connect: {{{changes}}}}}}}}}]"
    )
    events = run(host, DJANGO, packs, DATABASE=database, AWAY=free_port())
    ours = [event for event in events if "SELECT %s" == captured(event).get("statement")]
    assert told(ours) == {("django.query", "slow", "warning"): 1}
    assert captured(ours[0])["vendor"] == "postgresql"
    errors = [event for event in events if event["tags"]["erp.report"] == "error"]
    assert told(errors) == {("django.connect", "error", "error"): 1}
