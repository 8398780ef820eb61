"""Traces go on through requests and tasks, and profiles come at the rate that is configured."""

import json

import pytest
from acceptance.host import SDKS, sdk_name, with_sdk
from receiver import Receiver

pytest.importorskip("sentry_sdk")
pytestmark = pytest.mark.parametrize("sdk", SDKS, ids=sdk_name)


def sent(host, sdk):
    with Receiver() as sentry:
        done = host.run("main.py", SENTRY_DSN=sentry.dsn, PYTHONPATH=with_sdk(sdk))
        host.agent("spool", "flush", SENTRY_DSN=sentry.dsn)
        assert "agent:" not in done.stderr, done.stderr
        return sentry.transactions, sentry.events, list(sentry.envelopes)


def test_a_task_is_in_the_trace_of_what_published_it(host, sdk):
    pytest.importorskip("celery")
    host.write(
        shop__py=(
            "import celery\napp = celery.Celery('shop', broker='memory://', backend='cache+memory://')\n"
            "@app.task\ndef reserve(sku): return stock(sku)\n"
            "def stock(sku):\n    if sku == 'none': raise ValueError('no stock')\n"
            "def start():\n    reserve.delay('chair').get(timeout=120)\n"
            "    try: reserve.delay('none').get(timeout=120)\n    except ValueError: pass\n"
        ),
        main__py=(
            "import shop, celery.app.trace\nfrom celery.contrib.testing.worker import start_worker\n"
            "with start_worker(shop.app, pool='solo', perform_ping_check=False, loglevel='CRITICAL'):\n    shop.start()\n"
        ),
        monitors__yaml=(
            'version: 1\nsentry: {dsn: "${SENTRY_DSN:-}", traces_sample_rate: 1.0}\nmonitors:\n'
            "  - {target: shop.start, kind: transaction, name: nightly}\n"
            "  - {target: shop.stock, kind: business, process: p, operation: stock}\n"
        ),
    )  # fmt: skip
    transactions, events, _ = sent(host, sdk)
    (nightly,) = [each for each in transactions if each["transaction"] == "nightly"]
    tasks = [each for each in transactions if each["transaction"] == "shop.reserve"]
    assert len(tasks) == 2
    trace = nightly["contexts"]["trace"]["trace_id"]
    published = {nightly["contexts"]["trace"]["span_id"], *(span["span_id"] for span in nightly["spans"])}
    for task in tasks:
        assert task["contexts"]["trace"]["trace_id"] == trace
        assert task["contexts"]["trace"]["parent_span_id"] in published
        (stock,) = [span for span in task["spans"] if span["op"] == "erp.process"]
        assert stock["description"] == "stock"
    (event,) = events
    assert event["tags"]["erp.operation"] == "stock"
    assert event["contexts"]["trace"]["trace_id"] == trace
    assert event["contexts"]["celery"]["task"] == "shop.reserve"


@pytest.mark.parametrize("rate", ["1.0", "0.0"])
def test_a_request_goes_on_with_the_trace_that_it_brings(host, sdk, rate):
    """Where nothing is sampled, errors tell the trace all the same."""
    pytest.importorskip("django")
    host.write(
        shop__py="def f(): raise ValueError('x')\n",
        settings__py="SECRET_KEY = 'x'\nROOT_URLCONF = 'urls'\nALLOWED_HOSTS = ['*']\nINSTALLED_APPS = []\nUSE_TZ = True\n",
        urls__py="import shop\nfrom django.urls import path\nurlpatterns = [path('x/', lambda request: shop.f())]\n",
        main__py=(
            "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\nimport django; django.setup()\n"
            "from django.core.wsgi import get_wsgi_application\nfrom django.test import RequestFactory\n"
            "request = RequestFactory().get('/x/', HTTP_SENTRY_TRACE='a' * 32 + '-' + 'b' * 16 + '-1')\n"
            "answer = get_wsgi_application()(request.environ, lambda *_: None); list(answer); answer.close()\n"
        ),
        monitors__yaml=(
            f'version: 1\nsentry: {{dsn: "${{SENTRY_DSN:-}}", traces_sample_rate: {rate}}}\n'
            "monitors: [{target: shop.f, operation: f}]\n"
        ),
    )  # fmt: skip
    transactions, (event,), _ = sent(host, sdk)
    if rate == "1.0":
        (transaction,) = transactions
        assert transaction["contexts"]["trace"]["trace_id"] == "a" * 32
        assert transaction["contexts"]["trace"]["parent_span_id"] == "b" * 16
        assert "f" in {span.get("description") for span in transaction["spans"]}
    else:
        assert transactions == []
    if rate == "1.0" or sdk is None:
        assert event["contexts"]["trace"]["trace_id"] == "a" * 32


@pytest.mark.parametrize("rate", ["1.0", "0.0"])
def test_profiles_come_at_their_rate(host, sdk, rate):
    host.write(
        shop__py="def start(): return sum(busy(n) for n in range(600))\ndef busy(n): return sum(range(20_000))\n",
        main__py="import shop\nshop.start()\n",
        monitors__yaml=(
            f'version: 1\nsentry: {{dsn: "${{SENTRY_DSN:-}}", traces_sample_rate: 1.0, profiles_sample_rate: {rate}}}\n'
            "monitors: [{target: shop.start, kind: transaction, name: nightly}]\n"
        ),
    )  # fmt: skip
    (transaction,), _, envelopes = sent(host, sdk)
    profiles = [json.loads(p) for e in envelopes for h, p in e.items if h["type"] == "profile"]
    if rate == "0.0":
        assert profiles == []
        return
    (profile,) = profiles
    of = profile["transaction"]
    assert (of["id"], of["name"]) == (transaction["event_id"], "nightly")
    assert {"busy", "start"} <= {frame["function"] for frame in profile["profile"]["frames"]}
