"""A query in a loop, in Django requests and Celery tasks of a real process: one report for each of these."""

import pytest

pytest.importorskip("django")
pytest.importorskip("celery")

MAIN = """
import os, sys
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
def few(request):
    names(20)
    return HttpResponse("few")
def many(request):
    names(60)
    return HttpResponse("many")
urlpatterns = [path("few/", few), path("orders/", many)]
settings.configure(
    SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], INSTALLED_APPS=["django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, MIDDLEWARE=[],
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.contenttypes.models import ContentType
from lookups import names
import celery
app = celery.Celery("shop")
app.conf.task_always_eager = True
@app.task(name="shop.export")
def export(number): names(number)
from django.test import Client
client = Client()
for url in ("/few/", "/few/", "/few/", "/orders/", "/orders/"):
    assert client.get(url).status_code == 200
for number in (20, 20, 20, 60):
    export.delay(number).get()
"""
LOOKUPS = """
from django.contrib.contenttypes.models import ContentType
def names(number):
    for n in range(number):
        list(ContentType.objects.filter(pk=n))
"""
MONITORS = """
version: 1
packs: [{django: {monitors: {django.query: {repeats: 50%s}}}}, celery]
"""


@pytest.mark.parametrize(
    ("interval", "reported"),
    [(", repeat_interval: off", ["/orders/", "/orders/", "shop.export"]), ("", ["/orders/"])],
)
def test_a_query_in_a_loop_is_reported_once_for_each_request_and_task(host, interval, reported):
    """By itself the pack holds what is one issue in Sentry: it is the same loop."""
    host.write(main__py=MAIN, lookups__py=LOOKUPS, monitors__yaml=MONITORS % interval)
    done = host.run("main.py")
    assert "agent:" not in done.stderr, done.stderr
    found = [event for event in host.events() if event["tags"]["erp.report"] == "repeats"]
    assert sorted(event["transaction"] for event in found) == reported
    for event in found:
        facts = event["contexts"]["erp"]["repeats"]
        assert event["logentry"]["formatted"] == "execute ran 51 times in " + event["transaction"]
        assert (facts["times"], facts["limit"]) == (51, 50)
        assert facts["lines"] == [{"file": "lookups.py", "line": 5, "function": "names", "times": 51}]
        assert 0 < facts["share"] <= 1
        assert event["level"] == "warning"
    shown = host.agent("events", found[-1]["event_id"]).stdout
    assert "lookups.py:5, in names: 51 ×" in shown, shown
    for event in found:
        assert "django_content_type" in event["contexts"]["erp"]["captured"]["statement"]
