"""What `metrics` exposes, read by a real Prometheus and a real node_exporter; the dashboard and the alerts that ship."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

import pytest
from acceptance.running import get
from acceptance.services import missing, run_node_exporter, run_prometheus
from metrics_kit import SALES, STEP, STOCK, Here, serving

from agent.cli.metrics import families, text, textfile
from agent.measure import layout

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "docs" / "grafana" / "erp.json"
ALERTS = ROOT / "docs" / "prometheus" / "alerts.yml"
ALERTS_TEST = ROOT / "tests" / "prometheus" / "alerts_test.yml"
RATE = "1m"  # more than any pause between scrapes here, on a busy machine
_SCRAPES = 4
CONFIGURATION = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1h}}
scrape_configs:
- {{job_name: erp, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


class Prometheus:
    def __init__(self, port: int) -> None:
        self._port = port
        self._at: "dict[str, float]" = {}  # what `time` a query is for: none is now

    def get(self, path: str, **parameters):
        status, answer = get(self._port, f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        assert status == 200, (parameters, answer)
        return json.loads(answer)["data"]

    def query(self, expression: str):
        """Return the labels and the value of each series."""
        found = self.get("query", query=expression, **self._at)["result"]
        return [(row["metric"], row["histogram"][1] if "histogram" in row else float(row["value"][1])) for row in found]

    def value(self, expression: str) -> float:
        ((_, value),) = self.query(expression)
        return value

    def wait(self) -> Prometheus:
        """Until some scrapes were made. Every query is then for the time of the last: a later one may time out."""
        until = time.monotonic() + 60
        while not (found := self.query(f"timestamp(up) and up == 1 and sum_over_time(up[5m]) >= {_SCRAPES}")):
            assert time.monotonic() < until, self.get("targets")
            time.sleep(0.05)
        self._at = {"time": found[0][1]}
        return self


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("erp")
        patch.setenv("AGENT_STATE_DIR", str(folder / "state"))
        yield Here(str(folder)).fill()


@contextmanager
def scraping(here, folder, *options):
    with serving(here.collector()) as server:
        with run_prometheus(str(folder), CONFIGURATION.format(port=server.server_port), *options) as port:
            yield Prometheus(port)


@pytest.fixture(scope="module", autouse=True)
def started(here, tmp_path_factory):
    """A Prometheus that asks for text, and one that asks for protobuf. Five seconds pass before their first scrape."""
    first, second = tmp_path_factory.mktemp("text"), tmp_path_factory.mktemp("protobuf")
    with scraping(here, first) as reading_text, scraping(here, second, "--enable-feature=native-histograms") as native:
        yield reading_text, native


@pytest.fixture(scope="module")
def servers(started):
    return [each.wait() for each in started]


def selector(key) -> str:
    return f'operation="{key.operation}"'


def of(operation) -> object:
    return sum((counts for key, counts in STEP.items() if key.operation == operation), type(STEP[SALES[0]])())


@pytest.fixture(scope="module")
def prometheus(servers):
    return servers[0]


@pytest.fixture(scope="module")
def native(servers):
    return servers[1]


def dashboards_queries():
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    found = [(panel["title"], each["expr"]) for panel in panels for each in panel.get("targets", ())]
    return [
        (title, re.sub(r"\$(instance|module|operation)\b", ".*", expr).replace("$__rate_interval", RATE))
        for title, expr in found
    ]


SHOP = """
def order(customer):
    if customer % 10 == 0: raise ValueError("no lines")
    if customer % 10 == 1: raise KeyError("on hold")
    return customer
"""
MONITORS = """
version: 1
sentry: {environment: test, release: shop@3}
modules: {sales: {}}
monitors:
  - {target: shop.order, name: orders, module: sales, operation: create_order, expect: [KeyError]}
"""
CALLS = """
import os, shop, signal
for n in range(100):
    try: shop.order(n)
    except (ValueError, KeyError): pass
print("done", flush=True)
if os.environ.get("KILLED"): os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_processes_counted_is_exposed_exactly(host):
    """Of one that ended, and of one that was killed."""
    host.write(shop__py=SHOP, monitors__yaml=MONITORS, main__py=CALLS)
    host.run("main.py")
    assert host.run("main.py", check=False, KILLED="1").returncode == -9
    done = host.agent("metrics", "--label", "erp=shop")
    assert (done.returncode, done.stderr) == (0, "")
    exposed = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in done.stdout.splitlines()}
    labels = 'erp="shop",module="sales",operation="create_order",monitor="orders",kind="function"'
    assert exposed[f"erp_calls_total{{{labels}}}"] == "200"
    assert exposed[f'erp_failures_total{{{labels},severity="error"}}'] == "20"
    assert exposed[f"erp_expected_total{{{labels}}}"] == "20"
    assert exposed['erp_release_calls_total{erp="shop",module="sales",release="shop@3"}'] == "200"
    assert (
        exposed[f'erp_call_duration_seconds_bucket{{{labels},le="+Inf"}}']
        == exposed[f"erp_call_duration_seconds_count{{{labels}}}"]
    )
    # Again in the other format, and from a server: what is read does not change it.
    again = host.agent("metrics", "--format", "prometheus", "--label", "erp=shop").stdout
    assert f"erp_calls_total{{{labels}}} 200\n" in again
    promtool("check", "metrics", given=again)


def promtool(*arguments: str, given: str = "") -> str:
    program = shutil.which("promtool") or missing("promtool")
    done = subprocess.run([program, *arguments], input=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_has_no_complaint(here, tmp_path):
    assert promtool("check", "metrics", given=text.prometheus(here.collector()())) == ""
    promtool("check", "rules", str(ALERTS))
    assert "SUCCESS" in promtool("test", "rules", str(ALERTS_TEST))
    rules = [{"record": f"panel:{number}", "expr": expr} for number, (_, expr) in enumerate(dashboards_queries())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))


