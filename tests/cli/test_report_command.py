"""`report`: the file that it writes, and the server of the live page."""

import http.client
import os
import re
import socket
import stat
import threading
from contextlib import contextmanager

import pytest

from agent.base.errors import AgentError
from agent.cli.main import main
from agent.cli.report import command, server


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "monitors.yaml").write_text("version: 1\nmonitors: []\n")
    monkeypatch.setenv("AGENT_CONFIG", str(tmp_path / "monitors.yaml"))
    monkeypatch.setenv("AGENT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---------------------------------------------------------------------------------------------------------- the file


def test_a_report_is_written_for_its_owner_alone(place, capsys):
    assert main(["report"]) == 0
    out, err = capsys.readouterr()
    (file,) = place.glob("erp-report-*.html")
    assert re.fullmatch(r"erp-report-\d{8}-\d{4}\.html", file.name)
    assert (out, err) == (f"wrote {file.name} ({len(file.read_bytes()) // 1000} kB)\n", "")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("<!doctype html>")
    assert 'data-live=""' in file.read_text()
    assert len(file.read_bytes()) < 120_000


def test_a_report_takes_the_place_of_an_older_one(place, capsys):
    target = place / "report.html"
    target.write_text("older")
    target.chmod(0o644)
    (place / "link.html").symlink_to(target)
    assert main(["report", "--output", str(target), "--since", "90m", "--module", "sales"]) == 0
    text = target.read_text()
    assert "the last 90 minutes" in text
    assert "module sales" in text
    assert target.stat().st_mode & 0o777 == 0o644  # a web server may read it
    assert main(["report", "--output", "link.html"]) == 0
    assert "the last 24 hours" in target.read_text()
    assert (place / "link.html").is_symlink()
    assert [path.name for path in place.glob("report*")] == ["report.html"]


def test_what_is_no_file_is_written_to(place):
    os.mkfifo(place / "pipe")
    read = []
    thread = threading.Thread(target=lambda: read.append((place / "pipe").read_text()))
    thread.start()
    assert main(["report", "--output", "pipe"]) == 0
    thread.join()
    assert read[0].endswith("</html>\n")
    assert stat.S_ISFIFO((place / "pipe").stat().st_mode)


def test_a_module_that_is_not_there_is_no_empty_report(place, capsys):
    (place / "monitors.yaml").write_text(
        "version: 1\nmodules: {sales: {}, hr: {}}\nmonitors:\n"
        "  - {target: json.dumps, module: sales, operation: a}\n  - {target: json.loads, module: hr, operation: b}\n"
    )
    assert main(["report", "--module", "sale"]) == 2
    assert "there is no module 'sale'; the configuration has hr, sales" in capsys.readouterr().err
    assert main(["report", "--module", "sales"]) == 0


def test_a_report_may_go_to_stdout(place, capsys):
    assert main(["report", "--output", "-"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("<!doctype html>")
    assert out.endswith("</html>\n")
    assert err == ""
    assert not list(place.glob("*.html"))


def test_a_browser_opens_the_file(place, monkeypatch):
    opened = []
    monkeypatch.setattr(command.webbrowser, "open", opened.append)
    assert main(["report", "--output", "a b.html", "--open"]) == 0
    assert opened == [f"file://{place}/a%20b.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since yesterday: "),
        (["--since", "10s"], "--since 10s: the history has figures of one minute to 90 days"),
        (["--output", "no/such/folder.html"], "no/such/folder.html cannot be written: No such file or directory; name another file with --output"),
        (["--serve", "--output", "x"], "--serve writes no file"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_stated(place, capsys, arguments, message):
    assert main(["report", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(place.glob("*.html"))


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_a_port_is_a_number(place, capsys, port):
    with pytest.raises(SystemExit) as stop:
        main(["report", f"--serve={port}"])
    assert stop.value.code == 2
    assert "is not a port" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------- the server


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@contextmanager
def serving(make=lambda live: f"<p>{live}</p>", clock=None):
    with server.Server(make, 0, clock or Clock()) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(made, path=None, host=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", made.server_port, timeout=30)
    connection.request(method, made.path if path is None else path, headers={"Host": host} if host else {})
    with connection.getresponse() as response:
        return response.status, response.read().decode(), response.headers


def test_the_page_is_for_whoever_was_given_its_address():
    with serving() as made:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{22}/", made.address)
        status, text, headers = ask(made)
        assert (status, text) == (200, "<p>5.0</p>")
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        for path in ("/", "/favicon.ico", made.path[:-2] + "/", made.path + "x", "/%ff"):
            assert ask(made, path)[0] == 404
        assert ask(made, method="POST")[0] == 501


def test_other_hosts_are_refused():
    """A page of another site may resolve its name to the loopback, and the browser then sends that name."""
    with serving() as made:
        assert ask(made, host=f"localhost:{made.server_port}")[0] == 200
        for host in (
            "evil.example",
            f"evil.example:{made.server_port}",
            "127.0.0.1",
            "localhost:1",
            f"127.0.0.1.evil.example:{made.server_port}",
        ):
            status, text, _ = ask(made, host=host)
            assert (status, "127.0.0.1 and localhost only" in text) == (403, True), host


def test_only_the_loopback_is_listened_on():
    with serving() as made:
        assert made.socket.getsockname()[0] == "127.0.0.1"


def test_nothing_is_kept_and_nobody_frames_it():
    with serving() as made:
        for path in (made.path, "/"):
            _, _, headers = ask(made, path)
            assert headers["Cache-Control"] == "no-store"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "connect-src 'self'" in headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert "Python" not in headers["Server"]


def test_who_asks_at_once_gets_one_page():
    clock, made_pages = Clock(), []

    def make(live):
        made_pages.append(live)
        return str(len(made_pages))

    with serving(make, clock) as made:
        assert [ask(made)[1] for _ in range(3)] == ["1", "1", "1"]
        clock.now += 2.5
        assert ask(made)[1] == "2"


def test_a_page_that_takes_long_is_made_less_often():
    clock, made_pages = Clock(), []

    def make(live):
        made_pages.append(live)
        clock.now += 3
        return str(len(made_pages))

    with serving(make, clock) as made:
        assert ask(made)[1] == "1"
        clock.now += 11
        assert ask(made)[1] == "1"
        clock.now += 1
        assert ask(made)[1] == "2"


def test_a_page_that_cannot_be_made_is_an_error_and_not_the_last_page():
    clock, outcomes = Clock(), ["page", AgentError("the spool cannot be read"), "page again"]

    def make(live):
        outcome = outcomes.pop(0)
        if isinstance(outcome, AgentError):
            raise outcome
        return outcome

    with serving(make, clock) as made:
        replies = []
        for _ in range(3):
            replies.append(ask(made)[:2])
            clock.now += 3
        assert replies == [(200, "page"), (503, "the spool cannot be read\n"), (200, "page again")]


def test_a_port_that_is_taken_is_named(place, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["report", "--serve", str(port)]) == 2
    assert (
        f"cannot listen on 127.0.0.1 port {port}: [Errno 98] Address already in use; name another one with --serve PORT"
        in capsys.readouterr().err
    )


def test_the_live_page_ends_with_ctrl_c(place, capsys, monkeypatch):
    opened = []

    def interrupted(self, poll_interval=0.5):
        assert 'data-live="5"' in self.page()
        raise KeyboardInterrupt

    monkeypatch.setattr(server.webbrowser, "open", opened.append)
    monkeypatch.setattr(server.Server, "serve_forever", interrupted)
    assert main(["report", "--serve", "0", "--open"]) == 0
    out, err = capsys.readouterr()
    (address,) = opened
    assert out == ""
    assert err == f"the report is at {address} until Ctrl-C; for this machine and whoever has this address\nstopped\n"


def test_the_plots_are_the_release_that_is_stated():
    folder = os.path.join(os.path.dirname(command.__file__), "uplot")
    with open(os.path.join(folder, "uPlot.iife.min.js"), encoding="utf-8") as file:
        first = file.readline()
    with open(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "Makefile"), encoding="utf-8") as file:
        assert f"(v{re.search(r'^UPLOT *= *(.+)$', file.read(), re.M)[1]})" in first
    assert "MIT License" in open(os.path.join(folder, "LICENSE"), encoding="utf-8").read()
