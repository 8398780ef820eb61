"""Every event reaches Sentry within seconds, however its process ends: nobody else is alive who would deliver it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from acceptance.running import Running, children, get, is_listening
from acceptance.services import UWSGI_MASTER, free_port, uwsgi_program
from receiver import Receiver

SHOP = "import os\ndef fails(text):\n    raise ValueError(f'{text} in {os.getpid()}')\n"
MONITORS = (
    "version: 1\nmodules: {m: {}}\ndefaults: {rate_limit: off, budget: off}\n"
    "monitors: [{target: shop.fails, module: m, operation: op}]\n"
)

CAPTURE = "try: shop.fails('x')\nexcept ValueError: pass\n"
BUSY = "import ctypes\nctypes.PyDLL(None).sleep(300)\n"  # a C extension that does not give the interpreter back

#: How a script that has captured ends: (its code, the exit status).
WAYS = {
    "the end of the script": ("import shop\n" + CAPTURE, 0),
    "an exception": ("import shop\nshop.fails('x')\n", 1),
    "os._exit": ("import os, shop\n" + CAPTURE + "os._exit(3)\n", 3),
    "SIGKILL": ("import os, shop\n" + CAPTURE + "os.kill(os.getpid(), 9)\n", -9),
    "SIGTERM": ("import os, shop\n" + CAPTURE + "os.kill(os.getpid(), 15)\n", -15),
    "os.abort": ("import os, shop\n" + CAPTURE + "os.abort()\n", -6),
    "a crash in C": ("import ctypes, shop\n" + CAPTURE + "ctypes.string_at(0)\n", -11),
    "a child of multiprocessing": (
        (
            "import multiprocessing, shop\n"
            "def work():\n    try: shop.fails('x')\n    except ValueError: pass\n"
            "if __name__ == '__main__':\n"
            "    child = multiprocessing.get_context('fork').Process(target=work)\n    child.start()\n    child.join()\n"
        ),
        0,
    ),
    **{
        f"a process pool, {context}": (
            (
                "import concurrent.futures, multiprocessing, shop\n"
                "if __name__ == '__main__':\n"
                f"    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('{context}')) as pool:\n"
                "        assert type(pool.submit(shop.fails, 'x').exception()) is ValueError\n"
            ),
            0,
        )
        for context in ("spawn", "fork")
    },
    "a daemon, forked twice": (
        "import os, shop\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "os.closerange(0, 1024)\n" + CAPTURE + "os._exit(0)\n",
        0,
    ),
}


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, monitors__yaml=MONITORS)
    host.run("-c", "pass")  # compiles the plan
    return host


@pytest.fixture
def sentry():
    with Receiver() as receiver:
        yield receiver


def values(sentry) -> "list[str]":
    return [event["exception"]["values"][-1]["value"] for event in sentry.events]


@pytest.mark.parametrize("way", WAYS)
def test_an_event_arrives_however_its_process_ends(shop, sentry, way):
    code, status = WAYS[way]
    shop.write(main__py=code)
    done = shop.run("main.py", check=False, SENTRY_DSN=sentry.dsn)
    assert done.returncode == status, done.stderr
    assert "agent" not in done.stderr
    sentry.wait_for(1)
    assert values(sentry)[0].startswith("x in ")


def test_an_event_arrives_while_its_process_gives_the_interpreter_to_nobody(shop, sentry):
    shop.write(main__py="import shop\n" + CAPTURE + BUSY)
    with Running(shop, "main.py", SENTRY_DSN=sentry.dsn) as busy:
        sentry.wait_for(1)  # it is busy for longer
        assert busy.process.poll() is None


def test_a_job_of_cron_with_an_empty_environment(shop, sentry):
    shop.write(main__py="import shop\n" + CAPTURE)
    whole = shop.environment(SENTRY_DSN=sentry.dsn)
    environment = {name: whole[name] for name in ("PYTHONPATH", "AGENT_CONFIG", "AGENT_STATE_DIR", "SENTRY_DSN")}
    subprocess.run([sys.executable, "main.py"], cwd=shop.folder, env=environment, check=True, timeout=60)
    sentry.wait_for(1)
    assert values(sentry)[0].startswith("x in ")


def test_celery_with_a_new_child_for_each_task(shop, sentry, redis_server):
    pytest.importorskip("celery")
    shop.write(
        tasks__py="import celery, os, shop\napp = celery.Celery(broker=os.environ['BROKER'])\n"
        "app.conf.update(task_default_queue='courier', broker_connection_retry_on_startup=True)\n"
        "@app.task\ndef fails(number): shop.fails(number)\n",
        send__py="import tasks\nfor number in range(3): tasks.fails.delay(number)\n",
    )
    shop.run("send.py", BROKER=redis_server.url(3))
    worker = ("-m", "celery", "-A", "tasks", "worker", "-c", "1", "--max-tasks-per-child=1", "-l", "ERROR")
    with Running(shop, *worker, BROKER=redis_server.url(3), SENTRY_DSN=sentry.dsn) as running:
        running.until(lambda: len(sentry.kept) >= 3, what="three events")
    assert sorted(event["exception"]["values"][-1]["value"][0] for event in sentry.kept) == list("012")


def test_a_work_horse_of_rq(shop, sentry, redis_server):
    pytest.importorskip("rq")
    shop.write(
        main__py="import sys, shop\nfrom redis import Redis\nfrom rq import Queue, Worker\n"
        "connection = Redis.from_url(sys.argv[1])\nqueue = Queue('courier', connection=connection)\n"
        "queue.enqueue(shop.fails, 'x')\n"
        "Worker([queue], connection=connection).work(burst=True, logging_level='CRITICAL')\n"
    )
    shop.run("main.py", redis_server.url(4), SENTRY_DSN=sentry.dsn)
    sentry.wait_for(1)
    assert values(sentry)[0].startswith("x in ")


WSGI = """
import shop
def application(environ, start):
    try: shop.fails(environ["PATH_INFO"])
    except ValueError as error: text = str(error)
    start("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
"""


def gunicorn(port: int) -> "tuple[str, ...]":
    pytest.importorskip("gunicorn")
    return (sys.executable, "-m", "gunicorn", "--max-requests=1", "-b", f"127.0.0.1:{port}", "web")


def uwsgi(port: int) -> "tuple[str, ...]":
    recycled = ("--max-requests=1", "--min-worker-lifetime=0")
    where = ("--http-socket", f"127.0.0.1:{port}", "--virtualenv", sys.prefix)
    return (uwsgi_program(), *where, "--module=web", *UWSGI_MASTER, "--lazy-apps", *recycled)


@pytest.mark.parametrize("server", [gunicorn, uwsgi])
def test_a_server_with_a_worker_for_each_request(shop, sentry, server):
    shop.write(web__py=WSGI)
    port = free_port()
    program, *arguments = server(port)
    with Running(shop, *arguments, python=program, SENTRY_DSN=sentry.dsn) as running:
        running.until(lambda: is_listening(port), what="a port")
        for _ in range(3):
            running.until(lambda: _asked(port), what="an answer")
        running.until(
            lambda: len({event["contexts"]["process"]["pid"] for event in sentry.kept}) >= 3, what="three pids"
        )
        assert running.stop() == 0


def _asked(port: int) -> bool:
    try:
        return get(port, "/order")[0] == 200
    except OSError:
        return False  # the worker before has just ended


# ------------------------------------------------------------------------------------------------------------- manners


def test_two_hundred_processes_that_fail_at_once_have_one_courier(shop, sentry):
    shop.write(
        main__py="import os, shop, sys, time\n"
        "pids = []\nread, write = os.pipe()\n"
        "for number in range(200):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        os.close(write)\n        os.read(read, 1)\n"
        "        try: shop.fails(number)\n        except ValueError: pass\n"
        "        os._exit(0)\n"
        "    pids.append(pid)\n"
        "os.close(write)\n"
        "for pid in pids: assert os.waitpid(pid, 0)[1] == 0\n"
    )
    done = shop.run("main.py", SENTRY_DSN=sentry.dsn)
    assert done.stderr == ""
    sentry.wait_for(200, timeout=60)
    assert len(set(sentry.ids)) == len(sentry.ids) == 200
    assert len({event["contexts"]["process"]["pid"] for event in sentry.events}) == 200
    until = time.monotonic() + 120
    while not courier_files(shop) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(courier_files(shop)) == 1


def courier_files(host) -> "list[str]":
    """What couriers have left in the folder of state files, which keeps some hundred of them."""
    found = []
    for path in (host.state / "run").glob("*.state"):
        with contextlib.suppress(FileNotFoundError):
            found += [path.name] if "'command': 'courier'" in path.read_text() else []
    return found


def test_the_host_never_meets_its_courier(shop, sentry):
    """No child to wait for, no descriptor that is open in both, no output that somebody reads to its end."""
    shop.write(
        main__py="import os, shop\nread, write = os.pipe()\nos.set_inheritable(write, True)\n"
        + CAPTURE
        + "os.close(write)\nprint(os.read(read, 1))\n"  # ends only once nobody holds the other end
        "try: print(os.wait())\nexcept ChildProcessError: print('no child')\n"
    )
    done = shop.run("main.py", SENTRY_DSN=sentry.dsn, timeout=30)  # which reads its output to the end
    assert (done.stdout, done.stderr) == ("b''\nno child\n", "")
    sentry.wait_for(1)
    (pid,) = shop.couriers()
    assert Path(f"/proc/{pid}/comm").read_text() == "erp-courier\n"
    assert os.getsid(pid) not in (os.getsid(0), 0)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    opened = {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)}
    assert opened == {"/dev/null"}
    environment = dict(line.partition("=")[::2] for line in _environ(pid))
    assert "SENTRY_DSN" not in environment
    assert "AGENT_CONFIG" not in environment
    memory = int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])
    assert memory < 30_000, f"{memory} kB"


def _environ(pid: int) -> "list[str]":
    return Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")


def test_ctrl_c_in_the_terminal_ends_the_host_and_not_its_courier(shop, sentry):
    shop.write(main__py="import shop, time\n" + CAPTURE + "print('captured', flush=True)\ntime.sleep(60)\n")
    sentry.program(503)
    with Running(shop, "main.py", SENTRY_DSN=sentry.dsn) as running:
        running.wait_for("captured")
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait() == -signal.SIGINT
    sentry.wait_for(1)


def test_a_courier_that_is_killed_is_replaced_and_nothing_is_lost(shop, sentry):
    shop.write(
        main__py="import os, shop, time\nnumber = 0\n"
        "while not os.path.exists('enough'):\n"
        "    try: shop.fails(number)\n    except ValueError: pass\n    number += 1\n    time.sleep(0.02)\n"
        "print(number)\n"
    )
    with Running(shop, "main.py", SENTRY_DSN=sentry.dsn) as running:
        killed = set()

        def killed_two():
            for pid in shop.couriers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.1)
            return len(killed) >= 2

        running.until(killed_two)  # after two that do not get to their work, it delivers itself
        (shop.folder / "enough").touch()
        assert running.wait() == 0
        captured = int(running.printed)
    shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=sentry.dsn)
    until = time.monotonic() + 120
    while len(set(sentry.ids)) < captured + 1 and time.monotonic() < until:
        time.sleep(0.05)
    # One that was on its way when its courier was killed may come twice, under the same id.
    assert len(set(sentry.ids)) == captured + 1


#: A Python whose courier is less patient: what it waits for otherwise takes 20 seconds.
IMPATIENT = """#!/bin/sh
case "$2" in *erp_agent_courier.py)
    exec {python} -S -c 'import sys; del sys.argv[:2]; path = sys.argv[0]; code = open(path).read()