def test_every_metric_of_an_alert_exists():
    known = {family.sample for family in families.FAMILIES} | {"erp_call_duration_seconds_bucket"}
    for file in (ALERTS, DASHBOARD):
        named = set(re.findall(r"\berp_\w+(?=[{)\[ ,])(?!\[\^)", file.read_text(encoding="utf-8")))
        assert len(named) > 5
        assert named <= known, (file, named - known)


def test_node_exporter_reads_the_file(here, tmp_path):
    samples = here.collector()()
    textfile.write(textfile.path_in(str(tmp_path), "erp-1234"), text.prometheus(samples, {"erp": "shop"}))
    with run_node_exporter(str(tmp_path)) as port:
        status, exposed = get(port, "/metrics")
    assert status == 200
    assert "node_textfile_scrape_error 0" in exposed
    written = (tmp_path / "erp_agent_erp-1234.prom").read_text()
    ours = {line for line in written.splitlines() if not line.startswith("#")}
    assert {line for line in exposed.splitlines() if line.startswith("erp_calls_total")} == {
        re.sub(r"{(.*)}", lambda found: "{" + ",".join(sorted(found[1].split(","))) + "}", line)
        for line in ours
        if line.startswith("erp_calls_total")
    }
    assert exposed.count("\nerp_") == len(ours)


@pytest.mark.parametrize("which", [0, 1], ids=["text", "protobuf"])
def test_prometheus_has_what_was_counted(servers, which):
    prometheus = servers[which]
    sales = STEP[SALES[0]]
    steps = prometheus.query(f"erp_calls_total{{{selector(SALES[0])}}} / {sales.calls}")[0][1]
    assert steps >= _SCRAPES, steps
    assert steps == int(steps)
    for expression, share in {
        f"sum(rate(erp_failures_total{{module='sales'}}[{RATE}])) / sum(rate(erp_calls_total{{module='sales'}}[{RATE}]))": (
            sales.failures / (sales.calls + STEP[SALES[1]].calls)
        ),
        f"rate(erp_slow_total{{{selector(SALES[0])}}}[{RATE}]) / rate(erp_calls_total{{{selector(SALES[0])}}}[{RATE}])": (
            sales.slow / sales.calls
        ),
        # Both releases of an operation are one series…
        f"sum(rate(erp_calls_total{{module='inventory'}}[{RATE}])) / sum(rate(erp_calls_total{{module='sales'}}[{RATE}]))": (
            sum(STEP[key].calls for key in STOCK) / sum(STEP[key].calls for key in SALES)
        ),
        # …and a series each where releases are compared.
        f"sum(rate(erp_release_calls_total{{release='shop@2'}}[{RATE}])) / sum(rate(erp_release_calls_total[{RATE}]))": (
            STEP[STOCK[1]].calls / sum(counts.calls for counts in STEP.values())
        ),
    }.items():
        assert prometheus.value(expression) == pytest.approx(share, rel=1e-6), expression
    assert {
        (row["severity"], value / steps)
        for row, value in prometheus.query(f"erp_failures_total{{{selector(SALES[0])}}}")
    } == {(severity, 3.0) for severity in layout.SEVERITIES}


def test_quantiles_are_those_of_our_own_within_a_bucket(prometheus, native):
    for key in (*SALES, STOCK[0]):
        counts = of(key.operation)
        for share in (0.5, 0.95, 0.99):
            ours = counts.quantile(share)
            rate = f"rate(erp_call_duration_seconds_bucket{{{selector(key)}}}[{RATE}])"
            theirs = prometheus.value(f"histogram_quantile({share}, sum by (le) ({rate}))")
            bounds = [0.0, *map(layout.bound, text.EXPOSED), float("inf")]
            assert sum(low < ours <= high and low < theirs <= high for low, high in zip(bounds, bounds[1:])) == 1, (
                ours,
                theirs,
            )
            theirs = native.value(
                f"histogram_quantile({share}, sum(rate(erp_call_duration_seconds{{{selector(key)}}}[{RATE}])))"
            )
            assert ours / 2**0.5 < theirs < ours * 2**0.5, (ours, theirs)


def test_a_native_histogram_has_every_bucket_and_no_other(native):
    ((_, found),) = native.query(f"erp_call_duration_seconds{{{selector(SALES[0])}}}")
    counts = STEP[SALES[0]]
    steps = native.value(f"erp_calls_total{{{selector(SALES[0])}}}") / counts.calls
    assert [(float(high), int(number) / steps) for _, _, high, number in found["buckets"]] == [
        (pytest.approx(layout.bound(bucket)), number) for bucket, number in enumerate(counts.buckets) if number
    ]
    assert float(found["sum"]) / steps == pytest.approx(counts.total)


def test_each_query_of_the_dashboard_finds_something(prometheus, native):
    queries = dashboards_queries()
    assert len(queries) > 30
    for title, expression in queries:
        assert "$" not in expression
        assert prometheus.query(expression), (title, expression)
        if "_bucket" not in expression or " or " in expression:
            assert native.query(expression), (title, expression)


def test_the_dashboards_variables_have_values(prometheus):
    variables = json.loads(DASHBOARD.read_text(encoding="utf-8"))["templating"]["list"]
    values = {}
    for variable in variables[1:]:
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
        values[variable["name"]] = {row[label] for row, _ in prometheus.query(re.sub(r"\$\w+", ".*", series))}
    assert values["module"] == {"sales", "inventory"}
    assert values["operation"] == {"create_order", "invoice", "reserve"}
    assert len(values["instance"]) == 1
