"""Processes that change their user: what root starts, and what becomes of it as somebody else. Root's to try."""

import os
import pwd
import shutil
import signal
import sys
import sysconfig
import tempfile
import textwrap
from pathlib import Path

import pytest
from acceptance.host import READABLE_BY_OTHERS, ROOT, Host, readable_python
from acceptance.running import Running, get, wait_until
from acceptance.services import UWSGI_MASTER, free_port
from receiver import Receiver

from agent.base import places

#: Tests that run side by side have users of their own; nobody has to know them.
USER = 54321 + int("0" + os.environ.get("PYTEST_XDIST_WORKER", "").strip("gw"))
SHARED = f"{places.SHARED}{USER}"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    READABLE_BY_OTHERS,
]

SHOP = "def f(x=1):\n    if x > 5: raise ValueError(x)\n    return x\n"
GOOD = "version: 1\nmodules: {m: {description: M}}\nmonitors:\n  - {target: shop.f, module: m, operation: op}\n"
CALL = "try: shop.f(9)\nexcept ValueError: pass\n"
BECOME = f"import os\nos.setgroups([])\nos.setgid({USER})\nos.setuid({USER})\n"
FORKS = f"""
import os, sys, json, collections
child = os.fork()
if not child:
    os.setgroups([]); os.setgid({USER}); os.setuid({USER})
    import shop
    for _ in range(3):
        try: shop.f(9)
        except ValueError: pass
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def shop():
    """In a folder that others may read, as an installation is; what the other user leaves behind is removed."""
    folder = Path(tempfile.mkdtemp())  # pytest's own is root's alone
    folder.chmod(0o755)
    host = Host(folder)
    host.write(shop__py=SHOP, monitors__yaml=GOOD)
    shutil.rmtree(SHARED, ignore_errors=True)
    yield host
    host.clean()
    for _ in range(50):  # a process of the other user may be writing its last file
        if not os.path.isdir(SHARED):
            break
        shutil.rmtree(SHARED, ignore_errors=True)
    if os.path.lexists(SHARED):
        os.unlink(SHARED)
    shutil.rmtree(folder)


@pytest.fixture
def anybodys(shop):
    """The same, by a Python that other users can read: what is imported after the change is there too."""
    shop.python = readable_python()
    shop.path = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    return shop


def left_by(user, *bases):
    """The state files of a user, and the envelopes that have not been delivered."""
    found = {"envelope": 0, "state": 0}
    for base in (SHARED, *bases):
        for folder, _, names in os.walk(base):
            if "history" in folder.split(os.sep):
                continue
            for name in names:
                kind = name.rpartition(".")[2]
                if os.stat(os.path.join(folder, name)).st_uid == user and kind in found:
                    found[kind] += 1
    return found


def test_a_daemon_that_becomes_another_user_after_a_fork(shop):
    """First without a plan, then with one that only root may read."""
    shop.write(main__py=FORKS)
    for times in (1, 2):
        done = shop.run("main.py")
        assert (done.stdout, done.stderr) == ("", "")
        assert left_by(USER) == {"envelope": 3 * times, "state": times}
    assert left_by(0, shop.state_base)["envelope"] == 0


def test_a_process_that_becomes_another_user_reports_as_both(shop):
    shop.write(main__py="import shop\n" + CALL + BECOME + CALL + CALL)
    done = shop.run("main.py")
    assert (done.stdout, done.stderr) == ("", "")
    assert left_by(0, shop.state_base) == {"envelope": 1, "state": 1}
    assert left_by(USER, shop.state_base) == {"envelope": 2, "state": 1}
    (process,) = shop.status()
    assert [each["number"] for each in process["counts"] if each["reason"] == "captured"] == [1]
    (other,) = json_of(shop)["elsewhere"]
    assert (other["user"], other["processes"], other["events"]) == (USER, 1, 2)


def json_of(shop):
    import json

    return json.loads(shop.agent("status", "--format", "json").stdout)


def test_status_and_events_point_to_what_lies_elsewhere(shop):
    shop.write(main__py=FORKS)
    shop.run("main.py")
    where, how = (
        f"3 events and 1 process of #{USER} in {SHARED}/{shop.state.name}",
        f"to look: AGENT_STATE_DIR={SHARED} runuser",
    )
    flat = lambda text: " ".join(text.split())
    assert f"{where} [elsewhere]; to do: {how[len('to look: ') :]}" in flat(shop.agent("status", COLUMNS="300").stdout)
    assert f"{where}; {how}" in flat(shop.agent("events", COLUMNS="300").stderr)
    # With that variable, and as that user, one sees them.
    folder = places.state_folder({"AGENT_STATE_DIR": SHARED}, str(shop.config))
    assert os.path.dirname(folder) == SHARED


def test_a_user_that_is_changed_for_a_time_has_its_events_apart(shop):
    shop.write(
        main__py=f"import shop, os\n{CALL}"
        f"for _ in range(2):\n    os.seteuid({USER})\n    try: shop.f(9)\n    except ValueError: pass\n"
        "    os.seteuid(0)\n    try: shop.f(9)\n    except ValueError: pass\n"
    )
    done = shop.run("main.py")
    assert (done.stdout, done.stderr) == ("", "")
    assert left_by(0, shop.state_base) == {"envelope": 3, "state": 1}
    assert left_by(USER, shop.state_base) == {"envelope": 2, "state": 1}
    (process,) = shop.status()
    assert [each["number"] for each in process["counts"] if each["reason"] == "captured"] == [3]


def test_a_state_folder_that_the_user_may_write_to_is_theirs_too(shop):
    shop.state_base.mkdir()
    os.chown(shop.state_base, USER, USER)
    shop.write(main__py=FORKS)
    shop.run("main.py")
    folder = shop.state_base / f"{places.folder_name(str(shop.config))}-{USER}"
    assert len(list(folder.glob("spool/held/*"))) == 3
    assert not os.path.exists(SHARED)
    assert f"of #{USER} in {folder}" in " ".join(shop.agent("status", COLUMNS="300").stdout.split())


def test_a_user_who_can_write_nowhere_is_said_once_and_what_is_lost_is_counted(shop):
    with open(SHARED, "w", encoding="utf-8"):
        pass  # somebody else's
    shop.write(
        main__py="import shop\n" + CALL + BECOME + CALL * 2
        + "from _erp_agent.boot import bootstrap\nengine = bootstrap.current.engine()\nengine.outlet.sink().spool.abandon()\n"
        + "print(sorted(engine.health.counts.items()))\n"
    )  # fmt: skip
    done = shop.run("main.py")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        f"agent: this process is uid {USER} now and can write nowhere, so that events are kept in memory only"
    )
    assert "(('lost-at-exit', 'error'), 2)" in done.stdout


DELIVERED = """import glob, time
while glob.glob(os.environ["AGENT_STATE_DIR"] + "/*/spool/new/*"): time.sleep(0.02)
"""


@pytest.mark.parametrize(("before", "forks"), [("", True), (CALL + DELIVERED, False)])
def test_what_is_reported_as_another_user_arrives(anybodys, before, forks):
    """Also where the delivering thread was there before, and where only a child changes."""
    become = BECOME + CALL * 2
    if forks:
        become = f"child = os.fork()\nif not child:\n{textwrap.indent(become, '    ')}else: os.waitpid(child, 0)\n"
    anybodys.write(main__py="import os, shop\n" + before + become)
    expected = 3 if before else 2
    with Receiver() as sentry:
        done = anybodys.run("main.py", PYTHONPATH=anybodys.path, SENTRY_DSN=sentry.dsn)
        assert (done.stdout, done.stderr) == ("", "")
        sentry.wait_for(expected)
    assert len({event["event_id"] for event in sentry.events}) == len(sentry.events) == expected
    wait_until(lambda: not left_by(USER, anybodys.state_base)["envelope"])
    wait_until(lambda: not left_by(0, anybodys.state_base)["envelope"])


TASKS = """
import os, celery
FOLDER = os.path.abspath("queue")
app = celery.Celery("tasks", broker="filesystem://", backend="file://" + FOLDER)
folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), FOLDER)
app.conf.update(broker_connection_retry_on_startup=True, broker_transport_options=folders)
@app.task
def post(x):
    import shop
    try: return shop.f(x)
    except ValueError: return os.getuid()
