"""`metrics`: which format a scraper gets, the server, the file for node_exporter, and the agent's own health."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from metrics_kit import Growing, Here, serving
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agent.base.errors import AgentError
from agent.base.health import Health
from agent.cli.main import main
from agent.cli.metrics import negotiation, operations, textfile
from agent.cli.metrics.families import FAMILIES
from agent.cli.metrics.lost import Lost
from agent.cli.metrics.serve import Server
from agent.cli.state import processes
from agent.cli.state.problems import problems
from agent.cli.state.whole import Whole
from agent.config import child
from agent.plan import index, write

ROOT = Path(__file__).parents[2]
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    return Here(str(tmp_path))


# ---------------------------------------------------------------------------------------------------------- negotiation


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PLAIN),  # a browser
        ("image/png", PLAIN),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", OPENMETRICS.replace("1.0.0", "0.0.1")),
        ("application/openmetrics-text; version=2.0.0, text/plain;version=0.0.4;q=0.3", PLAIN),
        # Prometheus 2.42, with and without native histograms; Prometheus 3
        ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5", PROTOBUF),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", OPENMETRICS),
        ("application/vnd.google.protobuf;proto=another;encoding=delimited, text/plain;q=0.1", PLAIN),
        ("application/openmetrics-text;q=0, text/plain;q=0.1", PLAIN),
        ("application/openmetrics-text;q=nonsense,,;=;", PLAIN),
    ],
)  # fmt: skip
def test_a_scraper_gets_the_format_that_it_likes_best(accept, expected):
    assert negotiation.chosen(accept).content_type == expected


# --------------------------------------------------------------------------------------------------------------- server


def ask(server, path="/metrics", method="GET", **headers):
    request = urllib.request.Request(server.url[: -len("/metrics")] + path, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_each_scrape_is_counted_anew():
    growing = Growing()
    with serving(lambda: operations.collect(growing), {"erp": "shop"}) as server:
        bodies = [ask(server, Accept="application/openmetrics-text")[2].decode() for _ in range(2)]
    first, second = (
        {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in body.splitlines()} for body in bodies
    )
    (name,) = [name for name in first if name.startswith("erp_calls_total") and "create_order" in name]
    assert 'erp="shop"' in name
    assert (first[name], second[name]) == ("500", "1000")


def test_large_replies_are_compressed_for_those_who_ask():
    with serving(lambda: operations.collect(Growing())) as server:
        _, headers, packed = ask(server, **{"Accept-Encoding": "gzip"})
        _, plain_headers, plain = ask(server)
    assert headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain_headers
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 5


def test_there_is_one_page_and_two_methods():
    with serving(lambda: operations.collect(Growing())) as server:
        assert ask(server, "/")[0] == 404
        assert b"/metrics" in ask(server, "/")[2]
        assert ask(server, "/metrics?x=1")[0] == 200
        status, headers, body = ask(server, method="HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 1000
        assert ask(server, method="POST")[0] == 501


def test_a_failure_is_reported_to_the_scraper_and_the_next_scrape_succeeds(capsys):
    results = [
        AgentError("the state folder is not yours"),
        ValueError("x\x1b[31m"),
        {"erp_calls": {("m", "o", "n", "k"): 1}},
    ]

    def collect():
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    with serving(collect) as server:
        assert ask(server)[::2] == (500, b"the state folder is not yours\n")
        assert ask(server)[0] == 500
        assert ask(server)[0] == 200
    printed = capsys.readouterr().err
    assert "agent: a scrape failed: the state folder is not yours\n" in printed
    assert "\x1b" not in printed


def test_a_client_that_is_silent_holds_up_nobody_and_is_hung_up_on():
    with serving(lambda: operations.collect(Growing())) as server:
        with socket.create_connection(server.server_address, timeout=30) as silent:
            silent.sendall(b"GET /metrics HT")
            assert ask(server)[0] == 200
        server.deadline = 0.1
        with socket.create_connection(server.server_address, timeout=30) as silent:
            silent.sendall(b"GET /metrics HT")
            assert silent.recv(100) == b""


def test_a_scraper_that_has_gone_is_no_error_and_a_mistake_of_ours_is_one(capsys):
    with Server("127.0.0.1", 0, dict, {}) as server:
        for error in (BrokenPipeError(), ZeroDivisionError("x\ny")):
            try:
                raise error
            except Exception:
                server.handle_error(None, None)
    assert capsys.readouterr().err == "agent: a scrape failed: ZeroDivisionError('x\\ny')\n"


def test_more_clients_than_there_may_be_are_turned_away():
    with serving(lambda: operations.collect(Growing()), deadline=60.0) as server:
        idle = [socket.create_connection(server.server_address, timeout=30) for _ in range(17)]
        assert idle[-1].recv(100) == b""
        for each in idle:
            each.close()
        for _ in range(1000):  # until the threads of the others have noticed
            try:
                status = ask(server)[0]
                break
            except OSError:
                continue
        assert status == 200


def test_an_address_that_is_taken_is_named():
    with (
        serving(dict) as server,
        pytest.raises(AgentError, match=rf"cannot listen on 127.0.0.1 port {server.server_port}: "),
    ):
        Server("127.0.0.1", server.server_port, dict, {})
    with pytest.raises(AgentError, match=r"no-such-host\.invalid"):
        Server("no-such-host.invalid", 1, dict, {})


def test_another_address_is_listened_on_where_it_is_named():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = Server("::1", 0, dict, {})
    except AgentError as error:
        pytest.skip(str(error))
    with server:
        assert server.url == f"http://[::1]:{server.server_port}/metrics"


def run(here, *arguments, **options):
    environment = {**os.environ, "AGENT_CONFIG": here.config, "AGENT_DISABLED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "metrics", *arguments], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def test_the_commands_that_go_on_end_cleanly_at_sigterm(here, tmp_path):
    here.fill()
    folder = tmp_path / "textfile"
    folder.mkdir()
    serve = run(here, "--serve", "0")
    write_ = run(here, "--textfile", str(folder), "--every", "1h")
    url = serve.stdout.readline().split()[1]
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url, timeout=30) as response:
        assert b"erp_agent_lost_total" in response.read()
    line = write_.stdout.readline()
    assert line.endswith(" every 1h until this command is ended.\n")
    for process in (serve, write_):
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0
    (file,) = folder.iterdir()
    assert "erp_agent_info{" in file.read_text()


@pytest.mark.parametrize("options", [["--serve", "0"], ["--textfile", ".", "--every", "1h"]])
def test_ctrl_c_is_the_usual_end_of_the_commands_that_go_on(here, tmp_path, monkeypatch, options):
    def ctrl_c(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(Server, "serve_forever", ctrl_c)
    monkeypatch.setattr("time.sleep", ctrl_c)
    assert main(["metrics", "--config", here.config, *options]) == 0


# ----------------------------------------------------------------------------------------------------- file and options


def test_the_file_may_be_read_by_all_and_is_replaced_whole(here, tmp_path, capsys):
    folder = tmp_path / "textfile"
    folder.mkdir()
    old = os.umask(0o077)
    try:
        assert main(["metrics", "--config", here.config, "--textfile", str(folder)]) == 0
        (file,) = folder.iterdir()
        before = file.stat()
        assert main(["metrics", "--config", here.config, "--textfile", str(folder)]) == 0
    finally:
        os.umask(old)
    assert [each.name for each in folder.iterdir()] == [file.name]
    assert file.name.startswith("erp_agent_")
    assert file.name.endswith(".prom")
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.stat().st_ino != before.st_ino
    assert capsys.readouterr() == ("", "")


def test_a_folder_that_is_missing_or_closed_is_named(here, tmp_path, capsys):
    assert main(["metrics", "--config", here.config, "--textfile", str(tmp_path / "none")]) == 2
    assert "none is no folder: make it, and start node_exporter with" in capsys.readouterr().err
    with pytest.raises(AgentError, match=r"/proc/erp_agent_x.prom cannot be written"):
        textfile.write(textfile.path_in("/proc", "x"), "")


@pytest.mark.parametrize(
    ("arguments", "status", "printed"),
    [
        (["--host", "0.0.0.0"], 2, "--host needs --serve PORT"),
        (["--every", "15s"], 2, "--every needs --textfile DIR"),
        (["--serve", "0", "--format", "prometheus"], 2, "--format is for stdout"),
        (["--every", "soon"], None, "'soon': expected a duration"),
        (["--serve", "70000"], None, "'70000' is not a port"),
        (["--serve", "80", "--textfile", "."], None, "not allowed with argument"),
        (["--label", "erp"], None, "'erp' is not NAME=VALUE"),
        (["--label", "1=2"], None, "is not NAME=VALUE"),
        (["--label", "module=x"], None, "'module' is a label of some metric already"),
        (["--config", "no-such.yaml"], 2, "no-such.yaml: no such file"),
    ],
)
def test_options_that_make_no_sense_are_refused(here, arguments, status, printed, capsys):
    if status is None:
        with pytest.raises(SystemExit):
            main(["metrics", "--config", here.config, *arguments])
    else:
        assert main(["metrics", "--config", here.config, *arguments]) == status
    assert printed in capsys.readouterr().err


def test_what_is_printed_is_openmetrics_with_the_labels_that_were_asked_for(here, capsys):
    here.fill()
    assert main(["metrics", "--config", here.config, "--label", 'erp=a "b"\\', "--label", "site=x"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("note: no monitored call was counted yet")
    families = list(text_string_to_metric_families(printed.out))
    assert len(families) > 10
    for family in families:
        for sample in family.samples:
            assert (sample.labels["erp"], sample.labels["site"]) == ('a "b"\\', "x")
    assert main(["metrics", "--config", here.config, "--format", "prometheus"]) == 0
    assert "# TYPE erp_agent_lost_total counter" in capsys.readouterr().out


# --------------------------------------------------------------------------------------------------------- agent health


def numbers(samples, name):
    return dict(samples[name])


def test_the_health_of_an_agent_is_that_of_its_files(here):
    samples = here.fill().health().collect()
    assert set(samples) == {family.name for family in FAMILIES if family.name.startswith("erp_agent")}
    program = next(iter(samples["erp_agent_processes"]))[0]
    assert numbers(samples, "erp_agent_processes") == {(program, "current"): 1, (program, "older"): 0}
    assert numbers(samples, "erp_agent_functions") == {("patched",): 1, ("waiting",): 0, ("failed",): 1}
    of_status = Counter((problem.severity,) for problem in problems(Whole(here.config)))
    assert numbers(samples, "erp_agent_problems") == {("note",): 0, **of_status} == {
        ("error",): 1, ("warning",): 4, ("note",): 0,
    }  # fmt: skip
    states = {("agent", "waiting"): 1, ("agent", "held"): 1, ("agent", "aside"): 1}
    assert numbers(samples, "erp_agent_spool_envelopes") == states
    assert all(200 < size < 2000 for size in samples["erp_agent_spool_bytes"].values())
    assert numbers(samples, "erp_agent_spool_limit_bytes") == {("agent",): 256_000_000}
    lost = numbers(samples, "erp_agent_lost")
    assert lost.pop(("spool-full",)) == 3
    assert set(lost.values()) == {0}
    (about,) = samples["erp_agent"]
    assert about[2:] == ("test", "shop@2")


def compile_plan(here):
    made = child.compiled(here.config)
    write.store(here.state, index.decode(made, here.config), made)


def test_a_plan_is_current_until_the_file_changes(here):
    health = here.health()
    assert numbers(health.collect(), "erp_agent_plan_current") == {(): 0}
    compile_plan(here)
    samples = here.health().collect()
    assert (samples["erp_agent_plan_current"], samples["erp_agent_plan_monitors"]) == ({(): 1}, {(): 1})
    identity = index.load(here.state, here.config).identity
    process = Health(os.path.join(here.state, "run"), here.config, plan=identity)
    process.record("patched", "order", "shop.order", "")
    process.flush(final=True)
    with open(here.config, "a", encoding="utf-8") as stream:
        stream.write("- {target: shop.cancel, name: cancel}\n")
    samples = here.health().collect()
    assert samples["erp_agent_plan_current"] == {(): 0}
    assert sorted(samples["erp_agent_processes"].values()) == [0, 1]
    assert {plan: number for (_, plan), number in samples["erp_agent_processes"].items()} == {"current": 0, "older": 1}


def test_a_configuration_that_cannot_be_used_is_a_problem_and_no_end(here, capsys):
    Path(here.config).write_text("version: 1\nmonitors: {", encoding="utf-8")
    assert main(["metrics", "--config", here.config]) == 0
    printed = capsys.readouterr().out
    assert 'erp_agent_problems{severity="error"} 1\n' in printed
    assert "erp_agent_spool_envelopes" not in printed


def process(pid, **lost):
    counts = {(reason.replace("_", "-"), "error"): number for reason, number in lost.items()}
    lines = [("process", pid, float(pid), "app", "3.11.7", "", "", {}), ("counts", 0.0, counts)]
    return processes.Process("\n".join(map(repr, lines)))


def test_the_number_of_lost_events_does_not_fall_with_the_files_of_ended_processes(tmp_path):
    first, second = process(1, spool_full=2), process(2, spool_full=5, too_old=1)
    assert Lost(str(tmp_path)).totals([first, second])["spool-full"] == 7
    assert Lost(str(tmp_path)).totals([second])["spool-full"] == 7  # another run of the command
    assert Lost(str(tmp_path)).totals([process(2, spool_full=6), process(3, spool_full=1)])["spool-full"] == 9
    assert Lost(str(tmp_path)).totals([]) == {**dict.fromkeys(processes.LOSSES, 0), "spool-full": 9}


def test_a_damaged_or_missing_memory_of_lost_events_is_no_error(tmp_path):
    (tmp_path / "lost.json").write_text(json.dumps({"x": 1}))
    os.chmod(tmp_path / "lost.json", 0o600)
    lost = Lost(str(tmp_path / "none"))
    assert lost.totals([process(1, too_old=4)])["too-old"] == 4
    assert lost.totals([])["too-old"] == 4  # it could not be written: this object remembers
    assert Lost(str(tmp_path)).totals([process(1, too_old=4)])["too-old"] == 4
