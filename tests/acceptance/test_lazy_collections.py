"""Rules and captures about QuerySets of Django: those that ask for more than is loaded have no value, and run no query."""

import pytest
from acceptance import djangohost
from acceptance.host import Host

pytest.importorskip("django")

MONITORS = """
version: 1
modules: {sales: {}}
monitors:
  - target: shop.services.customers
    module: sales
    rules: [{when: not result, message: Nobody, severity: info}, {when: result is None, message: Nothing}]
  - target: shop.services.loaded
    module: sales
    capture: {number: len(result)}
    rules: [{when: not result, message: Nobody, severity: info}]
  - target: shop.services.asked
    module: sales
    audit: true
    capture: {number: len(result), first: "result[0]", shown: str(result), others: result.query.distinct}
"""
SERVICES = """
from django.contrib.auth.models import User
def customers(): return User.objects.filter(is_active=True)
def loaded():
    found = User.objects.filter(is_active=False)
    list(found)
    return found
def asked(): return User.objects.all()
"""
MAIN = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from django.contrib.auth.models import User
from shop import services
found = services.customers()
User.objects.create_user("anna")
print(found._result_cache is None and len(found))
services.loaded(), services.asked()
"""


def test_no_query_is_run_for_a_rule_or_a_capture(tmp_path):
    host = Host(tmp_path)
    djangohost.write(host, monitors=MONITORS)
    host.write(shop___services__py=SERVICES, main__py=MAIN)
    djangohost.migrate(host)
    database, statements = host.folder / "db.sqlite3", []
    empty = database.read_bytes()
    for agent in (False, True):
        database.write_bytes(empty)
        log = tmp_path / f"statements-{agent}"
        assert host.run("main.py", agent=agent, SQL_LOG=str(log)).stdout == "1\n"
        statements.append([line.split(") ", 1)[1].partition(" VALUES")[0] for line in log.read_text().splitlines()])
    assert statements[0] == statements[1]
    by_operation = {event["tags"]["erp.operation"]: event for event in host.events()}
    assert {"loaded", "asked"} == set(by_operation)
    assert by_operation["loaded"]["contexts"]["erp"]["captured"]["number"] == 0
    asked = by_operation["asked"]["contexts"]
    assert asked["erp"]["captured"]["others"] is False
    assert set(asked["erp"]["capture_failed"]) == {"number", "first", "shown"}
    shown = host.agent("status", "--all").stdout
    why = "the truth of django.db.models.query.QuerySet may take a query, which no expression runs"
    assert f"when not result: failed 1 time, last: TypeError: {why}" in " ".join(shown.split())
