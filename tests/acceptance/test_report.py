"""The page of `report` in a real Chromium: what a person, a screen reader and an attacker can do with it."""

import json
import signal

import pytest
from acceptance.browser import chromium
from acceptance.running import Running
from acceptance.services import missing
from host import ROOT, Host

HOSTILE = "</script><img src=x onerror=alert(1)>"
CONFIG = f"""version: 1
modules: {{sales: {{owner: sales-team}}, hr: {{owner: "<b>people</b>"}}, accounts: {{}}}}
sentry: {{environment: production, release: "2.1", user: [id], traces: {{keep_slow: 5ms}}}}
monitors:
  - {{target: erp.order, module: sales, operation: {json.dumps(HOSTILE)}, threshold: 10s}}
  - {{target: erp.close, module: sales, operation: close_day, threshold: 1ms}}
  - {{target: erp.post, module: hr, operation: post, threshold: 1ms}}
  - {{target: erp.night, kind: transaction, name: {json.dumps(HOSTILE)}, metrics: off}}
  - {{target: erp.step, metrics: off, threshold: off}}
  - {{target: erp.sign_in, module: accounts, kind: security, name: sign_in, event_type: signed_in, audit: info}}
"""
ERP = f"""
import time
def order(number):
    if number % 3 == 0: raise ValueError({HOSTILE!r})
def post(): time.sleep(0.004)
def close(): post(); post(); time.sleep(0.003)
def sign_in(): return True
def step(number): time.sleep(0.002)
def night():
    for number in range(5): step(number)
"""
DAY = """
import erp
for number in range(30):
    try: erp.order(number)
    except ValueError: pass
erp.close(); erp.close(); erp.sign_in()
erp.night()
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """An ERP that has run for a moment."""
    made = Host(tmp_path_factory.mktemp("report"))
    made.write(monitors__yaml=CONFIG, erp__py=ERP, day__py=DAY)
    made.run("day.py")
    return made


@pytest.fixture(scope="module")
def file(shop):
    target = shop.folder / "report.html"
    done = shop.agent("report", "--output", str(target))
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def browser():
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def axe():
    """The rules of axe-core; `make axe` fetches it."""
    path = ROOT / "var" / "axe" / "package" / "axe.min.js"
    return path.read_text(encoding="utf-8") if path.exists() else missing("axe-core (make axe)")


def violations(page, axe: str) -> "list[str]":
    result = "r.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html).join(', ').slice(0, 500)}`)"
    return page.evaluate(f"{axe}; axe.run({{resultTypes: ['violations']}}).then(r => {result})")


def come_back(page, until: str) -> None:
    """Look away from the page and at it again, at which it renews itself, until an expression is true."""
    page.evaluate(f"""new Promise(done => {{
        const look = () => {until} ? done() : document.dispatchEvent(new Event("visibilitychange"));
        setInterval(look, 100);
    }})""")


#: How many pixels of a chart have the colour of its line.
PIXELS = """(() => {{
    const numbers = (context, width, height) => [...context.getImageData(0, 0, width, height).data];
    const one = document.createElement("canvas").getContext("2d");
    one.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    one.fillRect(0, 0, 1, 1);
    const accent = numbers(one, 1, 1).join();
    const canvas = document.querySelector("#{0} canvas");
    const all = numbers(canvas.getContext("2d"), canvas.width, canvas.height);
    return all.filter((_, at) => at % 4 === 0 && all.slice(at, at + 4).join() === accent).length;
}})()"""


def texts(page, selector: str) -> "list[str]":
    return page.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(each => each.innerText.trim())")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)])
def test_the_page_is_whole_quiet_and_accessible(file, browser, axe, width, dark):
    page = browser.open(file.as_uri(), width, dark=dark)
    assert texts(page, "h1") == ["■ Errors in sales"]
    assert page.requested() == [file.as_uri()]
    assert page.evaluate("document.querySelectorAll('.plot canvas').length") == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert violations(page, axe) == []
    assert page.complaints() == []
    if dark:  # once: what is wrong is found
        page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=\"data:,\">')")
        assert violations(page, axe)


def test_the_page_shows_what_happened(file, browser):
    page = browser.open(file.as_uri())
    numbers = {row[0]: row[1:] for row in page.evaluate(
        "[...document.querySelectorAll('#operations tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    )}  # fmt: skip
    assert numbers[f"sales {HOSTILE}"][:4] == ["function", "30", "10", "33.3 %"]
    assert numbers["sales close_day"][1:5] == ["2", "0", "0 %", "100 %"]
    assert numbers["hr post"][1] == "4"
    assert any(text.startswith("sales close_day") and "post" in text for text in texts(page, "#slow h3 ~ div tbody tr"))
    assert HOSTILE in texts(page, ".traces summary")[0]
    page.evaluate("document.querySelector('.traces details').open = true")
    assert [row.split("\t")[-1] for row in texts(page, ".waterfall tbody tr")] == ["5 × function step"]
    assert [text.split("\n")[0] for text in texts(page, ".tile h3")] == ["sales", "hr", "accounts"]
    assert "owner <b>people</b>" in texts(page, ".owner")
    assert any(HOSTILE in text for text in texts(page, ".issues summary"))
    page.evaluate("document.querySelector('.issues details').open = true")
    assert f"ValueError: {HOSTILE}" in texts(page, ".issues pre")[0]
    assert texts(page, "#people .columns > :last-child tbody tr")[0].startswith("signed_in\t1\t1")
    assert page.evaluate("document.images.length") == 0
    for plot in ("plot-failures", "plot-p95"):
        assert page.evaluate(PIXELS.format(plot)) > 15, "the one slot with calls is a point"


def test_the_policy_of_the_page_stops_what_would_get_through(file, browser):
    page = browser.open(file.as_uri())
    page.evaluate("""(() => {
        const script = document.createElement("script");
        script.textContent = "window.obeyed = 1";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", '<img src="http://127.0.0.1:9/x" onerror="window.obeyed = 2">');
        return fetch("http://127.0.0.1:9/y").catch(() => 0);
    })()""")
    assert page.evaluate("window.obeyed") is None
    refused = page.complaints()
    assert len([text for text in refused if "Content Security Policy" in text]) >= 3, refused


def test_keys_do_what_the_mouse_does(file, browser):
    page = browser.open(file.as_uri())
    page.evaluate("document.getElementById('plot-failures').focus()")
    before = texts(page, "#readout")
    page.press("End")
    (last,) = texts(page, "#readout")
    assert "all modules: 37 calls, 10 failed (27.0 %)" in last
    assert last not in before
    page.press("ArrowLeft")
    assert "no call" in texts(page, "#readout")[0]
    page.evaluate("const m = document.getElementById('module'); m.value = 'hr'; m.dispatchEvent(new Event('change'))")
    page.evaluate("document.getElementById('slots').open = true")
    assert texts(page, "#slots caption") == ["Hr, 15 minutes a row"]
    assert texts(page, "#slots tbody tr:last-child td")[:2] == ["4", "0"]

    page.evaluate("document.querySelector('#operations th:nth-child(3) .sort').focus()")
    for order in ("descending", "ascending"):
        page.press("Enter")
        assert page.evaluate("document.querySelector('#operations th:nth-child(3)').ariaSort") == order
        calls = [int(text) for text in texts(page, "#operations tbody td:nth-child(3)")]
        assert calls == sorted(calls, reverse=order == "descending")

    page.evaluate("document.querySelector('.figures a[href=\"#term-quantile\"]').focus()")
    assert "of 100 calls did not exceed" in texts(page, "#tip")[0]
    page.press("Escape")
    assert page.evaluate("document.getElementById('tip').hidden")
    assert page.complaints() == []


def test_times_are_those_of_the_erps_machine_wherever_it_is_read(file, browser):
    page = browser.open("about:blank")
    page.call("Emulation.setTimezoneOverride", timezoneId="Asia/Kathmandu")
    page.go(file.as_uri())
    page.evaluate("document.getElementById('slots').open = true; document.getElementById('plot-p95').focus()")
    page.press("End")
    last = texts(page, "#slots tbody tr:last-child th")[0]
    assert texts(page, "#readout")[0].startswith(last + " ")


def test_without_scripts_and_on_paper_it_is_all_there(file, browser):
    page = browser.open(file.as_uri(), script=False)
    assert page.call("DOM.getDocument", depth=-1)["root"]["children"]
    shown = page.call("Accessibility.getFullAXTree")["nodes"]
    names = {each.get("name", {}).get("value") for each in shown if not each.get("ignored")}
    assert {"Operations, those with the most failures first", "Issues", "33.3 %", "The numbers over time"} <= names
    assert "Module" not in names  # what needs a script is not offered
    assert browser.open(file.as_uri(), dark=True).pdf().startswith(b"%PDF")


def test_the_live_page_follows(shop, browser):
    with Running(shop, "-m", "agent", "report", "--serve", "0", PYTHONPATH=str(ROOT)) as server:
        (address,) = server.wait_for(r"http://127\.0\.0\.1:\d+/\S+/")
        page = browser.open(address)
        assert texts(page, ".figures dd")[0].startswith("37")
        shop.run("day.py")
        come_back(page, "document.querySelector('.figures dd').innerText.startsWith('74')")
        page.evaluate("document.getElementById('plot-failures').focus()")
        page.press("End")
        assert "all modules: 74 calls" in texts(page, "#readout")[0]
        assert page.complaints() == []
        assert server.stop(signal.SIGINT) == 0
        assert server.printed.endswith("stopped\n")
        assert "Traceback" not in server.printed
        come_back(page, "document.getElementById('live').className === 'lost'")
        assert "no new data" in texts(page, "#live")[0]