"""


def test_a_celery_worker_that_becomes_another_user(anybodys):
    """One that has a name, as Celery wants it."""
    pytest.importorskip("celery")
    nobody = pwd.getpwnam("nobody")
    send = "import tasks\nprint(tasks.post.delay(9).get(timeout=120))\n"
    anybodys.write(tasks__py=TASKS, send__py=BECOME.replace(str(USER), str(nobody.pw_uid)) + send)
    queue = anybodys.folder / "queue"
    queue.mkdir()
    queue.chmod(0o777)
    command = ("-m", "celery", "-A", "tasks", "worker", "-c1", "--uid=nobody", f"--gid={nobody.pw_gid}")
    with Receiver() as sentry:
        extra = {"PYTHONPATH": anybodys.path, "SENTRY_DSN": sentry.dsn}
        with Running(anybodys, *command, python=anybodys.python, **extra) as worker:
            sent = anybodys.run("send.py", agent=False, PYTHONPATH=sysconfig.get_path("purelib"))
            assert sent.stdout == f"{nobody.pw_uid}\n"
            sentry.wait_for(1)
            worker.stop(signal.SIGTERM)
        assert "agent:" not in worker.printed
    assert [event["tags"]["erp.operation"] for event in sentry.events] == ["op"]
    wait_until(lambda: not left_by(0, anybodys.state_base)["envelope"])


def test_gunicorn_whose_workers_are_another_user(shop):
    pytest.importorskip("gunicorn")
    shop.write(
        web__py="import shop\ndef app(environ, start):\n    try: shop.f(9)\n    except ValueError: pass\n"
        "    start('200 OK', [])\n    import os\n    return [b'%d' % os.getuid()]\n"
    )
    served(shop, lambda port: ("-m", "gunicorn", f"-b127.0.0.1:{port}", "-w1", f"--user={USER}", f"--group={USER}",
                               "--worker-tmp-dir=/dev/shm", "web:app"), "1 process")  # fmt: skip


def test_uwsgi_whose_workers_are_another_user(anybodys):
    """Debian's: master and workers are that user before Python starts, which must not be in root's home then."""
    uwsgi = os.environ.get("AGENT_TEST_UWSGI") or shutil.which("uwsgi-core")
    if uwsgi is None:
        pytest.skip("needs Debian's uwsgi-core and uwsgi-plugin-python3: AGENT_TEST_UWSGI names another")
    plugin = "python%d%d" % sys.version_info[:2]
    if "AGENT_TEST_UWSGI" not in os.environ and not Path(f"/usr/lib/uwsgi/plugins/{plugin}_plugin.so").exists():
        pytest.skip(f"Debian's uWSGI here is of another Python than {plugin}")
    anybodys.state_base.mkdir()
    os.chown(anybodys.state_base, USER, USER)
    anybodys.write(
        web__py="import shop\ndef app(environ, start):\n    try: shop.f(9)\n    except ValueError: pass\n"
        "    start('200 OK', [])\n    import os\n    return [b'%d' % os.getuid()]\n"
    )
    served(anybodys, lambda port: (f"--plugin={plugin}", "--http-socket", f"127.0.0.1:{port}",
                                   "--wsgi-file=web.py", "--callable=app", *UWSGI_MASTER, f"--uid={USER}", f"--gid={USER}"),
           "2 processes", uwsgi, PYTHONPATH=anybodys.path)  # fmt: skip


def served(shop, command, processes, program=sys.executable, **extra):
    port = free_port()

    def answered():
        try:
            assert get(port) == (200, str(USER))
        except OSError:
            return False
        return True

    with Running(shop, *command(port), python=program, **extra) as server:
        server.until(answered)
        assert get(port) == (200, str(USER))
        server.stop(signal.SIGTERM)
    assert "agent:" not in server.printed
    assert left_by(USER, shop.state_base)["envelope"] == 2
    shown = shop.agent("status", COLUMNS="300", **extra)
    assert f"2 events and {processes} of #{USER}" in " ".join(shown.stdout.split()), shown.stdout + shown.stderr


LASTING = f"""
import os, time, shop
if not os.fork():
    os.setgroups([]); os.setgid({USER}); os.setuid({USER})
for number in range(10_000):
    try: shop.f(9)
    except ValueError: pass
    time.sleep(0.05)
"""


def test_root_reaches_the_workers_that_are_another_user(anybodys):
    """Each in its own folder, and as that user: nothing of root's lies there."""
    anybodys.write(main__py=LASTING)
    path = {"PYTHONPATH": anybodys.path}
    with Running(anybodys, "main.py", python=anybodys.python, **path) as process:
        process.until(lambda: any(anybodys.state_base.glob("*/run/*.state")) and any(Path(SHARED).glob("*/run/*.state")),
                      what="both processes")  # fmt: skip
        done = anybodys.agent("disable", "--all", **path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("1 of 1 process run with this") == 2, done.stdout + done.stderr
        (file,) = Path(SHARED).glob("*/live.json")
        assert file.stat().st_uid == USER
        done = anybodys.agent("watch", "shop.f", "--limit", "1", "--json", **path)
        assert done.stdout.count('"erp.report"') == 2, done.stdout + done.stderr
        assert anybodys.agent("enable", "--all", **path).stdout.count("*: on") == 2
        assert not file.exists()
