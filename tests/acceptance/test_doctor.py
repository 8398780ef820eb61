"""`doctor` on real installations that are broken: each is found, with what to do, and without a secret."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from host import ROOT
from receiver import Answer, Receiver
from running import Running

from agent.cli.doctor import sentry as sentry_checks
from agent.cli.main import main
from agent.cli.state import other_processes

CONFIG = "version: 1\nmodules: {sales: {}}\nmonitors:\n  - {target: shop.sell, module: sales, name: sell}\n"
IDLE = "print('ready', flush=True)\nimport time; time.sleep(60)\n"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def erp(host, monkeypatch):
    """An installation without a fault, in this process's environment too: `doctor` runs in here."""
    host.write(monitors__yaml=CONFIG, shop__py="def sell(): ...\n", manage__py=IDLE, works__py="import shop\n" + IDLE)
    for name in list(os.environ):
        if name.startswith(("AGENT_", "SENTRY_", "PYTHON")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in host.environment().items():
        if name.startswith(("AGENT_", "PYTHONPATH")):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(sentry_checks, "PAUSE", 0.0)
    every = other_processes.pythons
    mine = lambda *words: (each for each in every(*words) if each.folder.startswith(str(host.folder)))
    monkeypatch.setattr(other_processes, "pythons", mine)  # others run tests on this machine, too
    return host


@pytest.fixture
def doctor(capsys):
    def run(*words, status=None):
        """The findings by slug."""
        ended = main(["doctor", "--json", *map(str, words)])
        out, err = capsys.readouterr()
        assert err == ""
        found = {each["slug"]: each for each in json.loads(out)["findings"]}
        assert len(found) == len(json.loads(out)["findings"]), out
        expected = int(any(each["state"] == "fail" for each in found.values()))
        assert ended == (expected if status is None else status), out
        return found

    return run


def of_process(erp, doctor, *words, program="manage.py", python=sys.executable, **extra):
    with Running(erp, *words, program, python=python, **extra) as running:
        running.wait_for("ready")
        return doctor("--offline", "--pid", running.pid), running.pid


def test_an_installation_without_a_fault(erp, doctor):
    with Running(erp, "works.py") as running, Receiver() as sentry:
        running.wait_for("ready")
        erp.config.write_text(CONFIG + f"sentry: {{dsn: '{sentry.dsn}'}}\n")
        found = doctor("--pid", running.pid, status=0)
    assert {each["slug"] for each in found.values() if each["state"] in ("fail",)} == set()
    assert {"shell-path", "process-watched", "libraries", "sentry-accepted", "clock"} <= set(found)
    (first, second) = sentry.envelopes  # nothing that would appear in Sentry
    assert [headers["type"] for headers, _ in first.items + second.items] == ["client_report"] * 2
    assert json.loads(first.items[0][1])["discarded_events"] == []


@pytest.mark.parametrize(
    ("words", "environment", "slug", "words_of_it"),
    [
        ([], {"PYTHONPATH": "/nowhere"}, "process-without-agent", "set PYTHONPATH="),
        (["-I"], {}, "process-ignores-path", "started with -I"),
        (["-bE", "-S"], {}, "process-ignores-path", "started with -E -S"),
        ([], {"AGENT_DISABLED": "1"}, "process-disabled", "unset it there"),
        ([], {"AGENT_CONFIG": "other.yaml"}, "process-other-configuration", "/host/other.yaml"),
        ([], {}, "process-waiting", "manage.py"),
    ],
)  # fmt: skip
def test_a_process_that_runs_without_the_agent(erp, doctor, words, environment, slug, words_of_it):
    found, pid = of_process(erp, doctor, *words, **environment)
    assert slug in found, found
    one = found[slug]
    assert words_of_it in one["detail"] + one["hint"]
    assert f"manage.py {pid}" in one["detail"]


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_a_sitecustomize_that_comes_first(erp, doctor, monkeypatch, first):
    erp.write(theirs___sitecustomize__py="print('theirs runs')\n")
    theirs = str(erp.folder / "theirs")
    path = [theirs, str(ROOT)] if first == "theirs" else [str(ROOT), theirs]
    found, _ = of_process(erp, doctor, PYTHONPATH=os.pathsep.join(path))
    if first == "ours":
        assert "process-waiting" in found
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
        assert doctor("--offline")["sitecustomize-next"]["detail"] == f"{theirs}/sitecustomize.py"
        return
    one = found["process-shadowed"]
    assert one["state"] == "fail"
    assert f"{theirs}/sitecustomize.py" in one["detail"]
    assert one["hint"] == f"put {ROOT} before its folder in PYTHONPATH: the agent runs the one that it shadows"


def test_opentelemetry_before_the_agent(erp, doctor):
    folder = "opentelemetry/instrumentation/auto_instrumentation"
    erp.write(**{folder.replace("/", "___") + "___sitecustomize__py": ""})
    found, _ = of_process(erp, doctor, PYTHONPATH=f"{erp.folder}/{folder}:{ROOT}")
    assert {"process-shadowed", "neighbour-first"} <= set(found)
    found, _ = of_process(erp, doctor, PYTHONPATH=f"{ROOT}:{erp.folder}/{folder}")
    assert found["neighbour"]["state"] == "ok"


def test_an_environment_without_the_libraries(erp, doctor):
    """Known from what is on the disk: the environment's interpreter is not started, and it has borrowed none."""
    venv = erp.folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    found, _ = of_process(erp, doctor, python=python, program="manage.py", AGENT_DISABLED="1")
    one = found["library-missing"]
    assert (one["state"], one["title"][:14]) == ("fail", "not installed:")
    assert "pyyaml, jsonschema" in one["title"]
    assert f"in {python} (manage.py " in one["detail"]
    assert one["hint"].startswith(f"{python} -m pip install 'pyyaml>=5.4' 'jsonschema>=4.0'")
    assert "libraries" not in found
    (site,) = venv.glob("lib/python3*/site-packages")
    old = site / "jsonschema-3.2.0.dist-info"
    old.mkdir()
    old.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: jsonschema\nVersion: 3.2.0\n")
    found, _ = of_process(erp, doctor, python=python, program="manage.py", AGENT_DISABLED="1")
    assert found["library-unfit"]["title"] == "jsonschema 3.2.0 is installed"
    assert "'jsonschema>=4.0'" in found["library-unfit"]["hint"]


def test_a_package_of_the_erp_that_is_called_agent(erp, doctor):
    erp.folder.joinpath("code", "agent").mkdir(parents=True)
    erp.folder.joinpath("code", "agent", "__init__.py").touch()
    found, _ = of_process(erp, doctor, PYTHONPATH=f"{ROOT}:{erp.folder}/code")
    assert f"{erp.folder}/code/agent/__init__.py" in found["foreign-agent"]["detail"]
    assert "erp-agent" in found["foreign-agent"]["hint"]


def test_a_process_with_an_older_plan_than_the_file(erp, doctor):
    with Running(erp, "works.py") as running:
        running.wait_for("ready")
        assert "plan-in-force" in doctor("--offline", "--pid", running.pid)
        erp.config.write_text(CONFIG + "  - {target: shop.new, module: sales}\n")
        one = doctor("--offline", "--pid", running.pid)["plan-older"]
    assert one["state"] == "warn"
    assert one["title"] == "1 process runs an older plan than the file's"
    assert "python -m agent reload" in one["hint"]


@pytest.mark.parametrize(
    ("text", "slug", "words"),
    [
        (None, "configuration-missing", "python -m agent init"),
        ("version: 1\nmonitors: [{target: shop.sell, threshold: 5 parsecs}]\n", "configuration-invalid", "monitors.yaml:2 [bad-duration]"),
        ("monitors: {\n", "configuration-invalid", "nothing of it counts"),
        (CONFIG + "sentry: {dsn: 'ftp://k@localhost/1'}\n", "configuration-invalid", "validate"),
    ],
)  # fmt: skip
def test_a_configuration_that_does_not_count(erp, doctor, text, slug, words):
    erp.config.unlink() if text is None else erp.config.write_text(text)
    one = doctor("--offline")[slug]
    assert one["state"] == "fail"
    assert words in one["detail"] + one["hint"]


def test_a_state_folder_that_others_may_write(erp, doctor):
    erp.state.mkdir(parents=True)
    erp.state.chmod(0o777)
    one = doctor("--offline")["state-not-own"]
    assert one["detail"].endswith("may be written by other users")


@pytest.fixture
def expired(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "request", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost")  # fmt: skip
    openssl(
        "x509", "-req", "-in", "request", "-signkey", "key", "-days", "-1", "-copy_extensions", "copy", "-out", "made"
    )
    both = tmp_path / "both.pem"
    both.write_text(tmp_path.joinpath("key").read_text() + tmp_path.joinpath("made").read_text())
    return str(both)


def test_a_certificate_that_has_expired_and_one_of_an_unknown_issuer(erp, doctor, expired, monkeypatch):
    with Receiver(certificate=expired) as sentry:
        monkeypatch.setenv("SENTRY_DSN", sentry.dsn)
        one = doctor()["sentry-certificate"]
        assert one["title"] == "the issuer of Sentry's certificate is not trusted"
        assert "SSL_CERT_FILE" in one["hint"]
        monkeypatch.setenv("SSL_CERT_FILE", expired)
        one = doctor()["sentry-certificate"]
        assert one["title"] == "Sentry's certificate has expired"
        assert "renew" in one["hint"]


def test_what_sentry_responds(erp, doctor, monkeypatch):
    with Receiver() as sentry:
        monkeypatch.setenv("SENTRY_DSN", sentry.dsn)
        # The key is looked up after the first response.
        sentry.program(200, 403)
        assert doctor()["sentry-refused"]["detail"].startswith("HTTP 403")
        sentry.program(Answer(429, {"Retry-After": "60"}))
        assert doctor()["sentry-limited"]["state"] == "warn"
        late = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 7200))
        sentry.program(200, Answer(200, {"Date": late}))
        assert "ahead of Sentry's" in doctor()["clock-skew"]["title"]
        before = len(sentry.envelopes)
        one = doctor("--send")["event-accepted"]
        assert sentry.events[-1]["event_id"] in one["detail"]
        assert len(sentry.envelopes) == before + 3
        dsn = sentry.dsn
    monkeypatch.setenv("SENTRY_DSN", dsn)
    assert "refused" in doctor()["sentry-unreachable"]["detail"]
    assert not doctor("--offline").keys() & {"sentry-unreachable", "dsn"}