exec(compile(code.replace("run.main(", "run._LINGER = 0.5; run.main("), path, "exec"), {{"__name__": "__main__", "__file__": path}})' "$@";;
esac
exec {python} "$@"
"""


def test_it_ends_when_nothing_has_come_for_a_while(shop, sentry, tmp_path):
    python = tmp_path / "python"
    python.write_text(IMPATIENT.format(python=sys.executable))
    python.chmod(0o755)
    lives = "import shop\n" + CAPTURE + "sys = __import__('sys')\nsys.stdin.readline()\n" + CAPTURE
    with subprocess.Popen(
        [sys.executable, "-c", lives], cwd=shop.folder, stdin=subprocess.PIPE, text=True,
        env=shop.environment(SENTRY_DSN=sentry.dsn, AGENT_PYTHON=str(python)),
    ) as process:  # fmt: skip
        sentry.wait_for(1)
        until = time.monotonic() + 120
        while shop.couriers() and time.monotonic() < until:
            time.sleep(0.05)
        assert shop.couriers() == []
        process.communicate("\n")  # the next event starts another one
    sentry.wait_for(2)
    assert len(set(sentry.ids)) == len(sentry.ids) == 2


# ------------------------------------------------------------------------------------------------ another destination


#: A busy machine may stop a process between two steps: here after its envelope was written, for long.
HELD_UP = """
import _erp_agent.deliver.courier.launch as launch, time
wake = launch.Courier.wake
launch.Courier.wake = lambda self: (time.sleep(0.7), wake(self))
"""


def test_a_new_dsn_holds_for_the_next_event(shop, sentry):
    with Receiver() as before:
        shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=before.dsn)
        before.wait_for(1)
        (pid,) = shop.couriers()
        shop.run("-c", "import shop\n" + HELD_UP + CAPTURE, SENTRY_DSN=sentry.dsn)
        sentry.wait_for(1)
        assert shop.couriers() == [pid]
        assert len(before.kept) == 1


def test_another_proxy_holds_for_the_next_event(shop):
    """A proxy is asked for the whole address. No host of that name exists: nothing arrives but through a proxy."""
    dsn = "http://public@sentry.invalid/42"
    with Receiver() as one, Receiver() as other:
        for number, proxy in enumerate((one, other, one)):
            proxies = {
                "http_proxy": f"http://127.0.0.1:{proxy.port}",
                "HTTP_PROXY": None,
                "no_proxy": None,
                "NO_PROXY": None,
            }
            shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=dsn, **proxies)
            proxy.wait_for(1 + number // 2)
            if not number:
                lives = shop.couriers()
            assert shop.couriers() == lives
        assert [len(one.kept), len(other.kept)] == [2, 1]
        assert {request.path for request in (*one.requests, *other.requests)} == {
            "http://sentry.invalid/api/42/envelope/"
        }


def test_a_wrong_dsn_starts_no_courier_for_each_event(shop, sentry):
    sentry.program(default=401)
    shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=sentry.dsn)
    sentry.wait_for_requests(1)
    until = time.monotonic() + 120
    while shop.couriers() and time.monotonic() < until:
        time.sleep(0.05)
    assert shop.couriers() == []
    for _ in range(3):
        shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=sentry.dsn)
    assert shop.couriers() == []
    assert len(shop.envelopes()) == 4
    # One that is right is used at once.
    with Receiver() as right:
        shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=right.dsn)
        right.wait_for(5)


# ------------------------------------------------------------------------------------------------ where there is none

THREAD = "import shop, threading, sys\n" + CAPTURE + "time = __import__('time')\n"
LIVES = "import shop, sys, time\n" + CAPTURE + "sys.stdin.read()\n"


@pytest.mark.parametrize(
    "why", ["switched off", "no shell", "no process more", "no interpreter", "a broken one", "no locks", "no settings"]
)
def test_where_no_courier_can_be_a_thread_delivers(shop, sentry, why):
    code, extra = LIVES, {}
    if why == "switched off":
        shop.write(monitors__yaml=MONITORS + "delivery: {courier: false}\n")
    elif why == "no shell":
        code = "import _erp_agent.base.detached as detached\ndetached._SHELL = '/nowhere/sh'\n" + LIVES
    elif why == "no locks":
        code = "import errno, fcntl\ndef no(*_): raise OSError(errno.ENOLCK, 'no locks')\nfcntl.flock = no\n" + LIVES
    elif why == "no settings":
        code = (
            "import shop, sys, _erp_agent.deliver.courier.settings as settings\n"
            "def no(*_): raise PermissionError(13, 'no')\nsettings.Settings.write = no\n"
            "for n in range(4):\n  try: shop.fails(n)\n  except ValueError: pass\n"
            "sys.stdin.read()\n"
        )
    elif why == "no process more":
        code = "import posix\ndef no(*_, **__): raise BlockingIOError(11, 'no')\nposix.posix_spawn = no\n" + LIVES
    elif why == "no interpreter":
        code = (
            "import sys\nsys.executable, sys.prefix, sys.base_prefix = '', '/nowhere', '/nowhere'\nsys._base_executable = ''\n"
            + LIVES
        )
    else:
        extra["AGENT_PYTHON"] = "/bin/false"
        code = (
            "import shop, sys, time\n"
            "import _erp_agent.deliver.courier.launch as launch\nlaunch._PROBE = 0\n"
            + ("try: shop.fails('x')\nexcept ValueError: time.sleep(0.3)\n" * 3)
            + "sys.stdin.read()\n"
        )
    shop.write(main__py=code)
    shop.run("-c", "pass", SENTRY_DSN=sentry.dsn)  # compiles the plan
    process = subprocess.Popen(
        [sys.executable, "main.py"], cwd=shop.folder, env=shop.environment(SENTRY_DSN=sentry.dsn, **extra),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with process:
        sentry.wait_for(1)
        said, _ = process.communicate("\n", timeout=30)
    assert (process.returncode, said) == (0, "")
    assert shop.couriers() == []


def test_a_report_opens_no_socket_and_starts_no_thread_in_the_host(shop, sentry):
    shop.write(
        main__py="import shop, sys\n" + CAPTURE + "print(sys._current_frames().__len__())\n"
        "print([name for name in ('ssl', 'socket', 'urllib3', 'threading', 'subprocess') if name in sys.modules])\n"
    )
    done = shop.run("main.py", SENTRY_DSN=sentry.dsn)
    assert done.stdout == "1\n[]\n"
    sentry.wait_for(1)


def test_what_an_attempt_of_a_killed_worker_held_back_is_sent(shop, sentry):
    """Nobody else can know any more whether the task would have been tried again."""
    shop.write(
        main__py="import os, shop\nfrom _erp_agent.observe.failure import attempts\n"
        "held = attempts.Attempt()\nattempts.register(lambda: held)\n" + CAPTURE + "os.kill(os.getpid(), 9)\n"
    )
    done = shop.run("main.py", check=False, SENTRY_DSN=sentry.dsn)
    assert done.returncode == -9, done.stderr
    sentry.wait_for(1)


def test_spool_status_names_who_delivers(shop, sentry):
    shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=sentry.dsn)
    sentry.wait_for(1)
    (pid,) = shop.couriers()
    shown = json.loads(shop.agent("spool", "status", "--format", "json", SENTRY_DSN=sentry.dsn).stdout)
    assert shown["courier"]["pid"] == pid
    assert children(os.getpid()).count(pid) == 0


def test_the_command_that_watches_takes_the_couriers_place(shop, sentry):
    shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=sentry.dsn)
    sentry.wait_for(1)
    (pid,) = shop.couriers()
    command = ("-m", "agent", "spool", "flush", "--watch")
    began = time.time()
    with Running(shop, *command, SENTRY_DSN=sentry.dsn) as service:
        service.wait_for("Delivering .*spool until this command is ended")
        assert pid not in shop.couriers()
        shop.run("-c", "import shop\n" + CAPTURE, SENTRY_DSN=sentry.dsn)
        sentry.wait_for(2)
        service.wait_for("1 delivered, 1 in all")
        printed = shop.agent("metrics").stdout
        (stamp,) = re.findall(r'last_delivery_timestamp_seconds{spool="agent"} (\S+)', printed)
        assert float(stamp) >= int(began)
        assert shop.couriers() == []
        assert service.stop(signal.SIGTERM) == 0  # as a service manager, and a container, ends it
        assert "Ended; 0 waiting." in service.printed


def test_without_a_descriptor_the_next_event_starts_one(shop, sentry):
    shop.write(
        main__py="import os, resource, shop\nresource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\nheld = []\n"
        "try:\n  while True: held.append(os.open(os.devnull, os.O_RDONLY))\nexcept OSError: pass\n"
        "os.close(held.pop())\n" + CAPTURE + "for each in held: os.close(each)\n" + CAPTURE
    )
    done = shop.run("main.py", SENTRY_DSN=sentry.dsn)
    assert (done.stdout, done.stderr) == ("", "")
    sentry.wait_for(2)
