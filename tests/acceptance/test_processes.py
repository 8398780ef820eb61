"""However a process came to be, it reports under its own pid, once, and a fork never hangs."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import time
from pathlib import Path

import pytest
from acceptance.host import READABLE_BY_OTHERS, readable_python, summary
from acceptance.services import free_port
from receiver import Receiver

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SHOP = "import os\ndef f(x=1):\n    raise ValueError('%s in %d' % (x, os.getpid()))\ndef quiet(x): return x\n"
TRY = "def attempt(x):\n    import shop\n    try: shop.f(x)\n    except ValueError as error: print(error, flush=True)\n"
MONITORS = (
    "version: 1\nmodules: {m: {description: M}}\ndefaults: {rate_limit: 100000/s}\nmonitors:\n"
    "  - {target: shop.f, module: m, operation: op}\n  - {target: shop.quiet, module: m, operation: quiet}\n"
)


@pytest.fixture
def shop(host):
    host.write(shop__py=SHOP, tries__py=TRY, monitors__yaml=MONITORS)
    return host


def reports(host):
    """ "what in pid" of every event, sorted."""
    return sorted(event["exception"]["values"][-1]["value"] for event in host.events())


def each_says_for_itself(host, done, number):
    """Every line that the host printed is one event, made by the process that the line names, and in its state file."""
    lines = sorted(done.stdout.splitlines())
    assert len(lines) == number
    assert reports(host) == lines
    pids = {int(line.rpartition(" ")[2]) for line in lines}
    files = {}
    for path in (host.state / "run").glob("*.state"):
        files.setdefault(int(path.name.partition("-")[0]), []).append(path)
    assert pids <= set(files)
    assert all(len(paths) == 1 for paths in files.values())
    for pid in pids:
        said = [ast.literal_eval(line) for line in files[pid][0].read_text().splitlines()]
        assert said[0][:2] == ("process", pid)
        assert {line[2] for line in said if line[0] == "patched"} == {"shop.f", "shop.quiet"}
        counts = [line for line in said if line[0] == "counts"][-1][2]
        assert counts["captured", "op"] == sum(line.endswith(" %d" % pid) for line in lines)


def run(host, source, *arguments, number, **extra):
    host.write(main__py=textwrap.dedent(source))
    done = host.run("main.py", *arguments, **extra)
    assert "agent" not in done.stderr, done.stderr
    each_says_for_itself(host, done, number)
    return sorted(line.rpartition(" in ")[0] for line in done.stdout.splitlines())


def test_fork(shop):
    source = """
        import os, tries
        tries.attempt("parent"); tries.attempt("parent again")
        for n in range(3):
            if os.fork() == 0:
                tries.attempt("child"); tries.attempt("child again")
                if n == 0 and os.fork() == 0:
                    tries.attempt("grandchild")
                os._exit(0)
        for n in range(3): os.wait()
        tries.attempt("parent at last")
    """
    said = run(shop, source, number=3 + 6 + 1)
    assert said == sorted(
        ["parent", "parent again", "parent at last", "grandchild", *["child"] * 3, *["child again"] * 3]
    )


def test_fork_before_the_first_import_of_a_target(shop):
    source = """
        import os, tries
        if os.fork() == 0:
            tries.attempt("child")
            os._exit(0)
        os.wait()
        tries.attempt("parent")
    """
    assert run(shop, source, number=2) == ["child", "parent"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("pool", ["pool", "executor", "process"])
def test_multiprocessing(shop, method, pool):
    source = """
        import concurrent.futures, multiprocessing, sys, tries
        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            if sys.argv[2] == "pool":
                with context.Pool(2) as pool: pool.map(tries.attempt, range(6))
            elif sys.argv[2] == "executor":
                with concurrent.futures.ProcessPoolExecutor(2, context) as pool: list(pool.map(tries.attempt, range(6)))
            else:
                made = [context.Process(target=tries.attempt, args=(n,)) for n in range(6)]
                for each in made: each.start()
                for each in made: each.join()
                assert [each.exitcode for each in made] == [0] * 6
    """
    assert run(shop, source, method, pool, number=6) == list("012345")


def test_a_pool_of_threads(shop):
    source = """
        import concurrent.futures, tries
        with concurrent.futures.ThreadPoolExecutor(8) as pool: list(pool.map(tries.attempt, range(40)))
    """
    assert run(shop, source, number=40) == sorted(map(str, range(40)))


def test_exec(shop):
    source = """
        import os, sys, tries
        tries.attempt("before")
        os.execv(sys.executable, [sys.executable, "-c", "import tries; tries.attempt('after')"])
    """
    shop.write(main__py=textwrap.dedent(source))
    done = shop.run("main.py", PYTHONPATH=os.pathsep.join([shop.environment()["PYTHONPATH"], str(shop.folder)]))
    assert reports(shop) == sorted(done.stdout.splitlines())
    assert len(reports(shop)) == 2


def test_subprocesses_with_and_without_the_environment(shop):
    source = """
        import os, subprocess, sys, tries
        tries.attempt("parent")
        code = "import sys; sys.path.insert(0, ''); import tries; tries.attempt('child')"
        subprocess.run([sys.executable, "-c", code], check=True)
        bare = subprocess.run([sys.executable, "-c", code], env={}, check=True, capture_output=True, text=True)
        assert bare.stdout.startswith("child in ") and bare.stderr == ""
    """
    run(shop, source, number=2)


def test_daemonised_twice_with_every_descriptor_closed(shop):
    source = """
        import os, sys, tries
        tries.attempt("before")
        if os.fork(): os.wait(); sys.exit()
        os.setsid()
        if os.fork(): os._exit(0)
        os.closerange(0, 256)
        taken = [os.open("taken", os.O_RDWR | os.O_CREAT) for _ in range(12)]  # the numbers are used again
        import shop
        try: shop.f("daemon")
        except ValueError as error: text = str(error)
        try: shop.f("daemon")
        except ValueError as error: text = str(error)
        os.write(taken[5], (text + "\\n").encode())
        os._exit(0)
    """
    shop.write(main__py=textwrap.dedent(source))
    done = shop.run("main.py")
    until = time.monotonic() + 30
    while not (shop.folder / "taken").exists() or not (shop.folder / "taken").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)  # the daemon is nobody's child: there is nothing to wait on
    daemon = (shop.folder / "taken").read_text()
    assert daemon.count("\n") == 1  # nothing of ours was written into the host's file
    assert reports(shop) == sorted([*done.stdout.splitlines(), daemon.strip(), daemon.strip()])


def test_a_worker_that_ends_with_os_exit_loses_no_count(shop):
    source = """
        import os, tries, shop
        shop.quiet(1)
        for n in range(3):
            if os.fork() == 0:
                for m in range(5): tries.attempt(m)
                os._exit(0)
            os.wait()
    """
    assert run(shop, source, number=15) == sorted("01234" * 3)


def test_a_signal_handler_that_reports_in_the_middle_of_a_report(shop):
    source = """
        import signal, os, shop
        def attempt(what):
            try: shop.f(what)
            except ValueError as error: os.write(1, b"%s\\n" % str(error).encode())
        signal.signal(signal.SIGALRM, lambda *_: attempt("signal"))
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        for n in range(150): attempt("main")
        signal.setitimer(signal.ITIMER_REAL, 0)
    """
    shop.write(main__py=textwrap.dedent(source))
    done = shop.run("main.py")
    assert done.stdout.count("main in") == 150 and done.stdout.count("signal in") > 5
    # What happens while its own thread makes a report is the report's business; everything else is there, once.
    assert [line for line in reports(shop) if "main" in line] == sorted(re.findall("main in .*", done.stdout))


@pytest.mark.parametrize("dsn", [False, True])
def test_forks_in_a_process_with_fifty_threads_under_load_do_not_hang(shop, dsn):
    """Each child reports and ends. `AGENT_TEST_FORKS` says how many; by default few enough for every day."""
    source = """
        import faulthandler, os, sys, threading, time, tries, shop
        faulthandler.dump_traceback_later(90 + int(sys.argv[1]) / 5, exit=True)
        stop = False
        def load(n):
            while not stop:
                try: shop.f(n)
                except ValueError: pass
                time.sleep(0.05)
        threads = [threading.Thread(target=load, args=(n,), daemon=True) for n in range(50)]
        for thread in threads: thread.start()
        for n in range(int(sys.argv[1])):
            pid = os.fork()
            if pid == 0:
                try: shop.f("child")
                except ValueError: pass
                os._exit(0)
            until = time.monotonic() + 30
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > until:
                    print("hangs", pid); os._exit(9)
                time.sleep(0.0005)
        stop = True
        for thread in threads: thread.join()
        print("done")
    """
    number = os.environ.get("AGENT_TEST_FORKS", "150")
    shop.write(main__py=textwrap.dedent(source))
    with Receiver() as sentry:
        extra = {"SENTRY_DSN": sentry.dsn} if dsn else {}
        shop.config.write_text(MONITORS.replace("100000/s", "5/s"), encoding="utf-8")
        done = shop.run("-W", "error", "main.py", number, check=False, timeout=100 + int(number) / 5, **extra)
    assert done.returncode == 0, (done.stdout, done.stderr[-3000:])
    assert done.stdout == "done\n"
    assert "agent" not in done.stderr


@pytest.mark.skipif(shutil.which("su") is None or os.geteuid() != 0, reason="only root can become somebody else")
@READABLE_BY_OTHERS
def test_another_user(shop, tmp_path):
    """Through su and sudo, with the caller's HOME, or one that does not exist."""
    for path in [tmp_path, *tmp_path.parents]:
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(path.stat().st_mode | 0o055)
    shop.write(main__py="import tries\ntries.attempt('somebody')\n")
    environment = shop.environment(PYTHONDONTWRITEBYTECODE="1")
    del environment["AGENT_STATE_DIR"]
    folder = Path("/var/tmp/erp-sentry-agent-65534", shop.state.name)  # the rest of it is other programs'
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], sysconfig.get_path("purelib")])
    python = readable_python()
    for home in ("/root", "/nonexistent", None):
        chosen = {name: value for name, value in environment.items() if name != "HOME"}
        if home:
            chosen["HOME"] = home
        done = subprocess.run(
            ["su", "-m", "-s", "/bin/sh", "nobody", "-c", f"cd {shop.folder} && {python} main.py"],
            env=chosen, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout.startswith("somebody in"), done.stderr
        assert done.stderr == ""
    events = list(folder.glob("spool/*/*.envelope"))
    assert len(events) == 3
    assert all(path.stat().st_uid == 65534 for path in events)


def test_gunicorn_with_preload_reports_from_its_workers(shop):
    pytest.importorskip("gunicorn")
    import urllib.request

    shop.write(
        web__py="import os, shop\ndef app(environ, start):\n  try: shop.f('web')\n  except ValueError as error: text = str(error)\n"
        "  start('200 OK', []); return [text.encode()]\n"
    )
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "web:app", f"--bind=127.0.0.1:{port}", "--preload", "--workers=3"],
        cwd=shop.folder, env=shop.environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = []
    try:
        until = time.monotonic() + 30
        while len(said) < 12:
            try:
                said.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read().decode())
            except OSError:
                assert time.monotonic() < until and server.poll() is None
                time.sleep(0.05)  # waiting for a server's port is the one thing that has no event to wait on
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=120)
    assert "agent:" not in errors
    assert reports(shop) == sorted(said)
    assert str(server.pid) not in {text.rpartition(" ")[2] for text in said}
    assert summary(shop.events()[0]) == ("error", "op", "error")