def test_a_host_and_a_proxy_that_do_not_work(erp, doctor, monkeypatch):
    def unknown(*_, **__):
        raise OSError("no such host")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    monkeypatch.setenv("SENTRY_DSN", f"https://{KEY}@sentry.example/7")
    assert "sentry.example" in doctor()["sentry-unknown-host"]["title"]
    monkeypatch.setenv("HTTPS_PROXY", "gopher://anna:hunter2hunter2@proxy.example:1")
    found = doctor()
    assert "sentry-unknown-host" not in found
    assert found["sentry-proxy"]["detail"] == "gopher://proxy.example, from the *_PROXY variables"
    assert "gopher://" in found["sentry-proxy-unusable"]["detail"]
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("SENTRY_DSN", "https://localhost/7")
    assert doctor()["dsn-invalid"]["title"] == "the DSN has no key before the @"


PLANTED = ("hunter2-in-the-environment", "hunter2-in-the-words", "hunter2-of-the-proxy", "hunter2-in-the-tags", KEY)


def test_nothing_private_is_printed(erp, capsys, monkeypatch):
    environment, words, proxy, tags, key = PLANTED
    home = str(erp.folder)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("DATABASE_PASSWORD", environment)
    monkeypatch.setenv("HTTP_PROXY", f"http://anna:{proxy}@127.0.0.1:9")
    body = f"no project for {key}, {environment}".encode()
    with Receiver(default=Answer(403, body=body)) as sentry:
        dsn = sentry.dsn.replace("public", key)
        erp.config.write_text(CONFIG + f"sentry: {{dsn: '{dsn}', tags: {{a: {tags}}}}}\n")
        extra = {"SECRET_KEY": environment, "HTTP_PROXY": f"http://anna:{proxy}@127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
        with Running(erp, "manage.py", f"--password={words}", **extra) as running:
            running.wait_for("ready")
            for proxied in (False, True):
                monkeypatch.setenv("NO_PROXY", "" if proxied else "127.0.0.1")
                for output in ([], ["--json"]):
                    assert main(["doctor", "--send", "--pid", str(running.pid), *output]) == 1
                    out, err = capsys.readouterr()
                    assert "refuse" in out or "reached" in out
                    assert not [each for each in PLANTED if each in out + err], out
                    assert home not in out
                    assert "key [masked]" in out


def test_a_process_that_does_not_exist(erp, capsys):
    assert main(["doctor", "--pid", "999999999"]) == 2
    assert capsys.readouterr().err == (
        "no Python process has the number 999999999; to look at all processes of the ERP, leave --pid out\n"
    )


def test_it_changes_nothing(erp, doctor):
    before = {path: path.stat().st_mtime_ns for path in erp.folder.parent.rglob("*")}
    doctor("--offline")
    assert {path: path.stat().st_mtime_ns for path in erp.folder.parent.rglob("*")} == before
