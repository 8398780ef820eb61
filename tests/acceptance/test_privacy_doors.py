"""Each door through which a text leaves, or is written down, of a host without any framework: no planted value passes one."""

import os

MAIN = """
import logging, sys, threading
from shop import Order, work, login, told
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
log = logging.getLogger("shop")
name = value = sys.argv[1]
log.info("customer %s", name); log.info(f"customer {name} of {value}"); log.info("customer " + name); log.info(name)
log.warning("customer %s" % name); log.error("customer {}".format(name)); log.info(f"customer {name} %s", 5)
class Refused(Exception): pass
class Own(Exception):
    def __str__(self): return "token: " + value
MESSAGES = [
    "password=" + value, "Key (name)=(" + name + ") already exists.", "for " + value + "@example.com", {"api_key": value},
    "postgres://erp:" + value + "@db/erp", "[SQL: UPDATE t SET a = '" + name + "']", ("code", "pin:\\n  " + value),
    "(1062, \\"Duplicate entry '" + name + "' for key 'u'\\")", "{'password': {'a': [1], 'b': '" + value + "'}}",
]
def attempt(*arguments, **keywords):
    try: work(*arguments, **keywords)
    except Exception: pass
for each in MESSAGES:
    attempt(Refused(each), value, secret=value, note="card holder: " + name)
attempt(Own(value), value)
error = Refused("a"); error.__cause__ = Refused("the cookie: " + value); attempt(error, value)
attempt(Refused(Order(value)), Order(value))
threading.Thread(target=attempt, args=(Refused("x"), value)).start()
try: login("anna", value)
except Exception: pass
told(value)
"""
SHOP = """
from agent import capture_erp_error
class Order:
    def __init__(self, name): self.name = name; self.id = 7
    def __repr__(self): return self.name
def work(error, argument, secret=None, note=None):
    inner = argument
    raise error
def login(user, password):
    raise PermissionError("wrong password '" + password + "'")
def told(value):
    try: 1 / 0
    except ZeroDivisionError as error:
        capture_erp_error(error, module="sales", operation="told", extra_data={"password": value, "text": "pin=" + value})
"""
MONITORS = """
version: 1
sentry: {dsn: "${SENTRY_DSN:-}"}
monitors:
  - target: shop.work
    operation: work
    rate_limit: off
    fingerprint: ["{error}", "{note}"]
    capture: {secret: secret, note: note, order: argument.id, password: argument}
    rules: [{when: "note", message: "told {note} and {secret}"}]
  - {target: shop.login, operation: login, rate_limit: off}
"""


def written(folder):
    """Names and contents of every file below."""
    for place, _, files in os.walk(folder):
        for name in files:
            yield name.encode()
            with open(os.path.join(place, name), "rb") as file:
                yield file.read()


def test_no_planted_value_is_sent_written_or_printed(host):
    host.write(shop__py=SHOP, main__py=MAIN, monitors__yaml=MONITORS)
    done = host.run("main.py", "Planted7x", SENTRY_DSN="http://k@127.0.0.1:1/1", SECRET="Planted7x")
    on_disk = b"\n".join(written(host.state))
    printed = [host.agent(*words.split()).stdout for words in ("status", "status --json", "events", "events show last")]
    assert "agent:" not in done.stderr, done.stderr
    assert on_disk.count(b'"event_id"') >= 14
    assert b'"message":"customer {name} of {value}"' in on_disk, "log lines are there"
    assert b"Planted7x" not in on_disk, on_disk[on_disk.find(b"Planted7x") - 300 :][:400]
    for text in printed:
        assert "Planted7x" not in text
    assert "main.py" in printed[0]
